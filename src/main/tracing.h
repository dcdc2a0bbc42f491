/* The exporter of spans as a part of the serving process; for serve.c and what renews certificates. */
#ifndef MAIN_TRACING_H
#define MAIN_TRACING_H

#include "base/result.h"

struct config;
struct serve;

/* Into serve->otlp, when there is a collector: before the workers, which write its rings.  Faults: CONFIG (the
 * endpoint), INTERNAL (no thread). */
int tracing_open(struct serve *serve) MUST_CHECK;
/* Its next connection is made with the certificates that `config` names, as they are then. */
void tracing_renew(struct serve *serve, const struct config *config);

#endif
