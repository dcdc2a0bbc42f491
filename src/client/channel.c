/* Which connection a call goes out on: the one there is, or a new one, with a pause between failures.
 *
 *    none ──connect──> usable ──lost, GOAWAY──> none        (calls in flight keep what they are on)
 *      ├──failed──────────┘ lost before its SETTINGS
 *      └──> backing off, until not_before_ns ──> none
 *
 * The pauses are those of gRPC's connection-backoff.md.  Called for every attempt of a call. */
#include "client/channel.h"

#include "base/alloc.h"
#include "base/random.h"

#include "client/channel_int.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_NS (20 * NS_PER_S) /* connection-backoff.md: MIN_CONNECT_TIMEOUT */
#define BACKOFF_FIRST_NS NS_PER_S
#define BACKOFF_MAX_NS (120 * NS_PER_S)
#define KEEPALIVE_TIMEOUT_NS (20 * NS_PER_S)
#define KEEPALIVE_MAX_NS (2 * 3600 * NS_PER_S) /* gRPC servers' own: none has enough of that */

static uint64_t or_default(uint64_t value, uint64_t otherwise);
static char *copy_of(const char *text);
static int channel_begin(struct ctx *ctx, struct client_channel *channel, uint64_t deadline_ns);
static int backed_off(struct ctx *ctx, struct client_channel *channel, bool waits,
                      uint64_t deadline_ns);
static int await_connect(struct ctx *ctx, struct client_channel *channel, uint64_t deadline_ns);
static void note_failure(struct client_channel *channel, enum fault_kind kind, const char *text);
static uint64_t backoff_of(const struct client_channel *channel);

struct client_channel *client_channel_new(const struct client_settings *settings)
{
    struct client_channel *channel = xcalloc(1, sizeof *channel);
    channel->settings = (struct client_settings){
        .address = xstrdup(settings->address),
        .cert_file = xstrdup(settings->cert_file),
        .key_file = xstrdup(settings->key_file),
        .ca_file = xstrdup(settings->ca_file),
        .crl_file = copy_of(settings->crl_file),
        .server_name = copy_of(settings->server_name),
        .connect_timeout_ns = or_default(settings->connect_timeout_ns, CONNECT_TIMEOUT_NS),
        .backoff_first_ns = or_default(settings->backoff_first_ns, BACKOFF_FIRST_NS),
        .backoff_max_ns = or_default(settings->backoff_max_ns, BACKOFF_MAX_NS),
        .keepalive_ns = settings->keepalive_ns,
        .keepalive_timeout_ns = or_default(settings->keepalive_timeout_ns, KEEPALIVE_TIMEOUT_NS),
        .compress_from = settings->compress_from,
    };
    waitq_init(&channel->connected);
    channel->retry_tokens = RETRY_TOKENS_MAX;
    return channel;
}

