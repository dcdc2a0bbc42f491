"""Billing's subscription events give tenants their plans: once, in the end in order, and whatever comes between."""
import asyncio
import os
import signal
import time
import uuid

import pytest

from billing_events import Billing, letters, requeue
from streams import connect, read_streams, tenant_uuid
from support import Service, create, get, update, wait_until
from tenant.v1 import tenants_pb2


@pytest.fixture(scope="module", autouse=True)
def dlq(stack):
    """The stream of dead letters, which the relay makes where it runs with it."""
    async def make():
        client = await connect(stack, "admin")
        try:
            await client.jetstream().add_stream(name="TENANT_DLQ", subjects=["TENANT.DLQ.>"])
        except Exception:
            pass  # it is there
        await client.close()
    asyncio.run(make())


@pytest.fixture
def billing(stack):
    return Billing(stack)


def plan_of(service, tenant):
    return get(service, tenant).plan.plan_id


def plan_becomes(service, tenant, plan, seconds=15):
    wait_until(lambda: plan_of(service, tenant) == plan, seconds)


def outcome(service, name):
    return service.metric("tenant_inbound_events_total", outcome=name)


def one(stack, query, *arguments):
    with stack.superuser() as sql:
        return sql.execute(query, arguments).fetchone()


def noted(stack, event_id):
    return one(stack, "SELECT count(*) FROM tenant.inbox WHERE event_id = %s", event_id)[0]


def test_a_subscription_gives_the_tenant_its_plan(service, stack, unique, billing):
    tenant = create(service, unique("plan")).tenant_id
    event_id = billing.tell("created", tenant, plan_id="plan_starter", state="active")
    plan_becomes(service, tenant, "plan_starter")
    audit = one(stack, "SELECT actor, action, reason, changed, version, request_id FROM tenant.tenant_audit"
                       " WHERE tenant_id = %s AND action = 'tenant.plan_change'", tenant_uuid(tenant))
    assert audit == ("billing", "tenant.plan_change", "active", ["plan.plan_id"], 2, "bill-1")
    event = wait_until(lambda: [e for e in read_streams(stack) if e.tenant_id == tenant and e.sequence == 2])[0]
    assert event.type == "tenant.org.plan_changed" and event.envelope.causation_id == event_id
    assert event.envelope.correlation_id == "bill-1"
    assert (event.envelope.actor.type, event.envelope.actor.id) == ("service", "billing")
    payload = event.payload
    assert payload.plan.plan_id == payload.tenant.plan.plan_id == "plan_starter"
    assert not payload.HasField("previous_plan") and payload.cause_event_id == event_id
    assert noted(stack, event_id) == 1


def test_a_life_of_a_subscription(service, stack, unique, billing):
    tenant = create(service, unique("life")).tenant_id
    billing.tell("created", tenant, plan_id="plan_starter", state="trialing")
    plan_becomes(service, tenant, "plan_starter")
    before = outcome(service, "noted")
    billing.tell("changed", tenant, previous_state="trialing", new_state="active")
    wait_until(lambda: outcome(service, "noted") > before)
    billing.tell("changed", tenant, plan_id="plan_pro", new_state="active")
    plan_becomes(service, tenant, "plan_pro")
    billing.tell("canceled", tenant)
    plan_becomes(service, tenant, "")
    events = wait_until(lambda: (seen := [e for e in read_streams(stack) if e.tenant_id == tenant and
                                          e.type == "tenant.org.plan_changed"]) and len(seen) >= 3 and seen)
    assert [(e.payload.previous_plan.plan_id, e.payload.plan.plan_id) for e in events] == [
        ("", "plan_starter"), ("plan_starter", "plan_pro"), ("plan_pro", "")]
    assert get(service, tenant).etag == '"4"', "a change of the state alone is none of the tenant"


def test_the_same_event_many_times_is_one_event(service, stack, unique, billing):
    """Two replicas fetch from the same consumer; each gets some of the copies."""
    other = Service(stack)
    tenants = [create(service, unique("dup")).tenant_id for _ in range(8)]
    for tenant in tenants:
        event_id, data = billing.event("created", tenant, plan_id="plan_starter", state="active")
        billing.send(data, times=12)
    for tenant in tenants:
        plan_becomes(service, tenant, "plan_starter")
    wait_until(lambda: outcome(service, "duplicate") + outcome(other, "duplicate") >= 11 * len(tenants))
    for tenant in tenants:
        assert get(service, tenant).etag == '"2"'
        assert one(stack, "SELECT seq FROM tenant.tenant_seq WHERE tenant_id = %s", tenant_uuid(tenant))[0] == 2
    assert other.stop() == 0


