/* tenantctl dlq list|show: dead letters, and what they say. */
#include "dlq_letters.h"
#include "event_output.h"
#include "events_commands.h"

#include "gen/events.h"

#include <stdio.h>

static const struct flag letters_flags[] = {
    FLAG("consumer", "GROUP", "only what this consumer group gave up; relay: what never got out"),
    FLAG("cause", "CAUSE", "only with this cause",
         .choices = "TOO_LARGE FOREIGN_SUBJECT HANDLER_FAILED CRASHED MALFORMED TENANT_NOT_FOUND"),
    FLAG("type", "TYPE", "only events of this type", .choices = EVENT_TYPE_NAMES),
    FLAG("tenant", "TENANT_ID", "only this tenant's events"),
    FLAG("since", "TIME",
         "only what was given up since then: 2h for two hours ago, or 2026-11-23T07:00:00Z"),
    FLAGS_END,
};
const struct flag_set letters_set = {"which letters", letters_flags};

static const struct flag list_flags[] = {
    FLAG("requeued", NULL, "also letters that were handed back to their consumer"),
    FLAGS_END,
};
const struct flag_set list_letters_set = {"flags", list_flags};

static const struct flag show_flags[] = {
    FLAG("raw", NULL, "the original message's bytes as they are, on standard output"),
    FLAGS_END,
};
const struct flag_set show_letter_set = {"flags", show_flags};

struct showing {
    struct streams streams;
    size_t count;
};

static int visit_all(struct cli *cli, int (*take)(void *context, const struct letter *letter),
                     size_t *count);
static int list_one(void *context, const struct letter *letter);
static int show_one(void *context, const struct letter *letter);
static const char *kind_name(enum dead_letter_kind kind);
static json_t *letter_json(struct arena *arena, const struct letter *letter);
static void letter_rows(const struct cli *cli, const struct letter *letter);
static void text_put(struct arena *arena, json_t *object, const char *name, struct slice text);

int dlq_list(struct cli *cli)
{
    size_t count = 0;
    int status = visit_all(cli, list_one, &count);
    if (status == EXIT_DONE && count == 0 && cli->form == FORM_TABLE)
        fputs("no letters\n", stderr);
    return status;
}

int dlq_show(struct cli *cli)
{
    size_t count = 0;
    int status = visit_all(cli, show_one, &count);
    if (status != EXIT_DONE || count > 0)
        return status;
    (void)cli_complain("there is no letter %s (any more)", cli->argument);
    return EXIT_NOT_FOUND;
}

static int visit_all(struct cli *cli, int (*take)(void *context, const struct letter *letter),
                     size_t *count)
{
    struct letter_choice choice;
    struct showing showing = {.count = 0};
    TRY(letter_choice_take(cli, &choice));
    TRY(streams_open(cli, &showing.streams));
    int rc = letters_visit(&showing.streams, &choice, take, &showing);
    int status = rc < 0 ? streams_failed(&showing.streams) : rc;
    streams_close(&showing.streams);
    *count = showing.count;
    return status;
}

static int list_one(void *context, const struct letter *letter)
{
    struct showing *showing = context;
    const struct cli *cli = showing->streams.cli;
    struct arena *arena = cli->arena;
    const struct dead_letter *dead = &letter->dead;
    progress_clear(&showing->streams.cli->terminal);
    if (cli->form != FORM_TABLE) {
        showing->count++;
        output_line(cli, letter_json(arena, letter));
        return OK;
    }
    if (showing->count++ == 0)
        fprintf(cli->out, "%-8s%-29s%-20s%-20s%-28s%-32s%s\n", "LETTER", "GIVEN UP", "CONSUMER",
                "CAUSE", "TYPE", "TENANT", "EVENT");
    const struct {
        struct slice text;
        int width;
    } cells[] = {{dead->consumer, 20},
                 {dead->cause, 20},
                 {dead->event_type, 28},
                 {dead->tenant_id, 32},
                 {dead->event_id, 0}};
    output_cell(cli, arena_printf(arena, "%llu", (unsigned long long)letter->stored.seq), 8);
    output_cell(cli, moment_text(arena, dead->time_us * NS_PER_US), 29);
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        output_cell(cli, text_clean(arena, letter_text(arena, cells[i].text)), cells[i].width);
    fputs(dead->kind == DEAD_LETTER_REQUEUED ? " (handed back)\n" : "\n", cli->out);
    return OK;
}

