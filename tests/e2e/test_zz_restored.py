"""An older copy of the database, put back under the service as a snapshot of its disk would be: the streams know more than it
does.  test_zz_rewinds.py has the parts, tests/chaos/events/test_rewind.c the relay's side; this is all of it, on a stack that
nobody else uses."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from datetime import timezone

import grpc
import pytest

from streams import read_streams, tenant_uuid
from support import ROOT, Service, change_status, create, get, refused, update, wait_until
from tenant.v1 import tenants_pb2 as pb

ACTIVE, SUSPENDED, CLOSED = pb.TENANT_STATUS_ACTIVE, pb.TENANT_STATUS_SUSPENDED, pb.TENANT_STATUS_CLOSED
PATIENCE_S = 40


@pytest.fixture
def start(own):
    started = []

    def begin():
        started.append(Service(own))
        return started[-1]

    yield begin
    for service in started:  # a test that failed has not stopped its own
        if service.process.poll() is None:
            service.stop(signal.SIGKILL)


def replace(stack, source, target):
    """The folder of the stopped server, or its copy, in the place of the other."""
    servers = pathlib.Path(stack.env["STACK_DIR"]) / "servers"
    stack.control("postgres", "stop")
    shutil.rmtree(servers / target, ignore_errors=True)
    subprocess.run(["cp", "-a", servers / source, servers / target], check=True)
    stack.control("postgres", "start")


def patiently(attempt):
    """Its pools find out that the database was away."""
    def once():
        try:
            return attempt()
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, error
            return None
    return wait_until(once, PATIENCE_S, 0.1)


def ask(stack, query, *arguments):
    with stack.superuser() as db:
        return db.execute(query, arguments).fetchall()


def shipped(stack):
    """Everything is in the streams: their events, those of a tenant in order."""
    wait_until(lambda: ask(stack, "SELECT count(*) FROM tenant.outbox")[0][0] == 0, PATIENCE_S)
    return read_streams(stack)


def told(events, tenant):
    return [(event.type.removeprefix("tenant."), event.envelope.incarnation, event.sequence)
            for event in events if event.tenant_id == tenant.tenant_id]


def rename(service, tenant, name):
    return update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name=name), ["display_name"])


def check_as_consumers_do(stack, incarnation, lost):
    """The assertions of the relay's suite: see there."""
    done = subprocess.run([sys.executable, ROOT / "tests/chaos/events/rewind.py", "check", str(incarnation), str(lost)],
                          env=os.environ | stack.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f" {lost} lost of " in done.stdout, done.stdout


def suspend(service, tenant, reason):
    return change_status(service, "Suspend", tenant.tenant_id, reason=reason)


def written_before(service, unique):
    """The tenants that the copy has."""
    names = ("suspended", "closed", "renamed", "eased", "let_in", "untouched")
    tenants = {name: create(service, unique(name.replace("_", "-"))) for name in names}
    tenants["let_in"] = suspend(service, tenants["let_in"], "unpaid")
    return tenants


def written_after(service, tenants, unique):
    """Changes that the copy does not have, seven of them; the last is a new tenant.  Read once, so that caches have them."""
    patiently(lambda: rename(service, tenants["renamed"], "Lost"))
    suspend(service, tenants["suspended"], "fraud")
    change_status(service, "Close", tenants["closed"].tenant_id, reason="gone")
    suspend(service, tenants["eased"], "by mistake")
    for name in ("eased", "let_in"):
        assert change_status(service, "Reactivate", tenants[name].tenant_id).status == ACTIVE
    lost = create(service, unique("lost"))
    for tenant in (*tenants.values(), lost):
        get(service, tenant.tenant_id)
    return lost


def changed_at(tenant):
    return tenant.update_time.ToDatetime(timezone.utc)


def put_back_by_itself(service, own, tenant, status):
    """A lost restriction is one again, by a change that says who made it.  Until then caches may have the lost one, which looks
    like it: the same version, another time."""
    uuid = tenant_uuid(tenant.tenant_id)
    wait_until(lambda: ask(own, "SELECT 1 FROM tenant.rewound WHERE tenant_id = %s AND applied_at IS NOT NULL", uuid), PATIENCE_S)
    changed = ask(own, "SELECT update_time FROM tenant.tenants WHERE id = %s", uuid)[0][0]
    found = wait_until(lambda: now if changed_at(now := get(service, tenant.tenant_id)) == changed else None)
    assert (found.status, found.display_name) == (status, tenant.display_name) and found.etag != tenant.etag
    return ask(own, "SELECT action, reason, actor FROM tenant.tenant_audit WHERE tenant_id = %s ORDER BY at DESC", uuid)[0]


def test_an_older_copy_of_the_database_is_put_back(own, start, unique):
    service = start()
    tenants = written_before(service, unique)
    shipped(own)
    replace(own, "postgres", "copy")
    lost = written_after(service, tenants, unique)
    shipped(own)
    assert service.stop() == 0
    replace(own, "copy", "postgres")
    assert ask(own, "SELECT incarnation FROM tenant.installation") == [(1,)]

    service = start()
    assert put_back_by_itself(service, own, tenants["suspended"], SUSPENDED) == (
        "tenant.suspend_again", "fraud", "tenant-service")
    assert put_back_by_itself(service, own, tenants["closed"], CLOSED) == ("tenant.close_again", "gone", "tenant-service")
    assert ask(own, "SELECT incarnation FROM tenant.installation") == [(2,)]
    wait_until(lambda: service.metric("tenant_database_incarnation") == 2)
    assert service.metric("tenant_database_rewinds_total") == 1
    assert service.metric("tenant_restrictions_put_back_total") == 2

    # All else is what the copy says, whatever caches held.
    for name in ("renamed", "eased", "let_in", "untouched"):
        wait_until(lambda: get(service, tenants[name].tenant_id) == tenants[name])
    assert refused(get, service, lost.tenant_id).reason == "TENANT_NOT_FOUND"
    for name in ("renamed", "untouched"):
        tenants[name] = rename(service, tenants[name], "Again")

    events = shipped(own)
    first, told_of_it = ("org.provisioned", 1, 1), ("log.rewound", 2, 1)
    assert {name: told(events, tenant) for name, tenant in (*tenants.items(), ("lost", lost))} == {
        "suspended": [first, ("org.suspended", 1, 2), told_of_it, ("org.suspended", 2, 2)],
        "closed": [first, ("org.closed", 1, 2), told_of_it, ("org.closed", 2, 2)],
        "renamed": [first, ("org.updated", 1, 2), told_of_it, ("org.updated", 2, 2)],
        "eased": [first, ("org.suspended", 1, 2), ("org.reactivated", 1, 3), told_of_it],
        "let_in": [first, ("org.suspended", 1, 2), ("org.reactivated", 1, 3), told_of_it],
        "untouched": [first, ("org.updated", 2, 1)],
        "lost": [first, told_of_it],
    }
    check_as_consumers_do(own, 2, 7)
    assert service.stop() == 0

    # What was found once is not found again.
    service = start()
    wait_until(lambda: service.metric("tenant_relay_leases") == 16)
    assert get(service, tenants["suspended"].tenant_id).status == SUSPENDED
    assert get(service, tenants["closed"].tenant_id).status == CLOSED
    assert get(service, rename(service, tenants["renamed"], "Once more").tenant_id).display_name == "Once more"
    assert len(shipped(own)) == len(events) + 1
    check_as_consumers_do(own, 2, 7)
    assert service.stop() == 0


def promote(stack):
    """The server as its own standby, without a primary, and then on a timeline of its own: what a failover leaves behind."""
    stack.control("postgres", "stop")
    (pathlib.Path(stack.env["STACK_DIR"]) / "servers/postgres/standby.signal").touch()
    stack.control("postgres", "start")
    assert ask(stack, "SELECT pg_is_in_recovery()") == [(True,)]
    assert ask(stack, "SELECT pg_promote(true, 30)") == [(True,)]


def test_a_standby_is_promoted_that_lost_nothing(own, start, unique):
    """Another timeline, and nothing else: the incarnation grows, and nobody is told of a loss."""
    service = start()
    tenant, idle = create(service, unique("failover")), create(service, unique("idle"))
    shipped(own)
    promote(own)
    renamed = patiently(lambda: rename(service, tenant, "Afterwards"))
    wait_until(lambda: service.metric("tenant_database_incarnation") == 2, PATIENCE_S)
    assert service.metric("tenant_database_rewinds_total") == 1
    after = rename(service, tenant, "Once more")
    assert renamed.etag != after.etag
    events = shipped(own)
    assert [kind for kind, _, _ in told(events, tenant)] == ["org.provisioned", "org.updated", "org.updated"]
    assert told(events, tenant)[-1][1] == 2 and told(events, idle) == [("org.provisioned", 1, 1)]
    check_as_consumers_do(own, 2, 0)
    assert service.stop() == 0
