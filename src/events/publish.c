/* Publishes that are waited for; see publish.h. */
#include "events/publish.h"

#include "events/window.h"

#include <inttypes.h>

/* Late answers to earlier messages are passed over. */
int publish_one(struct ctx *ctx, struct jetstream_inbox *inbox,
                const struct jetstream_message *message, uint64_t tag, struct publish_result *out)
{
    struct jetstream_reply reply;
    struct publish_result result = {.seq = 0};
    bool received = true;
    uint64_t err_code = 0;
    TRY(jetstream_send(ctx, inbox, message, tag));
    do {
        TRY(jetstream_receive(ctx, inbox, ctx->deadline_ns, &reply, &received));
        if (!received)
            return FAULT(ctx, FAULT_TIMEOUT, "%s: no answer", message->subject);
    } while (reply.tag != tag);
    enum ack_kind kind = reply.no_responders ? ACK_REFUSED
                                             : ack_parse(reply.payload, &result.seq, &err_code);
    if (kind != ACK_STORED && kind != ACK_DUPLICATE && kind != ACK_FENCED)
        return FAULT(ctx, FAULT_BROKER, "%s: %s, error %" PRIu64, message->subject,
                     ack_kind_name(kind), err_code);
    result.duplicate = kind == ACK_DUPLICATE;
    if (kind == ACK_FENCED)
        result.seq = 0;
    *out = result;
    return OK;
}
