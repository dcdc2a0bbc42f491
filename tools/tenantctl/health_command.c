/* tenantctl health: grpc.health.v1.Health/Check. */
#include "call.h"
#include "output.h"
#include "tenant_commands.h"

#include "gen/rpc/health.h"

static const struct flag health_flags[] = {
    FLAG("service", "NAME", "ask about one service", .choices = "tenant.v1.TenantService"),
    FLAGS_END,
};
const struct flag_set health_set = {"flags", health_flags};

static int health_once(struct cli *cli);

int health_show(struct cli *cli)
{
    return ctl_watch(cli, health_once);
}

static int health_once(struct cli *cli)
{
    Grpc__Health__V1__HealthCheckRequest request;
    grpc__health__v1__health_check_request__init(&request);
    const char *service = cli_value(cli, "service");
    if (service != NULL)
        request.service = arena_strdup(cli->arena, service);
    struct ctl_call call = {.method = ctl_method(&health_rpc, "Check"), .in = &request.base};
    ProtobufCMessage *message = NULL;
    TRY(ctl_call(cli, &call, &message));
    const Grpc__Health__V1__HealthCheckResponse *answer =
        (const Grpc__Health__V1__HealthCheckResponse *)message;
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(
        &grpc__health__v1__health_check_response__serving_status__descriptor, (int)answer->status);
    const char *name = value == NULL ? "UNKNOWN" : value->name;
    bool serves = strcmp(name, "SERVING") == 0;
    if (cli->form == FORM_TABLE)
        fprintf(cli->out, "%s\n",
                text_paint(cli->arena, cli->terminal.out_colour, serves ? COLOUR_GREEN : COLOUR_RED,
                           name));
    else
        output_value(cli, json_pack("{s:s}", "status", name));
    return serves ? EXIT_DONE : EXIT_NO_ANSWER;
}
