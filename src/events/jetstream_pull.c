/* The reading half of the JetStream adapter; see jetstream.c for what is special about our use of nats.c.
 *
 * Its own js_Fetch() is not used: it serves one pull at a time and waits for it. */
#include "events/jetstream_pull.h"

#include "events/jetstream_int.h"
#include "events/nats_options.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NEXT_SUBJECT_MAX 320
#define ACK_BODY_MAX 48
#define STATUS_HEADER                                                                              \
    "Status" /* as the library calls the number in "NATS/1.0 408 Request Timeout" */
#define DESCRIPTION_HEADER "Description"

static bool delivery_read(const struct jetstream_inbox *inbox, struct jetstream_delivery *out);
static bool status_read(const struct jetstream_inbox *inbox, struct jetstream_delivery *out);

int jetstream_pull(struct ctx *ctx, struct jetstream_inbox *inbox,
                   const struct jetstream_pull *pull, uint64_t tag)
{
    char subject[NEXT_SUBJECT_MAX];
    char body[128];
    char reply[INBOX_PREFIX_MAX + 24];
    int used = snprintf(subject, sizeof subject, API_PREFIX "CONSUMER.MSG.NEXT.%s.%s", pull->stream,
                        pull->consumer);
    assert(used > 0 && (size_t)used < sizeof subject && pull->batch > 0);
    used = snprintf(body, sizeof body, "{\"batch\":%u", pull->batch);
    if (pull->max_bytes > 0)
        used += snprintf(body + used, sizeof body - (size_t)used, ",\"max_bytes\":%zu",
                         pull->max_bytes);
    if (pull->expires_ns > 0)
        used += snprintf(body + used, sizeof body - (size_t)used, ",\"expires\":%" PRIu64 "}",
                         pull->expires_ns);
    else
        used += snprintf(body + used, sizeof body - (size_t)used, ",\"no_wait\":true}");
    snprintf(reply, sizeof reply, "%s%" PRIu64, inbox->prefix, tag);
    return nats_checked(
        ctx, natsConnection_PublishRequest(inbox->connection, subject, reply, body, used), "pull");
}

/* What is neither a message of a consumer nor a status of a pull was sent by somebody else. */
int jetstream_fetch(struct ctx *ctx, struct jetstream_inbox *inbox, uint64_t deadline_ns,
                    struct jetstream_delivery *delivery, bool *received)
{
    do {
        TRY(inbox_next(ctx, inbox, deadline_ns, received));
    } while (inbox->no_responders || (*received && !delivery_read(inbox, delivery)));
    return OK;
}

int jetstream_inbox_drain(struct ctx *ctx, struct jetstream_inbox *inbox)
{
    return nats_checked(ctx, natsSubscription_Drain(inbox->subscription), "drain");
}

/* The library parses the headers of a message when they are first asked for: messages that need none do not
 * pay. */
const char *jetstream_header(const struct jetstream_inbox *inbox, const char *name)
{
    const char *value = NULL;
    if (natsMsgHeader_Get(inbox->message, name, &value) != NATS_OK)
        return NULL;
    return value;
}

int jetstream_ack(struct ctx *ctx, struct jetstream *js, const char *reply,
                  enum jetstream_verdict verdict, uint64_t delay_ns)
{
    static const char *const bodies[] = {[ACK_DONE] = "+ACK",
                                         [ACK_AGAIN] = "-NAK",
                                         [ACK_WORKING] = "+WPI",
                                         [ACK_GIVEN_UP] = "+TERM"};
    char delayed[ACK_BODY_MAX];
    const char *body = bodies[verdict];
    if (verdict == ACK_AGAIN && delay_ns > 0) {
        snprintf(delayed, sizeof delayed, "-NAK {\"delay\":%" PRIu64 "}", delay_ns);
        body = delayed;
    }
    return nats_checked(ctx, natsConnection_Publish(js->connection, reply, body, (int)strlen(body)),
                        "acknowledge");
}

int jetstream_flush(struct ctx *ctx, struct jetstream *js)
{
    uint64_t left = deadline_left(ctx->deadline_ns, clock_now()) / NS_PER_MS;
    int64_t timeout = left > NATS_TIMEOUT_MS ? NATS_TIMEOUT_MS : (int64_t)left;
    if (timeout == 0)
        return FAULT(ctx, FAULT_TIMEOUT, "NATS flush: no time left");
    return nats_checked(ctx, natsConnection_FlushTimeout(js->connection, timeout), "flush");
}

static bool delivery_read(const struct jetstream_inbox *inbox, struct jetstream_delivery *out)
{
    natsMsg *message = inbox->message;
    const char *reply = natsMsg_GetReply(message);
    struct jetstream_delivery read = {.status = PULL_MESSAGE,
                                      .subject = natsMsg_GetSubject(message)};
    if (reply == NULL || !ack_place_parse(slice_of_str(reply), &read.place))
        return status_read(inbox, out);
    read.reply = reply;
    read.payload = slice_make(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    *out = read;
    return true;
}

static bool status_read(const struct jetstream_inbox *inbox, struct jetstream_delivery *out)
{
    struct jetstream_delivery read = {.description = jetstream_header(inbox, DESCRIPTION_HEADER),
                                      .subject = natsMsg_GetSubject(inbox->message)};
    const char *status = jetstream_header(inbox, STATUS_HEADER);
    if (status == NULL || !inbox_tag(inbox, read.subject, &read.tag))
        return false;
    char *end = NULL;
    unsigned long number = strtoul(status, &end, 10);
    if (end == status || *end != '\0' || number == 0 || number > 999)
        return false;
    read.status = (unsigned)number;
    if (read.description == NULL)
        read.description = "";
    *out = read;
    return true;
}
