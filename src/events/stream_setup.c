/* Creates or checks the configuration of a stream: one partition's, that of the dead letters, or that of the
 * consumer groups.  Called by the relay each time it asks a stream where it stands; must never narrow what a
 * stream keeps. */
#include "events/dead_letter.h"
#include "events/group_stream.h"
#include "events/jetstream_api.h"
#include "events/json_scan.h"
#include "events/stream.h"
#include "events/subjects.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define ERR_STREAM_NAME_IN_USE 10058 /* nats-server/server/errors.json */
#define VERB_SIZE 64
#define DEAD_LETTER_AGE_S ((uint64_t)90 * 24 * 3600)
#define DEAD_LETTER_WINDOW_S 120
#define LOOK_ROUNDS 3 /* look, create, look; or look, update, look */

/* What a differing value means. */
enum drift_rule {
    DRIFT_FATAL,  /* events could be lost or disturbed: the stream is not used */
    DRIFT_REPORT, /* less or more is kept than wished; an operator decides */
    /* A larger number loses nothing: set by us when smaller, reported when larger.  Of an age 0 is the largest:
     * "for ever". */
    DRIFT_RAISE,
    DRIFT_SET, /* any number may be set by us */
};

struct wish {
    const char *path; /* member of the configuration */
    enum drift_rule rule;
    char value[48]; /* JSON text that is wished; "" : absent, empty or false */
};

#define WISHES_MAX 16

struct look {
    struct jetstream *js;
    char name[sizeof GROUP_STREAM];    /* the longest */
    char subject[STREAM_SUBJECT_SIZE]; /* the one that it holds */
    struct wish wishes[WISHES_MAX];
    size_t wish_count;
    struct buf reply; /* the last answer */
};

static int look_run(struct ctx *ctx, struct look *look, struct stream_state *out);
static void wishes_of_events(struct look *look, const struct stream_settings *settings);
static void wishes_of_all(struct look *look);
static void wish_number(struct look *look, const char *path, enum drift_rule rule, uint64_t value);
static int look_round(struct ctx *ctx, struct look *look, bool may_change,
                      struct stream_state *out);
static int api_call(struct ctx *ctx, struct look *look, const char *verb, struct slice payload,
                    uint64_t *err_code);
static int stream_create(struct ctx *ctx, struct look *look);
static int stream_update(struct ctx *ctx, struct look *look, struct slice config);
static int state_read(struct ctx *ctx, struct slice reply, struct stream_state *out);
static void drift_find(struct look *look, struct slice config, struct stream_state *out,
                       bool *changeable);
static bool wish_differs(const struct wish *wish, struct slice config, struct slice *actual);
static bool value_is(struct slice actual, const char *wished);
static bool wish_is_ours_to_set(const struct wish *wish, struct slice actual);
static void drift_put(struct stream_state *out, const struct wish *wish, struct slice actual);

int stream_look(struct ctx *ctx, struct jetstream *js, unsigned partition,
                const struct stream_settings *settings, struct stream_state *out)
{
    struct look look = {.js = js};
    stream_name(partition, look.name);
    stream_subject(partition, look.subject);
    wishes_of_events(&look, settings);
    return look_run(ctx, &look, out);
}

int stream_look_dead_letters(struct ctx *ctx, struct jetstream *js, unsigned replicas,
                             struct stream_state *out)
{
    const struct stream_settings settings = {
        .replicas = replicas,
        .max_age_s = DEAD_LETTER_AGE_S,
        .duplicate_window_s = DEAD_LETTER_WINDOW_S,
    };
    struct look look = {.js = js, .name = DEAD_LETTER_STREAM, .subject = DEAD_LETTER_SUBJECTS};
    wishes_of_events(&look, &settings);
    return look_run(ctx, &look, out);
}

/* A record's older versions are of no use, its newest is kept for ever. */
int stream_look_groups(struct ctx *ctx, struct jetstream *js, unsigned replicas,
                       struct stream_state *out)
{
    struct look look = {.js = js, .name = GROUP_STREAM, .subject = GROUP_SUBJECTS};
    wishes_of_all(&look);
    wish_number(&look, "max_msgs_per_subject", DRIFT_REPORT, 1);
    wish_number(&look, "max_msg_size", DRIFT_RAISE, GROUP_RECORD_MAX);
    wish_number(&look, "max_age", DRIFT_RAISE, 0);
    wish_number(&look, "num_replicas", DRIFT_RAISE, replicas);
    return look_run(ctx, &look, out);
}

/* Frees what the look gathered. */
static int look_run(struct ctx *ctx, struct look *look, struct stream_state *out)
{
    struct stream_state state = {0};
    int rc = OK;
    for (int round = 1; rc == OK && round <= LOOK_ROUNDS; round++) {
        bool was_changed = state.changed;
        state.changed = false;
        rc = look_round(ctx, look, round < LOOK_ROUNDS, &state);
        bool again = state.changed;
        state.changed = state.changed || was_changed;
        if (!again)
            break;
    }
    buf_deinit(&look->reply);
    TRY(rc);
    *out = state;
    return OK;
}

