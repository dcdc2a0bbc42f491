"""Finds an event of a tenant in its stream, as a consumer would read it, publishes what billing would, and limits a stream
as its operator would."""
import asyncio
import pathlib
import ssl
import time
from collections import namedtuple

import nats
from nats.js.api import ConsumerConfig, DeliverPolicy

Found = namedtuple("Found", "body headers")
PARTITIONS = 16
PATIENCE_S = 10


def partition_of(tenant_id):
    value = 2166136261
    for byte in tenant_id.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value % PARTITIONS


async def connect(env, identity):
    pki = pathlib.Path(env["STACK_PKI"])
    context = ssl.create_default_context(cafile=pki / "ca.pem")
    context.load_cert_chain(pki / f"{identity}.pem", pki / f"{identity}.key")
    return await nats.connect(
        env["STACK_NATS_URL"].split(","), tls=context, tls_hostname="localhost",
        nkeys_seed=f"{env['STACK_NATS_CREDS']}/{identity}.nk", connect_timeout=5)


def publish(env, identity, subject, body, headers=None):
    """Returns when it is stored.  Its stream may be a moment away: services make theirs when they start."""
    async def send():
        client = await connect(env, identity)
        end = time.monotonic() + PATIENCE_S
        try:
            while True:
                try:
                    return await client.jetstream().publish(subject, body, headers=headers)
                except nats.js.errors.NoStreamResponseError:
                    if time.monotonic() > end:
                        raise
                    await asyncio.sleep(0.1)
        finally:
            await client.close()
    return asyncio.run(send())


def largest_message(env, partitions, size):
    """What the streams of these partitions take from now on, in bytes; -1: as much as the server."""
    async def change():
        client = await connect(env, "admin")
        js = client.jetstream()
        for partition in partitions:
            config = (await js.stream_info(f"TENANT_{partition:02d}")).config
            config.max_msg_size = size
            await js.update_stream(config)
        await client.close()
    asyncio.run(change())


class Reader:
    def __init__(self, env):
        self.loop = asyncio.new_event_loop()
        self.client = self.loop.run_until_complete(connect(env, "sync-service"))

    def close(self):
        self.loop.run_until_complete(self.client.close())
        self.loop.close()

    def find(self, tenant_id, event_type):
        """The newest event of this type and tenant; waits for the relay a while."""
        return self.loop.run_until_complete(self.search(tenant_id, event_type))

    async def search(self, tenant_id, event_type):
        partition = partition_of(tenant_id)
        subject = f"{event_type}.{partition:02d}"
        js = self.client.jetstream()
        subscription = await js.subscribe(
            subject, stream=f"TENANT_{partition:02d}", ordered_consumer=True,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL))
        end = time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < end:
                message = await subscription.next_msg(timeout=max(0.1, end - time.monotonic()))
                if (message.headers or {}).get("Tenant-Id") == tenant_id:
                    return Found(message.data, dict(message.headers))
        except nats.errors.TimeoutError:
            pass
        finally:
            await subscription.unsubscribe()
        raise LookupError(f"no event {event_type} of {tenant_id} within {PATIENCE_S} s")
