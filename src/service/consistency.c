/* Consistency tokens of calls; see consistency.h. */
#include "service/consistency.h"

#include "base/random.h"

#include "loop/task.h"
#include "tokens/consistency_token.h"

#include "gen/errors.h"

#include <assert.h>

#define HEADER "x-consistency-token"
#define LOOK_FLOOR_NS (2 * NS_PER_MS) /* between two looks … */
#define LOOK_CAP_NS (50 * NS_PER_MS)  /* … backing off to this */

int consistency_floor(struct call *call, struct consistency_floor *floor)
{
    const struct service_env *env = call->service;
    *floor = (struct consistency_floor){.asked = false};
    struct slice text = call_metadata(call, HEADER);
    if (text.data == NULL)
        return OK;
    struct consistency_point point;
    const char *rule = NULL;
    if (!consistency_token_parse(call->ctx.arena, env->token_keys, text, &point))
        rule = "must be a token that this service gave, unchanged";
    else if (!uuid_is_nil(&call->tenant) && !uuid_equal(&call->tenant, &point.tenant))
        rule = "belongs to another tenant";
    if (rule != NULL) {
        metric_inc(env->metrics.consistency[CONSISTENCY_FORGED]);
        return call_refuse_field(call, METADATA_INVALID, HEADER, rule);
    }
    floor->asked = true;
    floor->tenant = point.tenant;
    floor->epoch = point.epoch;
    floor->give_up_ns = deadline_after(clock_now(), env->consistency_wait_ns);
    return OK;
}

int consistency_reached(struct call *call, struct consistency_floor *floor, struct epoch epoch,
                        bool *again)
{
    const struct service_env *env = call->service;
    *again = epoch_compare(epoch, floor->epoch) < 0;
    if (!*again) {
        if (floor->asked)
            metric_inc(env->metrics.consistency[CONSISTENCY_MET]);
        return OK;
    }
    if (deadline_left(floor->give_up_ns, clock_now()) == 0) {
        metric_inc(env->metrics.consistency[CONSISTENCY_GAVE_UP]);
        return CONSISTENCY_UNAVAILABLE;
    }
    uint64_t pause = backoff_ns(floor->looks++, LOOK_FLOOR_NS, LOOK_CAP_NS);
    return wait_fault(&call->ctx, task_sleep(&call->ctx, pause), "a change to become visible");
}

void consistency_answer(struct call *call, const struct uuid *tenant, struct epoch epoch,
                        int64_t sequence)
{
    const struct service_env *env = call->service;
    const struct consistency_point point = {*tenant, epoch, sequence};
    const char *text = consistency_token_make(call->ctx.arena, env->token_keys, &point);
    call_set_header(call, HEADER, slice_of_str(text));
}
