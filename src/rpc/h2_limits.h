/* Budgets of one connection: what a peer may make us do before we say GOAWAY. */
#ifndef RPC_H2_LIMITS_H
#define RPC_H2_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A token bucket: `burst` at once, refilled by `rate` per second.  Zero-initialised it is full
 * at its first use. */
struct budget {
    double tokens;
    uint64_t at_ns;
};

struct rpc_limits;

/* Those that an identity may have of its own, as they hold for one. */
struct identity_limits {
    uint32_t connections;
    uint32_t concurrent_streams;
    uint32_t client_resets_burst;
    uint32_t client_resets_rate;
};
struct identity_limits limits_of_identity(const struct rpc_limits *limits, const char *identity);

struct rpc_method;
/* The most that one request message of the method may have, in bytes. */
size_t method_message_bytes(const struct rpc_method *method, const struct rpc_limits *limits);

/* Takes one token; false when there is none. */
bool budget_take(struct budget *budget, uint32_t burst, double rate, uint64_t now_ns);

/* By the loop's turns and not by h2_turn()'s: what is read before that would have a share of its own. */
struct h2_turn_share {
    uint64_t number;  /* of the turn, by loop_turns() */
    uint32_t started; /* requests */
    size_t decoded;   /* bytes of messages, as they are charged */
};

struct h2_budgets {
    struct budget client_resets;
    struct budget server_resets;
    struct budget settings;
    uint64_t frames; /* received, of all kinds but DATA */
    uint64_t data_frames;
    uint64_t data_bytes; /* in them, with their padding */
    uint64_t requests;
    uint64_t data_sent;      /* DATA frames */
    uint64_t window_updates; /* received */
    uint64_t priorities;     /* PRIORITY and unknown frames received */
    uint64_t last_ping_ns;
    uint32_t ping_strikes;
    uint64_t data_since_ping; /* DATA or HEADERS frames sent since the last ping */
};

#endif
