"""One member: order, positions, repeats, stops."""
import time

import pytest

from broker import partition_of, tenant_in
from follower import until


def test_events_arrive_in_order_with_their_payloads(broker, follow):
    tenants = [tenant_in(n) for n in range(16)]
    broker.publish_many([(tenant, n) for n in range(1, 21) for tenant in tenants])
    follower = follow()
    events = follower.wait(320)
    for tenant in tenants:
        assert follower.sequences(tenant) == list(range(1, 21))
    first = events[0]
    assert (first.payload, first.header, first.type) == ("OrgUpdated", "tenant.org.updated.v1", "tenant.org.updated.v1")
    assert first.attempt == 1 and first.before == (0, 0)
    assert {e.partition for e in events} == set(range(16))
    follower.stop()
    for n in range(16):
        info = broker.consumer(f"TENANT_{n:02d}", "sync-service")
        assert (info.num_ack_pending, info.num_pending) == (0, 0)


def test_a_second_life_goes_on_where_the_first_ended(broker, follow):
    tenant = tenant_in(None)
    broker.publish_many([(tenant, n) for n in range(1, 6)])
    first = follow(positions=True)
    first.wait(5)
    first.stop()
    broker.publish_many([(tenant, n) for n in range(6, 11)])
    second = follow(positions=True)
    second.wait(5)
    assert second.sequences(tenant) == [6, 7, 8, 9, 10]
    assert second.done()[0].before == (1, 5)
    second.stop()


def test_what_was_applied_is_not_applied_again(broker, follow):
    tenant = tenant_in(None)
    broker.publish_many([(tenant, n) for n in range(1, 6)])
    first = follow(positions=True)
    first.wait(5)
    first.stop()
    broker.run(broker.js().delete_consumer(f"TENANT_{first.done()[0].partition:02d}", "sync-service"))
    second = follow(positions=True)
    broker.publish(tenant, 6)
    second.wait(1)
    assert second.sequences(tenant) == [6]
    assert second.value("old_total") == 5
    second.stop()


def test_types_that_nobody_knows_reach_the_handler(broker, follow):
    tenant = tenant_in(None)
    broker.publish(tenant, 1, kind="transmogrified", version=7)
    broker.publish(tenant, 2)
    follower = follow()
    strange, known = follower.wait(2)
    assert (strange.type, strange.payload) == ("tenant.org.transmogrified.v7", "-")
    assert known.payload == "OrgUpdated"


def test_a_gap_is_waited_for_and_told(broker, follow):
    tenant, other = tenant_in(3), tenant_in(3)
    broker.publish_many([(tenant, 1), (tenant, 3), (tenant, 4), (other, 1)])
    follower = follow(positions=True)
    follower.wait(1, other)
    until(lambda: any(line.startswith("gap") for line in follower.others))
    assert f"gap {tenant} 1.3 behind 1.1" in follower.others
    assert follower.sequences(tenant) == [1]
    broker.publish(tenant, 2)
    follower.wait(4, tenant)
    assert follower.sequences(tenant) == [1, 2, 3, 4]
    assert follower.value("gaps_total") == 1 and follower.value("gap_alarms_total") >= 1
    follower.stop()


def test_a_position_that_another_member_moved_is_no_gap(broker, follow):
    """One that lost its partition had an event in hand: it kept the position and acknowledged when this one knew an older one."""
    tenant = tenant_in(3)
    broker.publish(tenant, 1)
    follower = follow(positions=True)
    follower.wait(1)
    until(lambda: (info := broker.consumer("TENANT_03", "sync-service")).num_ack_pending == 0 and info.delivered.stream_seq == 1)
    follower.tell(f"moved {tenant} 1 2")
    broker.publish_many([(tenant, 3), (tenant, 4)])
    follower.wait(3)
    assert follower.sequences(tenant) == [1, 3, 4] and follower.done()[1].before == (1, 2)
    assert follower.value("gaps_total") == 0
    follower.stop()


