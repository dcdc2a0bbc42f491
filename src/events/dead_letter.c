/* The form of dead letters; see dead_letter.h.  Called by the relay, by consumers and by tenantctl: all three
 * must write and read the same. */
#include "events/dead_letter.h"

#include "events/json_scan.h"
#include "events/subjects.h"

#include "base/clock.h"

#include "domain/tenant_query.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

/* of what is copied from an original; our own event ids and subjects are far below */
#define TEXT_MAX 256
#define BODY_OMITTED "omitted"
#define PREFIX "TENANT.DLQ."

static const char *const kind_tokens[] = {
    [DEAD_LETTER_OF_RELAY] = DEAD_LETTER_RELAY,
    [DEAD_LETTER_OF_CONSUMER] = "consumer",
    [DEAD_LETTER_REQUEUED] = "requeue",
};

/* A header and the text of a letter that it holds. */
struct text_header {
    const char *name;
    size_t offset; /* of the slice in struct dead_letter */
    size_t max;    /* longer ones are cut */
    bool needed;   /* without it a message is no letter */
};
#define TEXT(header, member, max, needed)                                                          \
    {                                                                                              \
        header, offsetof(struct dead_letter, member), max, needed                                  \
    }
static const struct text_header text_headers[] = {
    TEXT(HEADER_EVENT_TYPE, event_type, TEXT_MAX, false),
    TEXT(HEADER_TENANT_ID, tenant_id, TEXT_MAX, false),
    TEXT(HEADER_TENANT_SEQ, tenant_seq, TEXT_MAX, false),
    TEXT(HEADER_INCARNATION, incarnation, TEXT_MAX, false),
    TEXT(HEADER_TRACEPARENT, traceparent, TEXT_MAX, false),
    TEXT(HEADER_DLQ_EVENT_ID, event_id, TEXT_MAX, false),
    TEXT(HEADER_DLQ_CAUSE, cause, DEAD_LETTER_CAUSE_MAX, true),
    TEXT(HEADER_DLQ_DETAIL, detail, DEAD_LETTER_DETAIL_MAX, false),
    TEXT(HEADER_DLQ_CONSUMER, consumer, DEAD_LETTER_CONSUMER_MAX, true),
    TEXT(HEADER_DLQ_STREAM, stream, TEXT_MAX, false),
    TEXT(HEADER_DLQ_SUBJECT, subject, TEXT_MAX, false),
};
#define TEXT_HEADERS (sizeof text_headers / sizeof text_headers[0])

/* The same for numbers; 0 has no header. */
struct number_header {
    const char *name;
    size_t offset;
};
static const struct number_header number_headers[] = {
    {HEADER_DLQ_STREAM_SEQ, offsetof(struct dead_letter, stream_seq)},
    {HEADER_DLQ_DELIVERIES, offsetof(struct dead_letter, deliveries)},
    {HEADER_DLQ_REQUEUES, offsetof(struct dead_letter, requeues)},
};
#define NUMBER_HEADERS (sizeof number_headers / sizeof number_headers[0])

/* and the message id, the time and the note about the body */
static_assert(TEXT_HEADERS + NUMBER_HEADERS + 3 <= JETSTREAM_HEADERS_MAX, "every header has room");

static struct slice text_of(const struct dead_letter *letter, const struct text_header *header);
static uint64_t number_of(const struct dead_letter *letter, const struct number_header *header);
static void header_put(struct jetstream_message *message, const char *name, const char *value);
static char *printable(struct arena *arena, struct slice text, size_t max);
static char *message_id(struct arena *arena, const struct dead_letter *letter);
static bool subject_parse(struct slice subject, struct dead_letter *letter);
static bool token_take(struct slice *rest, struct slice *token);
static bool partition_parse(struct slice token, unsigned *partition);
static bool sender_ok(enum dead_letter_kind kind, struct slice consumer);
static bool block_find(const void *from, const char *name, struct slice *value);

bool dead_letter_consumer_ok(struct slice name)
{
    if (name.size == 0 || name.size > DEAD_LETTER_CONSUMER_MAX || slice_is(name, DEAD_LETTER_RELAY))
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        bool letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
        if (!letter && !(byte >= '0' && byte <= '9') && byte != '_' && byte != '-')
            return false;
    }
    return true;
}

bool dead_letter_cause_ok(struct slice cause)
{
    if (cause.size == 0 || cause.size > DEAD_LETTER_CAUSE_MAX)
        return false;
    for (size_t i = 0; i < cause.size; i++) {
        uint8_t byte = cause.data[i];
        bool first = byte >= 'A' && byte <= 'Z';
        if (!first && (i == 0 || (!(byte >= '0' && byte <= '9') && byte != '_')))
            return false;
    }
    return true;
}