static uint64_t or_default(uint64_t value, uint64_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static char *copy_of(const char *text)
{
    return text == NULL ? NULL : xstrdup(text);
}

int client_channel_connect(struct ctx *ctx, struct client_channel *channel)
{
    struct client_call call = {.ctx = ctx, .channel = channel};
    struct client_connection *connection = NULL;
    return channel_connection(&call, ctx->deadline_ns, &connection);
}

void client_channel_compress(struct client_channel *channel, size_t from)
{
    channel->settings.compress_from = from;
}

void client_channel_free(struct client_channel *channel)
{
    if (channel == NULL)
        return;
    assert(!channel->connecting && waitq_size(&channel->connected) == 0);
    assert(channel->connection == NULL || list_is_empty(&channel->connection->streams));
    client_connection_unref(channel->connection);
    const char *texts[] = {channel->settings.address, channel->settings.cert_file,
                           channel->settings.key_file, channel->settings.ca_file,
                           channel->settings.crl_file, channel->settings.server_name};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        auto_free(&texts[i]);
    free(channel);
}

int channel_connection(struct client_call *call, uint64_t deadline_ns,
                       struct client_connection **connection)
{
    struct client_channel *channel = call->channel;
    struct ctx *ctx = call->ctx;
    for (;;) {
        channel_look(channel);
        if (channel->connection != NULL) {
            channel->connection->was_given = true;
            *connection = channel->connection;
            return OK;
        }
        if (channel->connecting) {
            TRY(await_connect(ctx, channel, deadline_ns));
            continue;
        }
        TRY(backed_off(ctx, channel, call->waits_for_ready, deadline_ns));
        if (channel->connection != NULL || channel->connecting)
            continue; /* another call has begun meanwhile */
        int rc = channel_begin(ctx, channel, deadline_ns);
        if (rc != OK && !(call->waits_for_ready && ctx->fault.kind == FAULT_IO))
            return rc;
    }
}

/* TLS alone is no success, nor is a GOAWAY before any call could begin: a server that goes before its SETTINGS,
 * or with them, would be connected to without a pause. */
void channel_look(struct client_channel *channel)
{
    struct client_connection *connection = channel->connection;
    if (connection == NULL)
        return;
    if (connection->loop == NULL)
        client_connection_look(connection);
    if (connection->greeted && connection->was_given)
        channel->failures = 0;
    if (client_connection_is_usable(connection))
        return;
    if (connection->over && !(connection->greeted && connection->was_given))
        note_failure(channel, connection->over_kind, connection->over_text);
    else if (!connection->was_given)
        note_failure(channel, FAULT_IO, "the server sent us away");
    channel_ping_less(channel, connection);
    client_connection_unref(TAKE(channel->connection));
}

/* gRFC A8: such a client "should double its KEEPALIVE_TIME". */
void channel_ping_less(struct client_channel *channel, struct client_connection *connection)
{
    uint64_t *pause = &channel->settings.keepalive_ns;
    if (!connection->too_many_pings)
        return;
    connection->too_many_pings = false;
    if (*pause <= KEEPALIVE_MAX_NS / 2)
        *pause *= 2;
}

/* A connect that the caller's own deadline ended says nothing about the server. */
static int channel_begin(struct ctx *ctx, struct client_channel *channel, uint64_t deadline_ns)
{
    uint64_t own = deadline_after(clock_now(), channel->settings.connect_timeout_ns);
    uint64_t deadline = own < deadline_ns ? own : deadline_ns;
    channel->connecting = true;
    int rc = client_connection_open(ctx, &channel->settings, deadline, &channel->connection);
    channel->connecting = false;
    if (rc != OK && ctx->fault.kind != FAULT_CANCELLED &&
        !(ctx->fault.kind == FAULT_TIMEOUT && deadline != own))
        note_failure(channel, ctx->fault.kind, ctx->fault.text);
    (void)waitq_wake_all(&channel->connected, NULL);
    return rc;
}

/* While another call of this loop connects.  If it fails, those who waited fail by the pause that follows. */
static int await_connect(struct ctx *ctx, struct client_channel *channel, uint64_t deadline_ns)
{
    return wait_fault(ctx, waitq_wait(ctx, &channel->connected, deadline_ns, NULL), "connect");
}

/* "If the channel is in TRANSIENT_FAILURE … and the RPC is not wait for ready, fail it"
 * (wait-for-ready.md). */
static int backed_off(struct ctx *ctx, struct client_channel *channel, bool waits,
                      uint64_t deadline_ns)
{
    uint64_t left = deadline_left(channel->not_before_ns, clock_now());
    if (channel->failures == 0 || left == 0)
        return OK;
    if (!waits)
        return FAULT(ctx, channel->why_kind, "%s (next connect in %u ms)", channel->why,
                     (unsigned)(left / NS_PER_MS));
    uint64_t most = deadline_left(deadline_ns, clock_now());
    TRY(wait_fault(ctx, task_sleep(ctx, left < most ? left : most), "connect"));
    return left < most ? OK : FAULT(ctx, FAULT_TIMEOUT, "connect: %s", channel->why);
}

static void note_failure(struct client_channel *channel, enum fault_kind kind, const char *text)
{
    channel->failures++;
    channel->why_kind = kind;
    (void)snprintf(channel->why, sizeof channel->why, "%s", text);
    channel->not_before_ns = deadline_after(clock_now(), backoff_of(channel));
}

/* "the current backoff is multiplied by MULTIPLIER (1.6) … up to MAX_BACKOFF", and JITTER is 0.2 of it. */
static uint64_t backoff_of(const struct client_channel *channel)
{
    uint64_t pause = channel->settings.backoff_first_ns;
    uint64_t most = channel->settings.backoff_max_ns;
    for (unsigned i = 1; i < channel->failures && pause < most; i++)
        pause = pause / 5 * 8;
    pause = pause < most ? pause : most;
    return pause - pause / 5 + random_below(pause / 5 * 2 + 1);
}
