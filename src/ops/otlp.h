/* The exporter of spans: OTLP over gRPC with mutual TLS (https://opentelemetry.io/docs/specs/otlp/).
 *
 * One thread takes spans out of the rings of those who work and sends them on in batches, one call at a time.
 * Nobody ever waits for it: what finds no room in a ring, and what no collector takes in time, is dropped and
 * counted in tenant_otlp_spans_total. */
#ifndef OPS_OTLP_H
#define OPS_OTLP_H

#include "base/ctx.h"
#include "base/metrics.h"
#include "base/span.h"

struct dependency;
struct otlp;

/* Who exports; "": not told.  Attributes of every batch. */
struct otlp_resource {
    const char *service;
    const char *version;
    const char *instance; /* unique among replicas */
    const char *environment;
    const char *region;
};

/* As those of a client channel; crl_file "": nobody is revoked. */
struct otlp_files {
    const char *cert_file;
    const char *key_file;
    const char *ca_file;
    const char *crl_file;
};

struct otlp_settings {
    const char *endpoint;          /* "https://HOST[:PORT][/]"; 4317 where no port stands */
    struct otlp_files files;       /* copied */
    struct otlp_resource resource; /* borrowed, as is all below */
    size_t writers;                /* threads that make spans: each has a ring */
    struct metrics *metrics;
    struct dependency
        *dependency; /* shows whether the collector takes what it gets; NULL: nowhere */
};

/* No connection is made before there are spans.  Faults: FAULT_CONFIG (the endpoint), FAULT_INTERNAL (no
 * thread).  Lines go to ctx->log. */
int otlp_start(struct ctx *ctx, const struct otlp_settings *settings,
               struct otlp **otlp) MUST_CHECK;
/* The ring of a writer, below `writers`; lives as long as the exporter. */
struct span_ring *otlp_ring(struct otlp *otlp, size_t writer);
/* From the next batch on a new connection, made with these files as they are then.  Copies.  Any thread. */
void otlp_reconnect(struct otlp *otlp, const struct otlp_files *files);
/* Sends what is there, for three seconds at most (half of one when the collector took nothing of late), and
 * ends the thread.  Writers must be done.  A look-up of the collector's name that hangs is waited for.  Accepts
 * NULL. */
void otlp_stop(struct otlp *otlp);

#endif
