/* The Tenant message that events carry: the same that the RPCs answer with. */
#ifndef EVENTS_TENANT_PAYLOAD_H
#define EVENTS_TENANT_PAYLOAD_H

#include "domain/tenant.h"

#include "gen/pb/tenant/v1/tenants.pb-c.h"

/* Strings are shared with the tenant; everything else lives in the arena. */
Tenant__V1__Tenant *tenant_payload(struct arena *arena, const struct tenant *tenant);

/* NULL when there is no plan. */
Tenant__V1__Plan *plan_payload(struct arena *arena, const struct tenant_plan *plan);

/* protobuf-c's members are not const, but packing only reads them. */
char *pb_text(const char *text);
Google__Protobuf__Timestamp *pb_time(struct arena *arena, uint64_t time_us);
/* A copy of bytes as a member of a message, in the arena. */
void pb_bytes(struct arena *arena, struct slice bytes, ProtobufCBinaryData *out);
/* A message's bytes, in the arena. */
struct slice pb_pack(struct arena *arena, const ProtobufCMessage *message);

#endif
