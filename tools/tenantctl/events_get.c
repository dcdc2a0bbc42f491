/* tenantctl events get: one event, by its id or by its place.
 *
 * An id begins with the time at which it was made (UUIDv7), and an event is stored soon after that: so each
 * stream is searched from there on, for a while that --within makes longer. */
#include "event_output.h"
#include "event_select.h"
#include "events_commands.h"

#include "events/subjects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define WITHIN_NS (10 * 60 * NS_PER_S)
#define CLOCK_SLACK_NS (60 * NS_PER_S) /* clocks of the service and of NATS may differ */

static const struct flag get_flags[] = {
    FLAG("tenant", "TENANT_ID", "whose event it is: one stream is searched instead of sixteen"),
    FLAG("within", "TIME",
         "how long after it was made an event is looked for by its id (default 10m)"),
    FLAG("raw", NULL, "the message's bytes as they are, on standard output"),
    FLAGS_END,
};
const struct flag_set get_set = {"flags", get_flags};

struct search {
    struct streams streams;
    struct event_select select;
    char id[ID_TEXT_SIZE];
    char stream[STREAM_NAME_SIZE]; /* the one being searched */
    uint64_t from_ns;
    uint64_t until_ns;
    size_t looked;
};

static bool place_parse(struct arena *arena, const char *text, const char **stream, uint64_t *seq);
static int search_take(struct cli *cli, struct search *search);
static int search_all(struct search *search, struct stored_message *out);
static int search_stream(struct search *search, struct stored_message *out);
static bool is_it(const struct search *search, const struct stored_message *message);
static int not_found(struct cli *cli, const struct search *search, bool placed);
static int show(struct cli *cli, const struct stored_message *message);

int events_get(struct cli *cli)
{
    const char *stream = NULL;
    uint64_t seq = 0;
    struct search search = {.looked = 0};
    bool placed = place_parse(cli->arena, cli->argument, &stream, &seq);
    if (!placed)
        TRY(search_take(cli, &search));
    TRY(streams_open(cli, &search.streams));
    struct stored_message message;
    struct arena *scratch = arena_new(0);
    struct arena *outer = streams_arena(&search.streams, scratch);
    int rc = placed ? streams_at(&search.streams, stream, seq, &message)
                    : search_all(&search, &message);
    (void)streams_arena(&search.streams, outer);
    progress_clear(&cli->terminal);
    int status = rc != OK ? streams_failed(&search.streams) : EXIT_DONE;
    if (rc == OK)
        status = message.seq > 0 ? show(cli, &message) : not_found(cli, &search, placed);
    streams_close(&search.streams);
    arena_free(scratch);
    return status;
}

static int not_found(struct cli *cli, const struct search *search, bool placed)
{
    if (placed)
        (void)cli_complain("there is no message %s (any more)", cli->argument);
    else
        (void)cli_complain("%s was not stored between %s and %s: make the search longer with "
                           "--within; events go after 30 days",
                           search->id, moment_text(cli->arena, search->from_ns),
                           moment_text(cli->arena, search->until_ns));
    return EXIT_NOT_FOUND;
}

/* "TENANT_07:123" or "07:123". */
static bool place_parse(struct arena *arena, const char *text, const char **stream, uint64_t *seq)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL)
        return false;
    const char *number = strncmp(text, "TENANT_", 7) == 0 ? text + 7 : text;
    char *end = NULL;
    unsigned long long value = colon[1] >= '0' && colon[1] <= '9' ? strtoull(colon + 1, &end, 10)
                                                                  : 0;
    bool digits = colon - number == 2 && number[0] >= '0' && number[0] <= '1' && number[1] >= '0' &&
                  number[1] <= '9';
    if (!digits || value == 0 || *end != '\0')
        return false;
    unsigned partition = (unsigned)(number[0] - '0') * 10 + (unsigned)(number[1] - '0');
    if (partition >= PARTITION_COUNT)
        return false;
    *stream = arena_printf(arena, "TENANT_%02u", partition);
    *seq = value;
    return true;
}

static int search_take(struct cli *cli, struct search *search)
{
    struct uuid id;
    uint64_t within = WITHIN_NS;
    if (!id_parse(ID_EVENT, slice_of_str(cli->argument), &id))
        return cli_complain("EVENT \"%s\": expected evt_ and 26 characters, or a place such as "
                            "TENANT_07:123",
                            cli->argument);
    TRY(event_select_take(cli, &search->select));
    TRY(cli_duration(cli, "within", &within));
    id_format(ID_EVENT, &id, search->id);
    uint64_t made_ns = 0;
    for (int i = 0; i < 6; i++) /* milliseconds since 1970 */
        made_ns = made_ns << 8 | id.bytes[i];
    made_ns *= NS_PER_MS;
    search->from_ns = made_ns > CLOCK_SLACK_NS ? made_ns - CLOCK_SLACK_NS : 0;
    search->until_ns = made_ns + CLOCK_SLACK_NS + within;
    return OK;
}

static int search_all(struct search *search, struct stored_message *out)
{
    *out = (struct stored_message){.seq = 0};
    for (unsigned partition = 0; partition < PARTITION_COUNT && out->seq == 0; partition++) {
        stream_name(partition, search->stream);
        if (!search->select.has_tenant || search->select.only == partition)
            TRY(search_stream(search, out));
    }
    return OK;
}

static int search_stream(struct search *search, struct stored_message *out)
{
    const char *stream = search->stream;
    struct cli *cli = search->streams.cli;
    struct stream_facts facts;
    uint64_t seq = 0;
    TRY(streams_facts(&search->streams, stream, &facts));
    if (!facts.exists || facts.messages == 0)
        return OK;
    TRY(streams_since(&search->streams, &facts, search->from_ns, &seq));
    for (;;) {
        TRY(streams_next(&search->streams, &(struct stream_place){stream, ">", seq}, out));
        if (out->seq == 0 || is_it(search, out))
            return OK;
        seq = out->seq + 1;
        if (out->stored_ns > search->until_ns)
            break;
        if (++search->looked % 100 == 0)
            progress_show(&cli->terminal, "%zu events looked at, in %s", search->looked, stream);
        arena_reset(cli->arena);
    }
    *out = (struct stored_message){.seq = 0};
    return OK;
}

static bool is_it(const struct search *search, const struct stored_message *message)
{
    struct slice id;
    return nats_header_find(message->headers, HEADER_MSG_ID, &id) && slice_is(id, search->id);
}

static int show(struct cli *cli, const struct stored_message *message)
{
    struct seen_event event;
    if (cli_is_on(cli, "raw")) {
        bool fine = fwrite(message->body.data, 1, message->body.size, cli->out) ==
                    message->body.size;
        return fine ? EXIT_DONE : EXIT_BROKEN;
    }
    if (!event_read(cli->arena, message, &event)) {
        (void)cli_complain("%s:%" PRIu64 " is no event: see its bytes with --raw", message->stream,
                           message->seq);
        return EXIT_BROKEN;
    }
    if (cli->form == FORM_TABLE)
        event_rows(cli, &event);
    else
        output_value(cli, event_json(cli->arena, &event));
    return EXIT_DONE;
}
