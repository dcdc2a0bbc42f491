/* Configuration to exporter.  Called at the start, and when certificates were renewed. */
#include "main/tracing.h"

#include "main/app.h"

#include "ops/otlp.h"

static struct otlp_files files_of(const struct config *config);

int tracing_open(struct serve *serve)
{
    const struct config *config = serve->app->config;
    struct dependency *dependency = health_dependency(serve->health, "otlp");
    if (config->telemetry.otlp_endpoint[0] == '\0') {
        dependency_set(dependency, DEPENDENCY_OFF, NULL);
        return OK;
    }
    const struct otlp_settings settings = {
        .endpoint = config->telemetry.otlp_endpoint,
        .files = files_of(config),
        .resource = {.service = config->telemetry.service_name,
                     .version = TENANT_VERSION,
                     .instance = serve->app->instance,
                     .environment = config->environment,
                     .region = config->region},
        .writers = serve->worker_count,
        .metrics = serve->metrics,
        .dependency = dependency,
    };
    return otlp_start(&serve->app->ctx, &settings, &serve->otlp);
}

void tracing_renew(struct serve *serve, const struct config *config)
{
    const struct otlp_files files = files_of(config);
    if (serve->otlp != NULL)
        otlp_reconnect(serve->otlp, &files);
}

static struct otlp_files files_of(const struct config *config)
{
    return (struct otlp_files){.cert_file = config->tls.cert_file,
                               .key_file = config->tls.key_file,
                               .ca_file = config->tls.ca_file,
                               .crl_file = config->tls.crl_file};
}
