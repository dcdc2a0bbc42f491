/* A program of somebody else's that follows the events: prints a line for each event that it handles and misbehaves as
 * it is told on standard input, one word list per line:
 *
 *   retry TENANT SEQUENCE TIMES    answer TENANT_EVENT_RETRY that often
 *   dead TENANT SEQUENCE           answer TENANT_EVENT_DEAD
 *   stale TENANT SEQUENCE          answer TENANT_EVENT_STALE
 *   away TENANT SEQUENCE TIMES     answer TENANT_EVENT_UNAVAILABLE that often
 *   crash TENANT SEQUENCE          end as if killed, at once
 *   slow TENANT SEQUENCE MS        take that long
 *   accept                         accept every gap
 *   moved TENANT INC SEQUENCE      the tenant's position is there now, as if another member had kept it
 *   refuse-store TIMES [AFTER]     the next TIMES calls of `store` fail, but for AFTER that come before
 *   random SEED PERMILLE           each call of a callback fails so often, by chance: handlers in all their ways
 *   metrics                        print the metrics and "."
 *   stop                           tenant_consumer_stop()
 *
 *   follow replay KEY=VALUE...     tenant_replay_run(); also from=all|time|sequence from_value partitions tenant
 *   follow reset KEY=VALUE...      tenant_consumer_reset()
 *   follow KEY=VALUE...            settings: url seed_file ca_file cert_file key_file group member start start_value batch
 *                                  max_ack_pending ack_wait_ms lease_ttl_ms attempts_max gap_alarm_ms positions backoff_ms
 *                                  pace_ms (each event takes so long)
 *
 * positions=FILE keeps positions there by callbacks, one line per change; without it nothing is kept.  The end of standard
 * input stops it as well. */
#include <tenant/events.h>
#include <tenant/events_metrics.h>
#include <tenant/events_replay.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RULES_MAX 64
#define TENANTS_MAX 4096

struct rule {
    char what[16];
    char tenant[40];
    unsigned long long sequence;
    int times;
};

struct kept {
    char tenant[40];
    struct tenant_position at;
};

