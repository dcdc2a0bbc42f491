"""The past once more: beside a group, and for a group that begins anew."""
import os
import pathlib
import signal
import threading
import time

import pytest

from broker import tenant_in
from follower import until


def ended(follower, seconds=30):
    """What the one-off run says at its end: (result, events handled, text)."""
    follower.process.wait(seconds)
    time.sleep(0.1)
    _, result, handled, *text = follower.others[-1].split(" ", 3)
    return int(result), int(handled), " ".join(text)


def test_a_replay_shows_everything_and_touches_nothing(broker, follow):
    tenants = [tenant_in(n) for n in range(16)]
    broker.publish_many([(tenant, n) for n in range(1, 21) for tenant in tenants])
    group = follow(positions=True)
    group.wait(320)
    until(lambda: not any(broker.consumer(f"TENANT_{n:02d}", "sync-service").num_ack_pending for n in range(16)))
    before = [broker.consumer(f"TENANT_{n:02d}", "sync-service").ack_floor for n in range(16)]
    replay = follow("replay", batch=7)
    assert ended(replay) == (0, 320, "")
    for tenant in tenants:
        assert replay.sequences(tenant) == list(range(1, 21))
    assert all(e.replayed and e.before == (0, 0) for e in replay.events)
    assert before == [broker.consumer(f"TENANT_{n:02d}", "sync-service").ack_floor for n in range(16)]
    assert broker.run(broker.js().stream_info("TENANT_03")).state.consumer_count == 1, "the replay's consumer is gone"
    group.stop()


def test_a_replay_of_one_tenant_from_a_sequence(broker, follow):
    tenant, other = tenant_in(4), tenant_in(4)
    places = [broker.publish(t, n)[1] for n in range(1, 6) for t in (tenant, other)]
    replay = follow("replay", tenant=tenant, **{"from": "sequence", "from_value": places[4]})
    assert ended(replay) == (0, 3, "")
    assert replay.sequences(tenant) == [3, 4, 5] and replay.done(other) == []


def test_a_replay_from_a_time(broker, follow):
    tenant = tenant_in(4)
    broker.publish_many([(tenant, n) for n in range(1, 4)])
    time.sleep(0.05)
    now = time.time_ns()
    broker.publish_many([(tenant, n) for n in range(4, 7)])
    replay = follow("replay", partitions=1 << 4, **{"from": "time", "from_value": now})
    assert ended(replay) == (0, 3, "")
    assert replay.sequences(tenant) == [4, 5, 6]


def test_a_replay_says_what_is_wrong(broker, follow):
    assert ended(follow("replay", tenant="nobody"))[::2] == (1, "tenant_id: is none")
    assert ended(follow("replay", partitions=1 << 16))[::2] == (1, "partitions: there are 16")
    result, handled, text = ended(follow("replay", url="tls://127.0.0.1:1"))
    assert (result, handled) == (2, 0) and "connect" in text
    broker.run(broker.js().delete_stream("TENANT_05"))
    assert ended(follow("replay")) == (0, 0, "")


@pytest.mark.parametrize("loss", ["deleted", "refusing"])
def test_a_replay_that_loses_its_consumer_is_not_whole(broker, follow, loss):
    """Whatever the server says instead of a message: only that there is nothing left is an end."""
    tenant = tenant_in(4)
    broker.publish_many([(tenant, n) for n in range(1, 101)])
    replay = follow("replay", batch=2, pace_ms=20)
    until(replay.done)
    js = broker.js()
    (found,) = broker.run(js.consumers_info("TENANT_04"))
    if loss == "deleted":
        broker.run(js.delete_consumer("TENANT_04", found.name))
    else:  # as it refuses when a leader moves: with 409
        broker.limit_pulls(4, found.name, 1)
    result, handled, text = ended(replay)
    assert result == 2 and text and 0 < handled < 100, (handled, text)


def test_a_group_begins_anew(broker, follow):
    tenant = tenant_in(8)
    broker.publish_many([(tenant, n) for n in range(1, 6)])
    place = 3
    first = follow()
    first.wait(5)
    first.stop()
    assert ended(follow("reset", start=3, start_value=place))[0] == 0  # TENANT_START_SEQUENCE
    second = follow()
    second.wait(3)
    assert second.sequences(tenant) == [3, 4, 5]
    second.stop()


def test_positions_outlive_a_reset(broker, follow):
    tenant = tenant_in(8)
    broker.publish_many([(tenant, n) for n in range(1, 6)])
    first = follow(positions=True)
    first.wait(5)
    first.stop()
    assert ended(follow("reset"))[0] == 0
    second = follow(positions=True)
    broker.publish(tenant, 6)
    second.wait(1)
    assert second.sequences(tenant) == [6] and second.value("old_total") == 5
    second.stop()


class SlowServer:
    """NATS that runs for two milliseconds in each seventh of a second."""

    def __enter__(self):
        self.pid = int((pathlib.Path(os.environ["STACK_DIR"]) / "run/nats.pid").read_text("ascii").split()[0])
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.hold)
        self.thread.start()
        return self

    def hold(self):
        while not self.over.is_set():
            os.kill(self.pid, signal.SIGSTOP)
            self.over.wait(0.15)
            os.kill(self.pid, signal.SIGCONT)
            self.over.wait(0.002)

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def test_who_waits_for_a_slow_reset_does_not_take_it_for_dead(broker, follow):
    """Each of its 32 requests takes a seventh of a second here, and a lease lasts for three seconds."""
    tenant = tenant_in(8)
    broker.publish_many([(tenant, n) for n in range(1, 4)])
    with SlowServer():
        reset = follow("reset", member="r", lease_ttl_ms=3000)
        until(lambda: set(broker.group()[0].values()) == {"r"}, 20)
        second = follow(member="s", lease_ttl_ms=3000)
        assert ended(reset, 60)[0] == 0
    second.wait(3)
    assert second.sequences(tenant) == [1, 2, 3]
    assert not [line for line in second.notices if "dead" in line], second.notices
    second.stop()


def test_a_living_group_is_not_reset(broker, follow):
    living = follow(member="a")
    tenant = tenant_in(8)
    broker.publish(tenant, 1)
    living.wait(1)
    assert ended(follow("reset"))[::2] == (3, "the group has living members")
    broker.publish(tenant, 2)
    living.wait(2)
    living.kill()
    assert ended(follow("reset"))[0] == 0, "dead ones are found to be dead"
    assert broker.group()[:2] == ({}, {})
