/* The JetStream adapter: connections, requests, publishes.  With jetstream_pull.c, which fetches, and
 * nats_options.c the only file that knows nats.c.
 *
 * nats.c's own JetStream functions are not used: js_PublishMsgAsync tells errors only, not which message
 * was acknowledged with which sequence, and it leaves out an expected last sequence of 0, so that the
 * first publish into an empty stream would be unfenced.  Its reconnecting is off: it would send what was
 * buffered before the relay asked the stream where it stands. */
#include "events/jetstream.h"

#include "base/alloc.h"

#include "events/jetstream_int.h"
#include "events/nats_options.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* nats.c 3.4 takes a signature whose first byte is 0 for none and leaves it out: one nonce in 256 is
 * refused.  Each attempt has a new nonce: three in a row are refused once in 10^7 times. */
#define SIGN_IN_ATTEMPTS 3
#define SUBJECT_MAX 256
/* Room for the answers to sixteen full windows and a tail: the library drops what is over, and
 * a dropped answer would look like a server that does not answer. */
#define INBOX_MESSAGES_MAX 65536
#define INBOX_BYTES_MAX (256 * 1024 * 1024)

static int64_t request_timeout_ms(const struct ctx *ctx);
static void message_done(struct jetstream_inbox *inbox, natsMsg *message);
static void done_free(struct jetstream_inbox *inbox);

/* Blocks the calling thread.  Certificates and the seed are read here and not kept by us. */
int jetstream_open(struct ctx *ctx, const struct jetstream_settings *settings,
                   struct jetstream **out)
{
    natsOptions *options = NULL;
    natsConnection *connection = NULL;
    TRY(nats_options_make(ctx, settings, &options));
    natsStatus status = NATS_CONNECTION_AUTH_FAILED;
    for (int i = 0; i < SIGN_IN_ATTEMPTS && status == NATS_CONNECTION_AUTH_FAILED; i++)
        status = natsConnection_Connect(&connection, options);
    int rc = nats_checked(ctx, status, "connect");
    natsOptions_Destroy(options);
    TRY(rc);
    struct jetstream *js = xcalloc(1, sizeof *js);
    js->connection = connection;
    *out = js;
    return OK;
}

/* Inboxes of this connection first: they hold subscriptions of it. */
void jetstream_close(struct jetstream *js)
{
    if (js == NULL)
        return;
    natsConnection_Close(js->connection);
    natsConnection_Destroy(js->connection);
    free(js);
}

bool jetstream_is_open(const struct jetstream *js)
{
    return natsConnection_Status(js->connection) == NATS_CONN_STATUS_CONNECTED;
}

/* As the server said in its INFO. */
size_t jetstream_max_payload(const struct jetstream *js)
{
    int64_t size = natsConnection_GetMaxPayload(js->connection);
    return size <= 0 ? SIZE_MAX : (size_t)size;
}

/* The answer is the server's JSON whatever it says: errors of the API are inside, and the
 * caller's to read. */
int jetstream_request(struct ctx *ctx, struct jetstream *js, const char *verb, struct slice payload,
                      struct buf *reply)
{
    char subject[SUBJECT_MAX];
    natsMsg *answer = NULL;
    int length = snprintf(subject, sizeof subject, API_PREFIX "%s", verb);
    assert(length > 0 && (size_t)length < sizeof subject && payload.size <= INT32_MAX);
    int64_t timeout_ms = request_timeout_ms(ctx);
    if (timeout_ms <= 0)
        return FAULT(ctx, FAULT_TIMEOUT, "%s: no time left", verb);
    natsStatus status = natsConnection_Request(&answer, js->connection, subject,
                                               (const void *)payload.data, (int)payload.size,
                                               timeout_ms);
    TRY(nats_checked(ctx, status, verb));
    buf_put(reply, natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer));
    natsMsg_Destroy(answer);
    return OK;
}

/* A subscription for answers to "_INBOX.xyz.*": the last token is the tag, so one subscription
 * serves all. */
int jetstream_inbox_open(struct ctx *ctx, struct jetstream *js, struct jetstream_inbox **out)
{
    natsInbox *name = NULL;
    char subject[INBOX_PREFIX_MAX];
    TRY(nats_checked(ctx, natsInbox_Create(&name), "inbox"));
    struct jetstream_inbox *inbox = xcalloc(1, sizeof *inbox);
    int length = snprintf(inbox->prefix, sizeof inbox->prefix, "%s.", name);
    assert(length > 0 && (size_t)length + 1 < sizeof subject);
    snprintf(subject, sizeof subject, "%s.*", name);
    natsInbox_Destroy(name);
    inbox->connection = js->connection;
    natsStatus status = natsConnection_SubscribeSync(&inbox->subscription, js->connection, subject);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(inbox->subscription, INBOX_MESSAGES_MAX,
                                                   INBOX_BYTES_MAX);
    int rc = nats_checked(ctx, status, "inbox");
    if (rc != OK) {
        jetstream_inbox_close(inbox);
        return rc;
    }
    *out = inbox;
    return OK;
}

