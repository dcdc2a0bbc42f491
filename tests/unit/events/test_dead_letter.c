/* The form of dead letters: what is written is read back, what came from strangers cannot break a header, and
 * what is no letter is not taken for one. */
#include "events/dead_letter.h"

#include "base/buf.h"

#include <check.h>
#include <stdlib.h>

#define EVENT "evt_01J00000000000000000000001"
#define NO_LIMIT ((size_t)1 << 20)

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(0);
}

static void tear_down(void)
{
    arena_free(arena);
}

static struct dead_letter a_letter(enum dead_letter_kind kind)
{
    return (struct dead_letter){
        .kind = kind,
        .partition = 7,
        .consumer = slice_of_str(kind == DEAD_LETTER_OF_RELAY ? "relay" : "sync_1-a"),
        .event_id = slice_of_str(EVENT),
        .event_type = slice_of_str("tenant.org.updated.v1"),
        .tenant_id = slice_of_str("tnt_01J00000000000000000000002"),
        .tenant_seq = slice_of_str("42"),
        .incarnation = slice_of_str("3"),
        .traceparent = slice_of_str("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        .cause = slice_of_str("HANDLER_FAILED"),
        .detail = slice_of_str("table is full"),
        .stream = slice_of_str("TENANT_07"),
        .stream_seq = 9007199254740993,
        .subject = slice_of_str("tenant.org.updated.v1.07"),
        .deliveries = 10,
        .time_us = UINT64_C(1763884800123456),
        .body = slice_of_str("body"),
    };
}

static const char *header_of(const struct jetstream_message *message, const char *name)
{
    for (const struct jetstream_header *header = message->headers;
         header < message->headers + JETSTREAM_HEADERS_MAX && header->name != NULL; header++) {
        if (strcmp(header->name, name) == 0)
            return header->value;
    }
    return NULL;
}

static bool message_find(const void *from, const char *name, struct slice *value)
{
    const char *text = header_of(from, name);
    if (text != NULL)
        *value = slice_of_str(text);
    return text != NULL;
}

/* The block that a server would keep of it. */
static struct slice block_of(const struct jetstream_message *message)
{
    struct buf block = BUF_EMPTY;
    buf_put_str(&block, "NATS/1.0\r\n");
    for (const struct jetstream_header *header = message->headers;
         header < message->headers + JETSTREAM_HEADERS_MAX && header->name != NULL; header++)
        buf_printf(&block, "%s: %s\r\n", header->name, header->value);
    buf_put_str(&block, "\r\n");
    struct slice copy =
        slice_make(arena_strndup(arena, block.data, buf_size(&block)), buf_size(&block));
    buf_deinit(&block);
    return copy;
}

static void expect_same(const struct dead_letter *read, const struct dead_letter *written)
{
    ck_assert_int_eq(read->kind, written->kind);
    ck_assert_uint_eq(read->partition, written->partition);
    ck_assert(slice_equal(read->consumer, written->consumer));
    ck_assert(slice_equal(read->event_id, written->event_id));
    ck_assert(slice_equal(read->event_type, written->event_type));
    ck_assert(slice_equal(read->tenant_id, written->tenant_id));
    ck_assert(slice_equal(read->tenant_seq, written->tenant_seq));
    ck_assert(slice_equal(read->incarnation, written->incarnation));
    ck_assert(slice_equal(read->traceparent, written->traceparent));
    ck_assert(slice_equal(read->cause, written->cause));
    ck_assert(slice_equal(read->detail, written->detail));
    ck_assert(slice_equal(read->stream, written->stream));
    ck_assert_uint_eq(read->stream_seq, written->stream_seq);
    ck_assert(slice_equal(read->subject, written->subject));
    ck_assert_uint_eq(read->deliveries, written->deliveries);
    ck_assert_uint_eq(read->time_us, written->time_us);
    ck_assert_uint_eq(read->requeues, written->requeues);
    ck_assert_int_eq(read->body_omitted, written->body_omitted);
}

START_TEST(what_is_written_is_read_back)
    {
        static const struct {
            enum dead_letter_kind kind;
            uint64_t requeues;
            const char *subject;
            const char *msg_id;
        } cases[] = {
            {DEAD_LETTER_OF_RELAY, 0, "TENANT.DLQ.relay.07", "dlq:relay:" EVENT},
            {DEAD_LETTER_OF_CONSUMER, 0, "TENANT.DLQ.consumer.sync_1-a.07", "dlq:sync_1-a:" EVENT},
            {DEAD_LETTER_OF_CONSUMER, 2, "TENANT.DLQ.consumer.sync_1-a.07",
             "dlq:sync_1-a:" EVENT ":2"},
            {DEAD_LETTER_REQUEUED, 2, "TENANT.DLQ.requeue.sync_1-a.07",
             "requeue:sync_1-a:" EVENT ":2"},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct dead_letter letter = a_letter(cases[i].kind);
            struct dead_letter again;
            struct jetstream_message message;
            letter.requeues = cases[i].requeues;
            dead_letter_message(arena, &letter, NO_LIMIT, &message);
            ck_assert_str_eq(message.subject, cases[i].subject);
            ck_assert_str_eq(header_of(&message, "Nats-Msg-Id"), cases[i].msg_id);
            ck_assert_str_eq(header_of(&message, "Dlq-Time"), "2025-11-23T08:00:00.123456Z");
            ck_assert(slice_is(message.payload, "body"));
            ck_assert(dead_letter_parse(slice_of_str(message.subject),
                                        (struct header_source){message_find, &message}, &again));
            expect_same(&again, &letter);
            struct slice block = block_of(&message);
            ck_assert(dead_letter_parse(slice_of_str(message.subject), header_source_block(&block),
                                        &again));
            expect_same(&again, &letter);
        }
    }
END_TEST

START_TEST(a_body_that_does_not_fit_is_left_out)
    {
        char body[1000] = "";
        struct dead_letter letter = a_letter(DEAD_LETTER_OF_CONSUMER);
        struct dead_letter again;
        struct jetstream_message message;
        letter.body = slice_make(body, sizeof body);
        dead_letter_message(arena, &letter, NO_LIMIT, &message);
        size_t whole = jetstream_message_size(&message);
        ck_assert_ptr_null(header_of(&message, "Dlq-Body"));
        dead_letter_message(arena, &letter, whole, &message);
        ck_assert_uint_eq(message.payload.size, sizeof body);
        ck_assert(!letter.body_omitted);
        dead_letter_message(arena, &letter, whole - 1, &message);
        ck_assert_uint_eq(message.payload.size, 0);
        ck_assert_str_eq(header_of(&message, "Dlq-Body"), "omitted");
        ck_assert(letter.body_omitted);
        ck_assert(dead_letter_parse(slice_of_str(message.subject),
                                    (struct header_source){message_find, &message}, &again));
        ck_assert(again.body_omitted);
    }
END_TEST

/* Header injection: a message of a stranger with line ends in what it says of itself. */
START_TEST(foreign_bytes_stay_within_their_header)
    {
        char endless[5000];
        struct dead_letter letter = a_letter(DEAD_LETTER_OF_CONSUMER);
        struct jetstream_message message;
        memset(endless, 'x', sizeof endless);
        letter.detail = slice_of_str("one\r\nDlq-Cause: OTHER\ttwo\033[2J\x7f\xc3\xa9");
        letter.event_type = slice_make("a\0b", 3);
        letter.subject = slice_make(endless, sizeof endless);
        letter.event_id = slice_make(endless, sizeof endless);
        dead_letter_message(arena, &letter, NO_LIMIT, &message);
        ck_assert_str_eq(header_of(&message, "Dlq-Detail"), "one??Dlq-Cause: OTHER?two?[2J???");
        ck_assert_str_eq(header_of(&message, "Event-Type"), "a?b");
        ck_assert_uint_eq(strlen(header_of(&message, "Dlq-Subject")), 256);
        ck_assert_uint_lt(strlen(header_of(&message, "Nats-Msg-Id")), 400);
        letter.detail = slice_make(endless, sizeof endless);
        dead_letter_message(arena, &letter, NO_LIMIT, &message);
        ck_assert_uint_eq(strlen(header_of(&message, "Dlq-Detail")), DEAD_LETTER_DETAIL_MAX);
    }
END_TEST

/* A message that has no id: two of them must not be taken for one. */
START_TEST(without_an_event_id_the_place_names_it)
    {
        struct dead_letter letter = a_letter(DEAD_LETTER_OF_CONSUMER);
        struct dead_letter again;
        struct jetstream_message message;
        letter.event_id = slice_make(NULL, 0);
        dead_letter_message(arena, &letter, NO_LIMIT, &message);
        ck_assert_str_eq(header_of(&message, "Nats-Msg-Id"),
                         "dlq:sync_1-a:TENANT_07.9007199254740993");
        ck_assert_ptr_null(header_of(&message, "Dlq-Event-Id"));
        ck_assert(dead_letter_parse(slice_of_str(message.subject),
                                    (struct header_source){message_find, &message}, &again));
        letter.stream_seq = 0;
        dead_letter_message(arena, &letter, NO_LIMIT, &message);
        ck_assert(!dead_letter_parse(slice_of_str(message.subject),
                                     (struct header_source){message_find, &message}, &again));
    }
END_TEST

START_TEST(other_subjects_are_no_letters)
    {
        static const char *const wrong[] = {
            "",
            "TENANT.DLQ",
            "TENANT.DLQ.",
            "TENANT.DLQ.relay",
            "TENANT.DLQ.relay.",
            "TENANT.DLQ.relay.7",
            "TENANT.DLQ.relay.16",
            "TENANT.DLQ.relay.-1",
            "TENANT.DLQ.relay.007",
            "TENANT.DLQ.relay.07.x",
            "TENANT.DLQ.consumer.07",
            "TENANT.DLQ.consumer..07",
            "TENANT.DLQ.consumer.other.07", /* not whom the header names */
            "TENANT.DLQ.consumer.relay.07",
            "TENANT.DLQ.other.sync_1-a.07",
            "tenant.dlq.consumer.sync_1-a.07",
            "tenant.org.updated.v1.07",
        };
        struct dead_letter letter = a_letter(DEAD_LETTER_OF_CONSUMER);
        struct dead_letter again = {.partition = 99};
        struct jetstream_message message;
        dead_letter_message(arena, &letter, NO_LIMIT, &message);
        struct slice block = block_of(&message);
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert_msg(
                !dead_letter_parse(slice_of_str(wrong[i]), header_source_block(&block), &again),
                "taken: %s", wrong[i]);
        ck_assert_uint_eq(again.partition, 99);
    }
END_TEST

/* Each in the place of the header of the same name. */
START_TEST(wrong_headers_are_no_letters)
    {
        static const struct jetstream_header wrong[] = {
            {"Dlq-Cause", NULL},
            {"Dlq-Cause", "Too large"},
            {"Dlq-Cause", "9"},
            {"Dlq-Consumer", NULL},
            {"Dlq-Consumer", "sync.1"},
            {"Dlq-Consumer", "relay"},
            {"Dlq-Stream-Sequence", "-1"},
            {"Dlq-Stream-Sequence", "1e3"},
            {"Dlq-Deliveries", "ten"},
            {"Dlq-Time", NULL},
            {"Dlq-Time", "yesterday"},
            {"Dlq-Time", "4052-11-23T08:00:00Z"}, /* more nanoseconds than 64 bits hold */
        };
        struct dead_letter letter = a_letter(DEAD_LETTER_OF_CONSUMER);
        struct dead_letter again;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
            struct jetstream_message message;
            dead_letter_message(arena, &letter, NO_LIMIT, &message);
            for (struct jetstream_header *header = message.headers; header->name != NULL;
                 header++) {
                if (strcmp(header->name, wrong[i].name) == 0)
                    *header = (struct jetstream_header){wrong[i].value ? wrong[i].name : "Other",
                                                        wrong[i].value ? wrong[i].value : ""};
            }
            ck_assert_msg(!dead_letter_parse(slice_of_str(message.subject),
                                             (struct header_source){message_find, &message},
                                             &again),
                          "taken: %s: %s", wrong[i].name, wrong[i].value);
        }
    }
