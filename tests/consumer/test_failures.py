"""Handlers that fail, events that nobody can handle, dead letters and what comes back."""
import signal
import time

import pytest

from broker import partition_of, tenant_in
from follower import until


def test_a_tenant_waits_behind_a_failure_and_others_go_on(broker, follow):
    tenant, other = tenant_in(4), tenant_in(4)
    follower = follow(positions=True, backoff_ms=1500)
    follower.tell(f"retry {tenant} 2 1")
    broker.publish_many([(tenant, n) for n in range(1, 6)] + [(other, n) for n in range(1, 6)])
    follower.wait(5, other)
    assert follower.sequences(tenant) == [1]
    follower.wait(5, tenant)
    assert follower.sequences(tenant) == [1, 2, 3, 4, 5]
    attempts = [(e.what, e.attempt) for e in follower.events if e.tenant == tenant and e.sequence == 2]
    assert attempts == [("retry", 1), ("done", 2)]
    times = [e.seen for e in follower.events if e.tenant == tenant and e.sequence == 2]
    assert times[1] - times[0] > 1.2
    assert follower.value("waited_total") >= 3 and follower.value("gaps_total") == 0
    follower.stop()


def test_a_pull_that_nobody_serves_costs_no_connection(broker, follow):
    """As when a consumer's leader is lost with its node: the server says 503 to the pull, and libnats does not say to which."""
    tenant, other = tenant_in(3), tenant_in(5)
    replies = []

    async def note(message):
        replies.append(message.reply)

    broker.run(broker.client().subscribe("$JS.API.CONSUMER.MSG.NEXT.TENANT_03.sync-service", cb=note))
    broker.run(broker.client().flush())
    follower = follow(positions=True, ack_wait_ms=20000, lease_ttl_ms=60000)
    broker.publish_many([(tenant, 1), (other, 1)])
    follower.wait(2)
    broker.run(broker.client().flush())
    broker.run(broker.client().publish(replies[-1], b"", headers={"Status": "503"}))
    broker.publish_many([(tenant, 2), (other, 2)])
    follower.wait(4)
    assert follower.value("connects_total") == 1 and follower.value("redelivered_total") == 0
    follower.stop()


def test_a_consumer_that_is_gone_is_made_anew(broker, follow):
    """Deleted while no pull waits that could be told: the next ones find nobody."""
    tenant = tenant_in(3)
    follower = follow(positions=True, lease_ttl_ms=60000)
    broker.publish(tenant, 1)
    follower.wait(1)
    follower.process.send_signal(signal.SIGSTOP)
    until(lambda: broker.consumer("TENANT_03", "sync-service").num_waiting == 0)
    broker.run(broker.js().delete_consumer("TENANT_03", "sync-service"))
    broker.publish(tenant, 2)
    follower.process.send_signal(signal.SIGCONT)
    follower.wait(2, seconds=40)
    assert follower.sequences(tenant) == [1, 2] and follower.value("connects_total") == 1
    follower.stop()


def test_ten_attempts_make_a_dead_letter(broker, follow):
    tenant = tenant_in(9)
    follower = follow(positions=True, backoff_ms=50)
    follower.tell(f"retry {tenant} 2 -1")
    broker.publish(tenant, 1)
    event_id, place = broker.publish(tenant, 2)
    broker.publish(tenant, 3)
    follower.wait(2, tenant)
    assert follower.sequences(tenant) == [1, 3]
    assert [e.attempt for e in follower.events if e.what == "retry"] == list(range(1, 11))
    (subject, headers, body), = broker.letters()
    assert subject == "TENANT.DLQ.consumer.sync-service.09"
    assert headers["Dlq-Event-Id"] == event_id and headers["Dlq-Cause"] == "TOLD_TO"
    assert headers["Dlq-Detail"] == "by rule retry" and headers["Dlq-Deliveries"] == "10"
    assert headers["Dlq-Consumer"] == "sync-service" and headers["Dlq-Stream"] == "TENANT_09"
    assert headers["Dlq-Stream-Sequence"] == str(place) and headers["Dlq-Subject"] == "tenant.org.updated.v1.09"
    assert headers["Nats-Msg-Id"] == f"dlq:sync-service:{event_id}"
    assert headers["Tenant-Id"] == tenant and headers["Tenant-Sequence"] == "2" and headers["Event-Type"]
    assert event_id.encode() in body
    assert follower.value("dead_total") == 1
    follower.stop()
    # The position has passed it: a later life does not look for it.
    broker.publish(tenant, 4)
    second = follow(positions=True)
    second.wait(1)
    assert second.done()[0].before == (1, 3)
    second.stop()