void jetstream_inbox_close(struct jetstream_inbox *inbox)
{
    if (inbox == NULL)
        return;
    message_done(inbox, TAKE(inbox->message));
    done_free(inbox);
    natsSubscription_Destroy(inbox->subscription);
    free(inbox);
}

/* The library frees a message in a thread of its own, which it wakes for each while that waits: many at once
 * cost one waking. */
static void message_done(struct jetstream_inbox *inbox, natsMsg *message)
{
    if (message == NULL)
        return;
    inbox->done_bytes += (size_t)natsMsg_GetDataLength(message);
    inbox->done[inbox->done_count++] = message;
    if (inbox->done_count == INBOX_DONE_MAX || inbox->done_bytes >= INBOX_DONE_BYTES_MAX)
        done_free(inbox);
}

static void done_free(struct jetstream_inbox *inbox)
{
    for (unsigned i = 0; i < inbox->done_count; i++)
        natsMsg_Destroy(inbox->done[i]);
    inbox->done_count = 0;
    inbox->done_bytes = 0;
}

/* Written to the library's buffer, of which its own thread takes care; when it is full the write
 * happens here.  One that stalls fails the connection after WRITE_DEADLINE_MS. */
int jetstream_send(struct ctx *ctx, struct jetstream_inbox *inbox,
                   const struct jetstream_message *message, uint64_t tag)
{
    char reply[INBOX_PREFIX_MAX + 24];
    natsMsg *wire = NULL;
    assert(message->payload.size <= INT32_MAX);
    snprintf(reply, sizeof reply, "%s%llu", inbox->prefix, (unsigned long long)tag);
    natsStatus status = natsMsg_Create(&wire, message->subject, reply,
                                       (const char *)message->payload.data,
                                       (int)message->payload.size);
    for (const struct jetstream_header *header = message->headers;
         status == NATS_OK && header < message->headers + JETSTREAM_HEADERS_MAX &&
         header->name != NULL;
         header++)
        status = natsMsgHeader_Set(wire, header->name, header->value);
    if (status == NATS_OK)
        status = natsConnection_PublishMsg(inbox->connection, wire);
    message_done(inbox, wire);
    return nats_checked(ctx, status, "publish");
}

/* Messages to the inbox that no message of ours asked for are passed over. */
int jetstream_receive(struct ctx *ctx, struct jetstream_inbox *inbox, uint64_t deadline_ns,
                      struct jetstream_reply *reply, bool *received)
{
    for (;;) {
        TRY(inbox_next(ctx, inbox, deadline_ns, received));
        if (inbox->no_responders) /* whose it was is not known: all that wait must ask again */
            return nats_checked(ctx, NATS_NO_RESPONDERS, "receive");
        if (!*received)
            return OK;
        natsMsg *message = inbox->message;
        if (!inbox_tag(inbox, natsMsg_GetSubject(message), &reply->tag))
            continue;
        reply->no_responders = natsMsg_IsNoResponders(message);
        reply->payload =
            slice_make(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
        return OK;
    }
}

/* The message before it is done with: the caller has used or copied that. */
int inbox_next(struct ctx *ctx, struct jetstream_inbox *inbox, uint64_t deadline_ns, bool *received)
{
    message_done(inbox, TAKE(inbox->message));
    int wait_ms = deadline_poll_ms(deadline_ns, clock_now());
    assert(wait_ms >= 0);
    int waiting = 1;
    if (wait_ms == 0) /* the library waits for a millisecond at least */
        (void)natsSubscription_GetPending(inbox->subscription, &waiting, NULL);
    natsStatus status = waiting == 0
                            ? NATS_TIMEOUT
                            : natsSubscription_NextMsg(&inbox->message, inbox->subscription,
                                                       wait_ms == 0 ? 1 : wait_ms);
    inbox->no_responders = status == NATS_NO_RESPONDERS;
    if ((status == NATS_TIMEOUT || inbox->no_responders) &&
        jetstream_is_open(&(struct jetstream){inbox->connection})) {
        *received = false;
        return OK;
    }
    /* Replies that were lost would look like a server that does not answer. */
    TRY(nats_checked(ctx, status, "receive"));
    *received = true;
    return OK;
}

/* Anybody may publish to an inbox: what has no tag of ours is no answer. */
bool inbox_tag(const struct jetstream_inbox *inbox, const char *subject, uint64_t *tag)
{
    size_t length = strlen(inbox->prefix);
    if (subject == NULL || strncmp(subject, inbox->prefix, length) != 0)
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(subject + length, &end, 10);
    if (errno != 0 || end == subject + length || *end != '\0')
        return false;
    *tag = value;
    return true;
}

/* 0 when no whole millisecond is left: the library takes no shorter one. */
static int64_t request_timeout_ms(const struct ctx *ctx)
{
    uint64_t left = deadline_left(ctx->deadline_ns, clock_now()) / NS_PER_MS;
    return left > NATS_TIMEOUT_MS ? NATS_TIMEOUT_MS : (int64_t)left;
}
