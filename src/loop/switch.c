/* Stacks and switching between them.  The sanitizers are told of every switch, so that their stack checks
 * hold inside tasks (sanitizer/common_interface_defs.h, tsan_interface.h). */
#include "loop/switch.h"

#include "base/alloc.h"
#include "base/result.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef LOOP_SWITCH_UCONTEXT
#include <ucontext.h>
#endif

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define UNDER_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define UNDER_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN 1
#endif

#ifdef UNDER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef UNDER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Sanitizers' frames are several times larger. */
#if defined(UNDER_ASAN) || defined(UNDER_TSAN)
#define STACK_BYTES ((size_t)512 * 1024)
#else
#define STACK_BYTES ((size_t)64 * 1024)
#endif

/* Lives on the stack that is being left, so it is valid in the one that is entered. */
struct hop {
    struct switch_context *from;
    struct switch_context *to;
};

/* Inlined into their callers: after ThreadSanitizer was told of the switch, an instrumented return would be
 * booked on the other fiber's call stack. */
#define INLINED __attribute__((always_inline)) inline

static INLINED void leave(struct switch_context *from, struct switch_context *to, int last);
static void arrive(struct hop *hop, struct switch_context *here);
static INLINED void jump(struct hop *hop);
static void run_entry(struct hop *hop) __attribute__((noreturn));

/* 64 KiB are reserved, not used: the kernel gives pages as they are touched, 8 to 12 KiB for a
 * usual call. */
struct stack *stack_new(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *low = mmap(NULL, STACK_BYTES + page, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (low == MAP_FAILED || mprotect(low + page, STACK_BYTES, PROT_READ | PROT_WRITE) != 0)
        abort();
    struct stack *stack = xcalloc(1, sizeof *stack);
    stack->base = low + page; /* the page below stays PROT_NONE: an overflow is a clean SIGSEGV */
    stack->size = STACK_BYTES;
    return stack;
}

void stack_free(struct stack *stack)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
#ifdef UNDER_ASAN
    ASAN_UNPOISON_MEMORY_REGION(stack->base, stack->size);
#endif
    int rc = munmap((uint8_t *)stack->base - page, stack->size + page);
    assert(rc == 0);
    free(stack);
}

void switch_adopt(struct switch_context *context)
{
    *context = (struct switch_context){.place = NULL};
#ifdef UNDER_TSAN
    context->fiber = __tsan_get_current_fiber();
#endif
#ifdef LOOP_SWITCH_UCONTEXT
    context->place = xcalloc(1, sizeof(ucontext_t));
#endif
}

void switch_disown(struct switch_context *context)
{
#ifdef LOOP_SWITCH_UCONTEXT
    free(context->place);
#endif
    context->place = NULL;
}

void switch_to(struct switch_context *from, struct switch_context *to)
{
    struct hop hop = {.from = from, .to = to};
    leave(from, to, 0);
    jump(&hop);
}

void switch_away(struct switch_context *from, struct switch_context *to)
{
    struct hop hop = {.from = from, .to = to};
    leave(from, to, 1);
    jump(&hop);
    abort(); /* nobody comes back to a context that ended */
}

void switch_forget(struct switch_context *context)
{
#ifdef UNDER_TSAN
    __tsan_destroy_fiber(context->fiber);
#endif
#ifdef LOOP_SWITCH_UCONTEXT
    free(context->place);
#endif
    context->place = NULL;
}

/* The last argument lets AddressSanitizer free its fake stack: a context that ends is left with
 * NULL. */
static INLINED void leave(struct switch_context *from, struct switch_context *to, int last)
{
    (void)from;
    (void)to;
    (void)last;
#ifdef UNDER_ASAN
    __sanitizer_start_switch_fiber(last ? NULL : &from->fake_stack, to->bottom, to->size);
#endif
#ifdef UNDER_TSAN
    __tsan_switch_to_fiber(to->fiber, 0);
#endif
}

/* Runs on the stack just entered; tells where it came from. */
static void arrive(struct hop *hop, struct switch_context *here)
{
    (void)hop;
    (void)here;
#ifdef UNDER_ASAN
    const void *bottom = NULL;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(here->fake_stack, &bottom, &size);
    if (hop->from->bottom == NULL) { /* a thread's own stack: only the sanitizer knows its bounds */
        hop->from->bottom = bottom;
        hop->from->size = size;
    }
#endif
}

static void run_entry(struct hop *hop)
{
    struct switch_context *here = hop->to;
    switch_entry *entry = TAKE(here->entry);
    arrive(hop, here);
    entry(here->argument);
    abort(); /* an entry leaves by switch_away() */
}

#ifdef LOOP_SWITCH_UCONTEXT

/* makecontext passes ints: the pointer travels in two. */
static void begin(unsigned high, unsigned low)
{
    run_entry((struct hop *)(((uintptr_t)high << 32) | (uintptr_t)low));
}

static void prepare_place(struct switch_context *context, struct stack *stack)
{
    ucontext_t *place = xcalloc(1, sizeof *place);
    int rc = getcontext(place);
    assert(rc == 0);
    place->uc_stack.ss_sp = stack->base;
    place->uc_stack.ss_size = stack->size;
    context->place = place;
}

static INLINED void jump(struct hop *hop)
{
    struct switch_context *from = hop->from;
    ucontext_t *target = hop->to->place;
    hop->to->hop = hop;
    uintptr_t address = (uintptr_t)hop;
    if (hop->to->entry != NULL) /* its first run */
        makecontext(target, (void (*)(void))begin, 2, (unsigned)(address >> 32),
                    (unsigned)address);
    int rc = swapcontext(from->place, target);
    assert(rc == 0);
    arrive(from->hop, from); /* whoever came back left its hop here */
}

#else

/* libboost-context's C functions (boost/context/detail/fcontext.hpp has them with C linkage). */
struct transfer {
    void *place; /* the context that was left */
    void *data;  /* what it passed */
};
void *make_fcontext(void *stack_top, size_t size, void (*entry)(struct transfer));
struct transfer jump_fcontext(void *to, void *data);

static void begin(struct transfer transfer)
{
    struct hop *hop = transfer.data;
    hop->from->place = transfer.place;
    run_entry(hop);
}

static void prepare_place(struct switch_context *context, struct stack *stack)
{
    context->place = make_fcontext((uint8_t *)stack->base + stack->size, stack->size, begin);
}

static INLINED void jump(struct hop *hop)
{
    struct switch_context *from = hop->from;
    struct transfer transfer = jump_fcontext(hop->to->place, hop);
    struct hop *arriving = transfer.data;
    arriving->from->place = transfer.place;
    arrive(arriving, from);
}

#endif

void switch_prepare(struct switch_context *context, struct stack *stack, switch_entry *entry,
                    void *argument)
{
    assert(entry != NULL && stack->size == STACK_BYTES);
    *context = (struct switch_context){
        .entry = entry, .argument = argument, .bottom = stack->base, .size = stack->size};
#ifdef UNDER_ASAN
    ASAN_UNPOISON_MEMORY_REGION(stack->base, stack->size); /* what the last user's frames left */
#endif
#ifdef UNDER_TSAN
    context->fiber = __tsan_create_fiber(0);
#endif
    prepare_place(context, stack);
}
