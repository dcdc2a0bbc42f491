/* include/tenant/client.h: what programs that were built earlier rely on, and compression through it. */
#include "caller.h"

#include "tenant/client.h"

/* libtenant.so.0: older programs hand over structures of these layouts. */
#if UINTPTR_MAX == UINT64_MAX
#define AT(type, member, offset)                                                                   \
    _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)
_Static_assert(sizeof(struct tenant_client_options) == 48, "tenant_client_options");
AT(tenant_client_options, address, 0);
AT(tenant_client_options, cert_file, 8);
AT(tenant_client_options, key_file, 16);
AT(tenant_client_options, ca_file, 24);
AT(tenant_client_options, server_name, 32);
AT(tenant_client_options, connect_timeout_ms, 40);
AT(tenant_client_options, keepalive_ms, 44);
_Static_assert(sizeof(struct tenant_field) == 24, "tenant_field");
AT(tenant_field, key, 0);
AT(tenant_field, value, 8);
AT(tenant_field, size, 16);
_Static_assert(sizeof(struct tenant_call) == 56, "tenant_call");
AT(tenant_call, timeout_ms, 0);
AT(tenant_call, tenant_id, 8);
AT(tenant_call, idempotency_key, 16);
AT(tenant_call, consistency_token, 24);
AT(tenant_call, waits_for_ready, 32);
AT(tenant_call, is_repeatable, 33);
AT(tenant_call, is_uncompressed, 34);
AT(tenant_call, attempts_max, 36);
AT(tenant_call, metadata, 40);
AT(tenant_call, metadata_count, 48);
#endif

static struct tenant_client *client_new(void)
{
    char cert[128], key[128], ca[128];
    return tenant_client_new(&(struct tenant_client_options){
        .address = server.address,
        .cert_file = cert_path(cert, server.folder, "leaf.pem"),
        .key_file = cert_path(key, server.folder, "leaf.key"),
        .ca_file = cert_path(ca, server.folder, "ca.pem")});
}

/* A check of a long name has this answer after so many attempts. */
static void check_long(struct tenant_client *client, struct tenant_call call,
                       enum tenant_code code, unsigned attempts)
{
    static char name[2001];
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    memset(name, 'n', sizeof name - 1);
    request.service = name;
    struct tenant_answer *answer =
        tenant_client_call(client, &call, "/grpc.health.v1.Health/Check", &request.base,
                           &grpc__health__v1__health_check_response__descriptor);
    ck_assert_msg(tenant_answer_code(answer) == code, "%d %s", tenant_answer_code(answer),
                  tenant_answer_message(answer));
    ck_assert_uint_eq(tenant_answer_attempts(answer), attempts);
    tenant_answer_free(answer);
}

START_TEST(a_client_compresses_when_it_is_told)
{
    serve(answer_well);
    struct tenant_client *client = client_new();
    check_long(client, (struct tenant_call){.timeout_ms = 0}, TENANT_OK, 1);
    ck_assert(!scripted_saw_field(&server, "grpc-encoding"));
    tenant_client_compress(client, 1000);
    check_long(client, (struct tenant_call){.timeout_ms = 0}, TENANT_OK, 1);
    ck_assert(scripted_saw_field(&server, "grpc-encoding: gzip\n"));
    check_long(client, (struct tenant_call){.is_uncompressed = true}, TENANT_OK, 1);
    ck_assert(!scripted_saw_field(&server, "grpc-encoding"));
    tenant_client_compress(client, 0);
    check_long(client, (struct tenant_call){.timeout_ms = 0}, TENANT_OK, 1);
    ck_assert(!scripted_saw_field(&server, "grpc-encoding"));
    tenant_client_free(client);
}
END_TEST

/* No assertion of ours ends a program that is wrong about its stream. */
START_TEST(nothing_is_sent_behind_the_end)
{
    serve(answer_well);
    struct tenant_client *client = client_new();
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct tenant_stream *stream =
        tenant_client_stream(client, &(struct tenant_call){.timeout_ms = 0},
                             "/grpc.health.v1.Health/Check",
                             &grpc__health__v1__health_check_request__descriptor,
                             &grpc__health__v1__health_check_response__descriptor);
    ck_assert(tenant_stream_send(stream, &request.base));
    tenant_stream_send_end(stream);
    ck_assert(!tenant_stream_send(stream, &request.base));
    ck_assert_ptr_nonnull(tenant_stream_receive(stream));
    ck_assert_ptr_null(tenant_stream_receive(stream));
    struct tenant_answer *answer = tenant_stream_end(stream);
    ck_assert_int_eq(tenant_answer_code(answer), TENANT_OK);
    ck_assert_ptr_null(tenant_answer_details(answer, NULL));
    tenant_answer_free(answer);
    tenant_client_free(client);
}
END_TEST

static void know_no_gzip(struct scripted *self, int32_t id, bool whole)
{
    static const char denial[] = GRPC_FIELDS "grpc-accept-encoding: identity\ngrpc-status: 12\n";
    if (whole && buf_slice(&self->body).data[0] == 1)
        scripted_reply(self, id, (struct reply){denial, {0}, NULL, REPLY_ENDS});
    else
        answer_well(self, id, whole);
}

START_TEST(a_server_without_gzip_is_asked_again_unless_once_is_enough)
{
    serve(know_no_gzip);
    struct tenant_client *client = client_new();
    tenant_client_compress(client, 1000);
    if (_i == 0)
        check_long(client, (struct tenant_call){.attempts_max = 1}, TENANT_UNIMPLEMENTED, 1);
    else
        check_long(client, (struct tenant_call){.attempts_max = 2}, TENANT_OK, 2);
    check_long(client, (struct tenant_call){.attempts_max = 1}, TENANT_OK, 1);
    tenant_client_free(client);
}
END_TEST

Suite *suite_client_public(void);
Suite *suite_client_public(void)
{
    Suite *suite = suite_create("client/public");
    TCase *compresses = caller_case("compresses");
    tcase_add_test(compresses, a_client_compresses_when_it_is_told);
    tcase_add_loop_test(compresses, a_server_without_gzip_is_asked_again_unless_once_is_enough, 0,
                        2);
    suite_add_tcase(suite, compresses);
    TCase *streams = caller_case("streams");
    tcase_add_test(streams, nothing_is_sent_behind_the_end);
    suite_add_tcase(suite, streams);
    return suite;
}
