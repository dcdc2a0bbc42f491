/* Spans in their ring: what is kept, what is dropped, who is woken; and which traces are sampled. */
#include "base/span.h"

#include "base/metrics.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static const struct metric_family dropped_family = {
    .name = "t_dropped_total", .help = "Dropped.", .kind = METRIC_COUNTER};

struct fixture {
    struct metrics *metrics;
    struct metric *dropped;
    struct span_ring *ring;
    struct trace_ctx trace;
    unsigned woken;
};

static void wake(void *owner)
{
    ((struct fixture *)owner)->woken++;
}

static void fixture_init(struct fixture *fixture, size_t size)
{
    *fixture = (struct fixture){.metrics = metrics_new()};
    fixture->dropped = metrics_series(fixture->metrics, &dropped_family, NULL);
    const struct span_ring_settings settings = {.size = size,
                                                .wake_every = size == 1 ? 1 : size / 2,
                                                .wake = wake,
                                                .owner = fixture,
                                                .dropped = fixture->dropped};
    fixture->ring = span_ring_new(&settings);
    trace_ctx_begin(&fixture->trace,
                    slice_of_str("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
}

static void fixture_deinit(struct fixture *fixture)
{
    span_ring_free(fixture->ring);
    metrics_free(fixture->metrics);
}

static bool put(struct fixture *fixture, int64_t number)
{
    struct span *span = span_reserve(fixture->ring, &fixture->trace);
    if (span == NULL)
        return false;
    span->name = "put";
    span_put_number(span, "n", number);
    span_commit(fixture->ring);
    return true;
}

START_TEST(a_span_has_the_ids_of_its_trace)
    {
        struct fixture f;
        fixture_init(&f, 8);
        struct span *span = span_reserve(f.ring, &f.trace);
        ck_assert_uint_eq(span_ring_count(f.ring), 0); /* not before it is whole */
        span->name = "A/B";
        span_put_text(span, "text", "constant");
        span_put_number(span, "number", -7);
        span_commit(f.ring);
        ck_assert_uint_eq(span_ring_count(f.ring), 1);
        const struct span *seen = span_ring_at(f.ring, 0);
        ck_assert_str_eq(seen->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        ck_assert_str_eq(seen->parent_id, "00f067aa0ba902b7");
        ck_assert_str_eq(seen->span_id, f.trace.span_id);
        ck_assert(seen->flags == TRACE_SAMPLED && !seen->parent_is_local && seen->error == NULL);
        ck_assert_uint_eq(seen->attribute_count, 2);
        ck_assert_str_eq(seen->attributes[0].text, "constant");
        ck_assert(seen->attributes[1].text == NULL && seen->attributes[1].number == -7);
        fixture_deinit(&f);
    }
END_TEST

START_TEST(a_child_stands_below_the_trace_s_own_span)
    {
        struct fixture f;
        fixture_init(&f, 8);
        struct span *span = span_reserve(f.ring, &f.trace);
        span_make_child(span);
        ck_assert_str_eq(span->parent_id, f.trace.span_id);
        ck_assert_str_ne(span->span_id, f.trace.span_id);
        ck_assert_uint_eq(strlen(span->span_id), 16);
        ck_assert(span->parent_is_local);
        ck_assert_str_eq(span->trace_id, f.trace.trace_id);
        fixture_deinit(&f);
    }
END_TEST

/* A slot is used again: nothing of the last span may show. */
START_TEST(copies_are_bounded_and_visible)
    {
        struct fixture f;
        fixture_init(&f, 1);
        char longest[SPAN_COPIES_MAX];
        memset(longest, 'x', sizeof longest);
        for (int round = 0; round < 3; round++) {
            struct span *span = span_reserve(f.ring, &f.trace);
            span_put_copy(span, "none", slice_of_str(""));
            span_put_copy(span, "space", slice_of_str("a b"));
            span_put_copy(span, "bytes", slice_of_str("\xc3\xa4"));
            span_put_copy(span, "long", slice_make(longest, sizeof longest));
            ck_assert_uint_eq(span->attribute_count, 0);
            span_put_copy(span, "host", slice_of_str("localhost"));
            span_put_copy(span, "too", slice_make(longest, SPAN_COPIES_MAX - 10));
            span_put_copy(span, "fits", slice_make(longest, SPAN_COPIES_MAX - 11));
            ck_assert_uint_eq(span->attribute_count, 2);
            ck_assert_str_eq(span->attributes[0].text, "localhost");
            ck_assert_str_eq(span->attributes[1].key, "fits");
            ck_assert_uint_eq(strlen(span->attributes[1].text), SPAN_COPIES_MAX - 11);
            span_commit(f.ring);
            span_ring_drop(f.ring, 1);
        }
        fixture_deinit(&f);
    }
END_TEST

START_TEST(a_full_ring_drops_and_counts)
    {
        struct fixture f;
        fixture_init(&f, 4);
        for (int i = 0; i < 7; i++)
            ck_assert_int_eq(put(&f, i), i < 4);
        ck_assert_uint_eq(metric_value(f.dropped), 3);
        span_ring_drop(f.ring, 1);
        ck_assert(put(&f, 7));
        ck_assert(!put(&f, 8));
        ck_assert_uint_eq(metric_value(f.dropped), 4);
        static const int64_t left[] = {1, 2, 3, 7};
        ck_assert_uint_eq(span_ring_count(f.ring), 4);
        for (size_t i = 0; i < 4; i++)
            ck_assert_int_eq(span_ring_at(f.ring, i)->attributes[0].number, left[i]);
        fixture_deinit(&f);
    }
END_TEST

START_TEST(half_a_ring_wakes_the_reader)
    {
        struct fixture f;
        fixture_init(&f, 8);
        for (unsigned i = 1; i <= 20; i++) {
            ck_assert(put(&f, i));
            ck_assert_uint_eq(f.woken, i / 4);
            if (i % 3 == 0)
                span_ring_drop(f.ring, span_ring_count(f.ring));
        }
        fixture_deinit(&f);
    }
END_TEST

#define MANY 200000

static void *write_many(void *argument)
{
    struct fixture *fixture = argument;
    for (int64_t i = 0; i < MANY; i++) {
        if (!put(fixture, i))
            sched_yield();
    }
    return NULL;
}

/* Under TSan too.  The reader looks at each span while the writer is at work beside it. */
START_TEST(two_threads_share_a_ring)
    {
        struct fixture f;
        fixture_init(&f, 64);
        pthread_t writer;
        ck_assert_int_eq(pthread_create(&writer, NULL, write_many, &f), 0);
        uint64_t seen = 0;
        int64_t last = -1;
        while (seen + metric_value(f.dropped) < MANY) {
            size_t count = span_ring_count(f.ring);
            for (size_t i = 0; i < count; i++) {
                const struct span *span = span_ring_at(f.ring, i);
                ck_assert_int_gt(span->attributes[0].number, last);
                last = span->attributes[0].number;
                ck_assert_str_eq(span->trace_id, f.trace.trace_id);
            }
            span_ring_drop(f.ring, count);
            seen += count;
        }
        ck_assert_int_eq(pthread_join(writer, NULL), 0);
        ck_assert_uint_eq(span_ring_count(f.ring), 0);
        ck_assert_uint_gt(seen, 0);
        fixture_deinit(&f);
    }
END_TEST

static unsigned sampled_of(unsigned count, double ratio)
{
    unsigned sampled = 0;
    for (unsigned i = 0; i < count; i++) {
        struct trace_ctx trace;
        trace_ctx_begin(&trace, slice_make(NULL, 0));
        trace_ctx_sample(&trace, trace_threshold(ratio));
        sampled += trace.flags == TRACE_SAMPLED;
    }
    return sampled;
}

START_TEST(roots_are_sampled_by_ratio)
    {
        ck_assert_uint_eq(sampled_of(2000, 0), 0);
        ck_assert_uint_eq(sampled_of(2000, 1), 2000);
        /* 10 standard deviations */
        ck_assert_uint_ge(sampled_of(20000, 0.25), 4400);
        ck_assert_uint_le(sampled_of(20000, 0.25), 5600);
        /* by the id's last 56 bits, whose first half decides with 0.5 */
        struct trace_ctx trace = {.trace_id = "ffffffffffffffffff80000000000000"};
        trace_ctx_sample(&trace, trace_threshold(0.5));
        ck_assert_uint_eq(trace.flags, TRACE_SAMPLED);
        struct trace_ctx below = {.trace_id = "ffffffffffffffffff7fffffffffffff"};
        trace_ctx_sample(&below, trace_threshold(0.5));
        ck_assert_uint_eq(below.flags, 0);
    }
END_TEST

START_TEST(callers_decide_about_their_traces)
    {
        static const char sampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        static const char unsampled[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        for (int ratio = 0; ratio <= 1; ratio++) {
            struct trace_ctx trace;
            trace_ctx_begin(&trace, slice_of_str(sampled));
            trace_ctx_sample(&trace, trace_threshold(ratio));
            ck_assert_uint_eq(trace.flags, TRACE_SAMPLED);
            trace_ctx_begin(&trace, slice_of_str(unsampled));
            trace_ctx_sample(&trace, trace_threshold(ratio));
            ck_assert_uint_eq(trace.flags, 0);
        }
    }
END_TEST

Suite *suite_base_span(void);
Suite *suite_base_span(void)
{
    Suite *suite = suite_create("base_span");
    TCase *tests = tcase_create("spans");
    tcase_add_test(tests, a_span_has_the_ids_of_its_trace);
    tcase_add_test(tests, a_child_stands_below_the_trace_s_own_span);
    tcase_add_test(tests, copies_are_bounded_and_visible);
    tcase_add_test(tests, a_full_ring_drops_and_counts);
    tcase_add_test(tests, half_a_ring_wakes_the_reader);
    tcase_add_test(tests, two_threads_share_a_ring);
    tcase_add_test(tests, roots_are_sampled_by_ratio);
    tcase_add_test(tests, callers_decide_about_their_traces);
    suite_add_tcase(suite, tests);
    return suite;
}
