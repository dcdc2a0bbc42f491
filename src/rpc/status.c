/* Builds what a client learns about a call's end; called by the dispatcher and the session for every call
 * that is not OK.  Must never send a fault's text, and stays below what clients accept as trailers. */
#include "rpc/status.h"

#include "gen/errors.h"

#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"

#include <assert.h>

#define ERROR_DOMAIN "tenant.ghasi.io"
/* For retriable refusals whose handler named no pause: clients would else choose their own. */
#define RETRY_DEFAULT_NS NS_PER_S

/* Clients commonly accept 8 KiB of headers.  The packed details grow by a third in base64, the message
 * may triple when percent-encoded and stands in both. */
#define DETAILS_SIZE_MAX 4096
#define MESSAGE_SIZE_MAX 512
#define NAME_SIZE_MAX 160 /* a field's path, a metadata key or value */
#define RULE_SIZE_MAX 320
#define DETAIL_KINDS 3 /* ErrorInfo, BadRequest, RetryInfo */

static void status_pass_on(struct arena *arena, const struct call_details *details,
                           struct status *status);
static Google__Protobuf__Any *any_make(struct arena *arena, const struct status_detail *detail);
static const struct error_entry *entry_of_result(int result);
static int refusal_of_fault(int fault);
static const char *message_make(struct ctx *ctx, const struct error_entry *entry,
                                const struct call_details *details);
static struct slice details_pack(struct ctx *ctx, const struct status *status,
                                 const struct call_details *details);
static struct slice status_pack(struct ctx *ctx, const struct status *status,
                                const struct call_details *details, size_t violations);
static Google__Protobuf__Any *any_of_reason(struct arena *arena, const char *reason,
                                            const struct call_details *details);
static Google__Protobuf__Any *any_of_violations(struct arena *arena,
                                                const struct call_details *details, size_t count);
static Google__Protobuf__Any *any_of_retry(struct arena *arena, uint64_t retry_ns);
static Google__Protobuf__Any *any_pack(struct arena *arena, const ProtobufCMessage *message);
static struct slice message_pack(struct arena *arena, const ProtobufCMessage *message);
static size_t violations_all(const struct call_details *details);
static char *text_cut(struct arena *arena, const char *text, size_t size_max);