/* Limits by number or size are off: age alone ends a message, or one busy tenant would push out
 * the events of others in its partition. */
static void wishes_of_events(struct look *look, const struct stream_settings *settings)
{
    wishes_of_all(look);
    look->wishes[look->wish_count++] = (struct wish){"max_msgs_per_subject", DRIFT_REPORT, "-1"};
    wish_number(look, "max_age", DRIFT_RAISE, settings->max_age_s * NS_PER_S);
    wish_number(look, "duplicate_window", DRIFT_SET, settings->duplicate_window_s * NS_PER_S);
    wish_number(look, "num_replicas", DRIFT_RAISE, settings->replicas);
}

static void wishes_of_all(struct look *look)
{
    static const struct wish fixed[] = {
        {"subjects", DRIFT_FATAL, ""},        {"retention", DRIFT_FATAL, "\"limits\""},
        {"storage", DRIFT_FATAL, "\"file\""}, {"no_ack", DRIFT_FATAL, ""},
        {"sealed", DRIFT_FATAL, ""},          {"mirror", DRIFT_FATAL, ""},
        {"sources", DRIFT_FATAL, ""},         {"subject_transform", DRIFT_FATAL, ""},
        {"discard", DRIFT_REPORT, "\"old\""}, {"max_msgs", DRIFT_REPORT, "-1"},
        {"max_bytes", DRIFT_REPORT, "-1"},
    };
    static_assert(sizeof fixed <= sizeof look->wishes, "room for each");
    memcpy(look->wishes, fixed, sizeof fixed);
    look->wish_count = sizeof fixed / sizeof fixed[0];
    snprintf(look->wishes[0].value, sizeof look->wishes[0].value, "[\"%s\"]", look->subject);
}

static void wish_number(struct look *look, const char *path, enum drift_rule rule, uint64_t value)
{
    assert(look->wish_count < WISHES_MAX);
    struct wish *wish = &look->wishes[look->wish_count++];
    *wish = (struct wish){.path = path, .rule = rule};
    snprintf(wish->value, sizeof wish->value, "%" PRIu64, value);
}

/* Asks; creates or updates when allowed, which sets out->changed: then the answer must be asked again. */
static int look_round(struct ctx *ctx, struct look *look, bool may_change, struct stream_state *out)
{
    uint64_t err_code = 0;
    struct slice config;
    TRY(api_call(ctx, look, "INFO", slice_make(NULL, 0), &err_code));
    if (err_code == ERR_STREAM_MISSING && may_change) {
        out->changed = true;
        return stream_create(ctx, look);
    }
    if (err_code != 0)
        return FAULT(ctx, FAULT_BROKER, "%s: error %" PRIu64, look->name, err_code);
    struct slice reply = buf_slice(&look->reply);
    TRY(state_read(ctx, reply, out));
    if (!json_scan_member(reply, "config", &config))
        return FAULT(ctx, FAULT_PROTOCOL, "%s: no configuration in the answer", look->name);
    bool changeable = false;
    drift_find(look, config, out, &changeable);
    if (!changeable || !out->usable || !may_change)
        return OK;
    /* What the server refuses to change is only reported. */
    out->changed = stream_update(ctx, look, config) == OK;
    out->refused = !out->changed;
    return OK;
}

/* *err_code is 0 when the server did what was asked. */
static int api_call(struct ctx *ctx, struct look *look, const char *verb, struct slice payload,
                    uint64_t *err_code)
{
    char subject[VERB_SIZE];
    snprintf(subject, sizeof subject, "STREAM.%s.%s", verb, look->name);
    return jetstream_api(ctx, look->js, subject, payload, &look->reply, err_code);
}

static int stream_create(struct ctx *ctx, struct look *look)
{
    AUTO(buf_deinit) struct buf config = BUF_EMPTY;
    uint64_t err_code = 0;
    buf_printf(&config, "{\"name\":\"%s\"", look->name);
    for (size_t i = 0; i < look->wish_count; i++) {
        if (look->wishes[i].value[0] != '\0')
            buf_printf(&config, ",\"%s\":%s", look->wishes[i].path, look->wishes[i].value);
    }
    buf_put_str(&config, "}");
    TRY(api_call(ctx, look, "CREATE", buf_slice(&config), &err_code));
    /* Another replica may have been faster. */
    if (err_code != 0 && err_code != ERR_STREAM_NAME_IN_USE)
        return FAULT(ctx, FAULT_BROKER, "%s cannot be created: error %" PRIu64, look->name,
                     err_code);
    return OK;
}

/* The server's own configuration with our numbers in it, so that what we do not know stays. */
/* Edits the text: the numbers are replaced in place and every byte that we do not understand
 * stays as it was. */