static struct {
    pthread_mutex_t lock;
    struct rule rules[RULES_MAX];
    int rule_count;
    int refuse_store, refuse_after;
    unsigned seed, permille;
    unsigned pace_ms;
    bool accept;
    struct kept kept[TENANTS_MAX];
    int kept_count;
    FILE *positions;
    struct tenant_consumer *consumer;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct rule *rule_find(const struct tenant_event *event)
{
    for (int i = 0; i < world.rule_count; i++) {
        struct rule *rule = &world.rules[i];
        if (rule->times != 0 && rule->sequence == event->at.sequence &&
            strcmp(rule->tenant, event->tenant_id) == 0)
            return rule;
    }
    return NULL;
}

static void show(const struct tenant_event *event, const char *what)
{
    const ProtobufCMessage *payload = tenant_event_payload(event);
    const char *type = tenant_event_header(event, "Event-Type");
    printf("%s %s %llu.%llu %u %llu %s.v%u %s attempt=%u before=%llu.%llu payload=%s header=%s%s\n", what,
           event->tenant_id, (unsigned long long)event->at.incarnation, (unsigned long long)event->at.sequence,
           event->partition, (unsigned long long)event->stream_sequence, event->type, event->version, event->id,
           event->attempt, (unsigned long long)event->before.incarnation,
           (unsigned long long)event->before.sequence, payload == NULL ? "-" : payload->descriptor->short_name,
           type == NULL ? "-" : type, event->is_requeued ? " requeued" : event->is_replayed ? " replayed" : "");
    fflush(stdout);
}

static const struct {
    const char *word;
    enum tenant_outcome outcome;
} outcomes[] = {
    {"done", TENANT_EVENT_DONE},   {"retry", TENANT_EVENT_RETRY},      {"dead", TENANT_EVENT_DEAD},
    {"stale", TENANT_EVENT_STALE}, {"away", TENANT_EVENT_UNAVAILABLE},
};
#define OUTCOMES (sizeof outcomes / sizeof outcomes[0])

static enum tenant_outcome outcome_of(const char *word)
{
    for (size_t i = 0; i < OUTCOMES; i++) {
        if (strcmp(outcomes[i].word, word) == 0)
            return outcomes[i].outcome;
    }
    fprintf(stderr, "follow: no such rule: %s\n", word);
    exit(2);
}

static const char *word_of(enum tenant_outcome outcome)
{
    for (size_t i = 0; i < OUTCOMES; i++) {
        if (outcomes[i].outcome == outcome)
            return outcomes[i].word;
    }
    return "?";
}

static bool by_chance(void)
{
    return world.permille > 0 && (unsigned)rand_r(&world.seed) % 1000 < world.permille;
}

static enum tenant_outcome apply(void *context, const struct tenant_event *event, struct tenant_reason *reason)
{
    (void)context;
    enum tenant_outcome outcome = TENANT_EVENT_DONE;
    int pause_ms = (int)world.pace_ms;
    pthread_mutex_lock(&world.lock);
    struct rule *rule = rule_find(event);
    if (rule != NULL && strcmp(rule->what, "crash") == 0) {
        show(event, "crash");
        kill(getpid(), SIGKILL);
    }
    if (rule != NULL && strcmp(rule->what, "slow") == 0) {
        pause_ms = rule->times;
    } else if (rule != NULL) {
        outcome = outcome_of(rule->what);
        rule->times -= rule->times > 0;
        snprintf(reason->cause, sizeof reason->cause, "TOLD_TO");
        snprintf(reason->detail, sizeof reason->detail, "by rule %s", rule->what);
    } else if (by_chance()) {
        outcome = outcomes[1 + (unsigned)rand_r(&world.seed) % (OUTCOMES - 1)].outcome;
    }
    pthread_mutex_unlock(&world.lock);
    if (pause_ms > 0)
        usleep((unsigned)pause_ms * 1000u);
    show(event, word_of(outcome));
    return outcome;
}

static struct kept *kept_find(const char *tenant)
{
    for (int i = 0; i < world.kept_count; i++) {
        if (strcmp(world.kept[i].tenant, tenant) == 0)
            return &world.kept[i];
    }
    return NULL;
}

static int load(void *context, const char *tenant_id, struct tenant_position *position)
{
    (void)context;
    pthread_mutex_lock(&world.lock);
    const struct kept *kept = kept_find(tenant_id);
    bool fails = by_chance();
    if (kept != NULL)
        *position = kept->at;
    pthread_mutex_unlock(&world.lock);
    return fails ? 1 : 0;
}

static void keep(const char *tenant, struct tenant_position at)
{
    struct kept *kept = kept_find(tenant);
    if (kept == NULL)
        kept = &world.kept[world.kept_count++];
    snprintf(kept->tenant, sizeof kept->tenant, "%s", tenant);
    kept->at = at;
}

static int store_locked(const struct tenant_position_change *changes, size_t count)
{
    if (world.refuse_after > 0) {
        world.refuse_after--;
    } else if (world.refuse_store > 0) {
        world.refuse_store--;
        return 2;
    }
    if (by_chance())
        return 2;
    for (size_t i = 0; i < count; i++) {
        const struct kept *kept = kept_find(changes[i].tenant_id);
        const struct tenant_position now = kept == NULL ? (struct tenant_position){0, 0} : kept->at;
        if (now.incarnation != changes[i].before.incarnation || now.sequence != changes[i].before.sequence)
            return TENANT_STORE_STALE;
    }
    for (size_t i = 0; i < count; i++) {
        keep(changes[i].tenant_id, changes[i].after);
        fprintf(world.positions, "%s %llu %llu\n", changes[i].tenant_id,
                (unsigned long long)changes[i].after.incarnation,
                (unsigned long long)changes[i].after.sequence);
    }
    fflush(world.positions);
    return 0;
}

static int store(void *context, const struct tenant_position_change *changes, size_t count)
{
    (void)context;
    pthread_mutex_lock(&world.lock);
    int rc = store_locked(changes, count);
    pthread_mutex_unlock(&world.lock);
    return rc;
}

static bool alarmed(void *context, const struct tenant_gap *gap)
{
    (void)context;
    printf("gap %s %llu.%llu behind %llu.%llu\n", gap->tenant_id, (unsigned long long)gap->found.incarnation,
           (unsigned long long)gap->found.sequence, (unsigned long long)gap->last.incarnation,
           (unsigned long long)gap->last.sequence);
    fflush(stdout);
    return world.accept;
}

static void notice(void *context, int level, const char *text)
{
    (void)context;
    fprintf(stderr, "%d %s\n", level, text);
}

static void metrics_print(void)
{
    size_t size = tenant_consumer_metrics(world.consumer, NULL, 0) + 1024;
    char *text = malloc(size);
    tenant_consumer_metrics(world.consumer, text, size);
    printf("%s.\n", text);
    fflush(stdout);
    free(text);
}

static void command(const char *line)
{
    struct rule rule = {.times = 1};
    unsigned long long incarnation;
    if (strncmp(line, "metrics", 7) == 0) {
        metrics_print();
        return;
    }
    pthread_mutex_lock(&world.lock);
    if (strncmp(line, "accept", 6) == 0)
        world.accept = true;
    else if (sscanf(line, "refuse-store %d %d", &world.refuse_store, &world.refuse_after) >= 1)
        ;
    else if (sscanf(line, "random %u %u", &world.seed, &world.permille) == 2)
        ;
    else if (sscanf(line, "moved %39s %llu %llu", rule.tenant, &incarnation, &rule.sequence) == 3)
        keep(rule.tenant, (struct tenant_position){incarnation, rule.sequence});
    else if (sscanf(line, "%15s %39s %llu %d", rule.what, rule.tenant, &rule.sequence, &rule.times) >= 3 &&
             world.rule_count < RULES_MAX)
        world.rules[world.rule_count++] = rule;
    pthread_mutex_unlock(&world.lock);
    printf("ok\n");
    fflush(stdout);
}

static void *listen(void *context)
{
    char line[256];
    while (fgets(line, sizeof line, stdin) != NULL && strncmp(line, "stop", 4) != 0)
        command(line);
    tenant_consumer_stop(context);
    return NULL;
}

static bool take_range(struct tenant_replay_range *range, const char *name, const char *value)
{
    if (strcmp(name, "from") == 0)
        range->from = strcmp(value, "time") == 0       ? TENANT_START_TIME
                      : strcmp(value, "sequence") == 0 ? TENANT_START_SEQUENCE
                                                       : TENANT_START_ALL;
    else if (strcmp(name, "from_value") == 0)
        range->from_value = strtoull(value, NULL, 10);
    else if (strcmp(name, "partitions") == 0)
        range->partitions = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(name, "tenant") == 0)
        range->tenant_id = value;
    else
        return false;
    return true;
}

