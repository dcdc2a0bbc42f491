/* The publish window against a model of one JetStream stream that fails in every way it can: messages
 * lost on the way, acknowledgements lost, other publishers, duplicates, refusals. Whatever happens, what is
 * stored is gapless, in order and without a duplicate. */
#include "events/window.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the model stream ------------------------------------------------------------------------------ */

#define EVENTS_MAX 400

struct model {
    unsigned stored[EVENTS_MAX * 2]; /* event numbers in stream order */
    size_t count;
    bool known[EVENTS_MAX]; /* the duplicate window */
    bool forgets;           /* the outage was longer than the duplicate window */
};

#define NO_LINK UINT_MAX

/* Publishes one event as the server would; the acknowledgement goes to `ack`. */
static void model_publish(struct model *model, unsigned event, uint64_t expected, unsigned link,
                          char ack[160])
{
    if (model->known[event] && !model->forgets) {
        snprintf(ack, 160, "{\"stream\":\"T\",\"seq\":%zu,\"duplicate\":true}", model->count);
        return;
    }
    if (expected != model->count) {
        snprintf(
            ack, 160,
            "{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"wrong last sequence: "
            "%zu\"},\"stream\":\"T\",\"seq\":0}",
            model->count);
        return;
    }
    if (link != NO_LINK && (model->count == 0 || model->stored[model->count - 1] != link)) {
        snprintf(ack, 160, "{\"error\":{\"code\":400,\"err_code\":10070},\"seq\":0}");
        return;
    }
    model->known[event] = true;
    model->stored[model->count++] = event;
    snprintf(ack, 160, "{\"stream\":\"T\", \"seq\":%zu}", model->count);
}

static bool model_holds(const struct model *model, unsigned event)
{
    for (size_t i = 0; i < model->count; i++) {
        if (model->stored[i] == event)
            return true;
    }
    return false;
}

/* --- a relay of the algorithm's shape, on the window under test ------------------------------------- */

struct publisher {
    uint64_t last_seq; /* what it believes */
    bool asked;        /* it knows where the stream stands */
    bool unlinked;     /* the naive variant: a chain of sequences alone */
};

struct table {
    bool unsent[EVENTS_MAX];
    unsigned total;
};

static size_t pending(const struct table *table, unsigned *events, size_t limit)
{
    size_t count = 0;
    for (unsigned event = 0; event < table->total && count < limit; event++) {
        if (table->unsent[event])
            events[count++] = event;
    }
    return count;
}

/* Asks the stream; settles what it holds already. */
static void publisher_ask(struct publisher *publisher, struct model *model, struct table *table)
{
    publisher->last_seq = model->count;
    publisher->asked = true;
    for (unsigned event = 0; event < table->total; event++) {
        if (table->unsent[event] && model_holds(model, event))
            table->unsent[event] = false;
    }
}

static unsigned chance(unsigned *seed, unsigned of)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % of;
}

static void publisher_turn(struct publisher *publisher, struct model *model, struct table *table,
                           unsigned *seed)
{
    static uint64_t generation;
    unsigned events[32];
    if (!publisher->asked)
        publisher_ask(publisher, model, table);
    size_t count = pending(table, events, 1 + chance(seed, 32));
    if (count == 0)
        return;
    struct window window = {0};
    window_begin(&window, ++generation, publisher->last_seq, count);
    bool connected = true;
    for (size_t i = 0; i < count; i++) {
        char ack[160] = "";
        if (chance(seed, 60) == 0)
            connected = false;
        if (!connected)
            break;
        unsigned link = i == 0 || publisher->unlinked ? NO_LINK : events[i - 1];
        model_publish(model, events[i], window_expected(&window, i), link, ack);
        if (chance(seed, 60) != 0) /* else the acknowledgement is lost */
            window_take(&window, i, slice_of_str(ack));
    }
    if (window.state == WINDOW_DONE) {
        for (size_t i = 0; i < count; i++) {
            ck_assert(publisher->unlinked ||
                      model->stored[window_seq(&window, i) - 1] == events[i]);
            table->unsent[events[i]] = false;
        }
        publisher->last_seq += count;
        return;
    }
    publisher->asked = false;
}

/* Two relays, one of them a zombie that wakes now and then with an old belief.  Returns whether the stream
 * ends complete, in order and without duplicates. */
static bool run_schedule(unsigned seed, bool forgets, bool unlinked)
{
    struct model *model = calloc(1, sizeof *model);
    struct table table = {.total = 0};
    struct publisher publishers[2] = {{.unlinked = unlinked}, {.unlinked = unlinked}};
    model->forgets = forgets;
    for (int turn = 0; turn < 4000 && model->count < EVENTS_MAX; turn++) {
        while (table.total < EVENTS_MAX && chance(&seed, 3) == 0)
            table.unsent[table.total++] = true;
        publisher_turn(&publishers[chance(&seed, 8) == 0], model, &table, &seed);
    }
    for (int turn = 0; turn < 4000 && model->count < EVENTS_MAX; turn++)
        publisher_turn(&publishers[0], model, &table, &seed);
    bool right = model->count == EVENTS_MAX;
    for (unsigned i = 0; i < EVENTS_MAX; i++)
        right = right && model->stored[i] == i;
    free(model);
    return right;
}

START_TEST(no_schedule_breaks_the_order)
    {
        for (unsigned seed = 1; seed <= 300; seed++)
            ck_assert_msg(run_schedule(seed * 2654435761u, seed % 2 == 0, false), "seed %u", seed);
    }
END_TEST

