/* Called once for every Connect call, after its deadline was taken and before the program's gate. */
#include "rpc/connect.h"

#include "rpc/call_int.h"
#include "rpc/connect_query.h"
#include "rpc/h2.h"

#include "gen/errors.h"

#include <assert.h>

static int check_query(struct running_call *call);

/* "Servers may reject requests without this header": we do not, so that plain HTTP clients can call; what says
 * another version is refused. */
int connect_check(struct running_call *call)
{
    assert(protocol_is_connect(call->dialect.protocol));
    struct slice version =
        request_headers_find(call->metadata, slice_of_str("connect-protocol-version"));
    if (version.data != NULL && !slice_is(version, "1"))
        return call_refuse_field(&call->call, METADATA_INVALID, "connect-protocol-version",
                                 "must be 1");
    if (call->dialect.protocol == PROTOCOL_CONNECT_GET)
        return check_query(call);
    return OK;
}

static int check_query(struct running_call *call)
{
    const struct connect_get *get = call->get;
    if (get->fault.parameter != NULL)
        return call_refuse_field(&call->call, METADATA_INVALID, get->fault.parameter,
                                 get->fault.rule);
    assert(call->stream != NULL);
    return get->query.message.size > call->stream->framing.limit ? MESSAGE_TOO_LARGE : OK;
}
