/* grpc.health.v1.Health: serving until the drain begins.  A lost dependency does not count, as all replicas
 * share it. */
#include "service/health.h"

#include "loop/task.h"

#include "service/served.h"

#include "gen/errors.h"

#include <assert.h>

#define LOOK_NS (250 * NS_PER_MS) /* how late a watcher may learn of a change */

typedef Grpc__Health__V1__HealthCheckRequest CheckRequest;
typedef Grpc__Health__V1__HealthCheckResponse CheckResponse;
typedef Grpc__Health__V1__HealthListResponse__StatusesEntry ListEntry;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus ServingStatus;
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static int health_check_handler(struct call *call, const CheckRequest *in, CheckResponse *out);
static int health_list_handler(struct call *call, const Grpc__Health__V1__HealthListRequest *in,
                               Grpc__Health__V1__HealthListResponse *out);
static int health_watch_handler(struct call *call, const CheckRequest *in);
static ListEntry *entry_of(struct call *call, const char *service);
static ServingStatus status_of(const struct call *call, const char *service);
static bool is_serving(const struct call *call);

const struct health_server health_handlers = {
    .check = health_check_handler,
    .list = health_list_handler,
    .watch = health_watch_handler,
};

/* "If the service name is not registered, the server returns a NOT_FOUND status" (health.proto). */
static int health_check_handler(struct call *call, const CheckRequest *in, CheckResponse *out)
{
    out->status = status_of(call, in->service);
    return out->status == STATUS(SERVICE_UNKNOWN) ? SERVICE_UNKNOWN : OK;
}

/* The server as a whole, "", and every service. */
static int health_list_handler(struct call *call, const Grpc__Health__V1__HealthListRequest *in,
                               Grpc__Health__V1__HealthListResponse *out)
{
    (void)in;
    struct arena *arena = call->ctx.arena;
    out->statuses = arena_alloc(arena, (1 + SERVED_COUNT) * sizeof *out->statuses);
    out->statuses[out->n_statuses++] = entry_of(call, "");
    for (size_t i = 0; i < SERVED_COUNT; i++)
        out->statuses[out->n_statuses++] = entry_of(call, served_services[i]->name);
    return OK;
}

/* "The server will immediately send back a message indicating the current serving status.  It will then
 * subsequently send a new message whenever the service's serving status changes.  If the requested service is
 * unknown when the call is received, the server will send a message setting the serving status to
 * SERVICE_UNKNOWN but will *not* terminate the call." (health.proto).  It ends with the drain: the watcher has
 * been told, and looks for another replica. */
static int health_watch_handler(struct call *call, const CheckRequest *in)
{
    CheckResponse message;
    grpc__health__v1__health_check_response__init(&message);
    for (bool told = false;; told = true) {
        ServingStatus status = status_of(call, in->service);
        if (!told || status != message.status) {
            message.status = status;
            TRY(health_watch_send(call, &message));
        }
        if (!is_serving(call))
            return SHUTTING_DOWN;
        TRY(wait_fault(&call->ctx, task_sleep(&call->ctx, LOOK_NS), "watch"));
    }
}

static ListEntry *entry_of(struct call *call, const char *service)
{
    struct arena *arena = call->ctx.arena;
    ListEntry *entry = arena_alloc(arena, sizeof *entry);
    grpc__health__v1__health_list_response__statuses_entry__init(entry);
    entry->key = arena_strdup(arena, service);
    entry->value = arena_alloc(arena, sizeof *entry->value);
    grpc__health__v1__health_check_response__init(entry->value);
    entry->value->status = status_of(call, service);
    return entry;
}

static ServingStatus status_of(const struct call *call, const char *service)
{
    bool known = service[0] == '\0';
    for (size_t i = 0; i < SERVED_COUNT; i++)
        known = known || strcmp(service, served_services[i]->name) == 0;
    if (!known)
        return STATUS(SERVICE_UNKNOWN);
    return is_serving(call) ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static bool is_serving(const struct call *call)
{
    const struct service_env *env = call->service;
    assert(env->is_serving != NULL);
    return env->is_serving(env->state);
}
