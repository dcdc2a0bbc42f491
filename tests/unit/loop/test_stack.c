/* Stacks: all of it can be used, and one byte more is a crash and nothing else. */
#include "tasks.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct deep {
    struct ctx ctx;
    size_t at_start;
    size_t least;
    unsigned levels;
};

static __attribute__((noinline)) unsigned dig(struct deep *deep, unsigned level)
{
    volatile unsigned char block[900];
    memset((void *)(uintptr_t)block, (int)(level & 0xff), sizeof block);
    size_t left = task_stack_left(&deep->ctx);
    if (left < deep->least)
        deep->least = left;
    unsigned levels = 1;
    if (left > 5 * 1024)
        levels += dig(deep, level + 1);
    else
        ck_assert_int_eq(task_sleep(&deep->ctx, NS_PER_MS), WAIT_READY);
    for (size_t i = 0; i < sizeof block; i++)
        if (block[i] != (level & 0xff))
            abort();
    return levels;
}

static void dig_task(struct task *task, void *argument)
{
    struct deep *deep = argument;
    ctx_of(&deep->ctx, task);
    deep->at_start = deep->least = task_stack_left(&deep->ctx);
    deep->levels = dig(deep, 1);
}

START_TEST(nearly_the_whole_stack_can_be_used_and_waited_on)
{
    struct loop *loop = loop_new(0);
    struct deep deeps[3];
    for (int i = 0; i < 3; i++)
        ck_assert(task_start(loop, dig_task, &deeps[i], NULL));
    run_out(loop);
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_ge(deeps[i].at_start, 62 * 1024);
        ck_assert_uint_le(deeps[i].least, 5 * 1024);
        ck_assert_uint_ge(deeps[i].levels, 30);
    }
    struct ctx plain;
    ctx_of(&plain, NULL);
    ck_assert_uint_gt(task_stack_left(&plain), 1024 * 1024);
    loop_free(loop);
}
END_TEST

static __attribute__((noinline)) unsigned overflow(unsigned level)
{
    volatile unsigned char block[512];
    block[level % sizeof block] = (unsigned char)level;
    if (block[level % sizeof block] != (unsigned char)level) /* the compiler cannot know it is not */
        return 0;
    unsigned below = overflow(level + 1);
    return below + block[level % sizeof block];
}

enum { IN_GUARD_PAGE = 42, ELSEWHERE = 43, NOWHERE = 44 };

static uintptr_t stack_base; /* of the task that overflows, in the child, for its signal handler */

static void on_fault(int number, siginfo_t *info, void *machine)
{
    (void)number;
    (void)machine;
    uintptr_t address = (uintptr_t)info->si_addr;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    _exit(address < stack_base && address >= stack_base - page ? IN_GUARD_PAGE : ELSEWHERE);
}

static void overflow_task(struct task *task, void *argument)
{
    (void)argument;
    struct ctx ctx;
    ctx_of(&ctx, task);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    /* the frame that task_stack_left() measured lies at most a page below this one */
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    stack_base = (here - task_stack_left(&ctx)) & ~(page - 1);
    _exit(overflow(0) == 0 ? NOWHERE : ELSEWHERE);
}

static void overflow_in_child(void)
{
    static char signal_stack[64 * 1024]; /* the handler cannot run on a full stack */
    stack_t other = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaltstack(&other, NULL);
    sigaction(SIGSEGV, &action, NULL);
    struct loop *loop = loop_new(0);
    for (int i = 0; i < 4; i++) /* neighbours, which an overflow without a guard could run into */
        task_start(loop, overflow_task, NULL, NULL);
    loop_turn(loop, 0);
    _exit(NOWHERE);
}

START_TEST(overflow_hits_the_guard_page)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0)
        overflow_in_child();
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), IN_GUARD_PAGE);
}
END_TEST

Suite *suite_loop_stack(void);
Suite *suite_loop_stack(void)
{
    Suite *suite = suite_create("loop/stack");
    TCase *stacks = tcase_create("stacks");
    tcase_set_timeout(stacks, 30);
    tcase_add_test(stacks, nearly_the_whole_stack_can_be_used_and_waited_on);
    tcase_add_test(stacks, overflow_hits_the_guard_page);
    suite_add_tcase(suite, stacks);
    return suite;
}
