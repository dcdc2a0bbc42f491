/* Token buckets, the default limits, and whose own come before them. */
#include "rpc/h2_limits.h"

#include "base/clock.h"
#include "base/method.h"

#include "rpc/rpc.h"

#include <assert.h>
#include <string.h>

#define MESSAGE_BYTES_DEFAULT ((size_t)1 << 20)

/* docs/limits.md says where each number comes from. */
const struct rpc_limits rpc_limits_default = {
    .concurrent_streams = 100,
    .running_handlers = 100,
    .streaming_per_identity = 256,
    .requests_per_turn = 32,
    .decoded_per_turn = 256u << 10,
    .client_resets_burst = 200,
    .client_resets_rate = 20,
    .server_resets_burst = 100,
    .server_resets_rate = 10,
    .continuations = 4,
    .header_fields = 64,
    .header_bytes = 16u << 10,
    .header_field_bytes = 8u << 10,
    .header_table_bytes = 4u << 10,
    .frame_bytes = 16u << 10,
    .stream_window = 64u << 10,
    .connection_window = 1u << 20,
    .message_bytes = MESSAGE_BYTES_DEFAULT,
    .response_bytes = 4u << 20,
    .queued_response_bytes = 256u << 10,
    .settings_entries = 32,
    .settings_per_10s = 10,
    .outbound_acks = 100,
    .ping_interval_ns = 10 * NS_PER_S,
    .ping_strikes = 2,
    .empty_data = 10,
    .priority_frames = 100,
    .window_updates = 100,
    .control_frames = 10000,
    .key_updates = TLS_UPDATES_DEFAULT,
    .handshake_timeout_ns = 5 * NS_PER_S,
    .preface_timeout_ns = 5 * NS_PER_S,
    .headers_timeout_ns = 5 * NS_PER_S,
    .body_progress_ns = 10 * NS_PER_S,
    .body_rate = 1u << 10,
    .write_stall_ns = 10 * NS_PER_S,
    .write_rate = 1u << 10,
    .stalled_bytes = 256u << 10,
    .tcp_user_timeout_ns = 20 * NS_PER_S,
    .keepalive_ns = 120 * NS_PER_S,
    .keepalive_timeout_ns = 20 * NS_PER_S,
    .idle_ns = 300 * NS_PER_S,
    .age_ns = 1800 * NS_PER_S,
    .age_grace_ns = 30 * NS_PER_S,
    .requests_per_connection = 100000,
    .connections_per_identity = 64,
    .connections_total = 4096,
    .accepts_per_second = 200,
    .offender_burst = 50,
    .offender_rate = 20,
    .offender_time_ns = 60 * NS_PER_S,
    .connection_memory = 256u << 20,
    .deadline_default_ns = 10 * NS_PER_S,
    .deadline_cap_ns = 30 * NS_PER_S,
};

static uint32_t own_or(uint32_t own, uint32_t common)
{
    return own != 0 ? own : common;
}

struct identity_limits limits_of_identity(const struct rpc_limits *limits, const char *identity)
{
    static const struct rpc_identity_limits none;
    const struct rpc_identity_limits *own = &none;
    for (size_t i = 0; i < RPC_IDENTITY_LIMITS_MAX && limits->identities[i].identity != NULL; i++) {
        if (strcmp(limits->identities[i].identity, identity) == 0)
            own = &limits->identities[i];
    }
    return (struct identity_limits){
        .connections = own_or(own->connections, limits->connections_per_identity),
        .concurrent_streams = own_or(own->concurrent_streams, limits->concurrent_streams),
        .client_resets_burst = own_or(own->client_resets_burst, limits->client_resets_burst),
        .client_resets_rate = own_or(own->client_resets_rate, limits->client_resets_rate),
    };
}

size_t method_message_bytes(const struct rpc_method *method, const struct rpc_limits *limits)
{
    size_t own = method->policy.max_request_bytes;
    bool is_alone = own > MESSAGE_BYTES_DEFAULT || (own != 0 && own < limits->message_bytes);
    return is_alone ? own : limits->message_bytes;
}

/* Tokens are fractions, so that slow rates refill between quick calls.  The first call starts
 * it full: a fresh connection's burst is its right. */
bool budget_take(struct budget *budget, uint32_t burst, double rate, uint64_t now_ns)
{
    assert(now_ns >= budget->at_ns);
    if (budget->at_ns == 0)
        budget->tokens = burst;
    else
        budget->tokens += (double)(now_ns - budget->at_ns) / (double)NS_PER_S * rate;
    if (budget->tokens > burst)
        budget->tokens = burst;
    budget->at_ns = now_ns;
    if (budget->tokens < 1)
        return false;
    budget->tokens -= 1;
    return true;
}
