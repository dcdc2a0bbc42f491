"""tenant-service's side of contract verification: brings about provider states by its public API, by the events that it
consumes and, for what no caller can do, by what happens to its servers; and hands out the events that it sent.  Speaks
contract-verify's lines (docs/contracts.md):

    {"action": "setup", "state": NAME, "params": {...}}    -> the values of the state, or {"error": TEXT}
    {"action": "message", "description": ..., "values": {...}}  -> {"contents": BASE64, "metadata": {...}}

    provider.py            needs SERVICE_ADDR and STACK_* in the environment (build/stack/NAME/stack.env)
"""
import base64
import functools
import json
import os
import pathlib
import secrets
import sys
import time
import uuid

import grpc
import psycopg

import events
import protos

sys.path.insert(0, str(protos.compiled()))

from billing.events.v1 import subscription_events_pb2  # noqa: E402  (needs the compiled protos)
from tenant.events.v1 import envelope_pb2  # noqa: E402  (needs the compiled protos)
from tenant.v1 import tenants_pb2, tenants_pb2_grpc  # noqa: E402  (needs the compiled protos)

STATES = {}


def state(name):
    def register(function):
        STATES[name] = function
        return function
    return register


class Provider:
    def __init__(self, env):
        self.env = env
        self.pki = pathlib.Path(env["STACK_PKI"])
        self.reader = None
        self.stubs = {}

    def stub(self, identity="admin"):
        if identity not in self.stubs:
            read = lambda name: (self.pki / name).read_bytes()
            channel = grpc.secure_channel(self.env["SERVICE_ADDR"], grpc.ssl_channel_credentials(
                read("ca.pem"), read(f"{identity}.key"), read(f"{identity}.pem")))
            self.stubs[identity] = tenants_pb2_grpc.TenantServiceStub(channel)
        return self.stubs[identity]

    def create(self, identity="admin", metadata=(), **fields):
        """A new tenant with what the state asks for; (tenant, consistency token)."""
        tenant = tenants_pb2.Tenant(slug=new_slug(), display_name="Acme", home_region="eu")
        if "plan" in fields:
            tenant.plan.plan_id = fields["plan"]
            tenant.plan.addons.extend(fields.get("addons", []))
        tenant.labels.update(fields.get("labels", {}))
        if "settings" in fields:
            for name, value in fields["settings"].items():
                setattr(tenant.settings, name, value)
        response, call = self.stub(identity).CreateTenant.with_call(
            tenants_pb2.CreateTenantRequest(tenant=tenant), timeout=10, metadata=metadata)
        return response.tenant, dict(call.initial_metadata()).get("x-consistency-token", "")

    def change(self, verb, tenant_id, **fields):
        request = getattr(tenants_pb2, f"{verb}TenantRequest")(tenant_id=tenant_id, **fields)
        return getattr(self.stub(), f"{verb}Tenant")(request, timeout=10).tenant

    def update(self, tenant_id, **fields):
        request = tenants_pb2.UpdateTenantRequest(tenant=tenants_pb2.Tenant(tenant_id=tenant_id, **fields))
        request.update_mask.paths.extend(fields)
        response, call = self.stub().UpdateTenant.with_call(request, timeout=10)
        return response.tenant, dict(call.initial_metadata())["x-consistency-token"]

    def answer(self, question):
        if question["action"] == "message":
            return self.message(question)
        function = STATES.get(question["state"])
        if function is None:
            return {"error": f"tenant-service knows no state {question['state']!r}"}
        if question["action"] != "setup":
            return {}
        return function(self, **question["params"]) or {}

    def event(self, values):
        if self.reader is None:
            self.reader = events.Reader(self.env)
        return self.reader.find(values["tenant_id"], values["event_type"])

    def message(self, question):
        found = self.event(question["values"])
        return {"contents": base64.b64encode(found.body).decode(), "metadata": found.headers}


def new_slug():
    return f"acme-{secrets.token_hex(8)}"


def values_of(tenant, **more):
    return {"tenant_id": tenant.tenant_id, "slug": tenant.slug, "etag": tenant.etag,
            "display_name": tenant.display_name, **more}


def event_of(verb, sequence):
    """The values that a message of the state is found by."""
    return {"event_type": f"tenant.org.{verb}.v1", "sequence": str(sequence)}


@state("a tenant exists")
def tenant_exists(provider, **fields):
    tenant, token = provider.create(**fields)
    return values_of(tenant, consistency_token=token)


@state("two tenants exist")
def two_tenants_exist(provider):
    (tenant, _), (other, _) = provider.create(), provider.create()
    return values_of(tenant, other_tenant_id=other.tenant_id)