def test_older_news_take_nothing_back(service, stack, unique, billing):
    tenant = create(service, unique("late")).tenant_id
    now = billing.now
    billing.tell("changed", tenant, at=now + 30, plan_id="plan_pro", new_state="active")
    plan_becomes(service, tenant, "plan_pro")
    before = outcome(service, "noted") + outcome(service, "stale")
    billing.tell("created", tenant, at=now + 10, plan_id="plan_starter", state="trialing")
    billing.tell("changed", tenant, at=now + 20, plan_id="plan_middle", new_state="active")
    wait_until(lambda: outcome(service, "noted") + outcome(service, "stale") >= before + 2)
    assert plan_of(service, tenant) == "plan_pro"
    billing.tell("canceled", tenant, at=now + 25)
    wait_until(lambda: outcome(service, "noted") + outcome(service, "stale") >= before + 3)
    assert plan_of(service, tenant) == "plan_pro"


def test_what_comes_before_its_tenant_waits_for_it(service, stack, unique, billing):
    """The tenant's id is known before the tenant is: it is created with it afterwards, as an import would."""
    from streams import DIGITS
    number = uuid.uuid4().int
    text = "tnt_" + "".join(DIGITS[number >> shift & 31] for shift in range(125, -1, -5))
    event_id = billing.tell("created", text, plan_id="plan_starter", state="active")
    wait_until(lambda: one(stack, "SELECT count(*) FROM tenant.inbox_parked WHERE event_id = %s", event_id)[0] == 1)
    assert noted(stack, event_id) == 0
    template = create(service, unique("tmpl")).tenant_id
    with stack.superuser() as sql:
        sql.execute("INSERT INTO tenant.tenants (id, slug, display_name, type, home_region, status, create_time, update_time,"
                    " version) SELECT %s, %s, display_name, type, home_region, status, create_time, update_time, 1"
                    " FROM tenant.tenants WHERE id = %s", (tenant_uuid(text), unique("import"), tenant_uuid(template)))
    plan_becomes(service, text, "plan_starter", 30)
    wait_until(lambda: one(stack, "SELECT count(*) FROM tenant.inbox_parked WHERE event_id = %s", event_id)[0] == 0)
    assert noted(stack, event_id) == 1


def look_now(stack, event_id):
    """With whoever looks next; replicas take turns."""
    with stack.superuser() as sql:
        sql.execute("UPDATE tenant.inbox_parked SET due_at = now() WHERE event_id = %s", (event_id,))
    return True


def test_a_tenant_that_never_comes(stack, unique, billing):
    hasty = Service(stack, CONSUMERS_PARK_FOR="1s")
    event_id = billing.tell("created", "tnt_" + "0" * 25 + "7", plan_id="plan_starter", state="active")
    letter = wait_until(lambda: look_now(stack, event_id) and letters_of(stack, event_id), 60, 0.2)[0]
    assert letter[1]["Dlq-Cause"] == "TENANT_NOT_FOUND" and letter[1]["Dlq-Stream"] == "BILLING"
    wait_until(lambda: one(stack, "SELECT count(*) FROM tenant.inbox_parked WHERE event_id = %s", event_id)[0] == 0)
    assert hasty.stop() == 0


def test_a_cancellation_takes_effect_in_its_time(service, stack, unique, billing):
    tenant = create(service, unique("end")).tenant_id
    billing.tell("created", tenant, at=time.time() - 60, plan_id="plan_starter", state="active")
    plan_becomes(service, tenant, "plan_starter")
    end = time.time() + 4
    event_id = billing.tell("canceled", tenant, at=time.time(), effective_at=end)
    wait_until(lambda: one(stack, "SELECT count(*) FROM tenant.inbox_parked WHERE event_id = %s", event_id)[0] == 1)
    assert plan_of(service, tenant) == "plan_starter"
    plan_becomes(service, tenant, "", 30)
    assert time.time() >= end


