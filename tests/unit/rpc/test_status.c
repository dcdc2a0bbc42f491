/* What a client learns from every result, read back with protobuf-c. */
#include "rpc/status.h"

#include "rpc/coding.h"

#include "gen/errors.h"
#include "gen/pb/google/rpc/error_details.pb-c.h"
#include "gen/pb/google/rpc/status.pb-c.h"

#include <check.h>
#include <stdio.h>

static struct arena *arena;
static struct ctx ctx;

/* The details of the last status, unpacked into the arena. */
struct read_back {
    Google__Rpc__Status *status;
    Google__Rpc__ErrorInfo *info;
    Google__Rpc__BadRequest *bad_request; /* NULL: none */
    Google__Rpc__RetryInfo *retry;        /* NULL: none */
};

static void setup(void)
{
    arena = arena_new(0);
    ctx_init(&ctx, NULL, arena);
    snprintf(ctx.trace.request_id, sizeof ctx.trace.request_id, "req_42");
}

static void teardown(void)
{
    arena_free(arena);
}

static struct read_back read_back(const struct status *status)
{
    ProtobufCAllocator *memory = arena_protobuf(arena);
    struct read_back back = {0};
    back.status = google__rpc__status__unpack(memory, status->details.size, status->details.data);
    ck_assert_ptr_nonnull(back.status);
    ck_assert_int_eq(back.status->code, (int)status->code);
    ck_assert_str_eq(back.status->message, status->message);
    for (size_t i = 0; i < back.status->n_details; i++) {
        const Google__Protobuf__Any *any = back.status->details[i];
        const char *prefix = "type.googleapis.com/google.rpc.";
        ck_assert_int_eq(strncmp(any->type_url, prefix, strlen(prefix)), 0);
        const char *name = any->type_url + strlen(prefix);
        if (strcmp(name, "ErrorInfo") == 0)
            back.info = google__rpc__error_info__unpack(memory, any->value.len, any->value.data);
        else if (strcmp(name, "BadRequest") == 0)
            back.bad_request =
                google__rpc__bad_request__unpack(memory, any->value.len, any->value.data);
        else if (strcmp(name, "RetryInfo") == 0)
            back.retry = google__rpc__retry_info__unpack(memory, any->value.len, any->value.data);
        else
            ck_abort_msg("%s", any->type_url);
    }
    ck_assert_ptr_nonnull(back.info);
    ck_assert_str_eq(back.info->reason, status->reason);
    ck_assert_str_eq(back.info->domain, "tenant.ghasi.io");
    return back;
}

START_TEST(ok_is_empty)
    {
        struct status status;
        struct call_details details = {.violation_count = 1, .violations = {{"a", "b"}}};
        status_of_result(&ctx, OK, &details, &status);
        ck_assert_int_eq(status.code, GRPC_OK);
        ck_assert_ptr_null(status.reason);
        ck_assert_str_eq(status.message, "");
        ck_assert_uint_eq(status.details.size, 0);
        ck_assert_uint_eq(status.retry_ns, 0);
    }
END_TEST

START_TEST(every_refusal_is_the_catalogues)
    {
        int count = 0;
        for (int refusal = 1; error_lookup(refusal) != NULL; refusal++, count++) {
            const struct error_entry *entry = error_lookup(refusal);
            struct status status;
            status_of_result(&ctx, refusal, NULL, &status);
            ck_assert_int_eq((int)status.code, entry->grpc_status);
            ck_assert_str_eq(status.reason, entry->reason);
            bool ours = status.code == GRPC_INTERNAL || status.code == GRPC_UNAVAILABLE;
            char message[512];
            snprintf(message, sizeof message, "%s: %s%s", entry->reason, entry->text,
                     ours ? " (request req_42)" : "");
            ck_assert_str_eq(status.message, message);
            ck_assert_uint_eq(status.retry_ns, entry->retriable ? NS_PER_S : 0);
            struct read_back back = read_back(&status);
            ck_assert_ptr_null(back.bad_request);
            ck_assert_int_eq(back.retry != NULL, entry->retriable);
            ck_assert_uint_eq(back.info->n_metadata, 0);
        }
        ck_assert_int_ge(count, 29);
    }
END_TEST

