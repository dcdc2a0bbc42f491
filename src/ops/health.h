/* What the probes say: is the process started, fit for requests, on its way out; how its dependencies
 * are.  Shared by port 9090 and the plain probes of port 3000. */
#ifndef OPS_HEALTH_H
#define OPS_HEALTH_H

#include "base/buf.h"

#include <stdbool.h>

struct health;

/* All functions may be called from any thread. */

enum health_flag {
    HEALTH_STARTED,   /* start-up is over; never taken back */
    HEALTH_SCHEMA_OK, /* the database's schema is new enough; the last answer counts */
    HEALTH_LISTENING, /* port 3000 accepts */
    HEALTH_DRAINING,  /* SIGTERM came: ready no more */
};
enum { HEALTH_FLAGS = HEALTH_DRAINING + 1 };

struct health *health_new(void);         /* all flags false, no dependencies; owner: the caller */
void health_free(struct health *health); /* accepts NULL */

void health_set(struct health *health, enum health_flag flag, bool value);
bool health_is(struct health *health, enum health_flag flag);
/* Started, schema new enough, listening, not draining.  A lost dependency does not count: all
 * replicas share it, and none would be better than another. */
bool health_is_ready(struct health *health);

enum dependency_state {
    DEPENDENCY_UNKNOWN, /* not tried yet */
    DEPENDENCY_UP,
    DEPENDENCY_DOWN,
    DEPENDENCY_OFF, /* not configured */
};

struct dependency;

enum { HEALTH_DEPENDENCIES_MAX = 8, HEALTH_DETAIL_SIZE = 128 };

/* A dependency's entry, made at first use (asserted: at most 8).  `name` is a constant: "database".
 * Lives as long as the health. */
struct dependency *health_dependency(struct health *health, const char *name);
/* `detail` is for operators ("connect: refused"), shown to whoever may reach the ports: no secrets.  NULL
 * or "": none.  It is copied and cut at 127 bytes. */
void dependency_set(struct dependency *dependency, enum dependency_state state, const char *detail);

/* Appends the JSON body for "/health/live", "/health/ready" or "/health/startup" and returns the HTTP
 * status: 200, 503, or 404 for any other path (then nothing is appended). */
int health_render(struct health *health, const char *path, struct buf *out);

/* The same state as gauges: tenant_ready, tenant_dependency_up{dependency}. */
void health_render_metrics(struct health *health, struct buf *out);

#endif