def test_poison_goes_to_the_dead_letters_and_the_next_one_is_applied(service, stack, unique, billing):
    tenant = create(service, unique("poison")).tenant_id
    before = len(letters(stack))
    no_plan, data = billing.event("created", tenant, plan_id="Gold!", state="active")
    other, mixed = billing.event("created", tenant, plan_id="plan_x", state="active")
    mixed = mixed.replace(tenant.encode(), tenant[:-1].encode() + (b"0" if tenant[-1] != "0" else b"1"), 1)
    far, distant = billing.event("canceled", tenant, effective_at=time.time() + 500 * 86400)
    billing.send(b"\xff\xfe", data, mixed, distant)
    billing.tell("created", tenant, plan_id="plan_starter", state="active")
    plan_becomes(service, tenant, "plan_starter")
    found = wait_until(lambda: len(letters(stack)) >= before + 4 and letters(stack)[before:])
    assert {l[1]["Dlq-Cause"] for l in found} == {"MALFORMED"}
    assert {l[1]["Dlq-Detail"] for l in found} == {
        "the body is no envelope", "plan_id must be \"plan_\" and 1 to 63 lower-case letters, digits or underscores",
        "the payload's tenant_id is not the envelope's", "effective_at is more than 400 days away"}
    assert {no_plan, other, far} < {l[1].get("Dlq-Event-Id") for l in found} | {""}
    assert found[0][2] == b"\xff\xfe" and found[0][1]["Dlq-Consumer"] == "tenant-service"


def test_a_dead_letter_that_is_sent_back_is_read_again(service, stack, unique, billing):
    """After a release that can read it, say; here it stays poison, and comes back with its count."""
    tenant = create(service, unique("back")).tenant_id
    event_id, data = billing.event("created", tenant, plan_id="Gold!", state="active")
    billing.send(data)
    letter = wait_until(lambda: [l for l in letters(stack) if l[1].get("Dlq-Event-Id") == event_id])[0]
    requeue(stack, letter)
    again = wait_until(lambda: [l for l in letters(stack) if l[1].get("Dlq-Event-Id") == event_id][1:])[0]
    assert again[1]["Dlq-Requeues"] == "1" and again[1]["Dlq-Stream"] == "BILLING" and again[2] == data
    good_id, good = billing.event("created", tenant, plan_id="plan_starter", state="active")
    requeue(stack, (letter[0], letter[1] | {"Dlq-Event-Id": good_id}, good))
    plan_becomes(service, tenant, "plan_starter")


def test_what_is_not_ours_is_passed_over(service, stack, unique, billing):
    tenant = create(service, unique("other")).tenant_id
    before = outcome(service, "ignored")
    billing.tell("renewed", tenant)
    billing.tell("created", tenant, version=2, plan_id="plan_next", state="active")
    billing.tell("created", tenant, residency="us", plan_id="plan_us", state="active")
    wait_until(lambda: outcome(service, "ignored") >= before + 3)
    assert plan_of(service, tenant) == ""
    billing.tell("created", tenant, residency="eu", plan_id="plan_eu", state="active")
    plan_becomes(service, tenant, "plan_eu")


def test_what_an_operator_sets_stays_until_billing_has_news(service, unique, billing):
    tenant = create(service, unique("op")).tenant_id
    billing.tell("created", tenant, plan_id="plan_starter", state="active")
    plan_becomes(service, tenant, "plan_starter")
    update(service, tenants_pb2.Tenant(tenant_id=tenant, plan=tenants_pb2.Plan(plan_id="plan_gift", addons=["seats"])), ["plan"])
    before = outcome(service, "noted")
    billing.tell("changed", tenant, new_state="past_due")
    wait_until(lambda: outcome(service, "noted") > before)
    assert plan_of(service, tenant) == "plan_gift"
    billing.tell("canceled", tenant)
    plan_becomes(service, tenant, "")
    assert list(get(service, tenant).plan.addons) == []


def test_without_consumers_events_wait(stack, unique, billing):
    first = Service(stack, CONSUMERS_ENABLED="false")
    assert "tenant_inbound_events_total" not in first.metrics()
    assert first.http("/health/ready")[0] == 200
    assert first.stop() == 0
    missing = Service(stack, CONSUMERS_BILLING_STREAM="NOT_THERE")
    assert missing.http("/health/ready")[0] == 200
    wait_until(lambda: missing.metric("tenant_inbound_errors_total", kind="stream") >= 1)
    assert missing.stop() == 0