def test_what_was_waited_for_may_have_been_handled_elsewhere(broker, follow):
    """The same, when the lowest event that waits here is the one that the other handled."""
    tenant = tenant_in(3)
    broker.publish(tenant, 1)
    _, third = broker.publish(tenant, 3)
    broker.publish(tenant, 4)
    follower = follow(positions=True)
    until(lambda: f"gap {tenant} 1.3 behind 1.1" in follower.others)
    follower.tell(f"moved {tenant} 1 3")
    broker.run(broker.js().delete_msg("TENANT_03", third))
    follower.wait(2)
    assert follower.sequences(tenant) == [1, 4]
    follower.stop()


def test_a_gap_can_be_accepted(broker, follow):
    tenant = tenant_in(3)
    broker.publish_many([(tenant, 1), (tenant, 5), (tenant, 6)])
    follower = follow(positions=True)
    follower.tell("accept")
    follower.wait(3, tenant)
    assert follower.sequences(tenant) == [1, 5, 6]
    assert follower.done(tenant)[1].before == (1, 1)
    follower.stop()


def test_a_greater_incarnation_begins_anew(broker, follow):
    tenant = tenant_in(None)
    broker.publish_many([(tenant, n) for n in range(1, 4)])
    broker.publish_many([(tenant, n) for n in range(1, 3)], incarnation=2)
    broker.publish(tenant, 4, incarnation=1)  # of the history that was taken back
    broker.publish(tenant, 3, incarnation=2)
    follower = follow(positions=True)
    follower.wait(6)
    assert [e.at for e in follower.done()] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert follower.value("old_total") == 1
    follower.stop()


@pytest.mark.parametrize("before", [0, 3])
def test_the_tail_of_an_incarnation_comes_before_the_next_one(broker, follow, before):
    """A failover makes the incarnation grow for those who lost nothing, too: what a member that died had in hand of the old one
    is still due, and the next one's first event says nothing of it."""
    tenant = tenant_in(3)
    first = follow(member="a", positions=True, ack_wait_ms=6000)
    broker.publish_many([(tenant, n) for n in range(1, before + 1)])
    first.wait(before)
    until(lambda: broker.pending(3, "sync-service") is not None)
    nothing_is_pending(broker, tenant)
    first.tell(f"slow {tenant} {before + 1} 60000")
    broker.publish(tenant, before + 1)
    until(lambda: broker.consumer("TENANT_03", "sync-service").num_ack_pending == 1)
    first.kill()
    broker.publish(tenant, 1, incarnation=2)
    second = follow(member="b", positions=True, ack_wait_ms=6000)
    second.wait(2)
    assert [e.at for e in second.done()] == [(1, before + 1), (2, 1)]
    broker.publish(tenant, 2, incarnation=2)
    second.wait(3)
    assert second.value("gaps_total") == 0
    second.stop()


def test_a_tenant_whose_beginning_is_gone_begins_with_what_there_is(broker, follow):
    tenant = tenant_in(5)
    broker.publish_many([(tenant, n) for n in range(41, 46)])
    follower = follow(positions=True)
    follower.wait(5)
    assert follower.sequences(tenant) == [41, 42, 43, 44, 45]
    follower.stop()