@state("no such tenant exists")
def no_such_tenant(provider):
    """An id of the right form, whose time is the year 2016."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return {"tenant_id": "tnt_01ARZ3NDEK" + "".join(secrets.choice(digits) for _ in range(16))}


@state("a slug is free")
def slug_is_free(provider):
    return {"slug": new_slug()}


@state("a tenant was created under an idempotency key")
def created_under_key(provider):
    key = secrets.token_hex(13)
    tenant, _ = provider.create("api-gateway", (("idempotency-key", key),))
    return values_of(tenant, idempotency_key=key)


@state("a tenant was changed")
def tenant_was_changed(provider):
    old, _ = provider.create()
    new, token = provider.update(old.tenant_id, display_name="Acme Corp")
    return values_of(new, stale_etag=old.etag, consistency_token=token)


@state("a tenant is suspended")
def tenant_is_suspended(provider):
    tenant, _ = provider.create()
    tenant = provider.change("Suspend", tenant.tenant_id, reason="invoice 4711 is unpaid")
    return values_of(tenant, **event_of("suspended", 2))


@state("a tenant is active again")
def tenant_is_active_again(provider):
    tenant, _ = provider.create()
    provider.change("Suspend", tenant.tenant_id)
    return values_of(provider.change("Reactivate", tenant.tenant_id), **event_of("reactivated", 3))


@state("a tenant is closed")
def tenant_is_closed(provider):
    tenant, _ = provider.create()
    return values_of(provider.change("Close", tenant.tenant_id), **event_of("closed", 2))


@state("a tenant was provisioned")
def tenant_was_provisioned(provider):
    tenant, _ = provider.create(plan="plan_pro", labels={"env": "prod"})
    return values_of(tenant, **event_of("provisioned", 1))


@state("a tenant was updated")
def tenant_was_updated(provider):
    return {**tenant_was_changed(provider), **event_of("updated", 2)}


@state("a tenant's subscription changed its plan")
def plan_was_changed(provider):
    """Billing says so; what the service makes of it is found like any event."""
    tenant, _ = provider.create(plan="plan_free")
    caused_by = f"evt_{uuid.uuid4().hex}"
    envelope = envelope_pb2.EventEnvelope(event_id=caused_by, event_type="billing.subscription.created", event_version=1,
                                          tenant_id=tenant.tenant_id, payload=subscription_events_pb2.SubscriptionCreated(
                                              subscription_id="sub_1", tenant_id=tenant.tenant_id,
                                              plan_id="plan_pro").SerializeToString())
    envelope.occurred_at.FromNanoseconds(time.time_ns())
    events.publish(provider.env, "billing", "billing.subscription.created.v1", envelope.SerializeToString())
    return values_of(tenant, caused_by=caused_by, **event_of("plan_changed", 2))


@state("an event of a tenant was received")
def event_was_received(provider):
    """The token is the event's, read from the stream as sync-service would."""
    values = tenant_was_updated(provider)
    found = provider.event(values)
    envelope = envelope_pb2.EventEnvelope.FromString(found.body)
    return {**values, "consistency_token": envelope.consistency_token}


@state("an event of a tenant was withheld")
@functools.cache  # takes a second, and what is in a stream stays as it is
def event_was_withheld(provider):
    """Its stream was given a limit that the event is beyond."""
    tenant, _ = provider.create()
    partitions = [events.partition_of(tenant.tenant_id)]
    events.largest_message(provider.env, partitions, 3000)
    try:
        provider.update(tenant.tenant_id, labels={f"label-{n}": "x" * 60 for n in range(60)})
        values = {"tenant_id": tenant.tenant_id, "event_type": "tenant.event.withheld.v1", "sequence": "2"}
        provider.event(values)
    finally:
        events.largest_message(provider.env, partitions, -1)
    return values


@state("the latest event of a tenant is void")
@functools.cache  # takes a second, and what is in a stream stays as it is
def latest_event_is_void(provider):
    """The database is as it was before the tenant's last change; the relay gives its partition up and looks anew."""
    old, _ = provider.create()
    provider.update(old.tenant_id, display_name="Lost")
    provider.event({"tenant_id": old.tenant_id, "event_type": "tenant.org.updated.v1"})
    with psycopg.connect(provider.env["STACK_SUPERUSER_URL"]) as database:
        (tenant,) = database.execute("SELECT id FROM tenant.tenants WHERE slug = %s", [old.slug]).fetchone()
        (incarnation,) = database.execute("SELECT incarnation FROM tenant.installation").fetchone()
        end = time.monotonic() + events.PATIENCE_S  # it is settled a moment after it is in the stream
        while not database.execute("DELETE FROM tenant.outbox_sent WHERE tenant_id = %s AND seq = 2", [tenant]).rowcount:
            if time.monotonic() > end:
                raise LookupError(f"event 2 of {old.tenant_id} was not settled within {events.PATIENCE_S} s")
            time.sleep(0.02)
        database.execute("UPDATE tenant.tenant_seq SET seq = 1 WHERE tenant_id = %s", [tenant])
        database.execute("UPDATE tenant.tenants SET display_name = %s, version = 1 WHERE id = %s",
                         [old.display_name, tenant])
        database.execute("UPDATE tenant.relay_lease SET owner = '', expires_at = '-infinity' WHERE shard = %s",
                         [events.partition_of(old.tenant_id)])
    return {"tenant_id": old.tenant_id, "event_type": "tenant.log.rewound.v1", "sequence": "1",
            "previous_incarnation": str(incarnation)}


def main():
    provider = Provider(os.environ)
    for line in sys.stdin:
        try:
            answer = provider.answer(json.loads(line))
        except Exception as error:  # whatever it is, the verifier must hear of it
            answer = {"error": f"{type(error).__name__}: {getattr(error, 'details', lambda: error)()}"[:300]}
        print(json.dumps(answer), flush=True)
    if provider.reader is not None:
        provider.reader.close()


if __name__ == "__main__":
    main()
