"""JetStream by the stock client, call by call, for tests that are not asynchronous themselves."""
import asyncio
import threading

from nats.js.api import ConsumerConfig, RetentionPolicy, StreamConfig
from nats.js.errors import NotFoundError

from streams import connect

DLQ = "TENANT_DLQ"


class Broker:
    """One connection as one of the services; its loop runs on a thread."""

    def __init__(self, stack, identity):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.client = self.wait(connect(stack, identity))
        self.js = self.client.jetstream()

    def wait(self, coroutine, timeout=20):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def close(self):
        self.wait(self.client.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def dead_letters(self):
        """Makes the stream as the contract has it, unless the relay did."""
        config = StreamConfig(name=DLQ, subjects=["TENANT.DLQ.>"], retention=RetentionPolicy.LIMITS, max_age=90 * 86400,
                              duplicate_window=120)
        try:
            self.wait(self.js.stream_info(DLQ))
        except NotFoundError:
            self.wait(self.js.add_stream(config))

    def groups(self):
        """Makes the stream of consumer groups' records, unless the producer did."""
        try:
            self.wait(self.js.stream_info("TENANT_GROUPS"))
        except NotFoundError:
            self.wait(self.js.add_stream(StreamConfig(name="TENANT_GROUPS", subjects=["TENANT.GROUPS.*"], max_msgs_per_subject=1)))

    def publish(self, subject, body, headers):
        return self.wait(self.js.publish(subject, body, headers=headers)).seq

    def message(self, stream, seq):
        """None when there is none."""
        try:
            return self.wait(self.js.get_msg(stream, seq))
        except NotFoundError:
            return None

    def delete(self, stream, seq):
        self.wait(self.js.delete_msg(stream, seq))

    def delete_stream(self, stream):
        self.wait(self.js.delete_stream(stream))

    def messages(self, stream, subject):
        """All on that subject, oldest first."""
        found, seq = [], 1
        while True:
            try:
                message = self.wait(self.js.get_msg(stream, seq, subject=subject, next=True))
            except NotFoundError:
                return found
            found.append(message)
            seq = message.seq + 1

    def durable(self, stream, name, **settings):
        self.wait(self.js.add_consumer(stream, ConsumerConfig(durable_name=name, ack_policy="explicit", **settings)))

    def fetch(self, stream, name, count, timeout=5):
        async def run():
            subscription = await self.js.pull_subscribe_bind(name, stream)
            try:
                return await subscription.fetch(count, timeout=timeout)
            finally:
                await subscription.unsubscribe()
        return self.wait(run())

    def ack(self, messages):
        async def run():
            for message in messages:
                await message.ack_sync()
        self.wait(run())

    def consumer(self, stream, name):
        return self.wait(self.js.consumer_info(stream, name))
