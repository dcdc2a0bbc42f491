/* TLS 1.3 with certificates on both sides, over non-blocking sockets.  The only room that knows
 * OpenSSL's ssl library. */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "base/ctx.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* --- context: keys, trust, rules; reference counted, shared by threads ------------------------------ */

struct tls_context;

struct tls_settings {
    const char *cert_file; /* PEM: leaf, then intermediates */
    const char *key_file;  /* PEM */
    const char *ca_file;   /* PEM: what peers are verified against */
    const char *crl_file;  /* PEM: revocation lists, one of each CA; NULL: nothing is revoked */
    const char *alpn;      /* "h2": required of the peer (a fatal alert else); NULL: none offered */
    bool server;           /* server side: a client certificate is demanded */
};

/* When what a context was made of ends, in seconds since 1970; 0: there is none. */
struct tls_ends {
    int64_t leaf;
    int64_t ca;  /* of the CA that ends first */
    int64_t crl; /* of the list whose next issue is due first */
};

/* Loads and checks everything (key matches leaf, files readable, leaf and one CA at least in their validity
 * periods, a list in its period of each CA when there are lists).
 * Fault: FAULT_TLS with a text that names the file.  TLS 1.3 only, no tickets, no 0-RTT, no renegotiation, no
 * compression; peers verified with depth 3 and the purpose of their side. */
int tls_context_new(struct ctx *ctx, const struct tls_settings *settings,
                    struct tls_context **context) MUST_CHECK;
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context); /* accepts NULL */
/* From now on new streams of `context` have the keys and the trust of `fresh`, which must be of the same side
 * and ALPN and have no streams; streams that exist go on with theirs.  Frees `fresh`.  Any thread. */
void tls_context_replace(struct tls_context *context, struct tls_context *fresh);
/* Of the keys in force.  Any thread. */
void tls_context_ends(struct tls_context *context, struct tls_ends *ends);

/* --- stream: one connection ------------------------------------------------------------------------ */

struct tls_stream;

enum tls_status {
    TLS_OK,         /* done, or bytes were moved */
    TLS_WANT_READ,  /* nothing moved; try again when the socket is readable … */
    TLS_WANT_WRITE, /* … or writable */
    TLS_CLOSED,     /* the peer closed cleanly (close_notify) or the socket ended */
    TLS_FAILED,     /* alert, verification or socket error; see tls_stream_error() */
};

/* The stream does not own `fd`; it must be non-blocking. */
struct tls_stream *tls_stream_accept(struct tls_context *context, int fd);
/* `name`: the DNS name or IP address that the peer's certificate must carry. */
struct tls_stream *tls_stream_connect(struct tls_context *context, int fd, const char *name);
void tls_stream_free(struct tls_stream *stream); /* accepts NULL */

enum tls_status tls_stream_handshake(struct tls_stream *stream);
/* Reads at most `size` bytes; *count > 0 exactly when TLS_OK. */
enum tls_status tls_stream_read(struct tls_stream *stream, void *bytes, size_t size, size_t *count);
/* Writes what fits.  After TLS_WANT_… call again with the same leading bytes (a moved buffer is fine). */
enum tls_status tls_stream_write(struct tls_stream *stream, const void *bytes, size_t size,
                                 size_t *count);
/* How many messages of TLS itself (KeyUpdate, a server's tickets) may come after the handshake; one more fails
 * the stream, "flood".  Those that come before it is called count as well. */
void tls_stream_allow_updates(struct tls_stream *stream, uint32_t count);
#define TLS_UPDATES_DEFAULT 32
/* Sends close_notify if the socket takes it; never blocks. */
void tls_stream_shutdown(struct tls_stream *stream);
/* Bytes taken from the socket and not yet read: poll would not report them. */
bool tls_stream_has_pending(const struct tls_stream *stream);
/* After a read: nothing is pending and the socket was empty, so that reading again would most likely cost a
 * system call for nothing.  Wait for the socket instead. */
bool tls_stream_is_dry(const struct tls_stream *stream);

/* A short text for the log ("certificate verify failed: self-signed certificate"); valid until the
 * next call on the stream. */
const char *tls_stream_error(const struct tls_stream *stream);
/* A constant label for a counter: "no_certificate", "verify_failed", "protocol", "alpn", "timeout",
 * "reset", "flood", "other". */
const char *tls_stream_error_label(const struct tls_stream *stream);

/* The one URI of the peer leaf's subjectAltName: NULL unless there is exactly one and it holds no NUL
 * byte and only printable ASCII.  Owned by the stream; computed once after the handshake. */
const char *tls_stream_peer_uri(struct tls_stream *stream);
/* Seconds since 1970 when the peer's leaf ends; 0 before the handshake. */
int64_t tls_stream_peer_not_after(const struct tls_stream *stream);

/* What an open stream's handshake has proven: immutable, and any thread's while it lives. */
struct tls_proof;
struct buf;
struct tls_proof *tls_proof_new(const struct tls_stream *stream);
void tls_proof_free(struct tls_proof *proof);                /* accepts NULL */
const char *tls_proof_cipher(const struct tls_proof *proof); /* a constant by IANA's name */
/* Appends the leaf of the peer, or our own, in DER. */
void tls_proof_certificate(const struct tls_proof *proof, bool peer, struct buf *der);

/* The context's keys and trust were replaced after the peer was last verified. */
bool tls_stream_is_outdated(const struct tls_stream *stream);
/* Verifies the peer of an open stream again, by the trust now in force, which costs as much as a signature or
 * two.  NULL: it would be let in; else a constant label: "revoked", "expired", "untrusted". */
const char *tls_stream_distrust(struct tls_stream *stream);

/* The common loop for tasks and plain threads: performs until done or deadline.  `io` watches fd.
 * Suspend. Faults: FAULT_IO (the peer went away), FAULT_TLS, FAULT_TIMEOUT, FAULT_CANCELLED. */
struct io;
int tls_handshake_wait(struct ctx *ctx, struct tls_stream *stream, struct io *io,
                       uint64_t deadline_ns) MUST_CHECK;
/* *count is 0 when the peer closed. */
int tls_read_wait(struct ctx *ctx, struct tls_stream *stream, struct io *io, void *bytes,
                  size_t size, size_t *count, uint64_t deadline_ns) MUST_CHECK;
int tls_write_wait(struct ctx *ctx, struct tls_stream *stream, struct io *io, const void *bytes,
                   size_t size, uint64_t deadline_ns) MUST_CHECK;

#endif
