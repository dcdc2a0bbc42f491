/* A call from its headers to its last byte: what call.h's functions work on. */
#ifndef RPC_CALL_INT_H
#define RPC_CALL_INT_H

#include "base/list.h"

#include "loop/task.h"
#include "rpc/call.h"
#include "rpc/connect_query.h"
#include "rpc/framing.h"
#include "rpc/protocol.h"
#include "rpc/request_headers.h"
#include "rpc/status.h"

/* per block; a handler that sets more is a bug (asserted) */
#define CALL_HEADERS_MAX 16

struct h2_stream;
struct rpc_worker;
struct method_slot;

/* Both in the call's arena. */
struct call_header {
    const char *key;    /* lower-case */
    struct slice value; /* ready for the wire */
};

/* At most CALL_HEADERS_MAX; made with the first one. */
struct call_header_list {
    struct call_header *items;
    size_t count;
};

/* Lives in its own arena.  Belongs to the stream until the task starts, to the task while that runs, and
 * to the stream again until the answer is sent. */
struct running_call {
    struct call call;
    struct rpc_worker *worker;
    struct h2 *h2;                 /* the connection while it lives; NULL after */
    struct h2_stream *stream;      /* weak: NULL once the client went away */
    struct list_node running_node; /* on h2->running_calls while its task runs */
    struct list_node reader_node;  /* on h2->readers */
    bool running;                  /* its task was started and has not ended */
    bool reported;                 /* counted and logged: a call is so once */
    struct arena *arena;           /* owns this struct */
    struct dialect dialect;        /* how it is spoken */
    const struct connect_get *get; /* of a Connect GET */
    struct method_slot *slot;      /* the method with its registration; NULL when unknown */
    const struct request_headers *metadata; /* as it came */
    struct call_header_list headers;        /* of the answer */
    struct call_header_list trailers;
    ProtobufCMessage *request; /* unpacked, in the arena */
    uint64_t began_ns;         /* headers complete */
    int result;                /* of gate, match or handler */
    struct slice reply;        /* the response, framed unless its dialect is bare */
    bool client_inflates;      /* it understands gzip … */
    bool compresses;           /* … and messages of the answer are sent so */
    bool sends_gzip;           /* the answer's headers say so */
    bool was_compressed;       /* the last message that came */
    /* A streaming call's place among its identity's, while it runs. */
    struct stream_share *share;
    struct task *task;     /* NULL before it first ran and after it ended */
    struct waitq readable; /* a streaming method's task waits for the client's next message … */
    struct waitq writable; /* … or for room in the outbox; both unused by others */
    struct arena *message_arena; /* of the last received message; NULL: none yet */
};

struct running_call *running_call_of(struct call *call);
/* The header by which the client asks for a time-out, as its protocol has it; {NULL, 0}: none was sent. */
struct slice call_timeout_asked(const struct running_call *running);
/* The client will hear no more of this running call: its task is cancelled and frees it at its end. */
void call_leave_stream(struct running_call *running);
/* call_stream.c: before the task of a streaming method starts. */
void call_stream_init(struct running_call *running);
/* Gives the call's memory back; the struct is gone with it. */
void call_free(struct running_call *running);
/* message.c.  Inflates, scans and unpacks or parses one message into `arena`.  Refusals: MESSAGE_TOO_LARGE,
 * MESSAGE_TOO_COMPLEX, MESSAGE_MALFORMED.  Fault: it does not inflate. */
int call_message_take(struct running_call *running, const struct framing *framing,
                      struct arena *arena, ProtobufCMessage **message) MUST_CHECK;
/* message_fault.c.  What broke the framing: OK, MESSAGE_TOO_LARGE, REQUEST_CARDINALITY or FAULT_PROTOCOL. */
int call_framing_fault(struct running_call *running, enum framing_result result) MUST_CHECK;
/* OK, or FAULT_INTERNAL where a response of this size is over limits.response_bytes.  Both count the limit. */
int call_response_fault(struct running_call *running, size_t size) MUST_CHECK;
/* Puts the prefix before the `size` bytes of a packed message at place + FRAME_PREFIX_SIZE, which it compresses
 * where that was asked for and helps.  The framed size. */
size_t call_message_frame(struct running_call *running, uint8_t *place, size_t size);
/* The last steps of a call (dispatch.h), at `now_ns` (clock_now()).  Once per call. */
void call_finished(struct running_call *running, const struct status *status, uint64_t now_ns);
/* Three of them. */
void call_trace(struct running_call *running, const struct status *status, uint64_t now_ns);
void call_count(struct running_call *running, const struct status *status, uint64_t now_ns);
void call_log(struct running_call *running, const struct status *status, uint64_t now_ns);

#endif