/* The consumer's name may be that of the relay for the relay's kind alone: its letters' message ids must not
 * meet those of a group. */
void dead_letter_message(struct arena *arena, struct dead_letter *letter, size_t max_size,
                         struct jetstream_message *out)
{
    char *subject = arena_alloc(arena, DEAD_LETTER_SUBJECT_SIZE);
    char *time = arena_alloc(arena, CLOCK_TEXT_SIZE);
    assert(sender_ok(letter->kind, letter->consumer) && dead_letter_cause_ok(letter->cause));
    dead_letter_subject(letter->kind, letter->consumer, letter->partition, subject);
    *out = (struct jetstream_message){.subject = subject, .payload = letter->body};
    header_put(out, HEADER_MSG_ID, message_id(arena, letter));
    for (size_t i = 0; i < TEXT_HEADERS; i++) {
        struct slice text = text_of(letter, &text_headers[i]);
        if (text.size > 0)
            header_put(out, text_headers[i].name, printable(arena, text, text_headers[i].max));
    }
    for (size_t i = 0; i < NUMBER_HEADERS; i++) {
        uint64_t number = number_of(letter, &number_headers[i]);
        if (number > 0)
            header_put(out, number_headers[i].name, arena_printf(arena, "%" PRIu64, number));
    }
    clock_format(letter->time_us * NS_PER_US, time);
    header_put(out, HEADER_DLQ_TIME, time);
    letter->body_omitted = letter->body_omitted || jetstream_message_size(out) > max_size;
    if (!letter->body_omitted)
        return;
    out->payload = slice_make(NULL, 0);
    header_put(out, HEADER_DLQ_BODY, BODY_OMITTED);
}

struct header_source header_source_block(const struct slice *block)
{
    return (struct header_source){.find = block_find, .from = block};
}

/* A letter without an event id must say where the original lies, or nobody could tell two of them apart. */
bool dead_letter_parse(struct slice subject, struct header_source source, struct dead_letter *out)
{
    struct dead_letter letter = {0};
    struct slice value;
    if (!subject_parse(subject, &letter))
        return false;
    struct slice addressee = letter.consumer;
    for (size_t i = 0; i < TEXT_HEADERS; i++) {
        bool found = source.find(source.from, text_headers[i].name, &value);
        if (found)
            memcpy((char *)&letter + text_headers[i].offset, &value, sizeof value);
        if (!found && text_headers[i].needed)
            return false;
    }
    for (size_t i = 0; i < NUMBER_HEADERS; i++) {
        uint64_t number = 0;
        if (!source.find(source.from, number_headers[i].name, &value))
            continue;
        if (!json_scan_uint(value, &number))
            return false;
        memcpy((char *)&letter + number_headers[i].offset, &number, sizeof number);
    }
    bool dated = source.find(source.from, HEADER_DLQ_TIME, &value) &&
                 time_parse_rfc3339(value, &letter.time_us) &&
                 letter.time_us <= UINT64_MAX / NS_PER_US;
    letter.body_omitted = source.find(source.from, HEADER_DLQ_BODY, &value) &&
                          slice_is(value, BODY_OMITTED);
    bool named = letter.event_id.size > 0 || (letter.stream.size > 0 && letter.stream_seq > 0);
    if (!dated || !named || !slice_equal(letter.consumer, addressee) ||
        !sender_ok(letter.kind, letter.consumer) || !dead_letter_cause_ok(letter.cause))
        return false;
    *out = letter;
    return true;
}

void dead_letter_subject(enum dead_letter_kind kind, struct slice consumer, unsigned partition,
                         char out[DEAD_LETTER_SUBJECT_SIZE])
{
    assert(partition < PARTITION_COUNT);
    if (kind == DEAD_LETTER_OF_RELAY) {
        snprintf(out, DEAD_LETTER_SUBJECT_SIZE, PREFIX DEAD_LETTER_RELAY ".%02u", partition);
        return;
    }
    assert(dead_letter_consumer_ok(consumer));
    snprintf(out, DEAD_LETTER_SUBJECT_SIZE, PREFIX "%s.%.*s.%02u", kind_tokens[kind],
             (int)consumer.size, (const char *)consumer.data, partition);
}

static struct slice text_of(const struct dead_letter *letter, const struct text_header *header)
{
    struct slice text;
    memcpy(&text, (const char *)letter + header->offset, sizeof text);
    return text;
}

static uint64_t number_of(const struct dead_letter *letter, const struct number_header *header)
{
    uint64_t number;
    memcpy(&number, (const char *)letter + header->offset, sizeof number);
    return number;
}