static int stream_update(struct ctx *ctx, struct look *look, struct slice config)
{
    AUTO(buf_deinit) struct buf changed = BUF_EMPTY;
    AUTO(buf_deinit) struct buf current = BUF_EMPTY;
    buf_put_slice(&current, config);
    for (size_t i = 0; i < look->wish_count; i++) {
        const struct wish *wish = &look->wishes[i];
        struct slice text = buf_slice(&current);
        struct slice actual;
        if (!wish_differs(wish, text, &actual) || !wish_is_ours_to_set(wish, actual))
            continue;
        size_t before = (size_t)(actual.data - text.data);
        buf_clear(&changed);
        buf_put(&changed, text.data, before);
        buf_put_str(&changed, wish->value);
        buf_put_slice(&changed, slice_skip(text, before + actual.size));
        buf_clear(&current);
        buf_put_slice(&current, buf_slice(&changed));
    }
    uint64_t err_code = 0;
    TRY(api_call(ctx, look, "UPDATE", buf_slice(&current), &err_code));
    if (err_code != 0)
        return FAULT(ctx, FAULT_BROKER, "%s cannot be updated: error %" PRIu64, look->name,
                     err_code);
    return OK;
}

/* Sequences survive deletion: last_seq is that of the last message ever stored, present or not. */
static int state_read(struct ctx *ctx, struct slice reply, struct stream_state *out)
{
    struct stream_facts *facts = &out->facts;
    struct slice value;
    bool read = json_scan_member(reply, "state.first_seq", &value) &&
                json_scan_uint(value, &facts->first_seq) &&
                json_scan_member(reply, "state.last_seq", &value) &&
                json_scan_uint(value, &facts->last_seq) &&
                json_scan_member(reply, "state.messages", &value) &&
                json_scan_uint(value, &out->messages) &&
                json_scan_member(reply, "created", &value) &&
                json_scan_text(value, facts->created, sizeof facts->created);
    return read ? OK : FAULT(ctx, FAULT_PROTOCOL, "no state in the answer to STREAM.INFO");
}

static void drift_find(struct look *look, struct slice config, struct stream_state *out,
                       bool *changeable)
{
    out->usable = true;
    out->drift[0] = '\0';
    *changeable = false;
    for (size_t i = 0; i < look->wish_count; i++) {
        const struct wish *wish = &look->wishes[i];
        struct slice actual;
        if (!wish_differs(wish, config, &actual))
            continue;
        drift_put(out, wish, actual);
        out->usable = out->usable && wish->rule != DRIFT_FATAL;
        *changeable = *changeable || wish_is_ours_to_set(wish, actual);
    }
}

/* *actual is the server's text, empty when there is none. */
/* The server leaves out what is empty: absent, null, false and [] are one and the same. */
static bool wish_differs(const struct wish *wish, struct slice config, struct slice *actual)
{
    static const char *const nothing[] = {"", "false", "null", "[]", "{}"};
    if (!json_scan_member(config, wish->path, actual))
        *actual = slice_make(NULL, 0);
    if (wish->value[0] != '\0')
        return !value_is(*actual, wish->value);
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        if (slice_is(*actual, nothing[i]))
            return false;
    }
    return true;
}

/* The same text, or lists of one text that is the same: the server writes ">" as "\u003e". */
static bool value_is(struct slice actual, const char *wished)
{
    char texts[2][STREAM_SUBJECT_SIZE];
    struct slice item;
    if (slice_is(actual, wished))
        return true;
    return json_scan_element(actual, 0, &item) && json_scan_text(item, texts[0], sizeof texts[0]) &&
           json_scan_element(slice_of_str(wished), 0, &item) &&
           json_scan_text(item, texts[1], sizeof texts[1]) && strcmp(texts[0], texts[1]) == 0 &&
           !json_scan_element(actual, 1, &item);
}

static bool wish_is_ours_to_set(const struct wish *wish, struct slice actual)
{
    uint64_t is = 0;
    uint64_t wished = 0;
    if (!json_scan_uint(actual, &is) || !json_scan_uint(slice_of_str(wish->value), &wished))
        return false;
    switch (wish->rule) {
    case DRIFT_SET:
        return is != wished;
    case DRIFT_RAISE:
        return is != 0 && (is < wished || wished == 0);
    case DRIFT_FATAL:
    case DRIFT_REPORT:
        return false;
    }
    return false;
}

static void drift_put(struct stream_state *out, const struct wish *wish, struct slice actual)
{
    size_t used = strlen(out->drift);
    int shown = actual.size > 64 ? 64 : (int)actual.size;
    snprintf(out->drift + used, sizeof out->drift - used, "%s%s is %.*s, not %s",
             used == 0 ? "" : "; ", wish->path, shown == 0 ? 7 : shown,
             shown == 0 ? "missing" : (const char *)actual.data,
             wish->value[0] == '\0' ? "absent" : wish->value);
}
