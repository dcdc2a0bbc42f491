/* The watchdog of slices: what is reported, what is not, and that the frames lead to the culprit. */
#include "tasks.h"

struct report {
    size_t count;
    uint64_t ns;
    void *frames[32];
    size_t frame_count;
};

static void on_slow(void *owner, const struct slow_slice *slice)
{
    struct report *report = owner;
    report->count++;
    report->ns = slice->ns;
    report->frame_count = slice->frame_count;
    for (size_t i = 0; i < slice->frame_count && i < 32; i++)
        report->frames[i] = slice->frames[i];
}

enum ending { BY_SLEEP, BY_YIELD, BY_RETURN };

/* Holds the CPU for 6 ms and then lets go. */
__attribute__((noinline)) static void hog(struct ctx *ctx, enum ending ending)
{
    for (uint64_t end = clock_now() + 6 * NS_PER_MS; clock_now() < end;)
        continue;
    if (ending == BY_SLEEP)
        ck_assert_int_eq(task_sleep(ctx, NS_PER_MS), WAIT_READY);
    else if (ending == BY_YIELD)
        task_yield(ctx);
    __asm__ volatile(""); /* or the last call takes this frame's place, with clang */
}

static void hog_once(struct task *task, void *argument)
{
    struct ctx ctx;
    ctx_of(&ctx, task);
    hog(&ctx, *(enum ending *)argument);
}

static bool is_within(const void *address, uintptr_t from, size_t bytes)
{
    return (uintptr_t)address > from && (uintptr_t)address < from + bytes;
}

START_TEST(a_task_that_holds_the_cpu_is_reported_with_its_frames)
{
    for (enum ending ending = BY_SLEEP; ending <= BY_RETURN; ending++) {
        struct loop *loop = loop_new(1);
        struct report report = {.count = 0};
        loop_watch_slices(loop, 5 * NS_PER_MS, on_slow, &report);
        ck_assert(task_start(loop, hog_once, &ending, NULL));
        run_out(loop);
        ck_assert_uint_ge(report.count, 1);
        bool leads_there = false;
        for (size_t i = 0; i < report.frame_count; i++)
            leads_there = leads_there || is_within(report.frames[i], (uintptr_t)hog, 4096);
        ck_assert(leads_there || ending == BY_RETURN);
        loop_free(loop);
    }
}
END_TEST

START_TEST(waiting_is_not_holding)
{
    struct loop *loop = loop_new(1);
    struct report report = {.count = 0};
    struct probe probe;
    loop_watch_slices(loop, NS_PER_S, on_slow, &report);
    probe_init(&probe);
    probe.deadline_ns = clock_now() + 20 * NS_PER_MS;
    ck_assert(task_start(loop, probe_queue, &probe, NULL));
    run_out(loop);
    ck_assert_uint_eq(report.count, 0);
    loop_free(loop);
}
END_TEST

START_TEST(nobody_is_told_after_the_watch_ended)
{
    enum ending ending = BY_YIELD;
    struct loop *loop = loop_new(1);
    struct report report = {.count = 0};
    loop_watch_slices(loop, 0, on_slow, &report);
    loop_watch_slices(loop, 0, NULL, NULL);
    ck_assert(task_start(loop, hog_once, &ending, NULL));
    run_out(loop);
    ck_assert_uint_eq(report.count, 0);
    loop_free(loop);
}
END_TEST

Suite *suite_loop_watchdog(void);

Suite *suite_loop_watchdog(void)
{
    Suite *suite = suite_create("loop/watchdog");
    TCase *slices = tcase_create("slices");
    tcase_add_test(slices, a_task_that_holds_the_cpu_is_reported_with_its_frames);
    tcase_add_test(slices, waiting_is_not_holding);
    tcase_add_test(slices, nobody_is_told_after_the_watch_ended);
    suite_add_tcase(suite, slices);
    return suite;
}
