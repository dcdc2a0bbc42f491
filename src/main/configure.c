/* The configuration of a command, and how its faults are told. */
#include "main/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print_lines(struct buf *lines);
static void print_schema(void);
static void warn_lines(const struct log *log, struct buf *lines);

/* Until it returns there is no log: what is wrong goes to standard error as plain lines, all of
 * it at once. */
int app_configure(struct app *app, unsigned use)
{
    app->use = use;
    const struct config_source source = app_config_source(app);
    struct config_notes notes = {.error_count = 0};
    int rc = config_load(&app->ctx, &source, &notes, &app->config);
    if (rc != OK) {
        print_lines(&notes.errors);
        config_notes_deinit(&notes);
        return EXIT_WRONG;
    }
    app->live = app->config;
    const struct config *config = app->config;
    app->log = (struct log){
        .fd = STDERR_FILENO,
        .level = (enum log_level)config->log.level,
        .text = config->log.format == CONFIG_LOG_TEXT,
        .service = config->telemetry.service_name,
        .version = TENANT_VERSION,
        .region = config->region,
        .environment = config->environment,
    };
    warn_lines(&app->log, &notes.warnings);
    config_notes_deinit(&notes);
    return OK;
}

struct config_source app_config_source(const struct app *app)
{
    const char *file = app->options.config_file;
    return (struct config_source){
        .file = file != NULL ? file : getenv(CONFIG_FILE_VARIABLE),
        .environment = environ,
        .use = app->use,
    };
}

/* The fault's text names file or key; where in our source it arose helps nobody here. */
int app_fail(struct app *app, struct ctx *ctx)
{
    const struct fault *fault = &ctx->fault;
    fprintf(stderr, "tenant-service: %s\n", fault->file == NULL ? "failed" : fault->text);
    (void)app;
    return fault->file != NULL && fault->kind == FAULT_CONFIG ? EXIT_WRONG : EXIT_BROKEN;
}

int command_check_config(struct app *app)
{
    if (app->options.schema) {
        print_schema();
        return EXIT_STOPPED;
    }
    int status = app_configure(app, 0);
    if (status != OK)
        return status;
    if (app->options.print) {
        struct buf text = BUF_EMPTY;
        config_print_effective(app->config, &text);
        fputs(buf_str(&text), stdout);
        buf_deinit(&text);
    } else {
        puts("the configuration is well-formed");
    }
    return EXIT_STOPPED;
}

static void print_schema(void)
{
    struct buf text = BUF_EMPTY;
    config_print_schema_markdown(&text);
    fputs(buf_str(&text), stdout);
    buf_deinit(&text);
}

static void print_lines(struct buf *lines)
{
    const char *text = buf_str(lines);
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        fprintf(stderr, "tenant-service: %.*s\n", (int)size, text);
        text += size + (text[size] == '\n');
    }
}

static void warn_lines(const struct log *log, struct buf *lines)
{
    const char *text = buf_str(lines);
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        log_on_warn(log, "config.warning", KV_SLICE("text", slice_make(text, size)));
        text += size + (text[size] == '\n');
    }
}
