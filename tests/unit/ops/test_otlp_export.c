/* When the exporter sends, by a clock that stands still: its waits for spans and for a collector's pause. */
#include "ops/otlp_int.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <check.h>
#include <stdlib.h>

#define DUE_NS (100 * NS_PER_S)   /* of a batch that is not full */
#define PAUSE_NS (102 * NS_PER_S) /* end of what a collector asked for */

static struct otlp *otlp;

static void set_up(void)
{
    otlp = xcalloc(1, sizeof *otlp);
    otlp->due_ns = DUE_NS;
}

static void tear_down(void)
{
    free(otlp);
}

/* Regression: whoever looked during a pause began the interval anew, which put the spans off by up to 5 s more. */
START_TEST(spans_that_wait_out_a_pause_go_at_its_end)
    {
        otlp->not_before_ns = PAUSE_NS;
        ck_assert_uint_eq(otlp_next_look(otlp, 7, DUE_NS - 1), DUE_NS);
        ck_assert_uint_eq(otlp_next_look(otlp, 7, DUE_NS), PAUSE_NS);
        ck_assert_uint_eq(otlp_next_look(otlp, 8, PAUSE_NS - 1), PAUSE_NS); /* woken */
        ck_assert_uint_eq(otlp_next_look(otlp, 8, PAUSE_NS), PAUSE_NS);
    }
END_TEST

START_TEST(a_full_batch_waits_out_a_pause_too)
    {
        otlp->not_before_ns = PAUSE_NS;
        ck_assert_uint_eq(otlp_next_look(otlp, OTLP_BATCH_MAX, DUE_NS - 1), PAUSE_NS);
        ck_assert_uint_eq(otlp_next_look(otlp, OTLP_BATCH_MAX, PAUSE_NS), PAUSE_NS);
    }
END_TEST

START_TEST(a_full_batch_is_due_at_once)
    {
        ck_assert_uint_eq(otlp_next_look(otlp, OTLP_BATCH_MAX - 1, 1), DUE_NS);
        ck_assert_uint_eq(otlp_next_look(otlp, OTLP_BATCH_MAX, 1), 1);
    }
END_TEST

START_TEST(an_interval_without_spans_begins_anew)
    {
        uint64_t next = otlp_next_look(otlp, 0, DUE_NS);
        ck_assert_uint_eq(next, DUE_NS + 5 * NS_PER_S);
        ck_assert_uint_eq(otlp_next_look(otlp, 1, next - 1), next);
        ck_assert_uint_eq(otlp_next_look(otlp, 1, next), next);
    }
END_TEST

Suite *suite_ops_otlp_export(void);
Suite *suite_ops_otlp_export(void)
{
    Suite *suite = suite_create("ops_otlp_export");
    TCase *tests = tcase_create("batches");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, spans_that_wait_out_a_pause_go_at_its_end);
    tcase_add_test(tests, a_full_batch_waits_out_a_pause_too);
    tcase_add_test(tests, a_full_batch_is_due_at_once);
    tcase_add_test(tests, an_interval_without_spans_begins_anew);
    suite_add_tcase(suite, tests);
    return suite;
}
