/* The span of a call, for who traces: a step of every call's end, which costs a comparison where the trace is
 * not sampled.  Names are those of OpenTelemetry's semantic conventions for RPC (ops/otlp_message.c names the
 * version), which say that a method nobody has is "_OTHER", and which codes are a server's failure. */
#include "base/span.h"
#include "base/tenant_bucket.h"

#include "rpc/connect.h"
#include "rpc/rpc_int.h"

#define PORT_DIGITS_MAX 5

static bool is_failure(enum grpc_code code);
static void put_status(struct span *span, const struct status *status, bool connect);
static void put_tenant(struct span *span, const struct uuid *tenant);
static void put_server(struct span *span, const struct request_headers *headers);
static bool port_split(struct slice *host, int64_t *port);

void call_trace(struct running_call *call, const struct status *status, uint64_t now_ns)
{
    struct ctx *ctx = &call->call.ctx;
    if (ctx->spans == NULL)
        return;
    struct span *span = span_reserve(ctx->spans, &ctx->trace);
    if (span == NULL)
        return;
    bool connect = protocol_is_connect(call->dialect.protocol);
    const char *system = connect ? "connectrpc" : "grpc";
    const char *method = call->slot == NULL ? NULL : call->slot->method->path + 1;
    span->kind = SPAN_SERVER;
    span->name = method == NULL ? system : method;
    span->began_ns = call->began_ns;
    span->ended_ns = now_ns;
    span->error = is_failure(status->code) ? status->reason : NULL;
    span_put_text(span, "rpc.system.name", system);
    span_put_text(span, "rpc.method", method == NULL ? "_OTHER" : method);
    put_status(span, status, connect);
    put_tenant(span, &call->call.tenant);
    put_server(span, call->metadata);
    if (call->h2 != NULL && call->h2->peer.port != 0) {
        span_put_copy(span, "network.peer.address", slice_of_str(call->h2->peer.address));
        span_put_number(span, "network.peer.port", call->h2->peer.port);
    }
    span_commit(ctx->spans);
}

/* The others are the caller's doing, and their own spans' failure. */
static bool is_failure(enum grpc_code code)
{
    const unsigned failures = 1u << GRPC_UNKNOWN | 1u << GRPC_DEADLINE_EXCEEDED |
                              1u << GRPC_UNIMPLEMENTED | 1u << GRPC_INTERNAL |
                              1u << GRPC_UNAVAILABLE | 1u << GRPC_DATA_LOSS;
    return (failures & 1u << code) != 0;
}

/* Connect has names for errors only. */
static void put_status(struct span *span, const struct status *status, bool connect)
{
    if (connect && status->code == GRPC_OK)
        return;
    span_put_text(span, "rpc.response.status_code",
                  connect ? connect_code_name(status->code) : grpc_code_name((int)status->code));
}

/* As the metrics' label: a tenant is nobody's business outside this platform's database. */
static void put_tenant(struct span *span, const struct uuid *tenant)
{
    char bucket[TENANT_BUCKET_TEXT];
    if (uuid_is_nil(tenant))
        return;
    tenant_bucket_format(tenant_bucket(tenant), bucket);
    span_put_copy(span, "tenant_id_hash", slice_of_str(bucket));
}

/* What the caller calls us. */
static void put_server(struct span *span, const struct request_headers *headers)
{
    struct slice host = request_headers_find(headers, slice_of_str(":authority"));
    int64_t port = 0;
    bool has_port = port_split(&host, &port);
    span_put_copy(span, "server.address", host);
    if (has_port)
        span_put_number(span, "server.port", port);
}

/* Takes ":PORT" from the end and the brackets from a numeric IPv6 address (RFC 3986 section 3.2). */
static bool port_split(struct slice *host, int64_t *port)
{
    size_t digits = 0;
    while (digits < host->size && digits <= PORT_DIGITS_MAX &&
           host->data[host->size - 1 - digits] >= '0' && host->data[host->size - 1 - digits] <= '9')
        digits++;
    bool found = digits > 0 && digits <= PORT_DIGITS_MAX && digits < host->size &&
                 host->data[host->size - 1 - digits] == ':';
    if (found) {
        for (size_t i = host->size - digits; i < host->size; i++)
            *port = *port * 10 + (host->data[i] - '0');
        host->size -= digits + 1;
    }
    if (host->size > 2 && host->data[0] == '[' && host->data[host->size - 1] == ']')
        *host = slice_make(host->data + 1, host->size - 2);
    return found;
}
