/* tenantctl dlq requeue|drop.
 *
 * Requeueing publishes first and deletes behind that: whatever stops in between leaves the letter, and a
 * repetition within two minutes is stored once: its message id says which letter and the how manieth time. */
#include "dlq_letters.h"
#include "event_output.h"
#include "events_commands.h"

#include "events/window.h"

#include <inttypes.h>
#include <stdio.h>

#define LETTERS_MAX 100000
#define REPLY_NS (5 * NS_PER_S)

static const struct flag change_flags[] = {
    FLAG("all", NULL, "all letters; with other flags: all that these fit"),
    FLAG("dry-run", NULL, "only show which letters it would be"),
    FLAG("yes", NULL, "do not ask"),
    FLAGS_END,
};
const struct flag_set change_letters_set = {"flags", change_flags};

struct change {
    struct cli *cli;
    struct streams streams;
    struct letter_choice choice;
    struct jetstream_inbox *inbox;
    bool requeues;     /* else it drops */
    uint64_t *letters; /* chosen; in the arena */
    size_t count;
    size_t done;
    size_t refused;
};

static int change_run(struct cli *cli, bool requeues);
static int choose(struct change *change);
static int choose_one(void *context, const struct letter *letter);
static int change_all(struct change *change);
static int change_one(struct change *change, uint64_t seq);
static int requeue(struct change *change, struct letter *letter, json_t *result);
static const char *refusal_of(const struct letter *letter);
static int body_fetch(struct change *change, struct letter *letter);
static int publish(struct change *change, const struct jetstream_message *message, json_t *result);
static int letter_delete(struct change *change, uint64_t seq);
static void result_print(struct change *change, const struct letter *letter, json_t *result);

int dlq_requeue(struct cli *cli)
{
    return change_run(cli, true);
}

int dlq_drop(struct cli *cli)
{
    return change_run(cli, false);
}

static int change_run(struct cli *cli, bool requeues)
{
    struct change change = {.cli = cli, .requeues = requeues};
    TRY(letter_choice_take(cli, &change.choice));
    if (change.choice.name_count == 0 && !change.choice.filtered)
        return cli_complain("which letters? name them, choose them with flags such as --consumer, "
                            "or say --all");
    TRY(streams_open(cli, &change.streams));
    int rc = choose(&change);
    if (rc == OK && change.count > 0 && !cli_is_on(cli, "dry-run"))
        rc = change_all(&change);
    jetstream_inbox_close(change.inbox);
    int status = rc < 0 ? streams_failed(&change.streams) : rc;
    streams_close(&change.streams);
    if (status != EXIT_DONE || change.count > 0)
        return status == EXIT_DONE && change.refused > 0 ? EXIT_REFUSED : status;
    (void)cli_complain(change.choice.filtered ? "no letter is like that"
                                              : "there are no such letters (any more)");
    return change.choice.filtered ? EXIT_DONE : EXIT_NOT_FOUND;
}

/* Nothing is changed while the stream is looked through. */
static int choose(struct change *change)
{
    change->letters = arena_alloc(change->cli->arena, LETTERS_MAX * sizeof *change->letters);
    TRY(letters_visit(&change->streams, &change->choice, choose_one, change));
    if (change->count == 0 || cli_is_on(change->cli, "dry-run"))
        return OK;
    bool single = change->count == 1 && change->choice.name_count == 1 && change->requeues;
    return single ? OK
                  : cli_confirm(change->cli,
                                arena_printf(change->cli->arena, "%s %zu letter%s",
                                             change->requeues ? "Requeue" : "Drop", change->count,
                                             change->count == 1 ? "" : "s"));
}

static int choose_one(void *context, const struct letter *letter)
{
    struct change *change = context;
    if (change->count == LETTERS_MAX) {
        (void)cli_complain("these are more than %d letters: choose fewer, with --since or others",
                           LETTERS_MAX);
        return EXIT_USAGE;
    }
    change->letters[change->count++] = letter->stored.seq;
    if (cli_is_on(change->cli, "dry-run"))
        result_print(change, letter, json_pack("{s:s}", "result", "chosen"));
    return OK;
}

static int change_all(struct change *change)
{
    struct cli *cli = change->cli;
    if (change->requeues)
        TRY(jetstream_inbox_open(&cli->ctx, change->streams.js, &change->inbox));
    struct arena *own = arena_new(0);
    struct arena *outer = streams_arena(&change->streams, own);
    int rc = OK;
    for (size_t i = 0; i < change->count && rc == OK; i++) {
        arena_reset(own);
        rc = change_one(change, change->letters[i]);
    }
    (void)streams_arena(&change->streams, outer);
    arena_free(own);
    if (cli->form == FORM_TABLE)
        fprintf(stderr, "%zu %s, %zu refused\n", change->done,
                change->requeues ? "requeued" : "dropped", change->refused);
    return rc;
}

/* A letter that has gone meanwhile is somebody else's. */
static int change_one(struct change *change, uint64_t seq)
{
    struct letter letter;
    TRY(letter_at(&change->streams, seq, &letter));
    if (letter.stored.seq == 0)
        return OK;
    json_t *result = json_object();
    int rc = change->requeues ? requeue(change, &letter, result) : OK;
    bool refused = json_object_get(result, "refused") != NULL;
    if (rc == OK && !refused)
        rc = letter_delete(change, seq);
    if (rc != OK) {
        json_decref(result);
        return rc;
    }
    change->done += !refused;
    change->refused += refused;
    json_object_set_new(result, "result",
                        json_string(refused            ? "refused"
                                    : change->requeues ? "requeued"
                                                       : "dropped"));
    result_print(change, &letter, result);
    return OK;
}

