/* One window of pipelined publishes into one stream: which message expects which sequence, which
 * acknowledgements came, and what the first bad one means.  Pure: no input or output.
 *
 * Message k expects the sequence S + k, and every message but the first also expects the Msg-Id of the
 * one before it to be the stream's last (Nats-Expected-Last-Msg-Id).  The sequences alone would not do:
 * a publisher whose S is behind by d has its first d messages refused and the next one, which expects
 * S + d, accepted.  The link makes that impossible: a message is stored only right after the one before
 * it in its own window (tests/unit/events/test_window.c shows both). */
#ifndef EVENTS_WINDOW_H
#define EVENTS_WINDOW_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_MAX 1000

/* What one acknowledgement says. */
enum ack_kind {
    ACK_STORED, /* with the sequence that was expected */
    ACK_FENCED, /* wrong last sequence: somebody else published, or a message before was refused */
    ACK_DUPLICATE, /* the server knows the Msg-Id: stored before, and no sequence was consumed */
    ACK_TOO_LARGE, /* this message will never be taken */
    ACK_REFUSED,   /* another refusal, which may pass: no space, no leader, no stream */
    ACK_STRANGE,   /* not an answer of JetStream, or one that contradicts the chain */
};
#define ACK_KIND_COUNT 6

/* For logs and metrics: "stored", "fenced", … */
const char *ack_kind_name(enum ack_kind kind);

/* Reads a publish acknowledgement.  *seq and *err_code are 0 when the answer has none. */
enum ack_kind ack_parse(struct slice payload, uint64_t *seq, uint64_t *err_code);

enum window_state { WINDOW_EMPTY, WINDOW_OPEN, WINDOW_DONE, WINDOW_BROKEN };

struct window {
    enum window_state state;
    uint64_t generation; /* distinguishes its replies from those of earlier windows */
    uint64_t base_seq;   /* the stream's last sequence before the window */
    size_t count;        /* messages */
    size_t acked;        /* stored ones so far */
    uint64_t bits[(WINDOW_MAX + 63) / 64]; /* which ones */
    enum ack_kind cause;                   /* BROKEN: what the bad acknowledgement said … */
    size_t cause_index;                    /* … and of which message */
    uint64_t cause_err_code;               /* the server's code, 0 when none */
};

/* Starts a window of `count` messages after stream sequence base_seq. */
void window_begin(struct window *window, uint64_t generation, uint64_t base_seq, size_t count);
/* The value of Nats-Expected-Last-Sequence for message `index`. */
uint64_t window_expected(const struct window *window, size_t index);
/* The sequence under which message `index` is stored when all goes well. */
uint64_t window_seq(const struct window *window, size_t index);
/* Takes one acknowledgement of this window and returns the state after it.  Answers that come twice or
 * after the window broke change nothing. */
enum window_state window_take(struct window *window, size_t index, struct slice payload);
/* For a message that could not be sent or was not answered. */
void window_break(struct window *window, size_t index, enum ack_kind cause);

/* Reply tags carry the window's generation and the message's index. */
uint64_t window_tag(const struct window *window, size_t index);
bool window_tag_matches(const struct window *window, uint64_t tag, size_t *index);

#endif