def test_kills_lose_nothing_and_double_nothing(service, stack, unique, billing):
    """Two replicas share the work; one of them is killed again and again with events in hand."""
    tenants = [create(service, unique("kill")).tenant_id for _ in range(12)]
    sent = {tenant: [] for tenant in tenants}
    victim = Service(stack)
    for round_ in range(8):
        batch = []
        for tenant in tenants:
            for step in range(3):
                event_id, data = billing.event("changed", tenant, plan_id=f"plan_{round_}_{step}", new_state="active")
                sent[tenant].append(event_id)
                batch.append(data)
        billing.send(*batch)
        time.sleep(0.02 * round_)
        victim.process.kill()
        victim.stop()
        victim = Service(stack)
    ids = [i for events in sent.values() for i in events]
    with stack.superuser() as sql:
        count = "SELECT count(*) FROM tenant.inbox WHERE event_id = ANY (%s)"
        wait_until(lambda: sql.execute(count, (ids,)).fetchone()[0] == len(ids), 90)
        for tenant in tenants:
            assert plan_of(service, tenant) == "plan_7_2"
            version, = sql.execute("SELECT version FROM tenant.tenants WHERE id = %s", (tenant_uuid(tenant),)).fetchone()
            audits, = sql.execute("SELECT count(*) FROM tenant.tenant_audit WHERE tenant_id = %s AND action = "
                                  "'tenant.plan_change'", (tenant_uuid(tenant),)).fetchone()
            assert version == 1 + audits
    assert victim.stop() == 0
    events = wait_until(lambda: _drained(stack) and read_streams(stack))
    for tenant in tenants:
        own = [e for e in events if e.tenant_id == tenant]
        changes = [e for e in own if e.type == "tenant.org.plan_changed"]
        assert [e.sequence for e in own] == list(range(1, len(own) + 1)) and len(own) == len(changes) + 1
        assert get(service, tenant).etag == f'"{len(own)}"'
        causes = [e.payload.cause_event_id for e in changes]
        assert len(set(causes)) == len(causes) and set(causes) <= set(sent[tenant])
        for before, after in zip(changes, changes[1:]):
            assert after.payload.previous_plan.plan_id == before.payload.plan.plan_id


def parked(stack, event_id):
    return one(stack, "SELECT count(*) FROM tenant.inbox_parked WHERE event_id = %s", event_id)[0]


def letters_of(stack, event_id):
    return [letter for letter in letters(stack) if letter[1].get("Dlq-Event-Id") == event_id]


def test_an_event_that_always_fails_becomes_a_letter_and_holds_up_nobody(service, stack, unique, billing):
    """The database refuses what the event says: a constraint of this test's own plays the part."""
    tenant, other = create(service, unique("bad")).tenant_id, create(service, unique("good")).tenant_id
    with stack.superuser() as sql:
        sql.execute("ALTER TABLE tenant.subscription ADD CONSTRAINT poison CHECK (subscription_id <> 'sub_poison') NOT VALID")
        try:
            failed = service.metric("tenant_inbound_errors_total", kind="event")
            event_id = billing.tell("created", tenant, subscription="sub_poison", plan_id="plan_starter", state="active")
            wait_until(lambda: service.metric("tenant_inbound_errors_total", kind="event") > failed)
            for step in range(5):
                billing.tell("changed", other, plan_id=f"plan_{step}", new_state="active")
                plan_becomes(service, other, f"plan_{step}")
            assert not letters_of(stack, event_id), "others waited for it"
            letter, = wait_until(lambda: letters_of(stack, event_id), 120, 0.2)
        finally:
            sql.execute("ALTER TABLE tenant.subscription DROP CONSTRAINT poison")
    assert letter[1]["Dlq-Cause"] == "HANDLER_FAILED" and int(letter[1]["Dlq-Deliveries"]) >= 10
    assert "23514" in letter[1]["Dlq-Detail"] and "subscription" in letter[1]["Dlq-Detail"]
    assert service.metric("tenant_inbound_errors_total", kind="event") >= failed + 10
    assert noted(stack, event_id) == 0 and plan_of(service, tenant) == ""
    written = len(letters(stack))
    wait_until(lambda: service.metric("tenant_dead_letters", **{"from": "consumer"}) >= written, 60, 0.5)
    requeue(stack, letter)
    plan_becomes(service, tenant, "plan_starter")


def test_a_parked_event_that_was_looked_at_often_survives_a_fault(service, stack, unique, billing):
    """Looks that came too early are no failures, and neither is a tenant whose row is locked for a while."""
    tenant, other = create(service, unique("often")).tenant_id, create(service, unique("well")).tenant_id
    billing.tell("created", tenant, at=time.time() - 60, plan_id="plan_starter", state="active")
    plan_becomes(service, tenant, "plan_starter")
    event_id = billing.tell("canceled", tenant, at=time.time(), effective_at=time.time() + 5)
    wait_until(lambda: parked(stack, event_id) == 1)
    with stack.superuser() as sql, stack.superuser() as lock:
        sql.execute("UPDATE tenant.inbox_parked SET attempts = 30 WHERE event_id = %s", (event_id,))
        billing.tell("created", other, plan_id="plan_starter", state="active")
        plan_becomes(service, other, "plan_starter")
        failed = service.metric("tenant_inbound_errors_total", kind="database")
        lock.execute("BEGIN")
        lock.execute("SELECT 1 FROM tenant.tenants WHERE id = %s FOR UPDATE", (tenant_uuid(tenant),))
        wait_until(lambda: service.metric("tenant_inbound_errors_total", kind="database") > failed, 30)
        lock.execute("ROLLBACK")
    plan_becomes(service, tenant, "", 30)
    wait_until(lambda: parked(stack, event_id) == 0)
    assert not letters_of(stack, event_id)


