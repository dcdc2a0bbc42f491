/* Consumers of the JetStream API.  Called by whoever fetches. */
#include "events/pull_consumer.h"

#include "events/jetstream_api.h"
#include "events/json_scan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define VERB_SIZE 384

static int ask(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
               struct buf *reply, struct pull_consumer_state *out);
static int check(struct ctx *ctx, const struct pull_consumer *wish, struct slice config,
                 bool *differs);
static bool number_is(struct slice config, const char *path, uint64_t wanted);
static int create(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
                  struct slice present);
static void config_put(struct buf *body, const struct pull_consumer *wish, struct slice present);
static void start_put(struct buf *body, const struct pull_consumer *wish);
static bool start_keep(struct buf *body, struct slice present);
static int state_read(struct ctx *ctx, struct slice reply, struct pull_consumer_state *out);

int pull_consumer_ensure(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
                         struct pull_consumer_state *out)
{
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    struct pull_consumer_state state = {.is_missing = false};
    struct slice config = slice_make(NULL, 0);
    bool differs = false;
    TRY(ask(ctx, js, wish, &reply, &state));
    bool missing = state.is_missing;
    if (!missing) {
        if (!json_scan_member(buf_slice(&reply), "config", &config))
            return FAULT(ctx, FAULT_PROTOCOL, "%s: no configuration in the answer", wish->name);
        TRY(check(ctx, wish, config, &differs));
    }
    if (missing || differs) {
        TRY(create(ctx, js, wish, config));
        TRY(ask(ctx, js, wish, &reply, &state));
        state.created = missing;
    }
    *out = state;
    return OK;
}

int pull_consumer_look(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
                       struct pull_consumer_state *out)
{
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    return ask(ctx, js, wish, &reply, out);
}

int pull_consumer_delete(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *which)
{
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    char verb[VERB_SIZE];
    uint64_t err_code = 0;
    snprintf(verb, sizeof verb, "CONSUMER.DELETE.%s.%s", which->stream, which->name);
    TRY(jetstream_api(ctx, js, verb, slice_make(NULL, 0), &reply, &err_code));
    if (err_code != 0 && err_code != ERR_CONSUMER_NOT_FOUND && err_code != ERR_STREAM_MISSING)
        return FAULT(ctx, FAULT_BROKER, "%s: error %" PRIu64, verb, err_code);
    return OK;
}

/* A missing stream and a missing consumer are the same to the asker: who makes the consumer learns the
 * difference. */
static int ask(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
               struct buf *reply, struct pull_consumer_state *out)
{
    char verb[VERB_SIZE];
    uint64_t err_code = 0;
    snprintf(verb, sizeof verb, "CONSUMER.INFO.%s.%s", wish->stream, wish->name);
    TRY(jetstream_api(ctx, js, verb, slice_make(NULL, 0), reply, &err_code));
    if (err_code == ERR_CONSUMER_NOT_FOUND || err_code == ERR_STREAM_MISSING) {
        *out = (struct pull_consumer_state){.is_missing = true};
        return OK;
    }
    if (err_code != 0)
        return FAULT(ctx, FAULT_BROKER, "%s: error %" PRIu64, verb, err_code);
    return state_read(ctx, buf_slice(reply), out);
}

/* What cannot be changed must be as it should be; what can is changed. */
static int check(struct ctx *ctx, const struct pull_consumer *wish, struct slice config,
                 bool *differs)
{
    struct slice value;
    const char *acks = wish->ack_wait_ns == 0 ? "\"none\"" : "\"explicit\"";
    if (!json_scan_member(config, "ack_policy", &value) || !slice_is(value, acks))
        return FAULT(ctx, FAULT_CONFIG, "consumer %s of %s exists and its ack_policy is not %s",
                     wish->name, wish->stream, acks);
    if (json_scan_member(config, "deliver_subject", &value))
        return FAULT(ctx, FAULT_CONFIG, "consumer %s of %s exists and is a push consumer",
                     wish->name, wish->stream);
    char filter[256] = "";
    if (json_scan_member(config, "filter_subject", &value) &&
        !json_scan_text(value, filter, sizeof filter))
        return FAULT(ctx, FAULT_PROTOCOL, "consumer %s: its filter is unreadable", wish->name);
    if (strcmp(filter, wish->filter == NULL ? "" : wish->filter) != 0)
        return FAULT(ctx, FAULT_CONFIG, "consumer %s of %s exists and filters another subject",
                     wish->name, wish->stream);
    *differs = wish->ack_wait_ns != 0 &&
               (!number_is(config, "ack_wait", wish->ack_wait_ns) ||
                !number_is(config, "max_ack_pending", wish->max_ack_pending));
    return OK;
}

