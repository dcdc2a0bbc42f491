"""A consumer of all sixteen streams that keeps its own books: a foreign client (nats-py) and Google's protobuf, no
line of the service.

    follow.py BOOK [--all]

Reads each stream in its order from the first message on, goes on behind the last one that it has when a
connection is lost, and does with each event what docs/events-wire.md tells consumers to do.  For each stored
message a record (books.SEEN) goes to the file BOOK.  Prints {"seen": N, "gaps": N} twice a second.  The end of
its standard input, or --all, means: read up to where the streams end now, then end.

Environment: a stack's stack.env.
"""
import argparse
import asyncio
import collections
import json
import logging
import os
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "e2e"))

import conftest  # noqa: E402,F401  (compiles the protos)
import nats  # noqa: E402
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy  # noqa: E402
from streams import connect  # noqa: E402
from support import Stack  # noqa: E402
from tenant.events.v1 import envelope_pb2, tenant_events_pb2  # noqa: E402

import books  # noqa: E402

FETCH = 500
IDENTITY = "sync-service"


class Follower:
    def __init__(self, path):
        self.book = open(path, "wb")
        self.pending = bytearray()
        self.seen = self.gaps = self.connections = 0
        self.last = collections.defaultdict(int)  # (tenant, incarnation) -> sequence of the last event applied
        self.ends = None                          # of each stream, once it shall end

    def take(self, shard, place, message):
        stored_us = message.metadata.timestamp.timestamp() * 1e6
        event = books.Seen(shard, place, message, int(stored_us))
        event.decode(envelope_pb2.EventEnvelope, tenant_events_pb2.OrgProvisioned)
        key = (event.tenant, event.incarnation)
        last = self.last[key]
        if event.sequence == last + 1:
            self.last[key] = event.sequence
        else:
            event.verdict = books.SKIPPED if event.sequence <= last else books.GAP
        self.gaps += event.verdict == books.GAP
        self.pending += event.packed()
        self.seen += 1
        if len(self.pending) > 1 << 20:
            self.flush()

    def flush(self):
        self.book.write(self.pending)
        self.book.flush()
        self.pending.clear()

    async def reconnected(self):
        self.connections += 1

    async def failed(self, _error):
        """Lost connections are what this is about."""


async def subscribe(js, shard, place):
    return await js.pull_subscribe("", stream=f"TENANT_{shard:02d}", config=ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=place + 1, ack_policy=AckPolicy.NONE,
        inactive_threshold=30, mem_storage=True, num_replicas=1))


async def follow(client, shard, follower):
    """What is missing between two messages was lost on the way to us when a new consumer delivers it, and is
    missing in the stream when it does not."""
    js = client.jetstream(timeout=3)
    place = connections = 0
    subscription = None
    while follower.ends is None or place < follower.ends[shard]:
        if connections != follower.connections:
            subscription, connections = None, follower.connections
        try:
            fresh = subscription is None
            if fresh:
                subscription = await subscribe(js, shard, place)
            messages = await subscription.fetch(FETCH, timeout=0.5)
        except nats.errors.TimeoutError:
            continue
        except (nats.errors.Error, OSError):
            subscription = None
            await asyncio.sleep(0.1)
            continue
        for message in messages:
            number = message.metadata.sequence.stream
            if number > place + 1 and not fresh:
                subscription = None
                break
            if number > place:
                follower.take(shard, number, message)
                place, fresh = number, False


async def ends_read(client):
    """Where the streams end; asked until the server answers."""
    js, ends = client.jetstream(timeout=3), []
    while len(ends) < books.PARTITIONS:
        try:
            ends.append((await js.stream_info(f"TENANT_{len(ends):02d}")).state.last_seq)
        except nats.js.errors.NotFoundError:
            ends.append(0)
        except (nats.errors.Error, OSError):
            await asyncio.sleep(0.1)
    return ends


async def told_to_end():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def tell(follower):
    while True:
        print(json.dumps({"seen": follower.seen, "gaps": follower.gaps}), flush=True)
        await asyncio.sleep(0.5)


async def run(options):
    follower = Follower(options.book)
    client = await connect(Stack(os.environ), IDENTITY, connect_timeout=3, max_reconnect_attempts=-1,
                           reconnect_time_wait=0.1, ping_interval=2, max_outstanding_pings=2,
                           error_cb=follower.failed, reconnected_cb=follower.reconnected)
    teller = asyncio.create_task(tell(follower))
    tasks = [asyncio.create_task(follow(client, shard, follower)) for shard in range(books.PARTITIONS)]
    if not options.all:
        await told_to_end()
    follower.ends = await ends_read(client)
    await asyncio.gather(*tasks)
    follower.flush()
    teller.cancel()
    await client.close()
    print(json.dumps({"seen": follower.seen, "gaps": follower.gaps}), flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("book")
    options.add_argument("--all", action="store_true", help="read what is there now, then end")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who started us ends us
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    asyncio.run(run(options.parse_args()))


if __name__ == "__main__":
    main()
