"""Streams and events by a stock NATS client: what the relay makes, and what it never would."""
import asyncio
import json
import os
import ssl
import time
import uuid

import nats
from nats.js import api

from tenant.events.v1 import envelope_pb2, tenant_events_pb2

PARTITIONS = 16
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def fnv1a32(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def text_id(prefix):
    number = uuid.uuid4().int
    digits = ""
    for _ in range(26):
        digits = DIGITS[number % 32] + digits
        number //= 32
    return prefix + digits


def partition_of(tenant):
    return fnv1a32(tenant.encode()) % PARTITIONS


def tenant_in(partition):
    while True:
        tenant = text_id("tnt_")
        if partition is None or partition_of(tenant) == partition:
            return tenant


class Broker:
    """Blocking face of the client; one loop, one connection per identity."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.clients = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.clients.values():
            self.run(client.close())
        self.loop.close()

    def run(self, work):
        return self.loop.run_until_complete(work)

    def client(self, identity="admin"):
        if identity not in self.clients or self.clients[identity].is_closed:
            pki, creds = os.environ["STACK_PKI"], os.environ["STACK_NATS_CREDS"]
            context = ssl.create_default_context(cafile=f"{pki}/ca.pem")
            context.load_cert_chain(f"{pki}/{identity}.pem", f"{pki}/{identity}.key")
            self.clients[identity] = self.run(nats.connect(
                os.environ["STACK_NATS_URL"], tls=context, tls_hostname="localhost",
                nkeys_seed=f"{creds}/{identity}.nk", connect_timeout=5))
        return self.clients[identity]

    def version(self):
        """Of the server: (2, 15)."""
        known = self.client().connected_server_version
        return known.major, known.minor

    def js(self, identity="admin"):
        return self.client(identity).jetstream()

    def reset(self):
        js = self.js()
        for stream in [f"TENANT_{n:02d}" for n in range(PARTITIONS)] + ["TENANT_DLQ", "TENANT_GROUPS"]:
            try:
                self.run(js.delete_stream(stream))
            except nats.js.errors.NotFoundError:
                pass
        for number in range(PARTITIONS):
            self.stream(number)
        self.run(js.add_stream(name="TENANT_DLQ", subjects=["TENANT.DLQ.>"], storage=api.StorageType.FILE))
        self.run(js.add_stream(name="TENANT_GROUPS", subjects=["TENANT.GROUPS.*"], storage=api.StorageType.FILE,
                               max_msgs_per_subject=1))

    def stream(self, number):
        self.run(self.js().add_stream(name=f"TENANT_{number:02d}", subjects=[f"tenant.*.*.*.{number:02d}"],
                                      storage=api.StorageType.FILE))

    def publish(self, tenant, sequence, incarnation=1, kind="updated", body=None, headers=None, partition=None, version=1):
        """One event as the relay sends it; returns (event id, stream sequence)."""
        event = envelope(tenant, sequence, incarnation, kind, version)
        where = partition_of(tenant) if partition is None else partition
        sent = {"Nats-Msg-Id": event.event_id, "Event-Type": f"tenant.org.{kind}.v{version}", "Tenant-Id": tenant,
                "Tenant-Sequence": str(sequence), "Tenant-Incarnation": str(incarnation)}
        sent.update(headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        ack = self.run(self.js("tenant-service").publish(
            f"tenant.org.{kind}.v{version}.{where:02d}", event.SerializeToString() if body is None else body, headers=sent))
        return event.event_id, ack.seq

    def publish_many(self, pairs, incarnation=1):
        """Many at once, in this order: [(tenant, sequence), …]."""
        async def all_of_them():
            js = self.clients["tenant-service"].jetstream()
            for tenant, sequence in pairs:
                event = envelope(tenant, sequence, incarnation, "updated", 1)
                await js.publish_async(
                    f"tenant.org.updated.v1.{partition_of(tenant):02d}", event.SerializeToString(),
                    headers={"Nats-Msg-Id": event.event_id, "Event-Type": "tenant.org.updated.v1", "Tenant-Id": tenant,
                             "Tenant-Sequence": str(sequence), "Tenant-Incarnation": str(incarnation)})
            await js.publish_async_completed()
        self.client("tenant-service")
        self.run(all_of_them())

    def consumer(self, stream, name):
        return self.run(self.js().consumer_info(stream, name))

    def pending(self, number, name):
        """What the consumer of a partition was never given; None: it is not there yet."""
        try:
            return self.consumer(f"TENANT_{number:02d}", name).num_pending
        except nats.js.errors.NotFoundError:
            return None

    def limit_pulls(self, number, name, most):
        """Refuses larger ones from now on, with status 409.  The client has no such field of a consumer."""
        async def change():
            client, stream = self.clients["admin"], f"TENANT_{number:02d}"
            reply = await client.request(f"$JS.API.CONSUMER.INFO.{stream}.{name}", b"", timeout=5)
            wish = {"stream_name": stream, "action": "update", "config": json.loads(reply.data)["config"] | {"max_batch": most}}
            reply = await client.request(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", json.dumps(wish).encode(), timeout=5)
            assert "error" not in json.loads(reply.data), reply.data
        self.run(change())

    def deliver_in_vain(self, number, name, count, times):
        """All that a partition's consumer has is given out and comes back, so often."""
        async def read():
            subscription = await self.clients["admin"].jetstream().pull_subscribe_bind(name, f"TENANT_{number:02d}")
            for _ in range(times):
                for message in await subscription.fetch(count, timeout=5):
                    await message.nak()
            await subscription.unsubscribe()
        self.run(read())

    def group(self, name="sync-service"):
        """The record of a group: {partition: owner}, {member: beat}, {(partition, stream sequence): attempts}."""
        try:
            message = self.run(self.js().get_last_msg("TENANT_GROUPS", f"TENANT.GROUPS.{name}"))
        except nats.js.errors.NotFoundError:
            return {}, {}, {}
        words = [line.split() for line in message.data.decode().splitlines()[1:]]
        return ({int(w[1]): w[2] for w in words if w[0] == "lease"}, {w[1]: int(w[2]) for w in words if w[0] == "member"},
                {(int(w[1]), int(w[2])): int(w[3]) for w in words if w[0] == "attempt"})

    def requeue(self, letter, group="sync-service"):
        """What an operator does with a dead letter: (subject, headers, body) as letters() gives it."""
        subject, headers, body = letter
        times = int(headers.get("Dlq-Requeues", "0")) + 1
        headers = {name: value for name, value in headers.items() if not name.startswith("Nats-")}
        headers |= {"Dlq-Requeues": str(times), "Nats-Msg-Id": f"requeue:{group}:{headers['Dlq-Event-Id']}:{times}"}
        target = f"TENANT.DLQ.requeue.{group}.{subject.rsplit('.', 1)[1]}"
        self.run(self.js().publish(target, body, headers=headers))

    def letters(self, pattern="TENANT.DLQ.>"):
        """All dead letters: (subject, headers, body)."""
        async def read():
            js = self.clients["admin"].jetstream()
            found = []
            state = (await js.stream_info("TENANT_DLQ")).state
            for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
                message = await js.get_msg("TENANT_DLQ", sequence)
                found.append((message.subject, message.headers, message.data))
            return found
        self.client()
        prefix = pattern.rstrip(">")
        return [letter for letter in self.run(read()) if letter[0].startswith(prefix)]


def envelope(tenant, sequence, incarnation, kind, version):
    event = envelope_pb2.EventEnvelope(
        event_id=text_id("evt_"), event_type=f"tenant.org.{kind}", event_version=version, tenant_id=tenant,
        partition_key=tenant, incarnation=incarnation, sequence=sequence)
    event.occurred_at.FromNanoseconds(time.time_ns())
    if kind == "updated":
        payload = tenant_events_pb2.OrgUpdated(changed_fields=["display_name"])
        payload.tenant.tenant_id = tenant
        payload.tenant.display_name = f"number {sequence}"
        event.payload = payload.SerializeToString()
    return event
