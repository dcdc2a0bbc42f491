/* google.rpc.Status in grpc-status-details-bin, which AIP-193 fills: what a refusal is, and when to come
 * again. */
#include "client/channel.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"

#include <string.h>

#define DELAY_MAX_S 3600 /* a longer one is no time to wait for */

bool client_detail(const struct client_call *call, const char *type, struct slice *value)
{
    const Google__Rpc__Status *status = google__rpc__status__unpack(
        arena_protobuf(call->ctx->arena), call->details.size, call->details.data);
    for (size_t i = 0; status != NULL && i < status->n_details; i++) {
        const Google__Protobuf__Any *any = status->details[i];
        const char *slash = strrchr(any->type_url, '/');
        if (slash == NULL || strcmp(slash + 1, type) != 0)
            continue;
        *value = slice_make(any->value.data, any->value.len);
        return true;
    }
    return false;
}

const char *client_reason(const struct client_call *call)
{
    struct slice bytes;
    if (!client_detail(call, "google.rpc.ErrorInfo", &bytes))
        return "";
    const Google__Rpc__ErrorInfo *info =
        google__rpc__error_info__unpack(arena_protobuf(call->ctx->arena), bytes.size, bytes.data);
    return info == NULL ? "" : info->reason;
}

bool client_retry_delay(const struct client_call *call, uint64_t *delay_ns)
{
    struct slice bytes;
    if (!client_detail(call, "google.rpc.RetryInfo", &bytes))
        return false;
    const Google__Rpc__RetryInfo *info =
        google__rpc__retry_info__unpack(arena_protobuf(call->ctx->arena), bytes.size, bytes.data);
    if (info == NULL || info->retry_delay == NULL || info->retry_delay->seconds < 0 ||
        info->retry_delay->seconds > DELAY_MAX_S || info->retry_delay->nanos < 0)
        return false;
    *delay_ns = (uint64_t)info->retry_delay->seconds * NS_PER_S +
                (uint64_t)info->retry_delay->nanos;
    return true;
}
