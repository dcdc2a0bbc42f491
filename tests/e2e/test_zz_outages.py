"""Dependencies lost and back: what still works, what is refused and how, and that all recovers by itself.

Runs last: it takes the stack's servers away.
"""
import asyncio
import json
import threading
import time

import grpc
import pytest

from billing_events import Billing, letters
from streams import connect, read_streams
from support import create, get, refused, update
from tenant.v1 import tenants_pb2 as pb

CODE = grpc.StatusCode
REDIS = ("redis-1", "redis-2", "redis-3")


def works(service, unique):
    def attempt():
        try:
            return create(service, unique())
        except grpc.RpcError:
            return None
    return attempt


@pytest.fixture(autouse=True)
def everything_is_back(service, stack, unique, eventually):
    yield
    for server in ("postgres", "pgbouncer", *REDIS, "nats"):
        stack.repair(server)
    eventually(works(service, unique), 30)


def dependency(service, name):
    status, body = service.http("/health/ready")
    return status, json.loads(body)["dependencies"][name]["state"]


@pytest.mark.parametrize("action", ["pause", "kill"])
def test_without_redis_every_answer_is_right(service, stack, unique, eventually, action):
    tenants = [create(service, unique()) for _ in range(5)]
    for server in REDIS:
        stack.control(server, action)
    for i in range(60):
        tenant = tenants[i % 5]
        assert get(service, tenant.tenant_id) == tenant
        if i % 10 == 0:
            tenants[i % 5] = update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name=f"n{i}"),
                                    ["display_name"])
        time.sleep(0.01)
    assert eventually(lambda: dependency(service, "redis") == (200, "down"), 15)
    for server in REDIS:
        stack.control(server, "resume" if action == "pause" else "start")
    assert eventually(lambda: dependency(service, "redis") == (200, "up"), 60)
    for tenant in tenants:
        assert get(service, tenant.tenant_id) == tenant


def test_without_nats_writes_work_and_events_follow_in_order(service, stack, unique, eventually):
    stack.control("nats", "kill")
    tenant = create(service, unique())
    for i in range(20):
        update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name=f"offline-{i}"), ["display_name"])
    assert eventually(lambda: dependency(service, "nats") == (200, "down"), 15)
    with stack.superuser() as sql:
        assert sql.execute("SELECT count(*) FROM tenant.outbox").fetchone()[0] >= 21
    stack.control("nats", "start")
    eventually(lambda: service.stack.superuser().execute(
        "SELECT count(*) FROM tenant.outbox").fetchone()[0] == 0, 60, 0.2)
    mine = [e for e in read_streams(stack) if e.tenant_id == tenant.tenant_id]
    assert [e.sequence for e in mine] == list(range(1, 22))
    assert [e.display_name for e in mine][1:] == [f"offline-{i}" for i in range(20)]


@pytest.mark.parametrize("server", ["postgres", "pgbouncer"])
def test_without_the_database_the_refusal_is_quick_and_clear(service, stack, unique, eventually, server):
    tenant = create(service, unique())
    stack.control(server, "kill")

    def unavailable():
        try:
            create(service, unique())
            return None
        except grpc.RpcError as error:
            return error if error.code() == CODE.UNAVAILABLE else None

    eventually(unavailable, 15)
    error = refused(get, service, "tnt_01H455VB4PEX5VSKNK084SN02Q")
    assert error.code == CODE.UNAVAILABLE and error.retry_s and error.retry_s > 0
    assert int(error.trailers["retry-after"]) >= 1
    assert error.retry_s <= int(error.trailers["grpc-retry-pushback-ms"]) / 1000 <= error.retry_s * 1.5 + 0.01
    assert "connect" not in error.message and "127.0.0.1" not in error.message
    began = time.monotonic()
    for _ in range(50):
        assert refused(create, service, unique()).code == CODE.UNAVAILABLE
    assert time.monotonic() - began < 20, "each refusal waits for a time-out"
    assert eventually(lambda: dependency(service, "database") == (200, "down"), 15)
    stack.control(server, "start")
    eventually(works(service, unique), 30)
    assert get(service, tenant.tenant_id) == tenant
    assert eventually(lambda: dependency(service, "database") == (200, "up"), 15)


def deliveries(stack):
    """Of billing's events to the service, so far."""
    async def ask():
        client = await connect(stack, "admin")
        try:
            return (await client.jetstream().consumer_info("BILLING", "tenant-service")).delivered.consumer_seq
        finally:
            await client.close()
    return asyncio.run(ask())


def test_without_the_database_billing_events_wait_however_often_they_are_delivered(service, stack, unique, eventually):
    """Right after a success, so that the service has reason to think that it is well."""
    billing, tenant = Billing(stack), create(service, unique()).tenant_id
    billing.tell("created", tenant, plan_id="plan_starter", state="active")
    eventually(lambda: get(service, tenant).plan.plan_id == "plan_starter", 15)
    stack.control("pgbouncer", "kill")
    before = deliveries(stack)
    event_id = billing.tell("changed", tenant, plan_id="plan_pro", new_state="active")
    eventually(lambda: deliveries(stack) >= before + 12, 120, 0.2)
    stack.control("pgbouncer", "start")
    eventually(works(service, unique), 30)
    eventually(lambda: get(service, tenant).plan.plan_id == "plan_pro", 30)
    assert event_id not in [letter[1].get("Dlq-Event-Id") for letter in letters(stack)]


def test_under_load_nothing_acknowledged_is_lost_while_servers_go_and_come(service, stack, unique, eventually):
    acknowledged, stop = [], threading.Event()

    def write():
        while not stop.is_set():
            try:
                acknowledged.append(create(service, unique()))
            except grpc.RpcError as error:
                assert error.code() in (CODE.UNAVAILABLE, CODE.DEADLINE_EXCEEDED, CODE.ABORTED), error
                time.sleep(0.05)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for server in ("pgbouncer", "postgres", "nats", "redis-2"):
        time.sleep(0.5)
        stack.control(server, "kill")
        time.sleep(0.5)
        stack.control(server, "start")
    eventually(works(service, unique), 30)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(acknowledged) > 20
    eventually(lambda: stack.superuser().execute("SELECT count(*) FROM tenant.outbox").fetchone()[0] == 0,
               60, 0.2)
    with stack.superuser() as sql:
        stored = {row[0] for row in sql.execute("SELECT slug FROM tenant.tenants")}
    assert not [t.slug for t in acknowledged if t.slug not in stored]
    events = {}
    for event in read_streams(stack):
        events.setdefault(event.tenant_id, []).append(event.sequence)
    assert not [t.slug for t in acknowledged if events.get(t.tenant_id) != [1]]


def test_a_drain_finishes_calls_and_ends_with_status_0(stack, unique):
    from support import Service
    service = Service(stack)
    tenant = create(service, unique())
    with stack.superuser() as sql:
        sql.execute("BEGIN")
        sql.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", (tenant.slug,))
        future = service.stub().UpdateTenant.future(pb.UpdateTenantRequest(
            tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name="while draining")), timeout=20)
        time.sleep(0.3)
        service.process.terminate()
        time.sleep(0.5)
        assert service.process.poll() is None, "it did not wait for the call"
        status, _ = service.http("/health/ready")
        assert status == 503
        sql.execute("ROLLBACK")
    assert future.result().tenant.display_name == "while draining"
    assert service.process.wait(20) == 0
    service.stop()
