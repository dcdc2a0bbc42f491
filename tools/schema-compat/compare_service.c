/* Services: methods that are gone or speak otherwise; see compare.h. */
#include "compare.h"

#include <string.h>

static void compare_method(struct comparison *comparison, const struct element *service,
                           const MethodProto *old, size_t at);

void compare_service(struct comparison *comparison, const struct element *old,
                     const struct element *new)
{
    for (size_t i = 0; i < old->service->n_method; i++) {
        const MethodProto *method = old->service->method[i];
        size_t at = 0;
        while (at < new->service->n_method &&
               strcmp(new->service->method[at]->name, method->name) != 0)
            at++;
        if (at == new->service->n_method)
            breach(comparison, RULE_RPC_NO_DELETE, &new->place, new->name,
                   "method %s of %s was deleted", method->name, new->name);
        else
            compare_method(comparison, new, method, at);
    }
}

static const char *idempotency(const MethodProto *method)
{
    if (method->options == NULL || !method->options->has_idempotency_level)
        return "IDEMPOTENCY_UNKNOWN";
    Google__Protobuf__MethodOptions__IdempotencyLevel level = method->options->idempotency_level;
    if (level == GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__NO_SIDE_EFFECTS)
        return "NO_SIDE_EFFECTS";
    bool idempotent = level == GOOGLE__PROTOBUF__METHOD_OPTIONS__IDEMPOTENCY_LEVEL__IDEMPOTENT;
    return idempotent ? "IDEMPOTENT" : "IDEMPOTENCY_UNKNOWN";
}

static void compare_method(struct comparison *comparison, const struct element *service,
                           const MethodProto *old, size_t at)
{
    enum { IDEMPOTENCY_LEVEL = 34 };
    const MethodProto *new = service->service->method[at];
    struct place place = place_inside(&service->place, SERVICE_METHOD, (int)at);
    struct place input = place_inside(&place, METHOD_INPUT, -1);
    struct place output = place_inside(&place, METHOD_OUTPUT, -1);
    struct place level = place_inside(&place, METHOD_OPTIONS, IDEMPOTENCY_LEVEL);
    const struct {
        enum rule rule;
        const struct place *place;
        const char *what;
        const char *values[2];
    } rows[] = {
        {RULE_RPC_SAME_REQUEST_TYPE, &input, "request type", {old->input_type, new->input_type}},
        {RULE_RPC_SAME_RESPONSE_TYPE,
         &output,
         "response type",
         {old->output_type, new->output_type}},
        {RULE_RPC_SAME_CLIENT_STREAMING,
         &place,
         "kind of requests",
         {old->client_streaming ? "stream" : "one", new->client_streaming ? "stream" : "one"}},
        {RULE_RPC_SAME_SERVER_STREAMING,
         &place,
         "kind of answers",
         {old->server_streaming ? "stream" : "one", new->server_streaming ? "stream" : "one"}},
        {RULE_RPC_SAME_IDEMPOTENCY_LEVEL,
         &level,
         "idempotency_level",
         {idempotency(old), idempotency(new)}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *a = rows[i].values[0], *b = rows[i].values[1];
        if (strcmp(a, b) != 0)
            breach(comparison, rows[i].rule, rows[i].place, service->name,
                   "method %s of %s changed its %s from %s to %s", old->name, service->name,
                   rows[i].what, a + (a[0] == '.'), b + (b[0] == '.'));
    }
}