def test_positions_that_cannot_be_kept_let_events_come_again(broker, follow):
    """Also those of a tenant that the group never had, of which a later event is at hand already: it is not the first."""
    tenant, other = tenant_in(3), tenant_in(3)
    follower = follow(positions=True, batch=2, ack_wait_ms=5000)
    broker.publish(other, 1)
    follower.wait(1)
    nothing_is_pending(broker, other)
    follower.tell(f"slow {other} 2 1000")
    follower.tell("refuse-store 1 1")  # two of the other tenant, then two of ours
    broker.publish_many([(other, 2), (other, 3)] + [(tenant, n) for n in range(1, 7)])
    until(lambda: 6 in follower.sequences(tenant), say=lambda: f"{follower.events} {follower.others}")
    nothing_is_pending(broker, tenant)
    assert len(follower.done(tenant)) > 6 and set(follower.sequences(tenant)) == set(range(1, 7))
    assert all(e.before[1] == e.sequence - 1 for e in follower.done(tenant))
    follower.stop()
    second = follow(positions=True)
    broker.publish(tenant, 7)
    second.wait(1)
    assert second.sequences(tenant) == [7]
    second.stop()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_passed_over_whatever_fails(broker, follow, seed):
    """Histories without a gap: each call for event n must say that n - 1 was before it."""
    tenants, last = [tenant_in(None) for _ in range(48)], 16
    # what fails comes back after a second and more, and so does what is behind it
    follower = follow(positions=True, batch=8, ack_wait_ms=20000, attempts_max=3, gap_alarm_ms=30000)
    follower.tell(f"random {seed} 40")
    for tenant, what in zip(tenants, ("retry", "dead", "stale", "away")):
        follower.tell(f"{what} {tenant} 2 1")
    broker.publish_many([(tenant, n) for n in range(1, last + 1) for tenant in tenants])

    def missing():
        seen = {(e.tenant, e.sequence) for e in list(follower.events) if e.what in ("done", "dead", "retry")}
        return [(tenant, n) for tenant in tenants for n in range(1, last + 1) if (tenant, n) not in seen]

    until(lambda: not missing() and not any(broker.consumer(f"TENANT_{n:02d}", "sync-service").num_ack_pending
                                            for n in range(16)), 60, lambda: f"{missing()[:5]} {follower.others}")
    follower.tell("random 1 0")
    follower.stop()
    wrong = [(e, e.before) for e in follower.events if e.before != ((1, e.sequence - 1) if e.sequence > 1 else (0, 0))]
    assert not wrong and not [line for line in follower.others if line.startswith("gap ")]
    for what in ("retry", "dead", "stale", "away"):
        assert [e for e in follower.events if e.what == what], what
    kept = {line.split()[0]: int(line.split()[2]) for line in follower.positions_file.read_text().splitlines()}
    assert kept == {tenant: last for tenant in tenants}


def gathered(broker, follow, tenant, count):
    """A follower with the tenant's first event kept, that finds the next `count` in one lot: it was busy when they came."""
    other = tenant_in(partition_of(tenant))
    follower = follow(positions=True, ack_wait_ms=5000)
    broker.publish(tenant, 1)
    follower.wait(1, tenant)
    nothing_is_pending(broker, tenant)
    follower.tell(f"slow {other} 1 1000")
    broker.publish(other, 1)
    broker.publish_many([(tenant, 2 + n) for n in range(count)])
    return follower


def nothing_is_pending(broker, tenant):
    until(lambda: broker.consumer(f"TENANT_{partition_of(tenant):02d}", "sync-service").num_ack_pending == 0)


def deleted_while_it_waits(broker, follow, tenant, sequence, place):
    """A follower whose handler failed the event, which is not in the stream any more when it is to come again."""
    follower = follow(positions=True, backoff_ms=1500)
    follower.tell(f"retry {tenant} {sequence} -1")
    until(lambda: [e for e in follower.events if e.what == "retry"])
    broker.run(broker.js().delete_msg("TENANT_03", place))
    return follower


def test_an_event_that_is_gone_is_a_gap_that_is_told(broker, follow):
    """The event that the others wait for was delivered, then deleted from the stream: it never comes back."""
    tenant = tenant_in(3)
    broker.publish(tenant, 1)
    _, second = broker.publish(tenant, 2)
    follower = deleted_while_it_waits(broker, follow, tenant, 2, second)
    broker.publish_many([(tenant, 4), (tenant, 3)])
    until(lambda: f"gap {tenant} 1.3 behind 1.1" in follower.others, say=lambda: f"{follower.events} {follower.others}")
    assert follower.sequences(tenant) == [1]
    follower.tell("accept")
    until(lambda: follower.sequences(tenant) == [1, 3, 4], say=lambda: f"{follower.events} {follower.others}")
    follower.stop()


def test_a_beginning_that_is_gone_is_told(broker, follow):
    """The first event that this group gets of a tenant is lost after it was delivered: no later one may pass for it."""
    tenant = tenant_in(3)
    _, first = broker.publish(tenant, 41)
    follower = deleted_while_it_waits(broker, follow, tenant, 41, first)
    broker.publish_many([(tenant, 43), (tenant, 42)])
    until(lambda: f"gap {tenant} 1.42 behind 0.0" in follower.others, say=lambda: f"{follower.events} {follower.others}")
    assert follower.sequences(tenant) == []
    follower.tell("accept")
    until(lambda: follower.sequences(tenant) == [42, 43], say=lambda: f"{follower.events} {follower.others}")
    follower.stop()


