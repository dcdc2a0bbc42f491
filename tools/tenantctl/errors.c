/* What went wrong, and what to do about it. */
#include "output.h"

#include "gen/errors.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"

typedef Google__Protobuf__Any Any;

static Google__Rpc__Status *details_of(const struct client_call *call);
static int exit_of(int grpc_status);
static void title(struct cli *cli, const char *text);
static void explain(struct cli *cli, const Any *any, const char **reason);
static void explain_info(struct cli *cli, const Any *any, const char **reason);
static void explain_fields(struct cli *cli, const Any *any);
static void line(struct cli *cli, const char *name, const char *text);
static bool any_is(const Any *any, const char *type);

int output_refusal(struct cli *cli, const struct client_call *call)
{
    const char *message = call->message[0] != '\0' ? call->message
                                                   : "the service refused without a message";
    title(cli, text_clean(cli->arena, message));
    const char *reason = NULL;
    const Google__Rpc__Status *status = details_of(call);
    for (size_t i = 0; status != NULL && i < status->n_details; i++)
        explain(cli, status->details[i], &reason);
    uint64_t delay_ns = 0;
    if (client_retry_delay(call, &delay_ns))
        line(cli, "retry after", arena_printf(cli->arena, "%.3f s", (double)delay_ns / 1e9));
    const struct error_entry *entry = reason == NULL ? NULL : error_find(reason);
    if (entry != NULL)
        line(cli, "advice", entry->advice);
    struct slice id = client_answer(call, "x-request-id");
    if (id.size > 0)
        line(cli, "request", arena_strndup(cli->arena, id.data, id.size));
    return exit_of(call->status);
}

int output_fault(struct cli *cli, const char *address)
{
    const struct fault *fault = &cli->ctx.fault;
    title(cli, arena_printf(cli->arena, "no answer from %s: %s", address, fault->text));
    if (fault->kind == FAULT_TIMEOUT)
        line(cli, "advice", "give it more time with --timeout, or see `tenantctl health`");
    if (cli->idempotency_key[0] != '\0')
        line(cli, "advice",
             arena_printf(cli->arena,
                          "whether it was done is not known: repeat it with --idempotency-key %s",
                          cli->idempotency_key));
    return fault->kind == FAULT_CONFIG ? EXIT_USAGE : EXIT_NO_ANSWER;
}

void output_metadata(struct cli *cli, const struct client_call *call)
{
    static const char *const keys[] = {"x-request-id", "x-source", "x-staleness-ms",
                                       "x-consistency-token", "idempotency-replayed"};
    for (size_t i = 0; cli->verbose && i < sizeof keys / sizeof keys[0]; i++) {
        struct slice value = client_answer(call, keys[i]);
        if (value.size > 0)
            fprintf(stderr, "%s: %s\n", keys[i],
                    text_clean(cli->arena, arena_strndup(cli->arena, value.data, value.size)));
    }
    if (cli->verbose && cli->idempotency_key[0] != '\0')
        fprintf(stderr, "idempotency-key: %s\n", cli->idempotency_key);
}

static Google__Rpc__Status *details_of(const struct client_call *call)
{
    return call->details.size == 0
               ? NULL
               : google__rpc__status__unpack(arena_protobuf(call->ctx->arena), call->details.size,
                                             call->details.data);
}

/* gRPC's numbers (statuscodes.md); the texts of the exit statuses are in help.c. */
static int exit_of(int grpc_status)
{
    switch (grpc_status) {
    case 5: /* NOT_FOUND */
        return EXIT_NOT_FOUND;
    case 6:  /* ALREADY_EXISTS */
    case 10: /* ABORTED */
        return EXIT_CONFLICT;
    case 7:  /* PERMISSION_DENIED */
    case 16: /* UNAUTHENTICATED */
        return EXIT_FORBIDDEN;
    case 1:  /* CANCELLED */
    case 4:  /* DEADLINE_EXCEEDED */
    case 8:  /* RESOURCE_EXHAUSTED */
    case 14: /* UNAVAILABLE */
        return EXIT_NO_ANSWER;
    case 2:  /* UNKNOWN */
    case 13: /* INTERNAL */
    case 15: /* DATA_LOSS */
        return EXIT_BROKEN;
    default:
        return EXIT_REFUSED;
    }
}

static void title(struct cli *cli, const char *text)
{
    progress_clear(&cli->terminal);
    fprintf(stderr, "%s %s\n",
            text_paint(cli->arena, cli->terminal.err_colour, COLOUR_RED, "tenantctl:"), text);
}

static void explain(struct cli *cli, const Any *any, const char **reason)
{
    if (any_is(any, "google.rpc.ErrorInfo"))
        explain_info(cli, any, reason);
    else if (any_is(any, "google.rpc.BadRequest"))
        explain_fields(cli, any);
}

static void explain_info(struct cli *cli, const Any *any, const char **reason)
{
    const Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(
        arena_protobuf(cli->arena), any->value.len, any->value.data);
    if (info == NULL)
        return;
    *reason = info->reason;
    for (size_t i = 0; i < info->n_metadata; i++)
        line(cli, text_clean(cli->arena, info->metadata[i]->key), info->metadata[i]->value);
}

static void explain_fields(struct cli *cli, const Any *any)
{
    const Google__Rpc__BadRequest *bad = google__rpc__bad_request__unpack(
        arena_protobuf(cli->arena), any->value.len, any->value.data);
    for (size_t i = 0; bad != NULL && i < bad->n_field_violations; i++)
        line(cli, text_clean(cli->arena, bad->field_violations[i]->field),
             bad->field_violations[i]->description);
}

static void line(struct cli *cli, const char *name, const char *text)
{
    fprintf(stderr, "  %s: %s\n", name, text_clean(cli->arena, text));
}

static bool any_is(const Any *any, const char *type)
{
    const char *slash = strrchr(any->type_url, '/');
    return slash != NULL && strcmp(slash + 1, type) == 0;
}
