/* Reads doubted tenants anew; see reread.h.
 *
 * An event says what a tenant was after a change.  When that was withheld, or is void, no event says it: the service
 * does.  The answer may be ahead of the events that are still to come; replica.c sees to it that they take nothing
 * back. */
#include "reread.h"

#include <tenant/tenant_service.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_MS 1000
#define LOOK_CAP_MS 30000
#define CALL_MS 5000
#define NAP_MS 100

struct reread {
    struct tenant_client *client;
    struct replica replica;
    pthread_t thread;
    unsigned failures; /* looks in a row that settled nothing of what they found */
    unsigned random;
    _Atomic bool stopping;
    _Atomic unsigned long long settled, failed;
    _Atomic size_t waiting;
};

enum outcome { SETTLED, FAILED, UNREACHABLE };

/* Some answers are about the tenant; of the others each may be different in a moment. */
static enum outcome settle(struct reread *reread, const struct replica_doubt *one)
{
    const struct tenant_call call = {.timeout_ms = CALL_MS, .tenant_id = one->tenant_id};
    Tenant__V1__GetTenantRequest request = TENANT__V1__GET_TENANT_REQUEST__INIT;
    request.tenant_id = (char *)one->tenant_id;
    struct tenant_answer *answer = tenant_get_tenant(reread->client, &call, &request);
    enum tenant_code code = tenant_answer_code(answer);
    const Tenant__V1__GetTenantResponse *response = tenant_get_tenant_response(answer);
    const Tenant__V1__Tenant *tenant = response == NULL ? NULL : response->tenant;
    enum outcome outcome = code == TENANT_UNAVAILABLE || code == TENANT_DEADLINE_EXCEEDED ? UNREACHABLE : FAILED;
    if (tenant != NULL || code == TENANT_NOT_FOUND)
        outcome = replica_settle(&reread->replica, one, tenant) ? SETTLED : UNREACHABLE;
    else
        fprintf(stderr, "sync-consumer: %s cannot be read: code %d, %s\n", one->tenant_id, (int)code,
                tenant_answer_message(answer));
    tenant_answer_free(answer);
    return outcome;
}

/* One that cannot be read does not slow down the others; a server that is away does, and is not asked 32 times. */
static void look(struct reread *reread)
{
    struct replica_doubts doubts;
    enum outcome outcome = SETTLED;
    bool found = replica_doubts(&reread->replica, &doubts);
    size_t settled = 0;
    reread->waiting = doubts.count;
    for (size_t i = 0; i < doubts.count && !reread->stopping && outcome != UNREACHABLE; i++) {
        outcome = settle(reread, &doubts.items[i]);
        atomic_fetch_add(outcome == SETTLED ? &reread->settled : &reread->failed, 1);
        settled += outcome == SETTLED;
    }
    reread->waiting = doubts.count - settled;
    bool good = found && (doubts.count == 0 || settled > 0);
    reread->failures = good ? 0 : reread->failures + (reread->failures < 16);
}

/* Twice as long after each failure, jittered: members that failed together do not come back together. */
static unsigned pause_ms(struct reread *reread)
{
    unsigned longest = LOOK_MS << (reread->failures < 5 ? reread->failures : 5);
    if (longest > LOOK_CAP_MS)
        longest = LOOK_CAP_MS;
    return longest / 2 + (unsigned)rand_r(&reread->random) % longest;
}

static void *reread_main(void *argument)
{
    struct reread *reread = argument;
    while (!reread->stopping) {
        look(reread);
        for (unsigned left = pause_ms(reread); left >= NAP_MS && !reread->stopping; left -= NAP_MS)
            nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000L}, NULL);
    }
    return NULL;
}

struct reread *reread_start(const struct tenant_client_options *options, const struct replica *replica)
{
    struct reread *reread = calloc(1, sizeof *reread);
    struct timespec now;
    if (reread == NULL)
        abort();
    clock_gettime(CLOCK_REALTIME, &now);
    reread->random = (unsigned)now.tv_nsec;
    reread->replica = (struct replica){.url = replica->url, .group = replica->group, .schema = replica->schema};
    reread->client = tenant_client_new(options);
    if (reread->client != NULL && pthread_create(&reread->thread, NULL, reread_main, reread) == 0)
        return reread;
    fputs(reread->client == NULL ? "sync-consumer: --service wants --ca, --cert and --key\n"
                                 : "sync-consumer: no thread for --service\n",
          stderr);
    tenant_client_free(reread->client);
    free(reread);
    return NULL;
}

void reread_stop(struct reread *reread)
{
    if (reread == NULL)
        return;
    reread->stopping = true;
    pthread_join(reread->thread, NULL);
    tenant_client_free(reread->client);
    replica_close(&reread->replica);
    free(reread);
}

void reread_metrics(struct reread *reread, FILE *out)
{
    fprintf(out,
            "# HELP sync_consumer_doubts Rows in doubt that the last look found and did not settle; it sees %d at most.\n"
            "# TYPE sync_consumer_doubts gauge\n"
            "sync_consumer_doubts %zu\n"
            "# HELP sync_consumer_rereads_total Tenants read anew by RPC.\n"
            "# TYPE sync_consumer_rereads_total counter\n"
            "sync_consumer_rereads_total{outcome=\"settled\"} %llu\n"
            "sync_consumer_rereads_total{outcome=\"failed\"} %llu\n",
            REPLICA_DOUBTS_MAX, reread->waiting, reread->settled, reread->failed);
}
