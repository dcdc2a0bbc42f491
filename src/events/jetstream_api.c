/* Questions to the JetStream API; see jetstream_api.h. */
#include "events/jetstream_api.h"

#include "events/json_scan.h"

/* lint-allow parameters: see jetstream_api.h */
int jetstream_api(struct ctx *ctx, struct jetstream *js, const char *verb, struct slice payload,
                  struct buf *reply, uint64_t *err_code)
{
    struct slice error;
    struct slice code;
    buf_clear(reply);
    TRY(jetstream_request(ctx, js, verb, payload, reply));
    *err_code = 0;
    if (!json_scan_member(buf_slice(reply), "error", &error))
        return OK;
    if (!json_scan_member(error, "err_code", &code) || !json_scan_uint(code, err_code) ||
        *err_code == 0)
        return FAULT(ctx, FAULT_PROTOCOL, "%s: an error without a code", verb);
    return OK;
}