def test_a_dead_letter_that_is_sent_back_is_handled_once_more(broker, follow):
    tenant = tenant_in(9)
    follower = follow(positions=True, backoff_ms=50)
    follower.tell(f"dead {tenant} 2 1")
    broker.publish_many([(tenant, n) for n in range(1, 4)])
    follower.wait(2, tenant)
    broker.requeue(broker.letters()[0])
    back = follower.wait(3, tenant)[2]
    assert back.requeued and back.sequence == 2 and back.partition == 9
    until(lambda: follower.value("requeued_total") == 1)
    until(lambda: broker.consumer("TENANT_DLQ", "sync-service_requeue").num_ack_pending == 0)
    # Once more in vain: the letter says how often.
    follower.tell(f"dead {tenant} 2 1")
    letter = broker.letters("TENANT.DLQ.requeue.")[0]
    broker.requeue(letter)
    until(lambda: len(broker.letters("TENANT.DLQ.consumer.")) == 2)
    assert broker.letters("TENANT.DLQ.consumer.")[1][1]["Dlq-Requeues"] == "2"
    follower.stop()


def test_an_outage_of_the_handler_makes_no_letter(broker, follow):
    tenant = tenant_in(9)
    follower = follow(positions=True, backoff_ms=50, attempts_max=3)
    follower.tell(f"away {tenant} 1 8")
    follower.tell(f"retry {tenant} 1 2")
    broker.publish(tenant, 1)
    follower.wait(1, tenant, 60)
    assert [(e.what, e.attempt) for e in follower.events] == 8 * [("away", 1)] + [("retry", 1), ("retry", 2), ("done", 3)]
    assert broker.letters() == []
    follower.stop()


def test_a_letter_that_waits_for_the_database_is_not_given_up(broker, follow):
    """However often it came while its consumer could do nothing: only what failed by itself counts."""
    tenant = tenant_in(9)
    follower = follow(positions=True, backoff_ms=50, attempts_max=3)
    follower.tell(f"dead {tenant} 1 1")
    broker.publish(tenant, 1)
    (letter,) = until(broker.letters)
    follower.tell(f"away {tenant} 1 5")
    follower.tell(f"retry {tenant} 1 2")
    broker.requeue(letter)
    follower.wait(1, tenant, 60)
    assert [e.what for e in follower.events] == ["dead"] + 5 * ["away"] + 2 * ["retry"] + ["done"]
    assert [e.attempt for e in follower.events] == [1] + 5 * [1] + [1, 2, 3]
    assert len(broker.letters("TENANT.DLQ.consumer.")) == 1
    follower.stop()


@pytest.mark.parametrize("what, times", [("away", 2), ("stale", 9)])
def test_nothing_begins_behind_an_event_that_was_sent_back(broker, follow, what, times):
    """The group's first event of a tenant finds its database away; the second, fetched with it, finds it back."""
    tenants = [tenant_in(partition) for partition in (3, 3, 9)]
    follower = follow(positions=True)
    for tenant in tenants:
        follower.tell(f"{what} {tenant} 1 {times}")
    broker.publish_many([(tenant, sequence) for sequence in (1, 2, 3) for tenant in tenants])
    for tenant in tenants:
        follower.wait(3, tenant, 60)
        assert follower.sequences(tenant) == [1, 2, 3]
    follower.stop()


