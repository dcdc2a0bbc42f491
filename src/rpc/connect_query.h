/* The query of a Connect GET: "?connect=v1&encoding=json&message=…&base64=1". */
#ifndef RPC_CONNECT_QUERY_H
#define RPC_CONNECT_QUERY_H

#include "rpc/protocol.h"

#include "base/arena.h"

struct connect_query {
    enum codec codec;
    struct slice message;     /* decoded, in the arena */
    struct slice compression; /* as sent; {NULL, 0} when absent */
};

/* On a fault: a parameter and its rule, constants. */
struct connect_query_fault {
    const char *parameter; /* NULL: none */
    const char *rule;
    bool is_type; /* an `encoding` that is not spoken: 415 over HTTP */
};

/* Of a request, in its stream's arena. */
struct connect_get {
    struct connect_query query; /* when there is no fault */
    struct connect_query_fault fault;
};

/* `query` is what follows the question mark of :path.  *out is written when there is no fault.  Of a parameter
 * that comes twice the first counts; unknown ones are ignored. */
struct connect_query_fault connect_query_parse(struct arena *arena, struct slice query,
                                               struct connect_query *out);

#endif
