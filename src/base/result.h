/* Results of fallible functions: done, refused, or broken.
 *
 * Every fallible function returns int and must be checked:
 *   OK (0)  done;
 *   > 0     a refusal: one of the reasons of gen/errors.h.  The caller or the client understands it;
 *   < 0     a fault: something that should have worked did not.  Never compared, only forwarded;
 *           it is made by FAULT(), which writes where and why into the ctx. */
#ifndef BASE_RESULT_H
#define BASE_RESULT_H

enum { OK = 0 };

#define MUST_CHECK __attribute__((warn_unused_result))

/* What broke.  The class decides the answer (refusal_of_fault in rpc/status.c). */
enum fault_kind {
    FAULT_INTERNAL = -1,      /* a rule of our own was broken; the answer is INTERNAL */
    FAULT_TIMEOUT = -2,       /* the deadline of the work passed */
    FAULT_CANCELLED = -3,     /* the caller went away */
    FAULT_DATABASE = -4,      /* PostgreSQL or PgBouncer lost, refusing or too slow */
    FAULT_CACHE = -5,         /* Redis lost, refusing, too slow or answering nonsense */
    FAULT_BROKER = -6,        /* NATS lost, refusing or too slow */
    FAULT_IO = -7,            /* a file or socket of ours */
    FAULT_TLS = -8,           /* certificates, keys, handshake */
    FAULT_CONFIG = -9,        /* the configuration; the message names file, line and key */
    FAULT_PROTOCOL = -10,     /* a peer broke its protocol */
};

struct ctx;

/* Records kind, place, errno and the text in ctx (which may be NULL) and returns kind. */
int fault_at(struct ctx *ctx, enum fault_kind kind, const char *file, int line, const char *format,
             ...) __attribute__((format(printf, 5, 6)));

/* FAULT(ctx, FAULT_DATABASE, "connect: %s", text) */
#define FAULT(ctx, kind, ...) fault_at((ctx), (kind), __FILE__, __LINE__, __VA_ARGS__)

/* Forwards anything but OK.  The only macro with control flow. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        int try_result_ = (expression);                                                            \
        if (try_result_ != OK)                                                                     \
            return try_result_;                                                                    \
    } while (0)

/* Frees the variable at the end of its scope: AUTO(buf_free_ptr) struct buf *b = NULL;
 * The function gets the variable's address. */
#define AUTO(cleanup_function) __attribute__((cleanup(cleanup_function)))

/* Gives a pointer away: the variable is NULL afterwards, so its AUTO clean-up does nothing. */
#define TAKE(pointer)                                                                              \
    ({                                                                                             \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

#endif