START_TEST(faults_become_codes_and_keep_their_text)
    {
        static const struct {
            enum fault_kind fault;
            enum grpc_code code;
            const char *reason;
        } rows[] = {
            {FAULT_INTERNAL, GRPC_INTERNAL, "INTERNAL"},
            {FAULT_TIMEOUT, GRPC_DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"},
            {FAULT_CANCELLED, GRPC_CANCELLED, "CANCELLED"},
            {FAULT_DATABASE, GRPC_UNAVAILABLE, "DATABASE_UNAVAILABLE"},
            {FAULT_CACHE, GRPC_UNAVAILABLE, "UNAVAILABLE"},
            {FAULT_BROKER, GRPC_UNAVAILABLE, "UNAVAILABLE"},
            {FAULT_IO, GRPC_UNAVAILABLE, "UNAVAILABLE"},
            {FAULT_TLS, GRPC_INTERNAL, "INTERNAL"},
            {FAULT_CONFIG, GRPC_INTERNAL, "INTERNAL"},
            {FAULT_PROTOCOL, GRPC_INTERNAL, "INTERNAL"},
            {(enum fault_kind) - 99, GRPC_INTERNAL, "INTERNAL"},
            {(enum fault_kind)9999, GRPC_INTERNAL, "INTERNAL"}, /* a refusal nobody knows */
        };
        /* Gathered before it broke: none of it may show. */
        struct call_details details = {
            .violations = {{"tenant.slug", "hidden"}},
            .violation_count = 1,
            .metadata = {{"key", "hidden"}},
            .metadata_count = 1,
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct status status;
            bool fault = rows[i].fault < 0;
            if (fault)
                (void)FAULT(&ctx, rows[i].fault, "hidden: password=1234");
            status_of_result(&ctx, rows[i].fault, fault ? &details : NULL, &status);
            ck_assert_int_eq((int)status.code, (int)rows[i].code);
            ck_assert_str_eq(status.reason, rows[i].reason);
            bool ours = status.code == GRPC_INTERNAL || status.code == GRPC_UNAVAILABLE;
            const char *end = status.message + strlen(status.message) - strlen(" (request req_42)");
            ck_assert_int_eq(strcmp(end, " (request req_42)") == 0, ours);
            struct read_back back = read_back(&status);
            ck_assert_ptr_null(back.bad_request);
            ck_assert_ptr_null(memmem(status.details.data, status.details.size, "hidden", 6));
            ck_assert_ptr_null(strstr(status.message, "hidden"));
        }
    }
END_TEST

START_TEST(no_request_id_leaves_no_empty_brackets)
    {
        ctx.trace.request_id[0] = '\0';
        struct status status;
        status_of_result(&ctx, FAULT_INTERNAL, NULL, &status);
        ck_assert_ptr_null(strchr(status.message, '('));
    }
END_TEST

START_TEST(violations_travel_and_the_first_is_seen)
    {
        struct call_details details = {
            .violations = {{"tenant.slug", "must be set"}, {"tenant.home_region", "must be eu"}},
            .violation_count = 1,
        };
        struct status status;
        status_of_result(&ctx, INVALID_ARGUMENT, &details, &status);
        ck_assert_str_eq(status.message,
                         "INVALID_ARGUMENT: The request breaks the rules of its fields "
                         "(tenant.slug: must be set)");
        details.violation_count = 2;
        status_of_result(&ctx, INVALID_ARGUMENT, &details, &status);
        ck_assert_str_eq(status.message,
                         "INVALID_ARGUMENT: The request breaks the rules of its fields "
                         "(tenant.slug: must be set and 1 more)");
        struct read_back back = read_back(&status);
        ck_assert_ptr_nonnull(back.bad_request);
        ck_assert_uint_eq(back.bad_request->n_field_violations, 2);
        for (int i = 0; i < 2; i++) {
            const Google__Rpc__BadRequest__FieldViolation *violation =
                back.bad_request->field_violations[i];
            ck_assert_str_eq(violation->field, details.violations[i].key);
            ck_assert_str_eq(violation->description, details.violations[i].value);
        }
        ck_assert_ptr_null(back.retry);
    }
END_TEST

START_TEST(metadata_and_delay_travel)
    {
        struct call_details details = {
            .metadata = {{"home_region", "eu"}, {"limit", "7"}},
            .metadata_count = 2,
            .retry_ns = 2 * NS_PER_S + 5,
        };
        struct status status;
        status_of_result(&ctx, RATE_LIMITED, &details, &status);
        ck_assert_uint_eq(status.retry_ns, details.retry_ns);
        struct read_back back = read_back(&status);
        ck_assert_uint_eq(back.info->n_metadata, 2);
        ck_assert_str_eq(back.info->metadata[0]->key, "home_region");
        ck_assert_str_eq(back.info->metadata[0]->value, "eu");
        ck_assert_str_eq(back.info->metadata[1]->key, "limit");
        ck_assert_int_eq(back.retry->retry_delay->seconds, 2);
        ck_assert_int_eq(back.retry->retry_delay->nanos, 5);
        /* Also where the catalogue has none. */
        status_of_result(&ctx, WRONG_REGION, &details, &status);
        ck_assert_uint_eq(status.retry_ns, details.retry_ns);
        ck_assert_ptr_nonnull(read_back(&status).retry);
    }
END_TEST

START_TEST(what_is_left_out_is_told)
    {
        struct call_details details = {.violation_count = STATUS_VIOLATIONS_MAX,
                                       .violations_dropped = 100};
        for (size_t i = 0; i < STATUS_VIOLATIONS_MAX; i++)
            details.violations[i] = (struct status_pair){"f", "r"};
        struct status status;
        status_of_result(&ctx, INVALID_ARGUMENT, &details, &status);
        struct read_back back = read_back(&status);
        ck_assert_uint_eq(back.bad_request->n_field_violations, STATUS_VIOLATIONS_MAX);
        ck_assert_str_eq(back.bad_request->field_violations[63]->description,
                         "r (and 100 more violations)");
        ck_assert_ptr_nonnull(strstr(status.message, "(f: r and 163 more)"));
    }
END_TEST

/* Whatever a handler says, the trailers stay below what clients accept. */
START_TEST(the_trailers_stay_small)
    {
        char text[5001];
        for (size_t size = 0; size < sizeof text; size += size < 700 ? 7 : 1075) {
            for (size_t i = 0; i < size; i++)
                text[i] = "\xe2\x82\xac"[i % 3];
            text[size - size % 3] = '\0';
            struct call_details details = {.violation_count = STATUS_VIOLATIONS_MAX,
                                           .metadata_count = STATUS_METADATA_MAX,
                                           .retry_ns = 1};
            for (size_t i = 0; i < STATUS_VIOLATIONS_MAX; i++)
                details.violations[i] = (struct status_pair){text, text};
            for (size_t i = 0; i < STATUS_METADATA_MAX; i++)
                details.metadata[i] = (struct status_pair){text, text};
            struct status status;
            status_of_result(&ctx, INVALID_ARGUMENT, &details, &status);
            struct buf trailer = BUF_EMPTY;
            base64_encode(&trailer, status.details);
            percent_encode(&trailer, slice_of_str(status.message));
            ck_assert_uint_lt(buf_size(&trailer), 7500);
            buf_deinit(&trailer);

            struct read_back back = read_back(&status);
            size_t kept = back.bad_request->n_field_violations;
            ck_assert_uint_ge(kept, 1);
            const char *last = back.bad_request->field_violations[kept - 1]->description;
            char told[64];
            snprintf(told, sizeof told, "(and %zu more violations)", STATUS_VIOLATIONS_MAX - kept);
            ck_assert_int_eq(strstr(last, told) != NULL, kept < STATUS_VIOLATIONS_MAX);
            if (kept < STATUS_VIOLATIONS_MAX) /* nothing was left out needlessly */
                ck_assert_uint_gt(status.details.size + 700, 4096);
            for (const char *c = back.info->metadata[0]->value; *c != '\0'; c += 3)
                ck_assert_int_eq(strncmp(c, "\xe2\x82\xac", 3),
                                 0); /* never cut inside a character */
        }
    }
END_TEST

START_TEST(a_status_is_passed_on_with_its_details)
    {
        static const uint8_t value[] = {8, 1};
        struct call_details details = {.foreign_code = GRPC_DATA_LOSS, .foreign_message = "gone"};
        details.foreign_details[0] =
            (struct status_detail){"type.googleapis.com/a.B", slice_make(value, sizeof value)};
        details.foreign_detail_count = 1;
        struct status status;
        status_of_result(&ctx, INTERNAL, &details, &status);
        ck_assert(status.passed_on);
        ck_assert_int_eq(status.code, GRPC_DATA_LOSS);
        ck_assert_str_eq(status.message, "gone");
        const Google__Rpc__Status *sent = google__rpc__status__unpack(
            arena_protobuf(arena), status.details.size, status.details.data);
        ck_assert_ptr_nonnull(sent);
        ck_assert_int_eq(sent->code, GRPC_DATA_LOSS);
        ck_assert_str_eq(sent->message, "gone");
        ck_assert_uint_eq(sent->n_details, 1);
        ck_assert_str_eq(sent->details[0]->type_url, "type.googleapis.com/a.B");
        ck_assert_uint_eq(sent->details[0]->value.len, sizeof value);
        ck_assert_mem_eq(sent->details[0]->value.data, value, sizeof value);
        status_of_result(&ctx, FAULT_INTERNAL, &details, &status);
        ck_assert_int_eq(status.code, GRPC_INTERNAL);
        ck_assert(!status.passed_on);
    }
END_TEST

START_TEST(codes_have_their_names)
    {
        static const char *const names[] = {
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        };
        for (int code = 0; code < GRPC_CODE_COUNT; code++)
            ck_assert_str_eq(grpc_code_name(code), names[code]);
        ck_assert_str_eq(grpc_code_name(-1), "UNKNOWN");
        ck_assert_str_eq(grpc_code_name(17), "UNKNOWN");
    }
END_TEST

Suite *suite_rpc_status(void);
Suite *suite_rpc_status(void)
{
    Suite *suite = suite_create("rpc/status");
    TCase *tcase = tcase_create("status");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, ok_is_empty);
    tcase_add_test(tcase, every_refusal_is_the_catalogues);
    tcase_add_test(tcase, faults_become_codes_and_keep_their_text);
    tcase_add_test(tcase, no_request_id_leaves_no_empty_brackets);
    tcase_add_test(tcase, violations_travel_and_the_first_is_seen);
    tcase_add_test(tcase, metadata_and_delay_travel);
    tcase_add_test(tcase, what_is_left_out_is_told);
    tcase_add_test(tcase, the_trailers_stay_small);
    tcase_add_test(tcase, a_status_is_passed_on_with_its_details);
    tcase_add_test(tcase, codes_have_their_names);
    suite_add_tcase(suite, tcase);
    return suite;
}
