/* What a connection to NATS is set up with: servers, TLS, the NKey, time limits.  Called by
 * jetstream.c; must never log or keep a seed. */
#include "events/nats_options.h"

#include "base/alloc.h"
#include "base/clock.h"

#include "events/nkey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A peer that is silently gone is found after PINGS_OUT_MAX + 1 intervals; the windows' own
 * deadline is shorter, so this only ends connections on which nothing is sent. */
#define WRITE_DEADLINE_MS 5000
#define PING_INTERVAL_MS 5000
#define PINGS_OUT_MAX 2
#define SERVERS_MAX 8

static int options_fill(struct ctx *ctx, natsOptions *options,
                        const struct jetstream_settings *settings);
static int servers_set(struct ctx *ctx, natsOptions *options, const char *urls, int *named);
static int tls_set(struct ctx *ctx, natsOptions *options,
                   const struct jetstream_settings *settings);
static int nkey_set(struct ctx *ctx, natsOptions *options, const char *seed_file);
static int file_text(struct ctx *ctx, const char *path, char *out, size_t size);
static void error_ignore(natsConnection *connection, natsSubscription *subscription,
                         natsStatus status, void *closure);
static bool is_given(const char *text);

int nats_options_make(struct ctx *ctx, const struct jetstream_settings *settings, natsOptions **out)
{
    natsOptions *options = NULL;
    TRY(nats_checked(ctx, natsOptions_Create(&options), "options"));
    int rc = options_fill(ctx, options, settings);
    if (rc != OK) {
        natsOptions_Destroy(options);
        return rc;
    }
    *out = options;
    return OK;
}

/* The library tries one server after the other, each for its time-out: together they have the step's time. */
static int options_fill(struct ctx *ctx, natsOptions *options,
                        const struct jetstream_settings *settings)
{
    uint64_t left_ms = deadline_left(ctx->deadline_ns, clock_now()) / NS_PER_MS;
    int64_t timeout_ms = left_ms < NATS_TIMEOUT_MS ? (int64_t)left_ms : NATS_TIMEOUT_MS;
    int servers = 0;
    TRY(servers_set(ctx, options, settings->url, &servers));
    TRY(nats_checked(ctx, natsOptions_SetName(options, settings->name), "name"));
    TRY(nats_checked(ctx, natsOptions_SetTimeout(options, timeout_ms / servers + 1), "timeout"));
    TRY(nats_checked(ctx, natsOptions_SetAllowReconnect(options, false), "reconnect"));
    TRY(nats_checked(ctx, natsOptions_SetWriteDeadline(options, WRITE_DEADLINE_MS),
                     "write deadline"));
    TRY(nats_checked(ctx, natsOptions_SetPingInterval(options, PING_INTERVAL_MS), "ping interval"));
    TRY(nats_checked(ctx, natsOptions_SetMaxPingsOut(options, PINGS_OUT_MAX), "pings"));
    /* Without a handler of ours the library prints errors on stderr. */
    TRY(nats_checked(ctx, natsOptions_SetErrorHandler(options, error_ignore, NULL),
                     "error handler"));
    TRY(tls_set(ctx, options, settings));
    return is_given(settings->seed_file) ? nkey_set(ctx, options, settings->seed_file) : OK;
}

/* At most SERVERS_MAX; further ones are passed over.  The library picks among them at random. */
static int servers_set(struct ctx *ctx, natsOptions *options, const char *urls, int *named)
{
    char *copy = xstrdup(urls);
    const char *servers[SERVERS_MAX];
    int count = 0;
    char *state = NULL;
    for (char *url = strtok_r(copy, ", ", &state); url != NULL && count < SERVERS_MAX;
         url = strtok_r(NULL, ", ", &state))
        servers[count++] = url;
    int rc = count == 0
                 ? FAULT(ctx, FAULT_CONFIG, "no NATS server named")
                 : nats_checked(ctx, natsOptions_SetServers(options, servers, count), "servers");
    free(copy);
    *named = count;
    return rc;
}

static int tls_set(struct ctx *ctx, natsOptions *options, const struct jetstream_settings *settings)
{
    if (is_given(settings->ca_file))
        TRY(nats_checked(ctx, natsOptions_LoadCATrustedCertificates(options, settings->ca_file),
                         settings->ca_file));
    if (is_given(settings->cert_file))
        TRY(nats_checked(
            ctx,
            natsOptions_LoadCertificatesChain(options, settings->cert_file, settings->key_file),
            settings->cert_file));
    return OK;
}

/* The library wants the public half beside the seed's file, which it reads again when it connects:
 * we need the text only to derive that half, and wipe it. */
static int nkey_set(struct ctx *ctx, natsOptions *options, const char *seed_file)
{
    char seed[2 * NKEY_SEED_SIZE];
    char public_key[NKEY_PUBLIC_SIZE];
    TRY(file_text(ctx, seed_file, seed, sizeof seed));
    int rc = nkey_public_of(ctx, slice_of_str(seed), public_key);
    explicit_bzero(seed, sizeof seed);
    TRY(rc);
    return nats_checked(ctx, natsOptions_SetNKeyFromSeed(options, public_key, seed_file), "NKey");
}

static int file_text(struct ctx *ctx, const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FAULT(ctx, FAULT_CONFIG, "%s: %s", path, strerrordesc_np(errno));
    ssize_t length = read(fd, out, size - 1);
    close(fd);
    if (length < 0)
        return FAULT(ctx, FAULT_CONFIG, "%s: cannot be read", path);
    out[length] = '\0';
    return OK;
}

/* The library's text for an error never holds a seed or a payload. */
int nats_checked(struct ctx *ctx, natsStatus status, const char *what)
{
    if (status == NATS_OK)
        return OK;
    natsStatus last = NATS_OK;
    const char *detail = nats_GetLastError(&last);
    return FAULT(ctx, status == NATS_TIMEOUT ? FAULT_TIMEOUT : FAULT_BROKER, "NATS %s: %s%s%s",
                 what, natsStatus_GetText(status), last == status && is_given(detail) ? ": " : "",
                 last == status && is_given(detail) ? detail : "");
}

static void error_ignore(natsConnection *connection, natsSubscription *subscription,
                         natsStatus status, void *closure)
{
    (void)connection;
    (void)subscription;
    (void)status;
    (void)closure;
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}