const char *grpc_code_name(int code)
{
    static const char *const names[GRPC_CODE_COUNT] = {
        [GRPC_OK] = "OK",
        [GRPC_CANCELLED] = "CANCELLED",
        [GRPC_UNKNOWN] = "UNKNOWN",
        [GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
        [GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
        [GRPC_NOT_FOUND] = "NOT_FOUND",
        [GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
        [GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
        [GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
        [GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
        [GRPC_ABORTED] = "ABORTED",
        [GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
        [GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
        [GRPC_INTERNAL] = "INTERNAL",
        [GRPC_UNAVAILABLE] = "UNAVAILABLE",
        [GRPC_DATA_LOSS] = "DATA_LOSS",
        [GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
    };
    return code >= 0 && code < GRPC_CODE_COUNT ? names[code] : names[GRPC_UNKNOWN];
}

void status_of_result(struct ctx *ctx, int result, const struct call_details *details,
                      struct status *status)
{
    *status = (struct status){.code = GRPC_OK, .message = ""};
    if (result == OK)
        return;
    static const struct call_details none;
    /* What a handler gathered before something broke is not why the call failed. */
    if (details == NULL || result < 0)
        details = &none;
    assert(details->violation_count <= STATUS_VIOLATIONS_MAX);
    assert(details->metadata_count <= STATUS_METADATA_MAX);

    if (details->foreign_code != GRPC_OK) {
        status_pass_on(ctx->arena, details, status);
        return;
    }
    const struct error_entry *entry = entry_of_result(result);
    status->code = (enum grpc_code)entry->grpc_status;
    status->reason = entry->reason;
    status->message = message_make(ctx, entry, details);
    status->retry_ns = details->retry_ns;
    if (status->retry_ns == 0 && entry->retriable)
        status->retry_ns = RETRY_DEFAULT_NS;
    status->details = details_pack(ctx, status, details);
}

/* What another service said goes out as it is, but for the length of its text. */
static void status_pass_on(struct arena *arena, const struct call_details *details,
                           struct status *status)
{
    size_t count = details->foreign_detail_count;
    status->passed_on = true;
    status->code = (enum grpc_code)details->foreign_code;
    status->reason = grpc_code_name(details->foreign_code);
    status->message = text_cut(arena, details->foreign_message, MESSAGE_SIZE_MAX);
    if (count == 0)
        return;
    Google__Protobuf__Any *list[STATUS_FOREIGN_DETAILS_MAX];
    for (size_t i = 0; i < count; i++)
        list[i] = any_make(arena, &details->foreign_details[i]);
    Google__Rpc__Status message;
    google__rpc__status__init(&message);
    message.code = (int32_t)status->code;
    message.message = arena_strdup(arena, status->message);
    message.n_details = count;
    message.details = list;
    status->details = message_pack(arena, &message.base);
}

static Google__Protobuf__Any *any_make(struct arena *arena, const struct status_detail *detail)
{
    Google__Protobuf__Any *any = arena_alloc(arena, sizeof *any);
    google__protobuf__any__init(any);
    any->type_url = arena_strdup(arena, detail->type_url);
    any->value.data = (uint8_t *)(uintptr_t)detail->value.data; /* only read from here on */
    any->value.len = detail->value.size;
    return any;
}

/* Total: whatever a handler returned becomes a code, because a call without a status leaves its
 * client waiting for the deadline. */
static const struct error_entry *entry_of_result(int result)
{
    const struct error_entry *entry = error_lookup(result > 0 ? result : refusal_of_fault(result));
    /* A number that nobody catalogued tells a client nothing. */
    if (entry == NULL)
        entry = error_lookup(INTERNAL);
    assert(entry != NULL && entry->grpc_status > GRPC_OK && entry->grpc_status < GRPC_CODE_COUNT);
    return entry;
}

/* Only lost dependencies are UNAVAILABLE, which clients retry.  A FAULT_PROTOCOL is
 * INTERNAL: retrying it would bring the same. */
static int refusal_of_fault(int fault)
{
    switch ((enum fault_kind)fault) {
    case FAULT_TIMEOUT:
        return DEADLINE_EXCEEDED;
    case FAULT_CANCELLED:
        return CANCELLED;
    case FAULT_DATABASE:
        return DATABASE_UNAVAILABLE;
    case FAULT_CACHE:
    case FAULT_BROKER:
    case FAULT_IO:
        return UNAVAILABLE;
    case FAULT_INTERNAL:
    case FAULT_TLS:
    case FAULT_CONFIG:
    case FAULT_PROTOCOL:
        return INTERNAL;
    }
    return INTERNAL;
}

/* "INVALID_ARGUMENT: The request breaks … (tenant.slug: must be set and 2 more)": people see
 * this text in any client, the details only in few.  The request id is added where we are to
 * blame: it is what the operator will search the log for. */
static const char *message_make(struct ctx *ctx, const struct error_entry *entry,
                                const struct call_details *details)
{
    struct arena *arena = ctx->arena;
    const char *message = arena_printf(arena, "%s: %s", entry->reason, entry->text);
    size_t violations = violations_all(details);
    if (violations > 0) {
        const struct status_pair *first = &details->violations[0];
        const char *more = violations > 1 ? arena_printf(arena, " and %zu more", violations - 1)
                                          : "";
        message = arena_printf(arena, "%s (%s: %s%s)", message,
                               text_cut(arena, first->key, NAME_SIZE_MAX),
                               text_cut(arena, first->value, NAME_SIZE_MAX), more);
    }
    bool ours = entry->grpc_status == GRPC_INTERNAL || entry->grpc_status == GRPC_UNAVAILABLE;
    if (ours && ctx->trace.request_id[0] != '\0')
        message = arena_printf(arena, "%s (request %s)", message, ctx->trace.request_id);
    return text_cut(arena, message, MESSAGE_SIZE_MAX);
}

/* As many violations as fit, found by halves: packing 64 of them once each would be work for nothing. */
static struct slice details_pack(struct ctx *ctx, const struct status *status,
                                 const struct call_details *details)
{
    size_t fitting = 0;
    size_t too_many = details->violation_count + 1;
    struct slice best = status_pack(ctx, status, details, 0);
    size_t tried = details->violation_count;
    while (fitting + 1 < too_many) {
        struct slice packed = status_pack(ctx, status, details, tried);
        if (packed.size <= DETAILS_SIZE_MAX) {
            best = packed;
            fitting = tried;
        } else {
            too_many = tried;
        }
        tried = fitting + (too_many - fitting) / 2;
    }
    return best;
}

/* Called several times per refusal while details_pack() searches: garbage stays in the call's
 * arena, some tens of kilobytes at worst. */
static struct slice status_pack(struct ctx *ctx, const struct status *status,
                                const struct call_details *details, size_t violations)
{
    Google__Protobuf__Any *any[DETAIL_KINDS];
    size_t count = 0;
    any[count++] = any_of_reason(ctx->arena, status->reason, details);
    if (violations > 0)
        any[count++] = any_of_violations(ctx->arena, details, violations);
    if (status->retry_ns > 0)
        any[count++] = any_of_retry(ctx->arena, status->retry_ns);
    assert(count <= DETAIL_KINDS);

    Google__Rpc__Status message;
    google__rpc__status__init(&message);
    message.code = (int32_t)status->code;
    message.message = arena_strdup(ctx->arena, status->message);
    message.n_details = count;
    message.details = any;
    return message_pack(ctx->arena, &message.base);
}

/* ErrorInfo always comes first and is never left out: `reason` with `domain` is what clients
 * switch on (AIP-193), everything else is for people. */
static Google__Protobuf__Any *any_of_reason(struct arena *arena, const char *reason,
                                            const struct call_details *details)
{
    Google__Rpc__ErrorInfo__MetadataEntry entries[STATUS_METADATA_MAX];
    Google__Rpc__ErrorInfo__MetadataEntry *list[STATUS_METADATA_MAX];
    for (size_t i = 0; i < details->metadata_count; i++) {
        google__rpc__error_info__metadata_entry__init(&entries[i]);
        entries[i].key = text_cut(arena, details->metadata[i].key, NAME_SIZE_MAX);
        entries[i].value = text_cut(arena, details->metadata[i].value, NAME_SIZE_MAX);
        list[i] = &entries[i];
    }
    char domain[] = ERROR_DOMAIN;
    Google__Rpc__ErrorInfo info;
    google__rpc__error_info__init(&info);
    info.reason = arena_strdup(arena, reason);
    info.domain = domain;
    info.n_metadata = details->metadata_count;
    info.metadata = list;
    return any_pack(arena, &info.base);
}

/* The list may be cut, the number of violations not: the last one says how many more there are. */
static Google__Protobuf__Any *any_of_violations(struct arena *arena,
                                                const struct call_details *details, size_t count)
{
    Google__Rpc__BadRequest__FieldViolation *violations =
        arena_alloc(arena, count * sizeof *violations);
    Google__Rpc__BadRequest__FieldViolation **list = arena_alloc(arena, count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        google__rpc__bad_request__field_violation__init(&violations[i]);
        violations[i].field = text_cut(arena, details->violations[i].key, NAME_SIZE_MAX);
        violations[i].description = text_cut(arena, details->violations[i].value, RULE_SIZE_MAX);
        list[i] = &violations[i];
    }
    size_t left_out = violations_all(details) - count;
    if (left_out > 0) {
        Google__Rpc__BadRequest__FieldViolation *last = &violations[count - 1];
        last->description =
            arena_printf(arena, "%s (and %zu more violations)", last->description, left_out);
    }
    Google__Rpc__BadRequest request;
    google__rpc__bad_request__init(&request);
    request.n_field_violations = count;
    request.field_violations = list;
    return any_pack(arena, &request.base);
}

static Google__Protobuf__Any *any_of_retry(struct arena *arena, uint64_t retry_ns)
{
    Google__Protobuf__Duration delay;
    google__protobuf__duration__init(&delay);
    delay.seconds = (int64_t)(retry_ns / NS_PER_S);
    delay.nanos = (int32_t)(retry_ns % NS_PER_S);
    Google__Rpc__RetryInfo retry;
    google__rpc__retry_info__init(&retry);
    retry.retry_delay = &delay;
    return any_pack(arena, &retry.base);
}

static Google__Protobuf__Any *any_pack(struct arena *arena, const ProtobufCMessage *message)
{
    struct slice packed = message_pack(arena, message);
    Google__Protobuf__Any *any = arena_alloc(arena, sizeof *any);
    google__protobuf__any__init(any);
    any->type_url = arena_printf(arena, "type.googleapis.com/%s", message->descriptor->name);
    any->value.data = (uint8_t *)(uintptr_t)packed.data; /* only read from here on */
    any->value.len = packed.size;
    return any;
}

static struct slice message_pack(struct arena *arena, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc_raw(arena, size);
    size_t packed = protobuf_c_message_pack(message, bytes);
    assert(packed == size);
    return slice_make(bytes, size);
}

static size_t violations_all(const struct call_details *details)
{
    return details->violation_count + details->violations_dropped;
}

/* At most size_max bytes, not cut inside a character. */
static char *text_cut(struct arena *arena, const char *text, size_t size_max)
{
    size_t size = strnlen(text, size_max + 1);
    if (size > size_max) {
        size = size_max;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
            size--;
    }
    return arena_strndup(arena, text, size);
}