def test_an_outage_longer_than_ack_wait_is_no_gap(broker, follow):
    """What waits has gone back again and again, and nothing of it is lost."""
    tenants = [tenant_in(3) for _ in range(4)]
    follower = follow(positions=True, ack_wait_ms=1000, gap_alarm_ms=100, lease_ttl_ms=60000)
    broker.publish_many([(tenant, 1) for tenant in tenants])
    follower.wait(4)
    for tenant in tenants:
        follower.tell(f"away {tenant} 2 3")
    broker.publish_many([(tenant, n) for n in (2, 3, 4) for tenant in tenants])
    until(lambda: len(follower.done()) == 16, 120, lambda: f"{follower.events[-10:]} {follower.others}")
    assert not [line for line in follower.others if line.startswith("gap ")]
    assert follower.value("gaps_total") == 0
    follower.stop()


def test_the_event_before_a_gap_may_be_gone(broker, follow):
    tenant = tenant_in(3)
    broker.publish(tenant, 1)
    _, third = broker.publish(tenant, 3)
    follower = follow(positions=True)
    until(lambda: f"gap {tenant} 1.3 behind 1.1" in follower.others)
    broker.run(broker.js().delete_msg("TENANT_03", third))
    broker.publish(tenant, 4)
    until(lambda: f"gap {tenant} 1.4 behind 1.1" in follower.others, say=lambda: f"{follower.events} {follower.others}")
    follower.tell("accept")
    until(lambda: follower.sequences(tenant) == [1, 4], say=lambda: f"{follower.events} {follower.others}")
    follower.stop()


def test_attempts_and_letters_are_of_one_event_alone(broker, follow):
    """A gap was accepted, the event behind it fails; one from within the gap comes after all, and has its own attempts."""
    tenant = tenant_in(3)
    broker.publish_many([(tenant, 1), (tenant, 5)])
    follower = follow(positions=True, attempts_max=5, backoff_ms=4000)
    follower.tell("accept")
    follower.tell(f"retry {tenant} 5 1")
    until(lambda: [e for e in follower.events if e.what == "retry"], say=lambda: f"{follower.events} {follower.others}")
    broker.publish(tenant, 3)
    until(lambda: follower.sequences(tenant) == [1, 3, 5], say=lambda: f"{follower.events} {follower.others}")
    assert {e.sequence: e.attempt for e in follower.done(tenant)} == {1: 1, 3: 1, 5: 2}
    follower.stop()


@pytest.mark.parametrize("kept_before", [0, 1])
def test_what_is_not_kept_is_not_acknowledged_beside_a_dead_letter(broker, follow, kept_before):
    """The store fails just when the tenant moves past an event that no handler has done."""
    tenant = tenant_in(3)
    follower = gathered(broker, follow, tenant, 4)
    follower.tell(f"dead {tenant} 4 -1")
    # the first call keeps the other tenant's event, the second what was handled of ours, the third moves past event 4
    follower.tell(f"refuse-store 1 {kept_before + 1}")
    until(lambda: 5 in follower.sequences(tenant), say=lambda: f"{follower.events} {follower.others}")
    nothing_is_pending(broker, tenant)
    assert set(follower.sequences(tenant)) == {1, 2, 3, 5} and len(broker.letters()) == 1
    assert not [line for line in follower.others if line.startswith("gap ")]
    follower.stop()


def test_what_is_not_kept_is_not_acknowledged_beside_a_stale_position(broker, follow):
    tenant = tenant_in(3)
    follower = gathered(broker, follow, tenant, 4)
    follower.tell(f"stale {tenant} 4 1")
    until(lambda: 5 in follower.sequences(tenant), say=lambda: f"{follower.events} {follower.others}")
    nothing_is_pending(broker, tenant)
    assert follower.sequences(tenant) == [1, 2, 3, 4, 5]
    assert not [line for line in follower.others if line.startswith("gap ")]
    follower.stop()


def test_it_waits_for_streams_and_servers(broker, follow):
    broker.run(broker.js().delete_stream("TENANT_07"))
    tenant, late = tenant_in(6), tenant_in(7)
    broker.publish(tenant, 1)
    follower = follow()
    follower.wait(1, tenant)
    time.sleep(0.5)
    broker.stream(7)
    broker.publish(late, 1)
    follower.wait(1, late)
    follower.stop()
