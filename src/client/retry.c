/* When a call is made again: gRFC A6, and RetryInfo of AIP-194, which says the same in a status' details.
 *
 * Called between two attempts by unary.c, and by stream.c for what no handler has seen.  Must never repeat
 * what may have taken effect and was not safe to ask twice. */
#include "base/random.h"

#include "client/channel_int.h"
#include "rpc/status.h"

#include <string.h>

#define PUSHBACK_DIGITS 9 /* a number of milliseconds beyond that is no answer to wait for */
#define TOKENS_OF_FAILURE 1000u
#define TOKENS_OF_SUCCESS 100u /* "tokenRatio": 0.1 */

static bool is_safe(const struct client_call *call, const struct rpc_method *method);
static bool is_retryable(const struct client_retry *retry, const struct client_call *call, int rc);
static bool has_server_said(const struct client_call *call, bool *forbidden, uint64_t *pause_ns);
static bool pushback_read(struct slice text, uint64_t *pause_ns);

const struct client_retry client_retry_default = {
    .attempts_max = 5,
    .pause_first_ns = 100 * NS_PER_MS,
    .pause_max_ns = 2 * NS_PER_S,
    .codes = 1u << GRPC_UNAVAILABLE,
};

/* A6, "Throttling Retry Attempts": a failure that could be repeated costs a token, a success gives a
 * tenth. */
void retry_note(const struct client_call *call, int rc)
{
    struct client_channel *channel = call->channel;
    const struct client_retry *retry = call->retry == NULL ? &client_retry_default : call->retry;
    unsigned tokens = channel->retry_tokens;
    if (is_retryable(retry, call, rc))
        tokens -= tokens < TOKENS_OF_FAILURE ? tokens : TOKENS_OF_FAILURE;
    else if (rc == OK && call->status == GRPC_OK)
        tokens += TOKENS_OF_SUCCESS;
    channel->retry_tokens = tokens < RETRY_TOKENS_MAX ? tokens : RETRY_TOKENS_MAX;
}

bool retry_is_due(struct client_call *call, const struct rpc_method *method, int rc,
                  uint64_t *pause_ns)
{
    struct client_channel *channel = call->channel;
    const struct client_retry *retry = call->retry;
    if (call->unsendable)
        return false;
    if (retry_is_transparent(call, pause_ns))
        return true;
    retry_note(call, rc);
    unsigned attempts = call->attempts - call->transparent;
    if (retry == NULL || attempts >= retry->attempts_max)
        return false;
    bool forbidden = false;
    bool told = rc == OK && has_server_said(call, &forbidden, pause_ns);
    if (forbidden || !(told || is_retryable(retry, call, rc)))
        return false;
    if (!call->unprocessed && !is_safe(call, method))
        return false;
    if (channel->retry_tokens <= RETRY_TOKENS_MAX / 2)
        return false;
    if (!told)
        *pause_ns = backoff_ns(attempts - 1, retry->pause_first_ns, retry->pause_max_ns);
    /* sooner it would only meet the channel's own pause between connects */
    uint64_t connect_in = deadline_left(channel->not_before_ns, clock_now());
    if (channel->failures > 0 && connect_in > *pause_ns)
        *pause_ns = connect_in;
    return true;
}

/* A6, "Transparent Retries": without limit what never left us, though not as fast as connections can be made
 * and lost; once what the server refused, for one that "refuses for good" would be asked for ever; and once
 * what it could not inflate. */
bool retry_is_transparent(struct client_call *call, uint64_t *pause_ns)
{
    const struct client_retry *policy = &client_retry_default;
    *pause_ns = 0;
    channel_look(call->channel);
    if (call->retry != NULL && call->retry->attempts_max <= 1)
        return false;
    if (call->knows_no_gzip && !call->goes_plain) {
        call->goes_plain = true;
        call->transparent++;
        return true;
    }
    if (!call->unprocessed)
        return false;
    if (call->channel->failures > 0 && !(call->unsent && call->waits_for_ready))
        return false;
    if (!call->unsent && call->was_refused)
        return false;
    if (!call->unsent)
        call->was_refused = true;
    else if (call->transparent > 0)
        *pause_ns = backoff_ns(call->transparent - 1, policy->pause_first_ns, policy->pause_max_ns);
    call->transparent++;
    return true;
}

enum wait_result retry_pause(struct client_call *call, uint64_t pause_ns, uint64_t deadline_ns)
{
    const struct client_retry *retry = call->retry;
    if (pause_ns >= deadline_left(deadline_ns, clock_now()))
        return WAIT_TIMEOUT;
    if (retry != NULL && retry->pause != NULL)
        return retry->pause(retry->owner, call->attempts + 1, pause_ns) ? WAIT_READY : WAIT_TIMEOUT;
    return pause_ns == 0 ? WAIT_READY : task_sleep(call->ctx, pause_ns);
}

static bool is_safe(const struct client_call *call, const struct rpc_method *method)
{
    if (method->no_side_effects || call->is_repeatable)
        return true;
    for (size_t i = 0; i < call->metadata_count; i++) {
        if (strcmp(call->metadata[i].key, "idempotency-key") == 0)
            return true;
    }
    return false;
}

static bool is_retryable(const struct client_retry *retry, const struct client_call *call, int rc)
{
    int status = call->status;
    if (rc != OK) /* without an answer: the connection was lost or could not be made */
        status = call->ctx->fault.kind == FAULT_IO ? GRPC_UNAVAILABLE : GRPC_OK;
    return status > GRPC_OK && (retry->codes & 1u << status) != 0;
}

/* "If the server wants to tell the client not to retry, it sends a negative value" (A6), and so does one
 * that cannot be read. */
static bool has_server_said(const struct client_call *call, bool *forbidden, uint64_t *pause_ns)
{
    struct slice text = client_answer(call, "grpc-retry-pushback-ms");
    if (text.data == NULL)
        return client_retry_delay(call, pause_ns);
    *forbidden = !pushback_read(text, pause_ns);
    return true;
}

static bool pushback_read(struct slice text, uint64_t *pause_ns)
{
    uint64_t ms = 0;
    if (text.size == 0 || text.size > PUSHBACK_DIGITS)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        ms = ms * 10 + (uint64_t)(text.data[i] - '0');
    }
    *pause_ns = ms * NS_PER_MS;
    return true;
}
