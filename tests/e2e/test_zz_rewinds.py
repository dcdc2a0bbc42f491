"""A database that was taken back in time, as callers see it: restrictions come back, caches and tokens of before do not
count.  Runs late: the incarnation stays greater.  tests/chaos/events has the relay's side."""
import time

import grpc
import pytest

from support import call, change_status, create, get, refused, update, wait_until
from streams import read_streams, tenant_uuid
from tenant.v1 import tenants_pb2 as pb

ACTIVE, SUSPENDED, CLOSED = pb.TENANT_STATUS_ACTIVE, pb.TENANT_STATUS_SUSPENDED, pb.TENANT_STATUS_CLOSED


def lost(stack, tenant, status, reason):
    """What a relay notes when a tenant's lost events ended with a restriction."""
    with stack.superuser() as db:
        db.execute(
            "INSERT INTO tenant.rewound (tenant_id, incarnation, shard, previous_incarnation, lost_from, lost_to, status,"
            " reason, announced_at) VALUES (%s, 1000, 0, 999, 2, 3, %s, %s, now())",
            [tenant_uuid(tenant.tenant_id), status, reason])


def applied(stack, tenant):
    with stack.superuser() as db:
        return db.execute("SELECT applied_at IS NOT NULL FROM tenant.rewound WHERE tenant_id = %s",
                          [tenant_uuid(tenant.tenant_id)]).fetchone()[0]


@pytest.mark.parametrize("status, verb, value", [("suspended", "suspend_again", SUSPENDED),
                                                 ("closed", "close_again", CLOSED)])
def test_a_lost_restriction_is_put_back(service, stack, unique, status, verb, value):
    before = service.metric("tenant_restrictions_put_back_total")
    tenant = create(service, unique())
    lost(stack, tenant, status, "fraud")
    wait_until(lambda: get(service, tenant.tenant_id).status == value)
    changed = get(service, tenant.tenant_id)
    assert changed.etag != tenant.etag and changed.display_name == tenant.display_name
    assert applied(stack, tenant)
    assert service.metric("tenant_restrictions_put_back_total") == before + 1
    with stack.superuser() as db:
        audit = db.execute("SELECT action, reason, actor FROM tenant.tenant_audit WHERE tenant_id = %s ORDER BY at DESC",
                           [tenant_uuid(tenant.tenant_id)]).fetchone()
    assert audit == (f"tenant.{verb}", "fraud", "tenant-service")
    events = wait_until(lambda: [event for event in read_streams(stack)
                                 if event.tenant_id == tenant.tenant_id and event.type == f"tenant.org.{status}"])
    assert len(events) == 1 and events[0].envelope.actor.id == "tenant-service"
    time.sleep(2.5)  # two more looks
    assert get(service, tenant.tenant_id) == changed


def test_what_is_stricter_already_stays(service, stack, unique):
    tenant = create(service, unique())
    closed = change_status(service, "Close", tenant.tenant_id)
    lost(stack, tenant, "suspended", "")
    wait_until(lambda: applied(stack, tenant))
    assert get(service, tenant.tenant_id) == closed


def test_one_that_cannot_be_put_back_holds_up_nobody(service, stack, unique):
    stuck, others = create(service, unique()), [create(service, unique()) for _ in range(3)]
    with stack.superuser() as holder, holder.transaction():
        holder.execute("SELECT FROM tenant.tenants WHERE id = %s FOR UPDATE", [tenant_uuid(stuck.tenant_id)])
        lost(stack, stuck, "suspended", "first")
        for tenant in others:
            lost(stack, tenant, "suspended", "behind it")
        for tenant in others:
            wait_until(lambda: get(service, tenant.tenant_id).status == SUSPENDED)
        assert get(service, stuck.tenant_id).status == stuck.status and not applied(stack, stuck)
    wait_until(lambda: get(service, stuck.tenant_id).status == SUSPENDED)


def taken_back(stack, tenant):
    """The tenant's row and its epoch as they were before its last change."""
    with stack.superuser() as db:
        db.execute("UPDATE tenant.tenants SET display_name = 'As it was', version = 1 WHERE id = %s",
                   [tenant_uuid(tenant.tenant_id)])
        db.execute("UPDATE tenant.authz_epoch SET epoch = epoch - 1 WHERE tenant_id = %s",
                   [tenant_uuid(tenant.tenant_id)])


def grow(stack):
    with stack.superuser() as db:
        db.execute("UPDATE tenant.installation SET incarnation = incarnation + 1")


def test_caches_of_before_do_not_count(service, stack, unique):
    tenant = create(service, unique())
    changed = update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="Lost"), ["display_name"])
    assert get(service, tenant.tenant_id) == changed
    taken_back(stack, tenant)
    time.sleep(0.3)
    assert get(service, tenant.tenant_id).display_name == "Lost"  # the epoch says that nothing is newer
    grow(stack)
    wait_until(lambda: get(service, tenant.tenant_id).display_name == "As it was", seconds=2)
    for _ in range(20):
        assert get(service, tenant.tenant_id).display_name == "As it was"


def test_tokens_of_before_are_met_by_what_is_now(service, stack, unique):
    tenant = create(service, unique())
    request = pb.UpdateTenantRequest(tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name="Lost"))
    request.update_mask.paths.append("display_name")
    token = call(service, "UpdateTenant", request)[2]["x-consistency-token"]
    taken_back(stack, tenant)
    read = {"metadata": [("x-consistency-token", token)]}
    time.sleep(0.3)
    assert get(service, tenant.tenant_id).display_name in ("Lost", "As it was")
    grow(stack)
    wait_until(lambda: (found := answered(service, tenant, read)) and found.display_name == "As it was", seconds=3)
    for _ in range(20):
        assert answered(service, tenant, read).display_name == "As it was"


def answered(service, tenant, read):
    try:
        return get(service, tenant.tenant_id, **read)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNAVAILABLE, error
        return None


def test_events_go_on_in_the_new_incarnation(service, stack, unique):
    grow(stack)
    with stack.superuser() as db:
        installed = db.execute("SELECT incarnation FROM tenant.installation").fetchone()[0]
    tenant = create(service, unique())
    change_status(service, "Suspend", tenant.tenant_id)
    events = wait_until(lambda: own if len(own := [event for event in read_streams(stack)
                                                   if event.tenant_id == tenant.tenant_id]) == 2 else None)
    assert [(event.envelope.incarnation, event.sequence) for event in events] == [(installed, 1), (installed, 2)]
    assert service.metric("tenant_database_incarnation") == installed
    assert refused(get, service, "tnt_01H455VB4PEX5VSKNK084SN02Q").reason == "TENANT_NOT_FOUND"