END_TEST

START_TEST(names_of_consumers)
    {
        static const char longest[] =
            "abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789";
        static const char *const wrong[] = {"", "relay", "a.b", "a b", "a>", "*", "é", "a\r"};
        ck_assert_uint_eq(strlen(longest), DEAD_LETTER_CONSUMER_MAX);
        ck_assert(dead_letter_consumer_ok(slice_of_str(longest)));
        ck_assert(!dead_letter_consumer_ok(slice_make("abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNO"
                                                      "PQRSTUVWXYZ-0123456789x",
                                                      65)));
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
            ck_assert_msg(!dead_letter_consumer_ok(slice_of_str(wrong[i])), "taken: %s", wrong[i]);
        char subject[DEAD_LETTER_SUBJECT_SIZE];
        dead_letter_subject(DEAD_LETTER_OF_CONSUMER, slice_of_str(longest), 15, subject);
        ck_assert_uint_lt(strlen(subject) + 1, DEAD_LETTER_SUBJECT_SIZE);
        ck_assert_str_eq(subject + strlen(subject) - 3, ".15");
    }
END_TEST

static bool counts_of(const char *text, struct dead_letter_counts *counts)
{
    /* memory of its own size: a byte read too far is seen */
    size_t size = strlen(text);
    char *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, text, size);
    bool read = dead_letter_counts_read(slice_make(copy, size), counts);
    free(copy);
    return read;
}

