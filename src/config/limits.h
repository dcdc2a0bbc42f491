/* What one client may cost: the `limits` section of the configuration.
 *
 * Every limit has a counter where it is enforced (src/rpc); nothing here is a promise to clients. */
#ifndef CONFIG_LIMITS_H
#define CONFIG_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* Per connection where nothing else is said.  Reasons: docs/decisions.md. */
struct config_limits {
    uint32_t concurrent_streams;       /* 100 */
    uint32_t running_handlers;         /* not lowered by resets; 100 */
    uint32_t streaming_per_identity;   /* running calls that stream, per worker; 256 */
    uint32_t requests_per_turn;        /* 32 */
    size_t decoded_per_turn;           /* message bytes of a connection; 256 KiB */
    uint32_t client_resets_burst;      /* 200 */
    uint32_t client_resets_rate;       /* per second; 20 */
    uint32_t server_resets_burst;      /* 100 */
    uint32_t server_resets_rate;       /* per second; 10 */
    uint32_t continuations;            /* per header block; 4 */
    uint32_t header_fields;            /* per request; 64 */
    size_t header_bytes;               /* per request, decoded, + 32 per field; 16 KiB */
    size_t header_field_bytes;         /* name and value of one field; 8 KiB */
    size_t header_table_bytes;         /* HPACK's table of what clients send; 4 KiB */
    size_t frame_bytes;                /* payload of one frame; 16 KiB */
    size_t stream_window;              /* of request bytes that nobody has read; 64 KiB */
    size_t connection_window;          /* of all its streams; 1 MiB */
    size_t message_bytes;              /* one request message; 1 MiB */
    size_t response_bytes;             /* one response message; 4 MiB */
    size_t queued_response_bytes;      /* unsent, then new requests are held; 256 KiB */
    uint32_t settings_entries;         /* per SETTINGS frame; 32 */
    uint32_t settings_per_10s;         /* SETTINGS frames; 10 */
    uint32_t outbound_acks;            /* queued PING and SETTINGS acknowledgements; 100 */
    uint64_t ping_interval_ns;         /* the shortest allowed without streams; 10 s */
    uint32_t ping_strikes;             /* 2 */
    uint32_t empty_data;               /* empty DATA frames per stream; 10 */
    uint32_t priority_frames;          /* PRIORITY and unknown frames; 100 */
    uint32_t window_updates;           /* WINDOW_UPDATE beyond 10 per request and answer; 100 */
    uint32_t control_frames;           /* beyond 20 per request; 10000 */
    uint32_t key_updates;              /* TLS KeyUpdates; 32 */
    uint64_t handshake_timeout_ns;     /* TLS; 5 s */
    uint64_t preface_timeout_ns;       /* client preface and SETTINGS; 5 s */
    uint64_t headers_timeout_ns;       /* header block, from its first byte; 5 s */
    uint64_t body_progress_ns;         /* longest standstill of an announced message; 10 s */
    size_t body_rate;                  /* bytes per second of such a message; 1 KiB */
    uint64_t write_stall_ns;           /* longest standstill of a response; 10 s */
    size_t write_rate;                 /* bytes per second of a response; 1 KiB */
    size_t stalled_bytes;              /* of answers standing still for half of that; 256 KiB */
    uint64_t tcp_user_timeout_ns;      /* sent bytes without acknowledgement; 20 s */
    uint64_t keepalive_ns;             /* silence before a PING; 2 min */
    uint64_t keepalive_timeout_ns;     /* of its answer; 20 s */
    uint64_t idle_ns;                  /* 5 min */
    uint64_t age_ns;                   /* 30 min, ± 10 % */
    uint64_t age_grace_ns;             /* 30 s */
    uint32_t requests_per_connection;  /* 100000 */
    uint32_t connections_per_identity; /* over the process; 64 */
    uint32_t connections_total;        /* over the process; 4096 */
    uint32_t accepts_per_second;       /* over the process; 200 */
    uint32_t offender_burst;           /* handshakes of an address that offended; 50 */
    uint32_t offender_rate;            /* per second; 20 */
    uint64_t offender_time_ns;         /* since its last offence; 1 min */
    size_t connection_memory;          /* over the process; 256 MiB */
    uint64_t deadline_default_ns;      /* of unary calls that bring none; 10 s */
    uint64_t deadline_cap_ns;          /* 30 s */
};

/* What one of the named identities may do otherwise; 0 (default): as everybody. */
struct config_identity_limits {
    uint32_t connections; /* over the process */
    uint32_t concurrent_streams;
    uint32_t client_resets_burst;
    uint32_t client_resets_rate; /* per second */
};

#endif