static void positions_open(const char *path)
{
    char tenant[40];
    unsigned long long incarnation, sequence;
    FILE *old = fopen(path, "r");
    while (old != NULL && fscanf(old, "%39s %llu %llu\n", tenant, &incarnation, &sequence) == 3)
        keep(tenant, (struct tenant_position){incarnation, sequence});
    if (old != NULL)
        fclose(old);
    world.positions = fopen(path, "a");
}

static bool take(struct tenant_consumer_settings *settings, struct tenant_replay_range *range, char *argument)
{
    static unsigned backoff[1];
    const struct {
        const char *name;
        const char **place;
    } texts[] = {{"url", &settings->url},           {"seed_file", &settings->seed_file},
                 {"ca_file", &settings->ca_file},   {"cert_file", &settings->cert_file},
                 {"key_file", &settings->key_file}, {"group", &settings->group},
                 {"member", &settings->member}};
    const struct {
        const char *name;
        unsigned *place;
    } numbers[] = {{"batch", &settings->batch},
                   {"max_ack_pending", &settings->max_ack_pending},
                   {"ack_wait_ms", &settings->ack_wait_ms},
                   {"lease_ttl_ms", &settings->lease_ttl_ms},
                   {"attempts_max", &settings->attempts_max},
                   {"gap_alarm_ms", &settings->gap_alarm_ms},
                   {"backoff_ms", &backoff[0]},
                   {"pace_ms", &world.pace_ms},
                   {"start", (unsigned *)&settings->start}};
    char *value = strchr(argument, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(argument, texts[i].name) == 0) {
            *texts[i].place = value;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(argument, numbers[i].name) == 0) {
            *numbers[i].place = (unsigned)strtoul(value, NULL, 10);
            if (numbers[i].place == backoff) {
                settings->backoff_ms = backoff;
                settings->backoff_count = 1;
            }
            return true;
        }
    }
    if (strcmp(argument, "start_value") == 0)
        settings->start_value = strtoull(value, NULL, 10);
    else if (strcmp(argument, "positions") == 0)
        positions_open(value);
    else
        return take_range(range, argument, value);
    return true;
}

static int once(const char *what, const struct tenant_consumer_settings *settings,
                const struct tenant_replay_range *range)
{
    struct tenant_consumer_error error;
    uint64_t handled = 0;
    bool replays = strcmp(what, "replay") == 0;
    enum tenant_consumer_result result = replays ? tenant_replay_run(settings, range, &handled, &error)
                                                 : tenant_consumer_reset(settings, &error);
    printf("%s %d %llu %s\n", what, result, (unsigned long long)handled, error.text);
    return result == TENANT_CONSUMER_OK ? 0 : 3;
}

int main(int argc, char **argv)
{
    struct tenant_consumer_settings settings = TENANT_CONSUMER_SETTINGS;
    struct tenant_replay_range range = TENANT_REPLAY_RANGE;
    struct tenant_consumer_error error;
    pthread_t listener;
    bool is_once = argc > 1 && strchr(argv[1], '=') == NULL;
    settings.handle = apply;
    settings.gap = alarmed;
    settings.notice = notice;
    for (int i = is_once ? 2 : 1; i < argc; i++) {
        if (!take(&settings, &range, argv[i])) {
            fprintf(stderr, "follow: unknown setting %s\n", argv[i]);
            return 2;
        }
    }
    if (world.positions != NULL) {
        settings.load = load;
        settings.store = store;
    }
    if (is_once)
        return once(argv[1], &settings, &range);
    if (tenant_consumer_new(&settings, &world.consumer, &error) != TENANT_CONSUMER_OK) {
        fprintf(stderr, "follow: %s\n", error.text);
        return 1;
    }
    pthread_create(&listener, NULL, listen, world.consumer);
    tenant_consumer_run(world.consumer);
    printf("ended\n");
    fflush(stdout);
    metrics_print();
    pthread_cancel(listener);
    pthread_join(listener, NULL);
    tenant_consumer_free(world.consumer);
    return 0;
}
