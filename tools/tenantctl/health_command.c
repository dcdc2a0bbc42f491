/* tenantctl health: grpc.health.v1.Health/Check. */
#include "output.h"
#include "settings.h"
#include "tenant_commands.h"

#include "gen/rpc/health.h"

#include <stdio.h>

const struct flag health_flags[] = {
    {"service", "NAME", "ask about one service, such as tenant.v1.TenantService", false},
    {NULL, NULL, NULL, false},
};

int ctl_health(struct cli *cli)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    const char *service = cli_value(cli, "service");
    if (service != NULL)
        request.service = arena_strdup(cli->arena, service);
    struct client_call call;
    TRY(ctl_open_call(cli, &call));
    Grpc__Health__V1__HealthCheckResponse *answer = NULL;
    int status = EXIT_DONE;
    if (health_check(&call, &request, &answer) != OK) {
        status = output_fault(&cli->ctx, cli->settings->address);
    } else if (call.status != 0) {
        status = output_refusal(&call);
    } else {
        const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
            &grpc__health__v1__health_check_response__serving_status__descriptor,
            (int)answer->status);
        const char *name = value == NULL ? "UNKNOWN" : value->name;
        if (cli->settings->json)
            output_json(json_pack("{s:s}", "status", name), false);
        else
            puts(name);
        status = strcmp(name, "SERVING") == 0 ? EXIT_DONE : EXIT_REFUSED;
    }
    client_channel_close(call.channel);
    return status;
}