START_TEST(letters_are_counted_by_who_wrote_them)
{
    struct dead_letter_counts counts;
    ck_assert(counts_of("{\"config\":{\"subjects\":[\"TENANT.DLQ.>\"]},\"state\":{\"messages\":9,"
                        "\"num_subjects\":4,\"subjects\":{\"TENANT.DLQ.relay.03\":2,"
                        "\"TENANT.DLQ.consumer.sync.03\":3 , \"TENANT.DLQ.consumer.tenant-service.15\":1,"
                        "\"TENANT.DLQ.requeue.sync.03\":3}}}",
                        &counts));
    ck_assert_uint_eq(counts.of_relay, 2);
    ck_assert_uint_eq(counts.of_consumers, 4);
    ck_assert(counts_of("{\"state\":{\"messages\":0}}", &counts));
    ck_assert_uint_eq(counts.of_relay + counts.of_consumers, 0);
    ck_assert(!counts_of("{\"error\":{\"code\":404}}", &counts));
    ck_assert(!counts_of("{\"state\":{\"subjects\":{\"TENANT.DLQ.relay.03\":\"2\"}}}", &counts));
    ck_assert(!counts_of("", &counts));
}
END_TEST

Suite *suite_events_dead_letter(void);
Suite *suite_events_dead_letter(void)
{
    Suite *suite = suite_create("events_dead_letter");
    TCase *tests = tcase_create("dead_letter");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, what_is_written_is_read_back);
    tcase_add_test(tests, a_body_that_does_not_fit_is_left_out);
    tcase_add_test(tests, foreign_bytes_stay_within_their_header);
    tcase_add_test(tests, without_an_event_id_the_place_names_it);
    tcase_add_test(tests, other_subjects_are_no_letters);
    tcase_add_test(tests, wrong_headers_are_no_letters);
    tcase_add_test(tests, names_of_consumers);
    tcase_add_test(tests, letters_are_counted_by_who_wrote_them);
    suite_add_tcase(suite, tests);
    return suite;
}
