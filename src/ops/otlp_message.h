/* Spans as OTLP's request for them; for otlp.c. */
#ifndef OPS_OTLP_MESSAGE_H
#define OPS_OTLP_MESSAGE_H

#include "base/arena.h"
#include "base/span.h"

#include "ops/otlp.h"

#include "gen/pb/opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

/* One moment by both clocks: spans know the monotonic one, traces the other. */
struct otlp_moment {
    uint64_t now_ns;  /* clock_now() */
    uint64_t wall_ns; /* clock_wall() */
};

struct otlp_batch {
    const struct span *const *spans;
    size_t count; /* above 0 */
    const struct otlp_resource *resource;
    struct otlp_moment moment;
};

/* In the arena; its texts are those of resource and spans, which must live as long. */
Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceRequest *otlp_message_make(
    struct arena *arena, const struct otlp_batch *batch) __attribute__((returns_nonnull));

#endif