static void header_put(struct jetstream_message *message, const char *name, const char *value)
{
    size_t count = 0;
    while (message->headers[count].name != NULL)
        count++;
    assert(count < JETSTREAM_HEADERS_MAX);
    message->headers[count] = (struct jetstream_header){name, value};
}

/* A header's value is one line; what a reader shows must not move his cursor either. */
static char *printable(struct arena *arena, struct slice text, size_t max)
{
    size_t size = text.size < max ? text.size : max;
    char *copy = arena_strndup(arena, text.data, size);
    for (size_t i = 0; i < size; i++) {
        if (text.data[i] < 0x20 || text.data[i] > 0x7E)
            copy[i] = '?';
    }
    return copy;
}

/* Letters of the same event by the same consumer are one; a requeued message is not the letter that it came
 * from. */
static char *message_id(struct arena *arena, const struct dead_letter *letter)
{
    const char *event = printable(arena, letter->event_id, TEXT_MAX);
    const char *consumer = printable(arena, letter->consumer, DEAD_LETTER_CONSUMER_MAX);
    const char *number = "";
    if (event[0] == '\0')
        event = arena_printf(arena, "%s.%" PRIu64, printable(arena, letter->stream, TEXT_MAX),
                             letter->stream_seq);
    if (letter->kind == DEAD_LETTER_REQUEUED || letter->requeues > 0)
        number = arena_printf(arena, ":%" PRIu64, letter->requeues);
    return arena_printf(arena, "%s:%s:%s%s",
                        letter->kind == DEAD_LETTER_REQUEUED ? "requeue" : "dlq", consumer, event,
                        number);
}

/* Kind, consumer and partition, which the headers must agree with. */
static bool subject_parse(struct slice subject, struct dead_letter *letter)
{
    struct slice token;
    if (!slice_starts_with(subject, PREFIX))
        return false;
    struct slice rest = slice_skip(subject, strlen(PREFIX));
    if (!token_take(&rest, &token))
        return false;
    letter->consumer = token;
    if (slice_is(token, kind_tokens[DEAD_LETTER_OF_CONSUMER]))
        letter->kind = DEAD_LETTER_OF_CONSUMER;
    else if (slice_is(token, kind_tokens[DEAD_LETTER_REQUEUED]))
        letter->kind = DEAD_LETTER_REQUEUED;
    else if (slice_is(token, kind_tokens[DEAD_LETTER_OF_RELAY]))
        return partition_parse(rest, &letter->partition);
    else
        return false;
    return token_take(&rest, &letter->consumer) && partition_parse(rest, &letter->partition);
}

static bool token_take(struct slice *rest, struct slice *token)
{
    const uint8_t *dot = rest->size == 0 ? NULL : memchr(rest->data, '.', rest->size);
    if (dot == NULL)
        return false;
    *token = slice_make(rest->data, (size_t)(dot - rest->data));
    *rest = slice_skip(*rest, token->size + 1);
    return true;
}

static bool partition_parse(struct slice token, unsigned *partition)
{
#ifdef PLANTED_BUG /* for tests/fuzz: a short token is read too far */
    if (token.size > 2)
        return false;
#else
    if (token.size != 2)
        return false;
#endif
    unsigned tens = token.data[0] - (unsigned)'0';
    unsigned units = token.data[1] - (unsigned)'0';
    if (tens > 9 || units > 9 || tens * 10 + units >= PARTITION_COUNT)
        return false;
    *partition = tens * 10 + units;
    return true;
}

static bool sender_ok(enum dead_letter_kind kind, struct slice consumer)
{
    return kind == DEAD_LETTER_OF_RELAY ? slice_is(consumer, DEAD_LETTER_RELAY)
                                        : dead_letter_consumer_ok(consumer);
}

static bool block_find(const void *from, const char *name, struct slice *value)
{
    const struct slice *block = from;
    return nats_header_find(*block, name, value);
}

/* An empty stream has no subjects.  A server that sends more than one page (of 100,000 subjects) has letters
 * enough in the first. */
bool dead_letter_counts_read(struct slice reply, struct dead_letter_counts *out)
{
    struct slice state;
    struct slice subjects;
    struct slice name;
    struct slice value;
    uint64_t number = 0;
    *out = (struct dead_letter_counts){.of_relay = 0};
    if (!json_scan_member(reply, "state", &state))
        return false;
    if (!json_scan_member(state, "subjects", &subjects))
        return true;
    while (json_scan_next(&subjects, &name, &value)) {
        if (!json_scan_uint(value, &number))
            return false;
        if (slice_starts_with(name, "\"" PREFIX DEAD_LETTER_RELAY "."))
            out->of_relay += number;
        else if (slice_starts_with(name, "\"" PREFIX "consumer."))
            out->of_consumers += number;
    }
    return true;
}
