/* Switching stacks: the smallest face over libboost-context, or over ucontext with
 * -DLOOP_SWITCH_UCONTEXT.
 *
 * Called by task.c and loop.c only.  A context runs on one thread at a time; here always on its
 * loop's. */
#ifndef LOOP_SWITCH_H
#define LOOP_SWITCH_H

#include <stddef.h>

struct hop;

/* A mapped stack with a guard page below it.  Freed only when no context will run on it again. */
struct stack {
    struct stack *next; /* in a pool */
    void *base;         /* lowest usable byte */
    size_t size;        /* usable bytes */
};

struct stack *stack_new(void); /* aborts when the kernel has no memory */
void stack_free(struct stack *stack);

typedef void switch_entry(void *argument);

/* A place to come back to.  Must not move while another context may come back to it. */
struct switch_context {
    void *place;         /* the backend's own */
    switch_entry *entry; /* until it first runs */
    void *argument;
    const void *bottom;  /* sanitizers: the stack of this context … */
    size_t size;         /* … and its bytes */
    void *fake_stack;    /* AddressSanitizer's */
    void *fiber;         /* ThreadSanitizer's */
    struct hop *hop;     /* ucontext: the switch that leads here */
};

/* Prepares a context that will run entry(argument) on the stack at the first switch to it. */
void switch_prepare(struct switch_context *context, struct stack *stack, switch_entry *entry,
                    void *argument);
/* Leaves `from` (the running one) for `to`; returns when somebody switches back to `from`. */
void switch_to(struct switch_context *from, struct switch_context *to);
/* The same for the last time: `from` will never run again, its stack may be reused after. */
void switch_away(struct switch_context *from, struct switch_context *to)
    __attribute__((noreturn));
/* Frees what the sanitizers keep of a context that has ended. */
void switch_forget(struct switch_context *context);
/* The context of the calling thread's own stack, and its end. */
void switch_adopt(struct switch_context *context);
void switch_disown(struct switch_context *context);

#endif
