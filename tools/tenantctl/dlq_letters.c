/* Finds dead letters; see dlq_letters.h. */
#include "dlq_letters.h"

#include <stdlib.h>

#define PROGRESS_EVERY 200

static int names_take(struct cli *cli, struct letter_choice *out);
static uint64_t sequence_of(const char *name);
static bool letter_read(struct arena *arena, const struct stored_message *stored,
                        struct letter *out);
static bool is_chosen(const struct letter_choice *choice, const struct letter *letter);
static bool is_named(const struct letter_choice *choice, const struct letter *letter);

int letter_choice_take(struct cli *cli, struct letter_choice *out)
{
    *out = (struct letter_choice){
        .consumer = cli_value(cli, "consumer"),
        .cause = cli_value(cli, "cause"),
        .requeued = cli_is_on(cli, "requeued"),
    };
    TRY(event_select_take(cli, &out->select));
    TRY(names_take(cli, out));
    if (out->consumer != NULL && strcmp(out->consumer, DEAD_LETTER_RELAY) != 0 &&
        !dead_letter_consumer_ok(slice_of_str(out->consumer)))
        return cli_complain("--consumer \"%s\": expected a group's name, 1 to 64 letters, digits, "
                            "_ or -, or relay",
                            out->consumer);
    if (out->cause != NULL && !dead_letter_cause_ok(slice_of_str(out->cause)))
        return cli_complain("--cause \"%s\": expected a word such as HANDLER_FAILED", out->cause);
    out->filtered = out->consumer != NULL || out->cause != NULL || out->select.has_tenant ||
                    out->select.type != NULL || out->select.since_ns > 0 || cli_is_on(cli, "all");
    if (out->filtered && out->name_count > 0)
        return cli_complain("name letters, or choose them with flags, not both");
    return OK;
}

/* Ids in the spelling that headers have. */
static int names_take(struct cli *cli, struct letter_choice *out)
{
    const char **names = arena_alloc(cli->arena, cli->argument_count * sizeof *names);
    for (size_t i = 0; i < cli->argument_count; i++) {
        struct uuid id;
        names[i] = cli->arguments[i];
        if (sequence_of(names[i]) > 0)
            continue;
        if (!id_parse(ID_EVENT, slice_of_str(names[i]), &id))
            return cli_complain(
                "LETTER \"%s\": expected its number in TENANT_DLQ, or the id of its "
                "event, evt_ and 26 characters",
                names[i]);
        char *text = arena_alloc(cli->arena, ID_TEXT_SIZE);
        id_format(ID_EVENT, &id, text);
        names[i] = text;
    }
    out->names = names;
    out->name_count = cli->argument_count;
    return OK;
}

/* 0: not a number. */
static uint64_t sequence_of(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size < 20 && strspn(name, "0123456789") == size ? strtoull(name, NULL, 10)
                                                                       : 0;
}

int letters_visit(struct streams *streams, const struct letter_choice *choice,
                  int (*take)(void *context, const struct letter *letter), void *context)
{
    struct cli *cli = streams->cli;
    struct stream_facts facts;
    uint64_t seq = 0;
    TRY(streams_facts(streams, DEAD_LETTER_STREAM, &facts));
    if (!facts.exists || facts.messages == 0)
        return OK;
    TRY(streams_since(streams, &facts, choice->select.since_ns, &seq));
    struct arena *own = arena_new(0);
    struct arena *outer = streams_arena(streams, own);
    int rc = OK;
    for (size_t looked = 1; rc == OK && seq <= facts.last_seq; looked++) {
        struct letter letter;
        arena_reset(own);
        const struct stream_place place = {DEAD_LETTER_STREAM, DEAD_LETTER_SUBJECTS, seq};
        struct stored_message stored;
        rc = streams_next(streams, &place, &stored);
        if (rc != OK || stored.seq == 0 || stored.seq > facts.last_seq)
            break;
        seq = stored.seq + 1;
        if (looked % PROGRESS_EVERY == 0)
            progress_show(&cli->terminal, "%zu letters looked at", looked);
        if (letter_read(own, &stored, &letter) && is_chosen(choice, &letter))
            rc = take(context, &letter);
    }
    (void)streams_arena(streams, outer);
    arena_free(own);
    progress_clear(&cli->terminal);
    return rc;
}

int letter_at(struct streams *streams, uint64_t seq, struct letter *out)
{
    struct stored_message stored;
    TRY(streams_at(streams, DEAD_LETTER_STREAM, seq, &stored));
    if (stored.seq == 0 || !letter_read(streams->cli->arena, &stored, out))
        *out = (struct letter){.stored = {.seq = 0}};
    return OK;
}

static bool letter_read(struct arena *arena, const struct stored_message *stored,
                        struct letter *out)
{
    /* in the arena: what is parsed is borrowed from it */
    struct slice *headers = arena_alloc(arena, sizeof *headers);
    *headers = stored->headers;
    *out = (struct letter){.stored = *stored};
    if (!dead_letter_parse(slice_of_str(stored->subject), header_source_block(headers), &out->dead))
        return false;
    out->dead.body = stored->body;
    return true;
}

static bool is_chosen(const struct letter_choice *choice, const struct letter *letter)
{
    const struct dead_letter *dead = &letter->dead;
    if (choice->name_count > 0)
        return is_named(choice, letter);
    if (dead->kind == DEAD_LETTER_REQUEUED && !choice->requeued)
        return false;
    if (choice->consumer != NULL && !slice_is(dead->consumer, choice->consumer))
        return false;
    if (choice->cause != NULL && !slice_is(dead->cause, choice->cause))
        return false;
    if (choice->select.has_tenant && !slice_is(dead->tenant_id, choice->select.tenant))
        return false;
    return event_select_subject(&choice->select, dead->event_type) &&
           letter->stored.stored_ns >= choice->select.since_ns;
}

/* An event's id does not mean the message by which it was handed back. */
static bool is_named(const struct letter_choice *choice, const struct letter *letter)
{
    for (size_t i = 0; i < choice->name_count; i++) {
        uint64_t seq = sequence_of(choice->names[i]);
        if (seq > 0 ? seq == letter->stored.seq
                    : letter->dead.kind != DEAD_LETTER_REQUEUED &&
                          slice_is(letter->dead.event_id, choice->names[i]))
            return true;
    }
    return false;
}

const char *letter_text(struct arena *arena, struct slice text)
{
    return arena_strndup(arena, text.data, text.size);
}
