"""Suspend, reactivate and close: what an operator may do to a tenant, and what stays."""
import time

import grpc
import pytest

from support import call, change_status, create, get, header, refused, update
from streams import read_streams, tenant_uuid
from tenant.v1 import tenants_pb2 as pb

CODE = grpc.StatusCode
TRIAL, ACTIVE, SUSPENDED, CLOSED = (
    pb.TENANT_STATUS_TRIAL, pb.TENANT_STATUS_ACTIVE, pb.TENANT_STATUS_SUSPENDED, pb.TENANT_STATUS_CLOSED)
TO = {"Suspend": SUSPENDED, "Reactivate": ACTIVE, "Close": CLOSED}
WAYS = {TRIAL: [], ACTIVE: ["Reactivate"], SUSPENDED: ["Suspend"], CLOSED: ["Close"]}
ALLOWED = {TRIAL: {SUSPENDED, ACTIVE, CLOSED}, ACTIVE: {SUSPENDED, CLOSED},
           SUSPENDED: {ACTIVE, CLOSED}, CLOSED: set()}


@pytest.mark.parametrize("verb", TO)
@pytest.mark.parametrize("start", WAYS)
def test_every_transition(service, unique, start, verb):
    tenant = create(service, unique())
    for step in WAYS[start]:
        tenant = change_status(service, step, tenant.tenant_id)
    assert tenant.status == start
    if TO[verb] in ALLOWED[start]:
        changed = change_status(service, verb, tenant.tenant_id, reason="because")
        assert changed.status == TO[verb] and changed.etag != tenant.etag
        assert get(service, tenant.tenant_id) == changed
        return
    error = refused(change_status, service, verb, tenant.tenant_id)
    assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "INVALID_STATUS_TRANSITION")
    assert error.metadata["status"] in ("active", "suspended", "closed")
    assert get(service, tenant.tenant_id) == tenant


@pytest.mark.parametrize("verb", TO)
@pytest.mark.parametrize("identity", ["api-gateway", "sync-service", "stranger"])
def test_only_the_operator_changes_status(service, unique, verb, identity):
    tenant = create(service, unique())
    error = refused(change_status, service, verb, tenant.tenant_id, identity, header(tenant.tenant_id))
    assert (error.code, error.reason) == (CODE.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    assert get(service, tenant.tenant_id) == tenant


def test_a_stale_etag_changes_nothing(service, unique):
    tenant = create(service, unique())
    error = refused(change_status, service, "Suspend", tenant.tenant_id, etag='"99"')
    assert (error.code, error.reason) == (CODE.ABORTED, "VERSION_CONFLICT")
    assert error.metadata["etag"] == tenant.etag
    assert change_status(service, "Suspend", tenant.tenant_id, etag=tenant.etag).status == SUSPENDED


def test_validate_only_checks_and_keeps(service, unique):
    tenant = create(service, unique())
    assert change_status(service, "Close", tenant.tenant_id, validate_only=True).status == CLOSED
    assert get(service, tenant.tenant_id) == tenant
    change_status(service, "Close", tenant.tenant_id)
    error = refused(change_status, service, "Suspend", tenant.tenant_id, validate_only=True)
    assert error.reason == "INVALID_STATUS_TRANSITION"


@pytest.mark.parametrize("reason, rule", [("x" * 513, "512 characters"), ("a\nb", "control characters")])
def test_a_bad_reason_names_the_rule(service, unique, reason, rule):
    tenant = create(service, unique())
    error = refused(change_status, service, "Suspend", tenant.tenant_id, reason=reason)
    assert error.code == CODE.INVALID_ARGUMENT and rule in error.fields["reason"]


def test_an_unknown_tenant_and_one_of_another_region(service, stack, unique):
    error = refused(change_status, service, "Suspend", "tnt_01H455VB4PEX5VSKNK084SN02Q")
    assert (error.code, error.reason) == (CODE.NOT_FOUND, "TENANT_NOT_FOUND")
    tenant = create(service, unique())
    with stack.superuser() as db:
        db.execute("UPDATE tenant.tenants SET home_region = 'us' WHERE id = %s", [tenant_uuid(tenant.tenant_id)])
    error = refused(change_status, service, "Suspend", tenant.tenant_id)
    assert error.reason == "WRONG_REGION" and error.metadata["home_region"] == "us"


def test_a_closed_tenant_does_not_change(service, unique):
    tenant = create(service, unique())
    closed = change_status(service, "Close", tenant.tenant_id)
    closed.display_name = "New"
    error = refused(update, service, closed, ["display_name"])
    assert (error.code, error.reason) == (CODE.FAILED_PRECONDITION, "INVALID_STATUS_TRANSITION")
    error = refused(create, service, tenant.slug)
    assert error.reason == "SLUG_TAKEN", "the slug of a closed tenant stays taken"


def test_a_suspension_returns_when_no_cache_can_deny_it(service, unique):
    """Two workers and a second connection: after the answer nobody reads the old status."""
    tenant = create(service, unique())
    get(service, tenant.tenant_id)
    began = time.monotonic()
    change_status(service, "Suspend", tenant.tenant_id)
    assert time.monotonic() - began >= 0.2, "it must outlast what caches may still answer"
    for _ in range(20):
        assert get(service, tenant.tenant_id).status == SUSPENDED


def test_status_changes_leave_audit_and_events(service, stack, unique, eventually):
    tenant = create(service, unique())
    change_status(service, "Suspend", tenant.tenant_id, reason="unpaid")
    change_status(service, "Reactivate", tenant.tenant_id, reason="paid")
    closed = change_status(service, "Close", tenant.tenant_id)
    with stack.superuser() as db:
        rows = db.execute("SELECT action, reason, changed FROM tenant.tenant_audit WHERE tenant_id = %s "
                          "ORDER BY version", [tenant_uuid(tenant.tenant_id)]).fetchall()
        spans = db.execute("SELECT count(*) FROM tenant.platform_audit WHERE target = %s",
                           [tenant.tenant_id]).fetchone()[0]
    assert rows == [("tenant.create", "", []), ("tenant.suspend", "unpaid", ["status"]),
                    ("tenant.reactivate", "paid", ["status"]), ("tenant.close", "", ["status"])]
    assert spans == 4

    def events():
        found = [e for e in read_streams(stack) if e.tenant_id == tenant.tenant_id]
        return found if len(found) == 4 else None

    found = sorted(eventually(events, 10), key=lambda e: e.sequence)
    assert [e.type for e in found] == ["tenant.org.provisioned", "tenant.org.suspended",
                                       "tenant.org.reactivated", "tenant.org.closed"]
    suspended, reactivated = found[1].payload, found[2].payload
    assert (suspended.previous_status, suspended.reason) == (TRIAL, "unpaid")
    assert (reactivated.previous_status, reactivated.tenant.status) == (SUSPENDED, ACTIVE)
    assert found[3].payload.tenant == closed
    assert all(e.envelope.consistency_token for e in found)
    token = found[3].envelope.consistency_token
    response, _, answered = call(service, "GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id),
                                 metadata=(("x-consistency-token", token),))
    assert response.tenant == closed
