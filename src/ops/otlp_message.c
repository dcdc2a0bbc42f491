/* From records to protobuf messages, without a copy of any text.  Called by the exporter for every batch; the
 * names are those of the semantic conventions that SCHEMA_URL stands for. */
#include "ops/otlp_message.h"

#include "base/clock.h"

#include <assert.h>

/* The conventions for RPC and databases are stable in it. */
#define SCHEMA_URL "https://opentelemetry.io/schemas/1.45.0"
#define SCOPE_NAME "tenant-service"
#define TRACE_ID_BYTES 16
#define SPAN_ID_BYTES 8

static Opentelemetry__Proto__Resource__V1__Resource *resource_make(
    struct arena *arena, const struct otlp_resource *resource);
static Opentelemetry__Proto__Trace__V1__ScopeSpans *scope_make(struct arena *arena,
                                                               const struct otlp_batch *batch);
static Opentelemetry__Proto__Trace__V1__Span *span_make(struct arena *arena,
                                                        const struct otlp_batch *batch,
                                                        const struct span *span);
static void put_attributes(struct arena *arena, const struct span *span,
                           Opentelemetry__Proto__Trace__V1__Span *out);
static void put_error(struct arena *arena, const char *error,
                      Opentelemetry__Proto__Trace__V1__Span *out);
static Opentelemetry__Proto__Common__V1__KeyValue *attribute_make(
    struct arena *arena, const struct span_attribute *attribute);
static uint32_t flags_of(const struct span *span);
static uint64_t wall_of(const struct otlp_moment *moment, uint64_t then_ns);
static ProtobufCBinaryData id_bytes(struct arena *arena, const char *hex, size_t size);
static char *borrowed(const char *text);

Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest *otlp_message_make(
    struct arena *arena, const struct otlp_batch *batch)
{
    assert(batch->count > 0);
    Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest *request =
        arena_alloc(arena, sizeof *request);
    opentelemetry__proto__collector__trace__v1__export_trace_service_request__init(request);
    Opentelemetry__Proto__Trace__V1__ResourceSpans *from = arena_alloc(arena, sizeof *from);
    opentelemetry__proto__trace__v1__resource_spans__init(from);
    request->n_resource_spans = 1;
    request->resource_spans = arena_alloc(arena, sizeof(void *));
    request->resource_spans[0] = from;
    from->resource = resource_make(arena, batch->resource);
    from->schema_url = borrowed(SCHEMA_URL);
    from->n_scope_spans = 1;
    from->scope_spans = arena_alloc(arena, sizeof(void *));
    from->scope_spans[0] = scope_make(arena, batch);
    return request;
}

static Opentelemetry__Proto__Resource__V1__Resource *resource_make(
    struct arena *arena, const struct otlp_resource *resource)
{
    const struct span_attribute attributes[] = {
        {.key = "service.name", .text = resource->service},
        {.key = "service.version", .text = resource->version},
        {.key = "service.instance.id", .text = resource->instance},
        {.key = "deployment.environment.name", .text = resource->environment},
        {.key = "cloud.region", .text = resource->region},
    };
    const size_t count = sizeof attributes / sizeof attributes[0];
    Opentelemetry__Proto__Resource__V1__Resource *out = arena_alloc(arena, sizeof *out);
    opentelemetry__proto__resource__v1__resource__init(out);
    out->attributes = arena_alloc(arena, count * sizeof(void *));
    for (size_t i = 0; i < count; i++) {
        if (attributes[i].text[0] != '\0')
            out->attributes[out->n_attributes++] = attribute_make(arena, &attributes[i]);
    }
    return out;
}

static Opentelemetry__Proto__Trace__V1__ScopeSpans *scope_make(struct arena *arena,
                                                               const struct otlp_batch *batch)
{
    Opentelemetry__Proto__Common__V1__InstrumentationScope *scope =
        arena_alloc(arena, sizeof *scope);
    opentelemetry__proto__common__v1__instrumentation_scope__init(scope);
    scope->name = borrowed(SCOPE_NAME);
    scope->version = borrowed(batch->resource->version);
    Opentelemetry__Proto__Trace__V1__ScopeSpans *out = arena_alloc(arena, sizeof *out);
    opentelemetry__proto__trace__v1__scope_spans__init(out);
    out->scope = scope;
    out->schema_url = borrowed(SCHEMA_URL);
    out->n_spans = batch->count;
    out->spans = arena_alloc(arena, batch->count * sizeof(void *));
    for (size_t i = 0; i < batch->count; i++)
        out->spans[i] = span_make(arena, batch, batch->spans[i]);
    return out;
}

