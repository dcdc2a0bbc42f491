"""Members share the partitions, hand them over, and lose nothing on the way."""
import time

from broker import tenant_in
from follower import until

TENANTS = 32


def shares(broker):
    owners, members, _ = broker.group()
    return sorted(list(owners.values()).count(member) for member in members)


def settled(broker, *wanted):
    until(lambda: shares(broker) == list(wanted), 30, lambda: f"{broker.group()}")


def applied(*followers):
    """tenant -> sequences in the order in which they were done, over all members by their time."""
    by_tenant = {}
    for event in sorted((e for f in followers for e in f.done()), key=lambda e: e.seen):
        by_tenant.setdefault(event.tenant, []).append(event.sequence)
    return by_tenant


def test_members_share_fairly_and_leave(broker, follow):
    first = follow(member="a")
    settled(broker, 16)
    second = follow(member="b")
    settled(broker, 8, 8)
    third = follow(member="c")
    settled(broker, 5, 5, 6)
    second.stop()
    settled(broker, 8, 8)
    first.stop()
    third.stop()
    assert broker.group()[:2] == ({}, {})


def test_a_hand_over_loses_and_doubles_nothing(broker, follow):
    tenants = [tenant_in(n % 16) for n in range(TENANTS)]
    first = follow(member="a")
    settled(broker, 16)
    broker.publish_many([(tenant, n) for n in range(1, 101) for tenant in tenants])
    second = follow(member="b")
    last = 100
    patience = time.monotonic() + 60
    while last < 400 or not second.done():
        assert time.monotonic() < patience, "the second member never gets anything to do"
        broker.publish_many([(tenant, last + 1 + i) for i in range(10) for tenant in tenants])
        last += 10
        time.sleep(0.02)  # a hand-over takes seconds, and no backlog is to grow meanwhile
    settled(broker, 8, 8)
    until(lambda: sum(len(s) for s in applied(first, second).values()) >= last * TENANTS, 60,
          lambda: f"{sum(len(s) for s in applied(first, second).values())}")
    assert applied(first, second) == {tenant: list(range(1, last + 1)) for tenant in tenants}
    first.stop()
    second.stop()


def test_letters_are_fetched_after_members_came_and_went(broker, follow):
    """Whoever was to give up the first partition, and then kept it, goes on with the letters that are handled with it."""
    tenant = tenant_in(9)
    first = follow(member="a", positions=True)
    settled(broker, 16)
    first.tell(f"dead {tenant} 1 1")
    broker.publish(tenant, 1)
    (letter,) = until(broker.letters)
    for _ in range(6):
        second = follow(member="b", group="sync-service")
        settled(broker, 8, 8)
        kept = broker.group()[0].get(0) == "a"
        second.stop()
        settled(broker, 16)
        if kept:
            break
    broker.requeue(letter)
    first.wait(1)
    first.stop()


def test_a_member_that_dies_is_replaced(broker, follow):
    tenants = [tenant_in(n % 16) for n in range(TENANTS)]
    first = follow(member="a")
    second = follow(member="b")
    settled(broker, 8, 8)
    broker.publish_many([(tenant, n) for n in range(1, 51) for tenant in tenants])
    first.kill()
    settled(broker, 16)
    broker.publish_many([(tenant, n) for n in range(51, 101) for tenant in tenants])
    second.wait(sum(1 for t in tenants if t not in {e.tenant for e in first.done()}), seconds=30)
    until(lambda: all(second.sequences(t)[-1:] == [100] for t in tenants), 30)
    for tenant in tenants:
        # What the first had done and not acknowledged is done again without positions, but never out of order.
        assert second.sequences(tenant) == list(range(second.sequences(tenant)[0], 101))
        assert second.sequences(tenant)[0] <= len(first.sequences(tenant)) + 1
    second.stop()


def test_a_member_of_the_same_name_goes_on_at_once(broker, follow):
    first = follow(member="pod-0", lease_ttl_ms=60000)
    settled(broker, 16)
    first.kill()
    tenant = tenant_in(None)
    second = follow(member="pod-0", lease_ttl_ms=60000)
    broker.publish(tenant, 1)
    second.wait(1, seconds=10)
    second.stop()


