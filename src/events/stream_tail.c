/* Reads a stream's newest messages back.  Called by the relay when it must know which of its rows are
 * stored already.  STREAM.MSG.GET is answered by the stream's leader; the direct reads of JetStream may
 * come from a follower that is behind, so they are not used here. */
#include "events/json_scan.h"
#include "events/stream.h"
#include "events/subjects.h"

#include "base/alloc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A reply holds a whole message, so this bounds memory: 32 × (4/3 of 1 MiB). */
#define GETS_IN_FLIGHT 32
#define GET_PATIENCE_NS (3 * NS_PER_S) /* without any reply */
#define ERR_NO_MESSAGE_FOUND 10037
#define HEADER_BLOCK_MAX 8192

struct tail {
    struct jetstream_inbox *inbox;
    char subject[64];
    uint64_t next; /* sequence to ask for next */
    uint64_t last; /* the newest */
    struct stored_event *out;
    bool *filled;  /* out[i] holds a message */
    uint64_t base; /* sequence of out[0] */
    size_t in_flight;
};

static int tail_run(struct ctx *ctx, struct tail *tail);
static int get_send(struct ctx *ctx, struct tail *tail);
static int get_take(struct ctx *ctx, struct tail *tail, const struct jetstream_reply *reply);
static int message_read(struct ctx *ctx, struct tail *tail, struct slice message, uint64_t seq);

int stream_tail(struct ctx *ctx, struct jetstream *js, const struct stream_state *state,
                struct stored_events *out)
{
    char name[STREAM_NAME_SIZE];
    struct tail tail = {.last = state->last_seq, .out = out->items};
    size_t wanted = out->count;
    out->count = 0;
    if (state->last_seq == 0 || wanted == 0 || state->first_seq > state->last_seq)
        return OK;
    uint64_t oldest = state->last_seq > wanted ? state->last_seq - wanted + 1 : 1;
    tail.next = oldest > state->first_seq ? oldest : state->first_seq;
    tail.base = tail.next;
    stream_name(out->shard, name);
    snprintf(tail.subject, sizeof tail.subject, "$JS.API.STREAM.MSG.GET.%s", name);
    TRY(jetstream_inbox_open(ctx, js, &tail.inbox));
    size_t span = (size_t)(tail.last - tail.base + 1);
    tail.filled = xcalloc(span, sizeof *tail.filled);
    int rc = tail_run(ctx, &tail);
    for (size_t i = 0; rc == OK && i < span; i++) {
        if (tail.filled[i])
            out->items[out->count++] = out->items[i];
    }
    free(tail.filled);
    jetstream_inbox_close(tail.inbox);
    return rc;
}

/* False is not an error: tests and operators may publish by hand, and such messages are passed
 * over. */
bool stored_event_parse(struct slice headers, uint64_t stream_seq, struct stored_event *out)
{
    struct stored_event event = {.stream_seq = stream_seq};
    struct slice id;
    struct slice tenant;
    struct slice seq;
    struct slice incarnation;
    bool parsed = nats_header_find(headers, HEADER_MSG_ID, &id) &&
                  nats_header_find(headers, HEADER_TENANT_ID, &tenant) &&
                  nats_header_find(headers, HEADER_TENANT_SEQ, &seq) &&
                  nats_header_find(headers, HEADER_INCARNATION, &incarnation) &&
                  id_parse(ID_EVENT, id, &event.msg_id) &&
                  id_parse(ID_TENANT, tenant, &event.tenant_id) && json_scan_int(seq, &event.seq) &&
                  json_scan_int(incarnation, &event.incarnation);
    if (parsed)
        *out = event;
    return parsed;
}

/* Replies come in any order and are put in their places by tag. */
static int tail_run(struct ctx *ctx, struct tail *tail)
{
    struct jetstream_reply reply;
    while (tail->next <= tail->last || tail->in_flight > 0) {
        if (tail->next <= tail->last && tail->in_flight < GETS_IN_FLIGHT) {
            TRY(get_send(ctx, tail));
            continue;
        }
        bool received = false;
        uint64_t deadline = ctx_deadline_within(ctx, GET_PATIENCE_NS);
        TRY(jetstream_receive(ctx, tail->inbox, deadline, &reply, &received));
        if (!received)
            return FAULT(ctx, FAULT_TIMEOUT, "%s: no answer", tail->subject);
        TRY(get_take(ctx, tail, &reply));
    }
    return OK;
}

static int get_send(struct ctx *ctx, struct tail *tail)
{
    char request[40];
    int length = snprintf(request, sizeof request, "{\"seq\":%" PRIu64 "}", tail->next);
    struct jetstream_message message = {
        .subject = tail->subject,
        .payload = slice_make(request, (size_t)length),
    };
    TRY(jetstream_send(ctx, tail->inbox, &message, tail->next));
    tail->next++;
    tail->in_flight++;
    return OK;
}

static int get_take(struct ctx *ctx, struct tail *tail, const struct jetstream_reply *reply)
{
    struct slice value;
    uint64_t err_code = 0;
    assert(tail->in_flight > 0);
    tail->in_flight--;
    if (reply->no_responders || reply->tag < tail->base || reply->tag > tail->last)
        return FAULT(ctx, FAULT_BROKER, "%s: nobody answers", tail->subject);
    if (json_scan_member(reply->payload, "message", &value))
        return message_read(ctx, tail, value, reply->tag);
    if (json_scan_member(reply->payload, "error.err_code", &value) &&
        json_scan_uint(value, &err_code) && err_code == ERR_NO_MESSAGE_FOUND)
        return OK; /* deleted, or aged out while we read */
    return FAULT(ctx, FAULT_BROKER, "%s: error %" PRIu64, tail->subject, err_code);
}

static int message_read(struct ctx *ctx, struct tail *tail, struct slice message, uint64_t seq)
{
    AUTO(buf_deinit) struct buf headers = {.limit = HEADER_BLOCK_MAX};
    struct slice text;
    if (!json_scan_member(message, "hdrs", &text) || text.size < 2)
        return OK; /* without headers: none of ours */
    if (!json_scan_base64_decode(slice_make(text.data + 1, text.size - 2), &headers))
        return FAULT(ctx, FAULT_PROTOCOL, "%s: headers of %" PRIu64 " are not base 64",
                     tail->subject, seq);
    size_t index = (size_t)(seq - tail->base);
    tail->filled[index] = stored_event_parse(buf_slice(&headers), seq, &tail->out[index]);
    return OK;
}
