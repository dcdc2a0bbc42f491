"""Reads the event streams as a foreign consumer would: nats-py and Google's protobuf."""
import asyncio
import json
import ssl
import uuid

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from tenant.events.v1 import envelope_pb2, tenant_events_pb2

PARTITIONS = 16
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def fnv1a32(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def partition_of(tenant_id):
    return fnv1a32(tenant_id.encode()) % PARTITIONS


def tenant_uuid(text):
    number = 0
    for digit in text[4:]:
        number = number * 32 + DIGITS.index(digit)
    return str(uuid.UUID(int=number))


class Event:
    """One stored message: its place, its headers, the envelope, the payload."""

    def __init__(self, stream, message):
        self.stream, self.subject = stream, message.subject
        self.stream_sequence = message.metadata.sequence.stream
        self.headers = dict(message.headers or {})
        self.envelope = envelope_pb2.EventEnvelope.FromString(message.data)
        self.event_id = self.envelope.event_id
        self.type = self.envelope.event_type
        self.tenant_id = self.envelope.tenant_id
        self.tenant_uuid = tenant_uuid(self.tenant_id)
        self.sequence = self.envelope.sequence
        name = "Org" + self.type.rsplit(".", 1)[1].title().replace("_", "")
        kind = getattr(tenant_events_pb2, name, None)
        self.payload = kind.FromString(self.envelope.payload) if kind else None  # events about events have no tenant
        self.slug = self.payload.tenant.slug if kind else None
        self.display_name = self.payload.tenant.display_name if kind else None
        self.partition = int(self.subject.rsplit(".", 1)[1])
        self.expected_partition = partition_of(self.tenant_id)


def read_streams(stack, identity="admin"):
    return asyncio.run(_read(stack, identity))


async def connect(stack, identity, **options):
    context = ssl.create_default_context(cafile=stack.pki / "ca.pem")
    context.load_cert_chain(stack.pki / f"{identity}.pem", stack.pki / f"{identity}.key")
    return await nats.connect(
        stack.env["STACK_NATS_URL"].split(","), tls=context, tls_hostname="localhost",
        nkeys_seed=f"{stack.env['STACK_NATS_CREDS']}/{identity}.nk", **({"connect_timeout": 5} | options))


async def leaders(stack, streams):
    """The servers of a cluster that lead these streams, as tools/stack calls them; a stream without a leader is left out."""
    client = await connect(stack, "admin")
    found = {}
    try:
        for stream in streams:
            reply = await client.request(f"$JS.API.STREAM.INFO.{stream}", b"", timeout=5)
            if name := json.loads(reply.data).get("cluster", {}).get("leader"):
                found[stream] = "nats" + name.removeprefix(f"stack-{stack.name}")
    finally:
        await client.close()
    return found


async def _read(stack, identity):
    client = await connect(stack, identity)
    js = client.jetstream()
    events = []
    for partition in range(PARTITIONS):
        stream = f"TENANT_{partition:02d}"
        try:
            state = (await js.stream_info(stream)).state
        except NotFoundError:
            continue  # a stream that the relay has not made yet holds no events
        if state.messages == 0:
            continue
        subscription = await js.pull_subscribe(
            "", stream=stream, config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL))
        wanted = state.messages
        while wanted > 0:
            for message in await subscription.fetch(min(wanted, 200), timeout=5):
                events.append(Event(stream, message))
                await message.ack()
                wanted -= 1
        await subscription.unsubscribe()
    await client.close()
    return events
