/* Checks settings; see settings.h.  Called by tenant_consumer_new() and the replays. */
#include "consumer/settings.h"

#include "events/dead_letter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BACKOFF_COUNT_MAX 16
#define MEMBER_MAX 64
#define HOUR_MS 3600000u

struct number_rule {
    const char *name;
    size_t offset;
    unsigned preset;
    unsigned min;
    unsigned max;
};

#define NUMBER(member, preset_, min_, max_)                                                        \
    {                                                                                              \
#member, offsetof(struct tenant_consumer_settings, member), preset_, min_, max_            \
    }

static bool refuse(struct tenant_consumer_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool check_texts(const struct tenant_consumer_settings *settings,
                        struct tenant_consumer_error *error);
static bool check_numbers(struct tenant_consumer_settings *settings,
                          struct tenant_consumer_error *error);
static bool check_backoff(struct tenant_consumer_settings *settings, struct arena *arena,
                          struct tenant_consumer_error *error);
static const char *copied(struct arena *arena, const char *text);

/* A caller that was compiled with an older header has a shorter struct, one with a newer a longer: what the
 * library does not know must be zero, or it would be ignored in silence. */
bool settings_take(const struct tenant_consumer_settings *given, struct arena *arena,
                   struct tenant_consumer_settings *out, struct tenant_consumer_error *error)
{
    struct tenant_consumer_settings settings = {.size = sizeof settings};
    size_t known = given->size < sizeof settings ? given->size : sizeof settings;
    if (given->size < offsetof(struct tenant_consumer_settings, seed_file))
        return refuse(error, "size: begin with TENANT_CONSUMER_SETTINGS");
    for (size_t i = sizeof settings; i < given->size; i++) {
        if (((const char *)given)[i] != 0)
            return refuse(error, "size: this library is older than the settings it is given");
    }
    memcpy(&settings, given, known);
    settings.size = sizeof settings;
    if (!check_texts(&settings, error) || !check_numbers(&settings, error) ||
        !check_backoff(&settings, arena, error))
        return false;
    settings.url = copied(arena, settings.url);
    settings.seed_file = copied(arena, settings.seed_file);
    settings.ca_file = copied(arena, settings.ca_file);
    settings.cert_file = copied(arena, settings.cert_file);
    settings.key_file = copied(arena, settings.key_file);
    settings.group = copied(arena, settings.group);
    settings.member = copied(arena, settings.member);
    *out = settings;
    error->text[0] = '\0';
    return true;
}

static bool refuse(struct tenant_consumer_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool check_texts(const struct tenant_consumer_settings *settings,
                        struct tenant_consumer_error *error)
{
    if (settings->url == NULL || settings->url[0] == '\0')
        return refuse(error, "url: must be given");
    if (settings->group == NULL || !dead_letter_consumer_ok(slice_of_str(settings->group)))
        return refuse(error, "group: must be 1 to %d of A-Z, a-z, 0-9, _ and -, and not \"relay\"",
                      DEAD_LETTER_CONSUMER_MAX);
    if (settings->member != NULL && (strlen(settings->member) > MEMBER_MAX ||
                                     !dead_letter_consumer_ok(slice_of_str(settings->member))))
        return refuse(error, "member: must be 1 to %d of A-Z, a-z, 0-9, _ and -", MEMBER_MAX);
    if (settings->handle == NULL)
        return refuse(error, "handle: must be given");
    if ((settings->load == NULL) != (settings->store == NULL))
        return refuse(error, "load, store: must be given both or not at all");
    if (settings->handler_keeps_positions && settings->load == NULL)
        return refuse(error, "handler_keeps_positions: needs load and store");
    if ((settings->cert_file == NULL) != (settings->key_file == NULL))
        return refuse(error, "cert_file, key_file: must be given both or not at all");
    if (settings->start > TENANT_START_SEQUENCE)
        return refuse(error, "start: is no enum tenant_start");
    if (settings->start >= TENANT_START_TIME && settings->start_value == 0)
        return refuse(error, "start_value: must be given with TENANT_START_TIME and _SEQUENCE");
    return true;
}

static bool check_numbers(struct tenant_consumer_settings *settings,
                          struct tenant_consumer_error *error)
{
    static const struct number_rule rules[] = {
        NUMBER(batch, 512, 1, 2048),
        NUMBER(max_ack_pending, 4096, 1, 65536),
        NUMBER(ack_wait_ms, 30000, 1000, HOUR_MS),
        NUMBER(lease_ttl_ms, 10000, 1000, HOUR_MS),
        NUMBER(attempts_max, 10, 1, 1000),
        NUMBER(gap_alarm_ms, 30000, 100, HOUR_MS),
    };
    for (const struct number_rule *rule = rules; rule < rules + sizeof rules / sizeof rules[0];
         rule++) {
        unsigned value = 0;
        char *place = (char *)settings + rule->offset;
        memcpy(&value, place, sizeof value);
        if (value == 0)
            value = rule->preset;
        if (value < rule->min || value > rule->max)
            return refuse(error, "%s: is %u, must be %u to %u", rule->name, value, rule->min,
                          rule->max);
        memcpy(place, &value, sizeof value);
    }
    if (settings->max_ack_pending < settings->batch)
        return refuse(error, "max_ack_pending: is %u, must not be below batch, %u",
                      settings->max_ack_pending, settings->batch);
    if (settings->positions_max == 0)
        settings->positions_max = 65536;
    if (settings->positions_max < 4096)
        return refuse(error, "positions_max: is %zu, must be at least 4096",
                      settings->positions_max);
    return true;
}

static bool check_backoff(struct tenant_consumer_settings *settings, struct arena *arena,
                          struct tenant_consumer_error *error)
{
    static const unsigned preset[] = {1000, 5000, 30000, 60000, 300000};
    if (settings->backoff_ms == NULL) {
        settings->backoff_ms = preset;
        settings->backoff_count = sizeof preset / sizeof preset[0];
        return true;
    }
    if (settings->backoff_count == 0 || settings->backoff_count > BACKOFF_COUNT_MAX)
        return refuse(error, "backoff_count: must be 1 to %d", BACKOFF_COUNT_MAX);
    unsigned *steps = arena_alloc(arena, settings->backoff_count * sizeof *steps);
    for (size_t i = 0; i < settings->backoff_count; i++) {
        steps[i] = settings->backoff_ms[i];
        if (steps[i] == 0 || steps[i] > HOUR_MS)
            return refuse(error, "backoff_ms: step %zu is %u, must be 1 to %u", i, steps[i],
                          HOUR_MS);
    }
    settings->backoff_ms = steps;
    return true;
}

static const char *copied(struct arena *arena, const char *text)
{
    return text == NULL || text[0] == '\0' ? NULL : arena_strdup(arena, text);
}
