/* Reads a stream's messages back.  Called by the relay when it must know which of its rows are stored.
 * STREAM.MSG.GET is answered by the stream's leader; the direct reads of JetStream may come from a follower
 * that is behind, so they are not used here. */
#include "events/json_scan.h"
#include "events/stream.h"
#include "events/subjects.h"

#include "base/alloc.h"

#include "gen/events.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A reply holds a whole message, so this bounds memory: 32 × (4/3 of 1 MiB). */
#define GETS_IN_FLIGHT 32
#define GET_PATIENCE_NS (3 * NS_PER_S) /* without any reply */
#define ERR_NO_MESSAGE_FOUND 10037
#define HEADER_BLOCK_MAX 8192
#define VERB_SIZE 64

struct reading {
    struct jetstream_inbox *inbox;
    char subject[sizeof "$JS.API." + VERB_SIZE];
    const uint64_t *seqs;
    size_t count;
    size_t next; /* index of the sequence to ask for next */
    size_t in_flight;
    struct stored_event *out; /* out[i] is of seqs[i] … */
    bool *filled;             /* … when filled[i] */
};

static void get_verb(unsigned partition, char verb[VERB_SIZE]);
static enum stored_says says_of(struct slice headers);
static int reading_run(struct ctx *ctx, struct reading *reading);
static int get_send(struct ctx *ctx, struct reading *reading);
static int get_take(struct ctx *ctx, struct reading *reading, const struct jetstream_reply *reply);
static int message_read(struct ctx *ctx, const char *subject, struct slice message,
                        struct stored_event *out, bool *ours);

int stream_messages(struct ctx *ctx, struct jetstream *js, const uint64_t *seqs, size_t count,
                    struct stored_events *out)
{
    char verb[VERB_SIZE];
    struct reading reading = {.seqs = seqs, .count = count, .out = out->items};
    out->count = 0;
    if (count == 0)
        return OK;
    get_verb(out->shard, verb);
    snprintf(reading.subject, sizeof reading.subject, "$JS.API.%s", verb);
    TRY(jetstream_inbox_open(ctx, js, &reading.inbox));
    reading.filled = xcalloc(count, sizeof *reading.filled);
    int rc = reading_run(ctx, &reading);
    for (size_t i = 0; rc == OK && i < count; i++) {
        if (reading.filled[i])
            out->items[out->count++] = out->items[i];
    }
    free(reading.filled);
    jetstream_inbox_close(reading.inbox);
    return rc;
}

int stream_messages_from(struct ctx *ctx, struct jetstream *js, uint64_t first, size_t count,
                         struct stored_events *out)
{
    uint64_t *seqs = xcalloc(count + 1, sizeof *seqs);
    for (size_t i = 0; i < count; i++)
        seqs[i] = first + i;
    int rc = stream_messages(ctx, js, seqs, count, out);
    free(seqs);
    return rc;
}

/* By subject and not by sequence: the stream's last sequence stays when its last messages go. */
int stream_newest(struct ctx *ctx, struct jetstream *js, unsigned partition,
                  struct stored_event *out, bool *found)
{
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    char verb[VERB_SIZE], filter[STREAM_SUBJECT_SIZE], request[64];
    struct slice value;
    uint64_t err_code = 0;
    *found = false;
    get_verb(partition, verb);
    stream_subject(partition, filter);
    snprintf(request, sizeof request, "{\"last_by_subj\":\"%s\"}", filter);
    TRY(jetstream_request(ctx, js, verb, slice_of_str(request), &reply));
    if (json_scan_member(buf_slice(&reply), "message", &value))
        return message_read(ctx, verb, value, out, found);
    if (json_scan_member(buf_slice(&reply), "error.err_code", &value) &&
        json_scan_uint(value, &err_code) && err_code == ERR_NO_MESSAGE_FOUND)
        return OK;
    return FAULT(ctx, FAULT_BROKER, "%s: error %" PRIu64, verb, err_code);
}

int stream_body(struct ctx *ctx, struct jetstream *js, unsigned partition, uint64_t seq,
                struct buf *body)
{
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    char verb[VERB_SIZE], request[64];
    struct slice value;
    get_verb(partition, verb);
    snprintf(request, sizeof request, "{\"seq\":%" PRIu64 "}", seq);
    TRY(jetstream_request(ctx, js, verb, slice_of_str(request), &reply));
    if (!json_scan_member(buf_slice(&reply), "message.data", &value) || value.size < 2 ||
        !json_scan_base64_decode(slice_make(value.data + 1, value.size - 2), body))
        return FAULT(ctx, FAULT_BROKER, "%s: no message %" PRIu64, verb, seq);
    return OK;
}

