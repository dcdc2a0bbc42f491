"""A caller that leaves takes its SQL along: the statement is cancelled, and the connection is nobody else's meanwhile."""
import random
import statistics
import threading
import time

import grpc
import pytest

from support import Service, create, get, wait_until
from tenant.v1 import tenants_pb2 as pb

# without a cancel request a statement would be seen for so long
LONG = {"DATABASE_STATEMENT_TIMEOUT": "25s", "LIMITS_CLIENT_RESETS_BURST": 1000000,
        "LIMITS_CLIENT_RESETS_RATE": 1000000}


@pytest.fixture(name="patient", scope="module")
def patient_service(stack):
    running = Service(stack, **LONG)
    yield running
    assert running.stop() == 0


def waiting(db):
    """Statements of the service that wait for a lock."""
    return db.execute("SELECT count(*) FROM pg_stat_activity WHERE usename IN ('tenant_app', 'tenant_platform') "
                      "AND wait_event_type = 'Lock'").fetchone()[0]


def update(service, tenant, name, **options):
    changed = pb.Tenant(tenant_id=tenant.tenant_id, display_name=name)
    request = pb.UpdateTenantRequest(tenant=changed)
    request.update_mask.paths.append("display_name")
    return service.stub().UpdateTenant.future(request, **options)


@pytest.fixture(name="locked")
def locked_tenant(stack, patient, unique):
    """A tenant whose row somebody else holds."""
    tenant = create(patient, unique())
    with stack.superuser() as db, stack.superuser() as holder:
        with holder.transaction():
            holder.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", (tenant.slug,))
            yield tenant, db


def test_a_cancelled_call_leaves_no_statement(patient, locked):
    """Within a second, which is a promise; two calls of three, because a busy machine may hold up one."""
    tenant, db = locked
    before = patient.metric("tenant_db_cancels_total", result="sent")
    took = []
    for _ in range(3):
        call = update(patient, tenant, "Never", timeout=25)
        wait_until(lambda: waiting(db) == 1)
        call.cancel()
        began = time.monotonic()
        wait_until(lambda: waiting(db) == 0)
        took.append(time.monotonic() - began)
    assert statistics.median(took) < 1, took
    wait_until(lambda: patient.metric("tenant_db_cancels_total", result="sent") == before + 3)
    assert get(patient, tenant.tenant_id).display_name == tenant.display_name


def test_a_lost_connection_leaves_no_statement(patient, locked):
    """Long before its own deadline or statement_timeout, 25 s both, would end it."""
    tenant, db = locked
    with grpc.secure_channel(patient.address, patient.stack.credentials("admin")) as channel:
        call = channel.unary_unary(
            "/tenant.v1.TenantService/UpdateTenant", request_serializer=pb.UpdateTenantRequest.SerializeToString,
            response_deserializer=lambda raw: raw)
        request = pb.UpdateTenantRequest(tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name="Never"))
        request.update_mask.paths.append("display_name")
        pending = call.future(request, timeout=25)
        wait_until(lambda: waiting(db) == 1)
    wait_until(lambda: waiting(db) == 0, 5)
    assert pending.code() != grpc.StatusCode.OK


def test_a_deadline_leaves_no_statement(stack, locked):
    """The server's own deadline, while the client would wait for longer: the answer comes then, and the SQL ends with it,
    cancelled or by its statement_timeout, which is what was left of the deadline."""
    tenant, db = locked
    hurried = Service(stack, **LONG, LIMITS_DEADLINE_DEFAULT="2s", LIMITS_DEADLINE_CAP="2s")
    try:
        call = update(hurried, tenant, "Never", timeout=25)
        began = time.monotonic()
        wait_until(lambda: waiting(db) == 1 or call.done())
        assert call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert 1.5 < time.monotonic() - began < 20
        wait_until(lambda: waiting(db) == 0)
        wait_until(lambda: hurried.metric("tenant_db_connections_active", login="app") == 0)
    finally:
        assert hurried.stop() == 0
    assert db.execute("SELECT display_name FROM tenant.tenants WHERE slug = %s",
                      (tenant.slug,)).fetchone()[0] == tenant.display_name


def test_many_at_once(patient, locked):
    """More than there are connections: those in line leave too, and all connections work again."""
    tenant, db = locked
    calls = [update(patient, tenant, "Never", timeout=25) for _ in range(20)]
    wait_until(lambda: waiting(db) > 2)
    for call in calls:
        call.cancel()
    wait_until(lambda: waiting(db) == 0)
    wait_until(lambda: patient.metric("tenant_db_connections_active", login="app") == 0)
    others = [create(patient, f"{tenant.slug}-{n}") for n in range(12)]
    assert len({other.tenant_id for other in others}) == 12


def test_cancels_never_meet_anybody_else(patient, unique):
    """Two tenants are read and written while calls are cancelled at random: every answer is right, or the caller's own
    cancellation."""
    service = patient
    tenants = [create(service, unique(), display_name=f"Tenant {n}") for n in range(2)]
    wrong = []
    stop = threading.Event()

    def ask_rightly(tenant):
        while not stop.is_set():
            seen = get(service, tenant.tenant_id)
            if (seen.slug, seen.display_name) != (tenant.slug, tenant.display_name):
                wrong.append(seen)
            tenant.display_name = f"Tenant {random.randrange(10 ** 6)}"
            update(service, tenant, tenant.display_name, timeout=20).result()

    def leave_early(seed):
        chance = random.Random(seed)
        victim = create(service, unique())
        while not stop.is_set():
            call = update(service, victim, f"Victim {chance.randrange(10 ** 6)}", timeout=20)
            time.sleep(chance.random() * 0.01)
            call.cancel()

    def guarded(work, argument):
        try:
            work(argument)
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(error)

    threads = [threading.Thread(target=guarded, args=pair) for pair in
               [(ask_rightly, tenant) for tenant in tenants] + [(leave_early, seed) for seed in range(6)]]
    for thread in threads:
        thread.start()
    time.sleep(5)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert not wrong, wrong[:3]
    assert service.metric("tenant_db_foreign_answers_total") == 0
    assert service.metric("tenant_db_cancels_total", result="failed") == 0


def test_a_pooler_that_does_not_answer_holds_nobody_up(stack, unique):
    """PgBouncer takes the cancel request and says nothing: the service ends in time all the same."""
    service = Service(stack, **LONG)
    tenant = create(service, unique())
    with stack.superuser() as db, stack.superuser() as holder, holder.transaction():
        holder.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", (tenant.slug,))
        call = update(service, tenant, "Never", timeout=25)
        wait_until(lambda: waiting(db) == 1)
        stack.control("pgbouncer", "pause")
        try:
            call.cancel()
            wait_until(lambda: service.metric("tenant_db_connections_dropped_total", login="app") >= 1)
            assert service.stop() == 0
        finally:
            stack.control("pgbouncer", "resume")
        wait_until(lambda: waiting(db) == 0, 40)