def test_there_is_no_letter_of_an_event_that_stays_parked(service, stack, unique, billing):
    """Else it might take effect after all, and the letter would be wrong."""
    event_id = None

    def look():
        return look_now(stack, event_id)

    def failed():
        return service.metric("tenant_inbound_errors_total", kind="database")

    with stack.superuser() as sql:
        sql.execute("REVOKE DELETE ON tenant.inbox_parked FROM tenant_relay")
        try:
            event_id = billing.tell("created", "tnt_" + "0" * 24 + "17", plan_id="plan_starter", state="active")
            wait_until(lambda: parked(stack, event_id) == 1)
            before = failed()
            sql.execute("UPDATE tenant.inbox_parked SET parked_at = parked_at - interval '25 hours' WHERE event_id = %s",
                        (event_id,))
            wait_until(lambda: look() and failed() > before, 30, 0.2)
            assert parked(stack, event_id) == 1 and not letters_of(stack, event_id)
        finally:
            sql.execute("GRANT DELETE ON tenant.inbox_parked TO tenant_relay")
        wait_until(lambda: look() and parked(stack, event_id) == 0, 30, 0.2)
    letter, = wait_until(lambda: letters_of(stack, event_id), 30)
    assert letter[1]["Dlq-Cause"] == "TENANT_NOT_FOUND"


def purge_billing(stack):
    async def purge():
        client = await connect(stack, "admin")
        await client.jetstream().purge_stream("BILLING")
        await client.close()
    asyncio.run(purge())


def test_early_events_that_find_no_room_hold_up_nobody(service, stack, unique, billing):
    """The other replica would park them: it sleeps meanwhile, until its requests for events have run out."""
    tenant = create(service, unique("room")).tenant_id
    os.kill(service.process.pid, signal.SIGSTOP)
    time.sleep(3)
    narrow = Service(stack, CONSUMERS_PARKED_MAX=1)
    try:
        early = [billing.event("created", "tnt_" + "0" * 21 + f"2{n:04d}", plan_id="plan_starter", state="active")
                 for n in range(400)]
        billing.send(*(data for _, data in early))
        billing.tell("created", tenant, plan_id="plan_starter", state="active")
        plan_becomes(narrow, tenant, "plan_starter", 60)
        room = one(stack, "SELECT count(*) FROM tenant.inbox_parked WHERE event_id = ANY (%s)", [e for e, _ in early])[0]
        assert room <= 1, "the limit was not in the way"
        assert not [letter for letter in letters(stack) if letter[1]["Dlq-Cause"] == "TENANT_NOT_FOUND"
                    and letter[1].get("Dlq-Event-Id") in {event_id for event_id, _ in early}]
    finally:
        purge_billing(stack)
        assert narrow.stop() == 0
        os.kill(service.process.pid, signal.SIGCONT)
        with stack.superuser() as sql:
            sql.execute("DELETE FROM tenant.inbox_parked WHERE event_id = ANY (%s)", ([event_id for event_id, _ in early],))


def _drained(stack):
    return one(stack, "SELECT count(*) FROM tenant.outbox")[0] == 0


def test_a_consumer_that_is_gone_is_made_anew(service, stack, unique, billing):
    """Deleted while no pull waits that could be told: those that come later find nobody."""
    async def deleted():
        client = await connect(stack, "admin")
        js = client.jetstream()
        try:
            if (await js.consumer_info("BILLING", "tenant-service")).num_waiting == 0:
                return await js.delete_consumer("BILLING", "tenant-service")
        finally:
            await client.close()
    tenant = create(service, unique("gone")).tenant_id
    billing.tell("created", tenant, plan_id="plan_starter", state="active")
    plan_becomes(service, tenant, "plan_starter")
    service.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: asyncio.run(deleted()), 15)
    finally:
        service.process.send_signal(signal.SIGCONT)
    billing.tell("changed", tenant, plan_id="plan_pro")
    plan_becomes(service, tenant, "plan_pro", 40)