static bool number_is(struct slice config, const char *path, uint64_t wanted)
{
    struct slice value;
    uint64_t number = 0;
    return json_scan_member(config, path, &value) && json_scan_uint(value, &number) &&
           number == wanted;
}

/* The same request makes and updates.  Two members of a group may make it at once: equal wishes are no
 * error. */
static int create(struct ctx *ctx, struct jetstream *js, const struct pull_consumer *wish,
                  struct slice present)
{
    AUTO(buf_deinit) struct buf body = BUF_EMPTY;
    AUTO(buf_deinit) struct buf reply = BUF_EMPTY;
    char verb[VERB_SIZE];
    uint64_t err_code = 0;
    int used = snprintf(verb, sizeof verb, "CONSUMER.CREATE.%s.%s%s%s", wish->stream, wish->name,
                        wish->filter == NULL ? "" : ".", wish->filter == NULL ? "" : wish->filter);
    assert(used > 0 && (size_t)used < sizeof verb);
    config_put(&body, wish, present);
    TRY(jetstream_api(ctx, js, verb, buf_slice(&body), &reply, &err_code));
    if (err_code == ERR_STREAM_MISSING)
        return OK;
    if (err_code != 0)
        return FAULT(ctx, FAULT_BROKER, "consumer %s of %s cannot be made: error %" PRIu64,
                     wish->name, wish->stream, err_code);
    return OK;
}

/* max_deliver stays without limit: who gives up on a message says so, and where to. */
static void config_put(struct buf *body, const struct pull_consumer *wish, struct slice present)
{
    buf_printf(body, "{\"stream_name\":\"%s\",\"config\":{\"name\":\"%s\"", wish->stream,
               wish->name);
    if (wish->is_durable)
        buf_printf(body, ",\"durable_name\":\"%s\"", wish->name);
    else
        buf_printf(body, ",\"inactive_threshold\":%" PRIu64, wish->inactive_ns);
    if (wish->filter != NULL)
        buf_printf(body, ",\"filter_subject\":\"%s\"", wish->filter);
    if (present.size == 0 || !start_keep(body, present))
        start_put(body, wish);
    if (wish->ack_wait_ns == 0)
        buf_put_str(body, ",\"ack_policy\":\"none\"");
    else
        buf_printf(body,
                   ",\"ack_policy\":\"explicit\",\"ack_wait\":%" PRIu64 ",\"max_ack_pending\":%u",
                   wish->ack_wait_ns, wish->max_ack_pending);
    buf_put_str(body, ",\"replay_policy\":\"instant\",\"max_deliver\":-1}}");
}

static void start_put(struct buf *body, const struct pull_consumer *wish)
{
    char time[CLOCK_TEXT_SIZE];
    switch (wish->from) {
    case DELIVER_ALL:
        buf_put_str(body, ",\"deliver_policy\":\"all\"");
        return;
    case DELIVER_NEW:
        buf_put_str(body, ",\"deliver_policy\":\"new\"");
        return;
    case DELIVER_SEQUENCE:
        buf_printf(body, ",\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":%" PRIu64,
                   wish->from_value);
        return;
    case DELIVER_TIME:
        clock_format(wish->from_value, time);
        buf_printf(body, ",\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"%s\"", time);
        return;
    }
}

/* The server refuses an update that would change where the consumer began, so its own words are repeated. */
static bool start_keep(struct buf *body, struct slice present)
{
    static const char *const members[] = {"deliver_policy", "opt_start_seq", "opt_start_time"};
    bool found = false;
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        struct slice value;
        if (!json_scan_member(present, members[i], &value))
            continue;
        found = true;
        buf_printf(body, ",\"%s\":", members[i]);
        buf_put_slice(body, value);
    }
    return found;
}

static int state_read(struct ctx *ctx, struct slice reply, struct pull_consumer_state *out)
{
    struct pull_consumer_state state = {.is_missing = false};
    const struct {
        const char *path;
        uint64_t *place;
    } numbers[] = {
        {"ack_floor.stream_seq", &state.floor_seq},
        {"delivered.stream_seq", &state.delivered_seq},
        {"num_ack_pending", &state.ack_pending},
        {"num_pending", &state.pending},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct slice value;
        if (!json_scan_member(reply, numbers[i].path, &value) ||
            !json_scan_uint(value, numbers[i].place))
            return FAULT(ctx, FAULT_PROTOCOL, "no %s in the answer to CONSUMER.INFO",
                         numbers[i].path);
    }
    *out = state;
    return OK;
}
