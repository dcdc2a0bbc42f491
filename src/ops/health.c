/* Flags and dependencies under one lock: written seldom, read by probes. */
#include "ops/health.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct dependency {
    struct health *health;
    const char *name;
    enum dependency_state state;
    uint64_t since_wall_ns; /* of the last change of state */
    char detail[HEALTH_DETAIL_SIZE];
};

struct health {
    pthread_mutex_t lock; /* guards everything below */
    bool flags[HEALTH_FLAGS];
    struct dependency dependencies[HEALTH_DEPENDENCIES_MAX];
    size_t dependency_count;
};

static bool is_ready(const struct health *health);
static void put_body(const struct health *health, bool is_good, struct buf *out);
static void put_dependency(const struct dependency *dependency, struct buf *out);
static const char *state_name(enum dependency_state state);
static const char *truth(bool value);

struct health *health_new(void)
{
    struct health *health = xcalloc(1, sizeof *health);
    pthread_mutex_init(&health->lock, NULL);
    return health;
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    pthread_mutex_destroy(&health->lock);
    free(health);
}

/* Flags are written by main's start and stop and by the store's schema check. */
void health_set(struct health *health, enum health_flag flag, bool value)
{
    pthread_mutex_lock(&health->lock);
    assert(flag != HEALTH_STARTED || value); /* nothing un-starts */
    health->flags[flag] = value;
    pthread_mutex_unlock(&health->lock);
}

bool health_is(struct health *health, enum health_flag flag)
{
    pthread_mutex_lock(&health->lock);
    assert((int)flag >= 0 && (int)flag < HEALTH_FLAGS);
    bool value = health->flags[flag];
    pthread_mutex_unlock(&health->lock);
    return value;
}

bool health_is_ready(struct health *health)
{
    pthread_mutex_lock(&health->lock);
    bool ready = is_ready(health);
    pthread_mutex_unlock(&health->lock);
    return ready;
}

/* Entries are never removed, so pointers into the array stay good. */
struct dependency *health_dependency(struct health *health, const char *name)
{
    pthread_mutex_lock(&health->lock);
    size_t i = 0;
    while (i < health->dependency_count && strcmp(health->dependencies[i].name, name) != 0)
        i++;
    assert(name != NULL && i < HEALTH_DEPENDENCIES_MAX);
    struct dependency *dependency = &health->dependencies[i];
    if (i == health->dependency_count) {
        *dependency =
            (struct dependency){.health = health, .name = name, .since_wall_ns = clock_wall()};
        health->dependency_count++;
    }
    pthread_mutex_unlock(&health->lock);
    return dependency;
}

void dependency_set(struct dependency *dependency, enum dependency_state state, const char *detail)
{
    pthread_mutex_lock(&dependency->health->lock);
    if (dependency->state != state)
        dependency->since_wall_ns = clock_wall();
    dependency->state = state;
    snprintf(dependency->detail, sizeof dependency->detail, "%s", detail == NULL ? "" : detail);
    pthread_mutex_unlock(&dependency->health->lock);
}

/* Rendered under the lock, so that one answer never mixes two states. */
int health_render(struct health *health, const char *path, struct buf *out)
{
    pthread_mutex_lock(&health->lock);
    bool is_known = true;
    bool is_good = true; /* live: whoever answers is alive */
    if (strcmp(path, "/health/ready") == 0)
        is_good = is_ready(health);
    else if (strcmp(path, "/health/startup") == 0)
        is_good = health->flags[HEALTH_STARTED];
    else
        is_known = strcmp(path, "/health/live") == 0;
    if (is_known)
        put_body(health, is_good, out);
    pthread_mutex_unlock(&health->lock);
    if (!is_known)
        return 404;
    return is_good ? 200 : 503;
}

/* Only dependencies that were tried have a figure: "unknown" is no outage. */
void health_render_metrics(struct health *health, struct buf *out)
{
    pthread_mutex_lock(&health->lock);
    buf_printf(out,
               "# HELP tenant_ready Whether this process wants requests.\n"
               "# TYPE tenant_ready gauge\ntenant_ready %d\n",
               is_ready(health));
    if (health->dependency_count > 0)
        buf_put_str(out, "# HELP tenant_dependency_up Whether a dependency answers.\n"
                         "# TYPE tenant_dependency_up gauge\n");
    for (size_t i = 0; i < health->dependency_count; i++) {
        const struct dependency *dependency = &health->dependencies[i];
        if (dependency->state == DEPENDENCY_UP || dependency->state == DEPENDENCY_DOWN)
            buf_printf(out, "tenant_dependency_up{dependency=\"%s\"} %d\n", dependency->name,
                       dependency->state == DEPENDENCY_UP);
    }
    pthread_mutex_unlock(&health->lock);
}

/* Under the lock. */
static bool is_ready(const struct health *health)
{
    return health->flags[HEALTH_STARTED] && health->flags[HEALTH_SCHEMA_OK] &&
           health->flags[HEALTH_LISTENING] && !health->flags[HEALTH_DRAINING];
}

/* The same body for all probes: whoever looks at one wants to see why. */
static void put_body(const struct health *health, bool is_good, struct buf *out)
{
    buf_printf(out,
               "{\"status\":\"%s\",\"started\":%s,\"schema_ok\":%s,\"listening\":%s,"
               "\"draining\":%s,\"dependencies\":{",
               is_good ? "ok" : "unavailable", truth(health->flags[HEALTH_STARTED]),
               truth(health->flags[HEALTH_SCHEMA_OK]), truth(health->flags[HEALTH_LISTENING]),
               truth(health->flags[HEALTH_DRAINING]));
    for (size_t i = 0; i < health->dependency_count; i++) {
        buf_put_str(out, i == 0 ? "" : ",");
        put_dependency(&health->dependencies[i], out);
    }
    buf_put_str(out, "}}\n");
}

/* Under the lock.  Names are constants of ours; details come from libraries and are escaped. */
static void put_dependency(const struct dependency *dependency, struct buf *out)
{
    char since[CLOCK_TEXT_SIZE];
    clock_format(dependency->since_wall_ns, since);
    buf_printf(out, "\"%s\":{\"state\":\"%s\",\"since\":\"%s\"", dependency->name,
               state_name(dependency->state), since);
    if (dependency->detail[0] != '\0') {
        buf_put_str(out, ",\"detail\":\"");
        buf_put_json_escaped(out, slice_of_str(dependency->detail));
        buf_put_byte(out, '"');
    }
    buf_put_byte(out, '}');
}

static const char *state_name(enum dependency_state state)
{
    switch (state) {
    case DEPENDENCY_UNKNOWN:
        return "unknown";
    case DEPENDENCY_UP:
        return "up";
    case DEPENDENCY_DOWN:
        return "down";
    case DEPENDENCY_OFF:
        return "off";
    }
    return "unknown";
}

static const char *truth(bool value)
{
    return value ? "true" : "false";
}
