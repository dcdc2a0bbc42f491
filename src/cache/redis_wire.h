/* Bytes to and from one Redis node: a socket, and TLS over it when wanted.  Never blocks. */
#ifndef CACHE_REDIS_WIRE_H
#define CACHE_REDIS_WIRE_H

#include "cache/redis_url.h"
#include "loop/loop.h"
#include "tls/tls.h"

#include <stdbool.h>
#include <stddef.h>

struct redis_wire {
    int fd;                    /* -1: closed */
    struct io *io;             /* its watch */
    struct tls_stream *stream; /* NULL: plain */
    bool connected;            /* the TCP connection stands */
    bool opened;               /* … and the handshake is done */
    int saved_errno;           /* of a plain failure */
};

#define REDIS_WIRE_CLOSED ((struct redis_wire){.fd = -1})

/* Begins to connect.  `tls` NULL: plain.  False: the kernel refuses at once, and the wire stays closed.
 * Watching is the caller's: first for IO_WRITE. */
bool redis_wire_open(struct redis_wire *wire, struct loop *loop,
                     const struct redis_address *address, struct tls_context *tls);
/* Sends close_notify if that is possible.  A closed wire stays closed. */
void redis_wire_close(struct redis_wire *wire);

/* Continues to connect and shake hands.  TLS_OK: open. */
enum tls_status redis_wire_step(struct redis_wire *wire);
/* As tls_stream_read and _write, with or without TLS. */
enum tls_status redis_wire_read(struct redis_wire *wire, void *bytes, size_t size, size_t *count);
enum tls_status redis_wire_write(struct redis_wire *wire, const void *bytes, size_t size,
                                 size_t *count);
/* For the log. */
const char *redis_wire_error(const struct redis_wire *wire);

#endif
