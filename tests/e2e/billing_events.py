"""What the billing service would publish: its envelope, its payloads, its stream."""
import asyncio
import time
import uuid

from nats.js.errors import NotFoundError

from billing.events.v1 import subscription_events_pb2 as pb
from tenant.events.v1 import envelope_pb2

from streams import connect

KINDS = {"created": pb.SubscriptionCreated, "changed": pb.SubscriptionChanged, "canceled": pb.SubscriptionCanceled}


def stamp(message, seconds):
    message.FromNanoseconds(int(seconds * 1e9))


class Billing:
    """Times are seconds since 1970; each event gets a later one than the one before unless told otherwise."""

    def __init__(self, stack):
        self.stack, self.now = stack, time.time()

    def later(self, at=None):
        self.now += 1
        return self.now if at is None else at

    def event(self, kind, tenant, subscription="sub_1", at=None, event_id=None, residency="", version=1, **fields):
        """(event id, bytes); unknown fields of the kind go into the payload."""
        at = self.later(at)
        envelope = envelope_pb2.EventEnvelope(
            event_id=event_id or f"evt_{uuid.uuid4().hex}", event_type=f"billing.subscription.{kind}", event_version=version,
            tenant_id=tenant, correlation_id="bill-1", data_residency=residency)
        stamp(envelope.occurred_at, at)
        payload = KINDS.get(kind, pb.SubscriptionChanged)(subscription_id=subscription, tenant_id=tenant)
        effective = fields.pop("effective_at", None)
        if kind == "changed":
            stamp(payload.changed_at, at)
        if kind == "canceled":
            stamp(payload.canceled_at, at)
            if effective is not None:
                stamp(payload.effective_at, effective)
        for name, value in fields.items():
            setattr(payload, name, value)
        envelope.payload = payload.SerializeToString()
        return envelope.event_id, envelope.SerializeToString()

    def send(self, *events, subject="billing.subscription.event.v1", times=1):
        """Publishes bytes as they are, each `times` times."""
        async def publish():
            client = await connect(self.stack, "billing")
            for data in events:
                for _ in range(times):
                    await client.jetstream().publish(subject, data)
            await client.close()
        asyncio.run(publish())

    def tell(self, kind, tenant, **fields):
        event_id, data = self.event(kind, tenant, **fields)
        self.send(data, subject=f"billing.subscription.{kind}.v1")
        return event_id


def letters(stack, consumer="tenant-service"):
    """(subject, headers, body) of the dead letters of a consumer."""
    async def read():
        client = await connect(stack, "admin")
        js = client.jetstream()
        found = []
        try:
            state = (await js.stream_info("TENANT_DLQ")).state
            for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
                try:
                    message = await js.get_msg("TENANT_DLQ", sequence)
                except NotFoundError:
                    continue  # sent back, or dropped
                found.append((message.subject, message.headers, message.data))
        finally:
            await client.close()
        return [letter for letter in found if letter[0].startswith(f"TENANT.DLQ.consumer.{consumer}.")]
    return asyncio.run(read())


def requeue(stack, letter, consumer="tenant-service"):
    """As an operator does."""
    async def send():
        client = await connect(stack, "admin")
        subject, headers, body = letter
        times = int(headers.get("Dlq-Requeues", "0")) + 1
        headers = {name: value for name, value in headers.items() if not name.startswith("Nats-")}
        headers |= {"Dlq-Requeues": str(times), "Nats-Msg-Id": f"requeue:{consumer}:{headers['Dlq-Event-Id']}:{times}"}
        await client.jetstream().publish(
            f"TENANT.DLQ.requeue.{consumer}.{subject.rsplit('.', 1)[1]}", body, headers=headers)
        await client.close()
    asyncio.run(send())