static int show_one(void *context, const struct letter *letter)
{
    struct showing *showing = context;
    const struct cli *cli = showing->streams.cli;
    showing->count++;
    if (cli_is_on(cli, "raw")) {
        struct slice body = letter->dead.body;
        return fwrite(body.data, 1, body.size, cli->out) == body.size ? OK : EXIT_BROKEN;
    }
    if (cli->form != FORM_TABLE) {
        output_line(cli, letter_json(cli->arena, letter));
        return OK;
    }
    if (showing->count > 1)
        fputc('\n', cli->out);
    letter_rows(cli, letter);
    struct seen_event event;
    if (letter->dead.body_omitted) {
        output_row(cli, "Body", "omitted: it was too large to be kept beside the headers");
    } else if (event_read(cli->arena, &letter->stored, &event) &&
               event.envelope->event_id[0] != '\0') {
        fputs("\nthe event\n", cli->out);
        event_rows(cli, &event);
    } else {
        output_row(cli, "Body",
                   arena_printf(cli->arena, "%zu bytes that are no event: see them with --raw",
                                letter->dead.body.size));
    }
    return OK;
}

static const char *kind_name(enum dead_letter_kind kind)
{
    switch (kind) {
    case DEAD_LETTER_OF_RELAY:
        return "relay";
    case DEAD_LETTER_OF_CONSUMER:
        return "consumer";
    case DEAD_LETTER_REQUEUED:
        return "requeued";
    }
    return "?";
}

static void letter_rows(const struct cli *cli, const struct letter *letter)
{
    struct arena *arena = cli->arena;
    const struct dead_letter *dead = &letter->dead;
    output_row(cli, "Letter",
               arena_printf(arena, "%llu on %s", (unsigned long long)letter->stored.seq,
                            letter->stored.subject));
    output_row(cli, "Given up",
               arena_printf(arena, "%s by %s, after %llu deliveries",
                            moment_text(arena, dead->time_us * NS_PER_US),
                            letter_text(arena, dead->consumer),
                            (unsigned long long)dead->deliveries));
    output_row(cli, "Cause", letter_text(arena, dead->cause));
    output_row(cli, "Detail", letter_text(arena, dead->detail));
    output_row(cli, "Event id", letter_text(arena, dead->event_id));
    output_row(cli, "Event type", letter_text(arena, dead->event_type));
    output_row(cli, "Tenant", letter_text(arena, dead->tenant_id));
    output_row(cli, "Sequence", letter_text(arena, dead->tenant_seq));
    if (dead->stream.size > 0)
        output_row(cli, "Original",
                   arena_printf(arena, "%s:%llu on %s", letter_text(arena, dead->stream),
                                (unsigned long long)dead->stream_seq,
                                letter_text(arena, dead->subject)));
    if (dead->requeues > 0)
        output_row(cli, "Requeues",
                   arena_printf(arena, "%llu", (unsigned long long)dead->requeues));
}

static json_t *letter_json(struct arena *arena, const struct letter *letter)
{
    const struct dead_letter *dead = &letter->dead;
    json_t *object = json_pack("{s:I, s:s, s:s, s:s, s:s}", "letter",
                               (json_int_t)letter->stored.seq, "subject", letter->stored.subject,
                               "kind", kind_name(dead->kind), "givenUpAt",
                               moment_text(arena, dead->time_us * NS_PER_US), "storedAt",
                               moment_text(arena, letter->stored.stored_ns));
    text_put(arena, object, "consumer", dead->consumer);
    text_put(arena, object, "cause", dead->cause);
    text_put(arena, object, "detail", dead->detail);
    text_put(arena, object, "eventId", dead->event_id);
    text_put(arena, object, "eventType", dead->event_type);
    text_put(arena, object, "tenantId", dead->tenant_id);
    text_put(arena, object, "tenantSequence", dead->tenant_seq);
    text_put(arena, object, "incarnation", dead->incarnation);
    text_put(arena, object, "traceparent", dead->traceparent);
    text_put(arena, object, "originalStream", dead->stream);
    text_put(arena, object, "originalSubject", dead->subject);
    if (dead->stream_seq > 0)
        json_object_set_new(object, "originalSequence", json_integer((json_int_t)dead->stream_seq));
    json_object_set_new(object, "deliveries", json_integer((json_int_t)dead->deliveries));
    json_object_set_new(object, "requeues", json_integer((json_int_t)dead->requeues));
    json_object_set_new(object, "bodyBytes", json_integer((json_int_t)dead->body.size));
    json_object_set_new(object, "bodyOmitted", json_boolean(dead->body_omitted));
    struct seen_event event;
    if (!dead->body_omitted && event_read(arena, &letter->stored, &event) &&
        event.envelope->event_id[0] != '\0')
        json_object_set_new(object, "event", event_json(arena, &event));
    return object;
}

/* Empty ones are left out; what is not UTF-8, which the form does not allow, becomes null. */
static void text_put(struct arena *arena, json_t *object, const char *name, struct slice text)
{
    if (text.size == 0)
        return;
    json_t *value = json_string(letter_text(arena, text));
    json_object_set_new(object, name, value != NULL ? value : json_null());
}