/* The control: without the link the same model sees the order break. */
START_TEST(a_chain_of_sequences_alone_breaks_it)
    {
        unsigned broken = 0;
        for (unsigned seed = 1; seed <= 300; seed++)
            broken += !run_schedule(seed * 2654435761u, seed % 2 == 0, true);
        ck_assert_uint_gt(broken, 0);
    }
END_TEST

START_TEST(acknowledgements_are_read)
    {
        static const struct {
            const char *text;
            enum ack_kind kind;
        } cases[] = {
            {"{\"stream\":\"TENANT_00\", \"seq\":5}", ACK_STORED},
            {"{\"stream\":\"TENANT_00\",\"domain\":\"hub\",\"seq\":5,\"duplicate\":false}",
             ACK_STORED},
            {"{\"stream\":\"TENANT_00\",\"seq\":5,\"duplicate\":true}", ACK_DUPLICATE},
            {"{\"error\":{\"code\":400,\"err_code\":10071,\"description\":\"x\"},\"stream\":\"T\",\"seq\":0}",
             ACK_FENCED},
            {"{\"error\":{\"code\":400,\"err_code\":10164}}", ACK_FENCED},
            {"{\"error\":{\"code\":400,\"err_code\":10070}}", ACK_FENCED},
            {"{\"error\":{\"code\":400,\"err_code\":10054}}", ACK_TOO_LARGE},
            {"{\"error\":{\"code\":400,\"err_code\":10097}}", ACK_TOO_LARGE},
            {"{\"error\":{\"code\":503,\"err_code\":10077}}", ACK_REFUSED},
            {"{\"error\":{}}", ACK_STRANGE},
            {"{\"seq\":0}", ACK_STRANGE},
            {"{\"seq\":\"5\"}", ACK_STRANGE},
            {"", ACK_STRANGE},
            {"-ERR", ACK_STRANGE},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            uint64_t seq, code;
            ck_assert_msg(ack_parse(slice_of_str(cases[i].text), &seq, &code) == cases[i].kind,
                          "%s", cases[i].text);
        }
    }
END_TEST

START_TEST(a_window_is_done_when_all_came)
    {
        struct window window = {0};
        window_begin(&window, 7, 100, 3);
        ck_assert_uint_eq(window_expected(&window, 0), 100);
        ck_assert_uint_eq(window_seq(&window, 2), 103);
        ck_assert_int_eq(window_take(&window, 2, slice_of_str("{\"seq\":103}")), WINDOW_OPEN);
        ck_assert_int_eq(window_take(&window, 0, slice_of_str("{\"seq\":101}")), WINDOW_OPEN);
        ck_assert_int_eq(window_take(&window, 0, slice_of_str("{\"seq\":101}")), WINDOW_OPEN);
        ck_assert_int_eq(window_take(&window, 1, slice_of_str("{\"seq\":102}")), WINDOW_DONE);
    }
END_TEST

START_TEST(a_wrong_sequence_breaks_the_window)
    {
        struct window window = {0};
        window_begin(&window, 7, 100, 2);
        ck_assert_int_eq(window_take(&window, 0, slice_of_str("{\"seq\":102}")), WINDOW_BROKEN);
        ck_assert_int_eq(window.cause, ACK_STRANGE);
        ck_assert_int_eq(window_take(&window, 1, slice_of_str("{\"seq\":102}")), WINDOW_BROKEN);
    }
END_TEST

START_TEST(the_first_bad_answer_is_the_cause)
    {
        struct window window = {0};
        window_begin(&window, 7, 0, 3);
        window_take(&window, 0, slice_of_str("{\"seq\":1}"));
        window_take(&window, 1, slice_of_str("{\"error\":{\"err_code\":10054}}"));
        window_take(&window, 2, slice_of_str("{\"error\":{\"err_code\":10071}}"));
        ck_assert_int_eq(window.state, WINDOW_BROKEN);
        ck_assert_int_eq(window.cause, ACK_TOO_LARGE);
        ck_assert_uint_eq(window.cause_index, 1);
        ck_assert_uint_eq(window.cause_err_code, 10054);
    }
END_TEST

START_TEST(replies_to_an_earlier_window_do_not_match)
    {
        struct window before = {0}, window = {0};
        size_t index = 99;
        window_begin(&before, 7, 0, WINDOW_MAX);
        window_begin(&window, 8, 0, 10);
        ck_assert(window_tag_matches(&window, window_tag(&window, 9), &index));
        ck_assert_uint_eq(index, 9);
        ck_assert(!window_tag_matches(&window, window_tag(&before, 9), &index));
        ck_assert(!window_tag_matches(&before, window_tag(&window, 9), &index));
        ck_assert(!window_tag_matches(&window, window_tag(&window, 9) + 1, &index));
        ck_assert(!window_tag_matches(&(struct window){0}, 0, &index));
    }
END_TEST

Suite *suite_events_window(void);
Suite *suite_events_window(void)
{
    Suite *suite = suite_create("events_window");
    TCase *tests = tcase_create("window");
    tcase_set_timeout(tests, 30);
    tcase_add_test(tests, no_schedule_breaks_the_order);
    tcase_add_test(tests, a_chain_of_sequences_alone_breaks_it);
    tcase_add_test(tests, acknowledgements_are_read);
    tcase_add_test(tests, a_window_is_done_when_all_came);
    tcase_add_test(tests, a_wrong_sequence_breaks_the_window);
    tcase_add_test(tests, the_first_bad_answer_is_the_cause);
    tcase_add_test(tests, replies_to_an_earlier_window_do_not_match);
    suite_add_tcase(suite, tests);
    return suite;
}