def test_a_broken_envelope_is_a_dead_letter_and_keeps_its_place(broker, follow):
    tenant = tenant_in(2)
    broker.publish(tenant, 1)
    broker.publish(tenant, 2, body=b"\xff\xff\xff")
    broker.publish(tenant, 3)
    follower = follow(positions=True)
    follower.wait(2, tenant)
    assert follower.sequences(tenant) == [1, 3]
    (_, headers, body), = broker.letters()
    assert (headers["Dlq-Cause"], headers["Dlq-Detail"], body) == ("MALFORMED", "the body is no envelope", b"\xff\xff\xff")
    follower.stop()


def test_a_message_of_nobody_is_a_dead_letter(broker, follow):
    tenant = tenant_in(2)
    broker.publish(tenant, 1, body=b"\xff", headers={"Tenant-Id": None, "Tenant-Sequence": "many"})
    wrong = (partition_of(tenant) + 1) % 16
    broker.publish(tenant, 2, partition=wrong)
    broker.publish(tenant, 1)
    follower = follow(positions=True)
    follower.wait(1, tenant)
    until(lambda: len(broker.letters()) == 2)
    assert {headers["Dlq-Cause"] for _, headers, _ in broker.letters()} == {"MALFORMED"}
    until(lambda: broker.consumer("TENANT_02", "sync-service").num_ack_pending == 0)
    follower.stop()


def test_an_event_that_ends_the_process_becomes_a_dead_letter(broker, follow):
    tenant, other = tenant_in(11), tenant_in(11)
    broker.publish_many([(tenant, 1), (tenant, 2), (tenant, 3), (other, 1)])
    deaths, settings = 0, {"positions": True, "ack_wait_ms": 1000, "attempts_max": 3, "member": "pod-0"}
    follower = follow(**settings)
    while deaths < 12:
        follower.tell(f"crash {tenant} 2 1")
        until(lambda: follower.process.poll() is not None or follower.sequences(tenant)[-1:] == [3], 30,
              lambda: f"{follower.events[-3:]} {follower.notices[-3:]}")
        if follower.process.poll() is None:
            break
        deaths += 1
        follower = follow(**settings)
    assert 3 <= deaths <= 6
    assert follower.sequences(tenant)[-1] == 3
    (_, headers, _), = broker.letters()
    assert headers["Dlq-Cause"] == "CRASHED" and headers["Tenant-Sequence"] == "2"
    follower.stop()


def test_attempts_are_remembered_by_the_next_member(broker, follow):
    tenant = tenant_in(6)
    first = follow(positions=True, backoff_ms=300, attempts_max=6, member="a")
    first.tell(f"retry {tenant} 1 -1")
    _, place = broker.publish(tenant, 1)
    until(lambda: len(first.events) >= 3)
    first.stop()
    noted = broker.group()[2]
    assert noted == {(6, place): len(first.events)}
    second = follow(positions=True, backoff_ms=300, attempts_max=6, member="b")
    second.tell(f"retry {tenant} 1 -1")
    until(lambda: len(broker.letters()) == 1)
    assert [e.attempt for e in first.events + second.events] == [1, 2, 3, 4, 5, 6]
    until(lambda: broker.group()[2] == {})
    second.stop()


def test_letters_wait_for_their_stream(broker, follow):
    tenant = tenant_in(9)
    broker.run(broker.js().delete_stream("TENANT_DLQ"))
    follower = follow(positions=True, backoff_ms=50)
    follower.tell(f"dead {tenant} 1 1")
    broker.publish_many([(tenant, 1), (tenant, 2)])
    until(lambda: any("cannot be stored" in line for line in follower.notices))
    time.sleep(0.3)
    assert follower.done() == []
    broker.run(broker.js().add_stream(name="TENANT_DLQ", subjects=["TENANT.DLQ.>"]))
    follower.wait(1)
    assert follower.sequences(tenant) == [2] and len(broker.letters()) == 1
    assert [e.what for e in follower.events] == ["dead", "done"]
    follower.stop()