def test_a_paused_member_is_replaced_and_does_no_harm(broker, follow):
    import signal
    tenants = [tenant_in(n % 16) for n in range(TENANTS)]
    first = follow(member="a")
    second = follow(member="b")
    settled(broker, 8, 8)
    first.process.send_signal(signal.SIGSTOP)
    broker.publish_many([(tenant, n) for n in range(1, 51) for tenant in tenants])
    until(lambda: set(broker.group()[0].values()) == {"b"}, 30)
    until(lambda: sum(len(second.sequences(t)) for t in tenants) == 50 * TENANTS, 30)
    first.process.send_signal(signal.SIGCONT)
    settled(broker, 8, 8)
    broker.publish_many([(tenant, n) for n in range(51, 101) for tenant in tenants])
    until(lambda: sum(len(s) for s in applied(first, second).values()) >= 100 * TENANTS, 30)
    assert applied(first, second) == {tenant: list(range(1, 101)) for tenant in tenants}
    first.stop()
    second.stop()


def test_a_record_that_is_none_is_begun_anew(broker, follow):
    broker.run(broker.js("sync-service").publish("TENANT.GROUPS.sync-service", b"what is this"))
    follower = follow()
    settled(broker, 16)
    assert any("is none" in line for line in follower.notices)
    follower.stop()


def test_groups_wait_for_their_stream(broker, follow):
    broker.run(broker.js().delete_stream("TENANT_GROUPS"))
    tenant = tenant_in(None)
    broker.publish(tenant, 1)
    follower = follow()
    until(lambda: any("TENANT_GROUPS is missing" in line for line in follower.notices))
    assert follower.done() == []
    broker.run(broker.js().add_stream(name="TENANT_GROUPS", subjects=["TENANT.GROUPS.*"], max_msgs_per_subject=1))
    follower.wait(1)
    follower.stop()


def test_a_stop_gives_back_what_was_fetched(broker, follow):
    """NATS 2.9 mislays the first message that is given back when nobody asks for one, until its time to be acknowledged is over."""
    tenants = [tenant_in(n % 16) for n in range(16)]
    wait_ms = 60000 if broker.version() >= (2, 10) else 5000
    first = follow(ack_wait_ms=wait_ms)
    settled(broker, 16)
    for tenant in tenants:
        first.tell(f"slow {tenant} 1 300")
    broker.publish_many([(tenant, n) for n in range(1, 101) for tenant in tenants])
    first.wait(1)
    first.stop()
    second = follow(ack_wait_ms=wait_ms)
    began = time.monotonic()
    second.wait(1600 - len(first.done()), seconds=30)
    assert time.monotonic() - began < 30, "what was fetched came back after the time to acknowledge only"
    assert applied(first, second) == {tenant: list(range(1, 101)) for tenant in tenants}
    second.stop()


def test_a_hand_over_while_attempts_are_noted(broker, follow):
    """Everything was delivered twice to members that died of it: each event's attempt is noted in the group's record
    first, and a partition may be given up between."""
    tenants = [tenant_in(n % 16) for n in range(TENANTS)]
    before = follow(member="before")
    settled(broker, 16)
    until(lambda: all(broker.pending(n, "sync-service") == 0 for n in range(16)))
    before.stop()
    broker.publish_many([(tenant, n) for n in range(1, 11) for tenant in tenants])
    for n in range(16):
        broker.deliver_in_vain(n, "sync-service", 20, times=2)
    first = follow(member="a", pace_ms=2)
    until(first.done)
    second = follow(member="b", pace_ms=2)
    until(lambda: sum(len(s) for s in applied(first, second).values()) >= 10 * TENANTS, 90,
          lambda: f"{applied(first, second)} {first.notices} {second.notices}")
    settled(broker, 8, 8)
    assert applied(first, second) == {tenant: list(range(1, 11)) for tenant in tenants}
    first.stop()
    second.stop()