static int requeue(struct change *change, struct letter *letter, json_t *result)
{
    struct cli *cli = change->cli;
    if (letter->dead.body_omitted)
        TRY(body_fetch(change, letter));
    const char *refusal = refusal_of(letter);
    if (refusal == NULL) {
        struct jetstream_message message;
        letter->dead.kind = DEAD_LETTER_REQUEUED;
        letter->dead.requeues++;
        dead_letter_message(cli->arena, &letter->dead, jetstream_max_payload(change->streams.js),
                            &message);
        if (!letter->dead.body_omitted)
            return publish(change, &message, result);
        refusal = "its event does not fit beside the headers: raise max_payload of the server";
    }
    json_object_set_new(result, "refused", json_string(refusal));
    return OK;
}

/* NULL: nothing speaks against it. */
static const char *refusal_of(const struct letter *letter)
{
    if (letter->dead.kind == DEAD_LETTER_OF_RELAY)
        return "the relay could not store it and no consumer waits for it: a tenant.event.withheld "
               "has its place.  See what it says with `dlq show`, let those who need the change "
               "read the tenant, then drop it";
    if (letter->dead.kind == DEAD_LETTER_REQUEUED)
        return "it was handed back already and waits for its consumer";
    if (letter->dead.body_omitted)
        return "its body was too large to be kept and the original has left its stream: drop it";
    return NULL;
}

/* The original may still be there, and a server may take more by now. */
static int body_fetch(struct change *change, struct letter *letter)
{
    struct stored_message original;
    const char *stream = letter_text(change->cli->arena, letter->dead.stream);
    bool ours = strncmp(stream, "TENANT_", 7) == 0 && strspn(stream + 7, "0123456789") == 2 &&
                stream[9] == '\0';
    if (!ours || letter->dead.stream_seq == 0)
        return OK;
    TRY(streams_at(&change->streams, stream, letter->dead.stream_seq, &original));
    struct slice id;
    if (original.seq == 0 || !nats_header_find(original.headers, HEADER_MSG_ID, &id) ||
        !slice_equal(id, letter->dead.event_id))
        return OK;
    letter->dead.body = original.body;
    letter->dead.body_omitted = false;
    return OK;
}

static int publish(struct change *change, const struct jetstream_message *message, json_t *result)
{
    struct ctx *ctx = &change->cli->ctx;
    uint64_t tag = change->done + change->refused + 1;
    struct jetstream_reply reply;
    bool received = true;
    ctx->deadline_ns = deadline_after(clock_now(), REPLY_NS);
    TRY(jetstream_send(ctx, change->inbox, message, tag));
    do {
        TRY(jetstream_receive(ctx, change->inbox, ctx->deadline_ns, &reply, &received));
        if (!received)
            return FAULT(ctx, FAULT_TIMEOUT, "%s: no answer (may we publish there?)",
                         message->subject);
    } while (reply.tag != tag);
    uint64_t seq = 0, err_code = 0;
    enum ack_kind kind = reply.no_responders ? ACK_REFUSED
                                             : ack_parse(reply.payload, &seq, &err_code);
    if (kind != ACK_STORED && kind != ACK_DUPLICATE)
        return FAULT(ctx, FAULT_BROKER, "%s: %s, error %" PRIu64, message->subject,
                     ack_kind_name(kind), err_code);
    json_object_set_new(result, "requeuedAs", json_integer((json_int_t)seq));
    json_object_set_new(result, "repeated", json_boolean(kind == ACK_DUPLICATE));
    return OK;
}

/* Gone already: as good as deleted. */
static int letter_delete(struct change *change, uint64_t seq)
{
    json_t *reply = NULL;
    char payload[64];
    snprintf(payload, sizeof payload, "{\"seq\":%" PRIu64 ",\"no_erase\":true}", seq);
    TRY(streams_ask(&change->streams, "STREAM.MSG.DELETE." DEAD_LETTER_STREAM, payload, &reply));
    json_decref(reply);
    return OK;
}

/* Drops the reference. */
static void result_print(struct change *change, const struct letter *letter, json_t *result)
{
    const struct cli *cli = change->cli;
    struct arena *arena = cli->arena;
    const char *event_id = letter_text(arena, letter->dead.event_id);
    const char *consumer = letter_text(arena, letter->dead.consumer);
    const char *refused = json_string_value(json_object_get(result, "refused"));
    progress_clear(&change->cli->terminal);
    if (cli->form != FORM_TABLE) {
        json_object_set_new(result, "letter", json_integer((json_int_t)letter->stored.seq));
        json_object_set_new(result, "eventId", json_string(event_id));
        json_object_set_new(result, "consumer", json_string(consumer));
        output_line(cli, result);
        return;
    }
    fprintf(cli->out, "%" PRIu64 "  %s  %s  %s%s%s\n", letter->stored.seq,
            text_clean(arena, event_id), text_clean(arena, consumer),
            json_string_value(json_object_get(result, "result")), refused == NULL ? "" : ": ",
            refused == NULL ? "" : refused);
    json_decref(result);
}
