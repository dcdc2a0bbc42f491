/* The URL of a Redis cluster: rediss://[USER]:PASSWORD@ADDRESS:PORT[,ADDRESS:PORT…] */
#ifndef CACHE_REDIS_URL_H
#define CACHE_REDIS_URL_H

#include "base/ctx.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIS_URL_NODES 32
#define REDIS_HOST_SIZE 46 /* a numeric IPv6 address and its terminator */

/* Numeric, because nothing may look up names on the loop, and because the cluster itself names its nodes
 * by address: these are what their certificates must carry. */
struct redis_address {
    char host[REDIS_HOST_SIZE]; /* "127.0.0.1", "::1" */
    uint16_t port;              /* > 0 */
};

struct redis_url {
    bool tls;             /* rediss:// */
    const char *user;     /* NULL: none given, the "default" user */
    const char *password; /* NULL: no AUTH is sent */
    struct redis_address nodes[REDIS_URL_NODES];
    size_t node_count; /* at least 1 */
};

/* Strings are in the ctx's arena, percent-decoded.  FAULT_CONFIG names the rule that was broken and never
 * repeats user, password or the URL. */
int redis_url_parse(struct ctx *ctx, struct slice text, struct redis_url *url) MUST_CHECK;

/* "127.0.0.1" or "::1" and a port; false when the host is not a numeric address or the port is not 1 to
 * 65535. */
bool redis_address_make(struct slice host, uint64_t port, struct redis_address *address);
/* "127.0.0.1:7000", "[::1]:7000", "::1:7000" (as MOVED writes it: the last colon counts). */
bool redis_address_parse(struct slice text, struct redis_address *address);
bool redis_address_equal(const struct redis_address *a, const struct redis_address *b);

#endif