static void get_verb(unsigned partition, char verb[VERB_SIZE])
{
    char name[STREAM_NAME_SIZE];
    stream_name(partition, name);
    snprintf(verb, VERB_SIZE, "STREAM.MSG.GET.%s", name);
}

bool stored_event_is(const struct stored_event *a, const struct stored_event *b)
{
    return uuid_equal(&a->msg_id, &b->msg_id) && uuid_equal(&a->tenant_id, &b->tenant_id) &&
           a->seq == b->seq && a->incarnation == b->incarnation;
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
    if (!parsed)
        return false;
    event.says = says_of(headers);
    *out = event;
    return true;
}

static enum stored_says says_of(struct slice headers)
{
    struct slice type;
    if (!nats_header_find(headers, HEADER_EVENT_TYPE, &type))
        return STORED_SAYS_NOTHING;
    return slice_is(type, event_org_suspended_v1.subject)     ? STORED_SUSPENDED
           : slice_is(type, event_org_reactivated_v1.subject) ? STORED_REACTIVATED
           : slice_is(type, event_org_closed_v1.subject)      ? STORED_CLOSED
                                                              : STORED_SAYS_NOTHING;
}

/* Replies come in any order and are put in their places by tag. */
static int reading_run(struct ctx *ctx, struct reading *reading)
{
    struct jetstream_reply reply;
    while (reading->next < reading->count || reading->in_flight > 0) {
        if (reading->next < reading->count && reading->in_flight < GETS_IN_FLIGHT) {
            TRY(get_send(ctx, reading));
            continue;
        }
        bool received = false;
        uint64_t deadline = ctx_deadline_within(ctx, GET_PATIENCE_NS);
        TRY(jetstream_receive(ctx, reading->inbox, deadline, &reply, &received));
        if (!received)
            return FAULT(ctx, FAULT_TIMEOUT, "%s: no answer", reading->subject);
        TRY(get_take(ctx, reading, &reply));
    }
    return OK;
}

static int get_send(struct ctx *ctx, struct reading *reading)
{
    char request[40];
    int length =
        snprintf(request, sizeof request, "{\"seq\":%" PRIu64 "}", reading->seqs[reading->next]);
    struct jetstream_message message = {
        .subject = reading->subject,
        .payload = slice_make(request, (size_t)length),
    };
    TRY(jetstream_send(ctx, reading->inbox, &message, reading->next));
    reading->next++;
    reading->in_flight++;
    return OK;
}

static int get_take(struct ctx *ctx, struct reading *reading, const struct jetstream_reply *reply)
{
    struct slice value;
    uint64_t err_code = 0;
    assert(reading->in_flight > 0);
    reading->in_flight--;
    if (reply->no_responders || reply->tag >= reading->count)
        return FAULT(ctx, FAULT_BROKER, "%s: nobody answers", reading->subject);
    size_t index = (size_t)reply->tag;
    if (json_scan_member(reply->payload, "message", &value)) {
        TRY(message_read(ctx, reading->subject, value, &reading->out[index],
                         &reading->filled[index]));
        reading->filled[index] = reading->filled[index] &&
                                 reading->out[index].stream_seq == reading->seqs[index];
        return OK;
    }
    if (json_scan_member(reply->payload, "error.err_code", &value) &&
        json_scan_uint(value, &err_code) && err_code == ERR_NO_MESSAGE_FOUND)
        return OK; /* deleted, or aged out while we read */
    return FAULT(ctx, FAULT_BROKER, "%s: error %" PRIu64, reading->subject, err_code);
}

/* *ours is false for what no relay of ours published: tests and operators may. */
static int message_read(struct ctx *ctx, const char *subject, struct slice message,
                        struct stored_event *out, bool *ours)
{
    AUTO(buf_deinit) struct buf headers = {.limit = HEADER_BLOCK_MAX};
    struct slice text;
    uint64_t seq = 0;
    *ours = false;
    if (!json_scan_member(message, "seq", &text) || !json_scan_uint(text, &seq))
        return FAULT(ctx, FAULT_PROTOCOL, "%s: a message without a sequence", subject);
    if (!json_scan_member(message, "hdrs", &text) || text.size < 2)
        return OK; /* without headers: none of ours */
    if (!json_scan_base64_decode(slice_make(text.data + 1, text.size - 2), &headers))
        return FAULT(ctx, FAULT_PROTOCOL, "%s: headers of %" PRIu64 " are not base 64", subject,
                     seq);
    *ours = stored_event_parse(buf_slice(&headers), seq, out);
    return OK;
}
