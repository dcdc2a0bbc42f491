/* A program of somebody else's: creates a tenant, reads it, asks for one that is not there, and watches health.
 *
 *   example ADDRESS CERT KEY CA IDEMPOTENCY-KEY */
#include <tenant/health.h>
#include <tenant/tenant_service.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static int failed(const char *what, struct tenant_answer *answer)
{
    fprintf(stderr, "%s: %d %s %s\n", what, tenant_answer_code(answer),
            tenant_answer_reason(answer), tenant_answer_message(answer));
    tenant_answer_free(answer);
    return 1;
}

static int create(struct tenant_client *client, const char *key, char id[64])
{
    char slug[64], name[] = "Example", region[] = "eu";
    snprintf(slug, sizeof slug, "example-%s", key);
    Tenant__V1__Tenant tenant = TENANT__V1__TENANT__INIT;
    Tenant__V1__CreateTenantRequest request = TENANT__V1__CREATE_TENANT_REQUEST__INIT;
    tenant.slug = slug;
    tenant.display_name = name;
    tenant.home_region = region;
    request.tenant = &tenant;
    struct tenant_answer *answer =
        tenant_create_tenant(client, &(struct tenant_call){.idempotency_key = key}, &request);
    if (tenant_answer_code(answer) != TENANT_OK)
        return failed("create", answer);
    snprintf(id, 64, "%s", tenant_create_tenant_response(answer)->tenant->tenant_id);
    printf("created %s, request %s\n", id,
           (const char *)tenant_answer_field(answer, "x-request-id", NULL));
    tenant_answer_free(answer);
    return 0;
}

static int read_back(struct tenant_client *client, char *id)
{
    Tenant__V1__GetTenantRequest request = TENANT__V1__GET_TENANT_REQUEST__INIT;
    request.tenant_id = id;
    struct tenant_answer *answer =
        tenant_get_tenant(client, &(struct tenant_call){.tenant_id = id}, &request);
    if (tenant_answer_code(answer) != TENANT_OK)
        return failed("get", answer);
    printf("read %s\n", tenant_get_tenant_response(answer)->tenant->display_name);
    tenant_answer_free(answer);
    return 0;
}

static int ask_in_vain(struct tenant_client *client)
{
    char id[] = "tnt_00000000000000000000000000";
    Tenant__V1__GetTenantRequest request = TENANT__V1__GET_TENANT_REQUEST__INIT;
    request.tenant_id = id;
    struct tenant_answer *answer =
        tenant_get_tenant(client, &(struct tenant_call){.tenant_id = id}, &request);
    size_t size = 0;
    if (tenant_answer_code(answer) != TENANT_NOT_FOUND ||
        strcmp(tenant_answer_reason(answer), "TENANT_NOT_FOUND") != 0 ||
        tenant_answer_details(answer, &size) == NULL || size == 0 ||
        tenant_answer_response(answer) != NULL)
        return failed("get in vain", answer);
    printf("refused: %s\n", tenant_answer_message(answer));
    tenant_answer_free(answer);
    return 0;
}

static int watch(struct tenant_client *client)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct tenant_stream *stream =
        tenant_health_watch(client, &(struct tenant_call){.timeout_ms = 20000});
    (void)tenant_health_watch_send(stream, &request);
    tenant_stream_send_end(stream);
    const Grpc__Health__V1__HealthCheckResponse *message = tenant_health_watch_receive(stream);
    int status = message == NULL ? -1 : (int)message->status;
    struct tenant_answer *answer = tenant_stream_end(stream);
    if (status != GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING ||
        tenant_answer_code(answer) != TENANT_CANCELLED)
        return failed("watch", answer);
    puts("healthy");
    tenant_answer_free(answer);
    return 0;
}

static int nobody_there(const struct tenant_client_options *options)
{
    struct tenant_client_options elsewhere = *options;
    elsewhere.address = "127.0.0.1:1";
    struct tenant_client *client = tenant_client_new(&elsewhere);
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct tenant_answer *answer =
        tenant_health_check(client, &(struct tenant_call){.attempts_max = 1}, &request);
    int code = tenant_answer_code(answer);
    if (code != TENANT_UNAVAILABLE)
        return failed("nobody there", answer);
    printf("unavailable: %s\n", tenant_answer_message(answer));
    tenant_answer_free(answer);
    tenant_client_free(client);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: example ADDRESS CERT KEY CA IDEMPOTENCY-KEY\n");
        return 2;
    }
    const struct tenant_client_options options = {
        .address = argv[1],
        .cert_file = argv[2],
        .key_file = argv[3],
        .ca_file = argv[4],
        .server_name = "localhost",
    };
    struct tenant_client *client = tenant_client_new(&options);
    char id[64] = "";
    int bad = create(client, argv[5], id) || read_back(client, id) || ask_in_vain(client) ||
              watch(client) || nobody_there(&options);
    tenant_client_free(client);
    return bad;
}