static Opentelemetry__Proto__Trace__V1__Span *span_make(struct arena *arena,
                                                        const struct otlp_batch *batch,
                                                        const struct span *span)
{
    Opentelemetry__Proto__Trace__V1__Span *out = arena_alloc(arena, sizeof *out);
    opentelemetry__proto__trace__v1__span__init(out);
    out->trace_id = id_bytes(arena, span->trace_id, TRACE_ID_BYTES);
    out->span_id = id_bytes(arena, span->span_id, SPAN_ID_BYTES);
    if (span->parent_id[0] != '\0')
        out->parent_span_id = id_bytes(arena, span->parent_id, SPAN_ID_BYTES);
    out->flags = flags_of(span);
    out->name = borrowed(span->name);
    out->kind = span->kind == SPAN_SERVER
                    ? OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_SERVER
                    : OPENTELEMETRY__PROTO__TRACE__V1__SPAN__SPAN_KIND__SPAN_KIND_CLIENT;
    out->start_time_unix_nano = wall_of(&batch->moment, span->began_ns);
    out->end_time_unix_nano = wall_of(&batch->moment, span->ended_ns);
    put_attributes(arena, span, out);
    if (span->error != NULL)
        put_error(arena, span->error, out);
    return out;
}

/* With room for an error's. */
static void put_attributes(struct arena *arena, const struct span *span,
                           Opentelemetry__Proto__Trace__V1__Span *out)
{
    out->n_attributes = span->attribute_count;
    out->attributes = arena_alloc(arena, (span->attribute_count + 1) * sizeof(void *));
    for (size_t i = 0; i < span->attribute_count; i++)
        out->attributes[i] = attribute_make(arena, &span->attributes[i]);
}

/* "Status.description … if the operation failed"; error.type says the same to who groups. */
static void put_error(struct arena *arena, const char *error,
                      Opentelemetry__Proto__Trace__V1__Span *out)
{
    const struct span_attribute type = {.key = "error.type", .text = error};
    out->attributes[out->n_attributes++] = attribute_make(arena, &type);
    Opentelemetry__Proto__Trace__V1__Status *status = arena_alloc(arena, sizeof *status);
    opentelemetry__proto__trace__v1__status__init(status);
    status->code = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__STATUS_CODE__STATUS_CODE_ERROR;
    status->message = borrowed(error);
    out->status = status;
}

static Opentelemetry__Proto__Common__V1__KeyValue *attribute_make(
    struct arena *arena, const struct span_attribute *attribute)
{
    Opentelemetry__Proto__Common__V1__AnyValue *value = arena_alloc(arena, sizeof *value);
    opentelemetry__proto__common__v1__any_value__init(value);
    if (attribute->text == NULL) {
        value->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_INT_VALUE;
        value->int_value = attribute->number;
    } else {
        value->value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value->string_value = borrowed(attribute->text);
    }
    Opentelemetry__Proto__Common__V1__KeyValue *out = arena_alloc(arena, sizeof *out);
    opentelemetry__proto__common__v1__key_value__init(out);
    out->key = borrowed(attribute->key);
    out->value = value;
    return out;
}

/* Whether the parent is another process's is known of every span. */
static uint32_t flags_of(const struct span *span)
{
    uint32_t flags =
        span->flags |
        OPENTELEMETRY__PROTO__TRACE__V1__SPAN_FLAGS__SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK;
    if (span->parent_id[0] != '\0' && !span->parent_is_local)
        flags |= OPENTELEMETRY__PROTO__TRACE__V1__SPAN_FLAGS__SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK;
    return flags;
}

static uint64_t wall_of(const struct otlp_moment *moment, uint64_t then_ns)
{
    return moment->wall_ns - (moment->now_ns - then_ns);
}

static ProtobufCBinaryData id_bytes(struct arena *arena, const char *hex, size_t size)
{
    uint8_t *bytes = arena_alloc_raw(arena, size);
    trace_id_bytes(hex, size, bytes);
    return (ProtobufCBinaryData){.data = bytes, .len = size};
}

/* protobuf-c's texts are not const, although packing only reads them. */
static char *borrowed(const char *text)
{
    return (char *)(uintptr_t)text;
}
