/* Certificates are renewed while we serve.  Looks at the files every few seconds; new ones are loaded and
 * checked whole, and only a good set takes the place of the one in force.  A bad one is told once, counted,
 * and looked at again when it changes. */
#include "main/certificates.h"

#include "main/app.h"
#include "main/tracing.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <sys/stat.h>

#define NS_PER_S_SIGNED ((int64_t)NS_PER_S)

struct certificates {
    struct serve *serve;
    struct timer *timer;
    struct certificate_stamps seen;  /* at the last look */
    struct certificate_stamps tried; /* when they were last loaded, well or not */
    struct metric *success;
    struct metric *failure;
    struct metric *is_good; /* whether the last reload succeeded */
    struct metric *time;
    struct metric *leaf_end;
    struct metric *ca_end;
    struct metric *list_end;
};

static const struct metric_family reload_family = {
    .name = "tenant_tls_reload_total",
    .help = "Reloads of certificates, keys, CAs and revocation lists by result; after a failure "
            "the ones before hold.",
    .kind = METRIC_COUNTER,
    .labels = {"result"}};
static const struct metric_family good_family = {
    .name = "tenant_tls_last_reload_successful",
    .help = "Whether the last reload of certificates succeeded; 0: the files are not in force.",
    .kind = METRIC_GAUGE};
static const struct metric_family time_family = {
    .name = "tenant_tls_last_reload_success_timestamp_seconds",
    .help = "When the certificates in force were loaded, in seconds since 1970.",
    .kind = METRIC_GAUGE};
static const struct metric_family end_family = {
    .name = "tenant_tls_certificate_expiry_timestamp_seconds",
    .help = "When the own leaf, the first CA, or the first revocation list ends, in seconds since "
            "1970; 0: there is none.",
    .kind = METRIC_GAUGE,
    .labels = {"certificate"}};

static void on_look(void *owner);
static void look_again(struct certificates *certificates);
static bool is_same(const struct certificate_stamps *one, const struct certificate_stamps *other);
static void renew(struct certificates *certificates);
static void show_ends(struct certificates *certificates);

int certificates_open(struct serve *serve)
{
    struct certificate_stamps stamps;
    certificate_stamps_take(&serve->app->config->tls, &stamps);
    TRY(wiring_tls(&serve->app->ctx, serve->app->config, &serve->server_tls, &serve->client_tls));
    struct certificates *made = xcalloc(1, sizeof *made);
    struct metrics *metrics = serve->metrics;
    made->serve = serve;
    made->seen = made->tried = stamps;
    made->timer = timer_new(serve->loop, on_look, made);
    made->success = metrics_series(metrics, &reload_family, (const char *const[]){"success"});
    made->failure = metrics_series(metrics, &reload_family, (const char *const[]){"failure"});
    made->is_good = metrics_series(metrics, &good_family, NULL);
    made->time = metrics_series(metrics, &time_family, NULL);
    made->leaf_end = metrics_series(metrics, &end_family, (const char *const[]){"leaf"});
    made->ca_end = metrics_series(metrics, &end_family, (const char *const[]){"ca"});
    made->list_end = metrics_series(metrics, &end_family, (const char *const[]){"crl"});
    show_ends(made);
    look_again(made);
    serve->certificates = made;
    return OK;
}

void certificates_close(struct certificates *certificates)
{
    if (certificates == NULL)
        return;
    timer_free(certificates->timer);
    free(certificates);
}

void certificates_renewed(struct certificates *certificates,
                          const struct certificate_stamps *stamps)
{
    certificates->seen = certificates->tried = *stamps;
    metric_inc(certificates->success);
    show_ends(certificates);
    look_again(certificates); /* the interval may be another */
}

void certificates_refused(struct certificates *certificates)
{
    metric_inc(certificates->failure);
    metric_gauge_set(certificates->is_good, 0);
}

void certificate_stamps_take(const struct config_tls *tls, struct certificate_stamps *stamps)
{
    const char *const names[CERTIFICATE_FILES] = {tls->cert_file, tls->key_file, tls->ca_file,
                                                  tls->crl_file};
    for (int i = 0; i < CERTIFICATE_FILES; i++) {
        struct stat status;
        stamps->files[i] = (struct file_stamp){.inode = 0};
        if (stat(names[i], &status) != 0)
            continue;
        stamps->files[i] = (struct file_stamp){
            .device = (uint64_t)status.st_dev,
            .inode = (uint64_t)status.st_ino,
            .size = (int64_t)status.st_size,
            .changed_ns = (int64_t)status.st_mtim.tv_sec * NS_PER_S_SIGNED + status.st_mtim.tv_nsec,
        };
    }
}

/* Loaded once two looks saw the same: tools that write one file after the other are given the time. */
static void on_look(void *owner)
{
    struct certificates *certificates = owner;
    struct certificate_stamps now;
    certificate_stamps_take(&certificates->serve->app->live->tls, &now);
    bool settled = is_same(&now, &certificates->seen);
    certificates->seen = now;
    if (settled && !is_same(&now, &certificates->tried)) {
        certificates->tried = now;
        renew(certificates);
    }
    look_again(certificates);
}

static void look_again(struct certificates *certificates)
{
    uint64_t interval = certificates->serve->app->live->tls.watch_interval_ns;
    if (interval > 0 && !certificates->serve->stopping)
        timer_set(certificates->timer, deadline_after(clock_now(), interval));
    else
        timer_set(certificates->timer, NO_DEADLINE);
}

static bool is_same(const struct certificate_stamps *one, const struct certificate_stamps *other)
{
    for (int i = 0; i < CERTIFICATE_FILES; i++) {
        const struct file_stamp *a = &one->files[i];
        const struct file_stamp *b = &other->files[i];
        if (a->device != b->device || a->inode != b->inode || a->size != b->size ||
            a->changed_ns != b->changed_ns)
            return false;
    }
    return true;
}

/* Connections of peers that the new trust does not let in are ended by their workers (rpc/connection.c). */
static void renew(struct certificates *certificates)
{
    struct serve *serve = certificates->serve;
    const struct log *log = &serve->app->log;
    AUTO(arena_free_ptr) struct arena *arena = arena_new(0);
    struct ctx ctx;
    ctx_init(&ctx, log, arena);
    struct tls_context *server = NULL;
    struct tls_context *client = NULL;
    if (wiring_tls(&ctx, serve->app->live, &server, &client) != OK) {
        log_on_error(log, "tls.reload_failed", KV_STR("text", ctx_fault_text(&ctx)));
        certificates_refused(certificates);
        return;
    }
    tls_context_replace(serve->server_tls, server);
    tls_context_replace(serve->client_tls, client);
    tracing_renew(serve, serve->app->live);
    metric_inc(certificates->success);
    show_ends(certificates);
    log_on_info(log, "tls.reloaded", KV_STR("cert_file", serve->app->live->tls.cert_file));
}

static void show_ends(struct certificates *certificates)
{
    struct tls_ends ends;
    tls_context_ends(certificates->serve->server_tls, &ends);
    metric_gauge_set(certificates->is_good, 1);
    metric_gauge_set(certificates->time, (int64_t)(clock_wall() / NS_PER_S));
    metric_gauge_set(certificates->leaf_end, ends.leaf);
    metric_gauge_set(certificates->ca_end, ends.ca);
    metric_gauge_set(certificates->list_end, ends.crl);
}
