"""ListTenants: filters, orders, pages, and tokens that belong to one question of one caller."""
import base64

import grpc
import pytest

from support import Service, call, change_status, create, refused
from streams import tenant_uuid
from tenant.v1 import tenants_pb2 as pb

CODE = grpc.StatusCode


def list_page(service, identity="admin", metadata=(), **fields):
    return call(service, "ListTenants", pb.ListTenantsRequest(**fields), identity, metadata)[0]


def list_all(service, page_size=3, **fields):
    tenants, token = [], ""
    while True:
        page = list_page(service, page_size=page_size, page_token=token, **fields)
        assert len(page.tenants) <= page_size
        tenants += page.tenants
        token = page.next_page_token
        if not token:
            return tenants
        assert len(page.tenants) == page_size


@pytest.fixture(scope="module")
def herd(service):
    """Seven tenants under one label."""
    import time
    mark = f"m{time.time_ns():x}"
    tenants = []
    for i, name in enumerate(["Zeta", "alpha", "Beta", "beta", "Ähre", "Gamma", "alpha"]):
        tenants.append(create(
            service, f"{mark}-{7 - i}", display_name=name, labels={"herd": mark, "n": str(i)},
            type=pb.TENANT_TYPE_PROVIDER if i % 2 else pb.TENANT_TYPE_ORG,
            plan=pb.Plan(plan_id="plan_pro") if i < 3 else None))
    tenants[5] = change_status(service, "Suspend", tenants[5].tenant_id)
    return mark, tenants


def test_pages_in_order_of_creation_miss_and_repeat_nothing(service, herd):
    mark, tenants = herd
    found = list_all(service, filter=f'labels.herd = "{mark}"')
    assert found == tenants
    found = list_all(service, page_size=2, filter=f"labels.herd = {mark}", order_by="create_time desc")
    assert found == tenants[::-1]


@pytest.mark.parametrize("order, key", [
    ("slug", lambda t: (t.slug.encode(),)),
    ("display_name", lambda t: (t.display_name.encode(), tenant_uuid(t.tenant_id)))])
@pytest.mark.parametrize("size", [1, 3, 200])
def test_orders(service, herd, order, key, size):
    mark, tenants = herd
    want = f'labels.herd = "{mark}"'
    assert list_all(service, size, filter=want, order_by=order) == sorted(tenants, key=key)
    assert list_all(service, size, filter=want, order_by=order + " desc") == sorted(tenants, key=key, reverse=True)


@pytest.mark.parametrize("condition, chosen", [
    ('status = "suspended"', [5]), ("status=trial", [0, 1, 2, 3, 4, 6]),
    ("type = provider", [1, 3, 5]), ('plan.plan_id = "plan_pro"', [0, 1, 2]),
    ('display_name = "alpha"', [1, 6]), ('display_name = "al*"', [1, 6]), ('display_name = "Ä*"', [4]),
    ('labels.n = "3"', [3]), ('labels.n = "9"', []), ('type = org AND plan.plan_id = plan_pro', [0, 2]),
    ('create_time < "2020-01-01T00:00:00Z"', []), ('create_time >= "2020-01-01T00:00:00+02:00"', list(range(7))),
])
def test_filters(service, herd, condition, chosen):
    mark, tenants = herd
    assert list_all(service, filter=f"{condition} AND labels.herd = {mark}") == [tenants[i] for i in chosen]


def test_filter_by_slug_and_times_of_one_tenant(service, herd):
    mark, tenants = herd
    assert list_all(service, filter=f'slug = "{mark}-4"') == [tenants[3]]
    assert list_all(service, filter=f"slug = {mark}*") == tenants
    at = tenants[3].create_time.ToJsonString()
    assert list_all(service, filter=f'create_time = "{at}" AND slug = {mark}*') == [tenants[3]]
    assert list_all(service, filter=f'create_time > "{at}" AND slug = {mark}*') == tenants[4:]
    assert list_all(service, filter=f'create_time <= "{at}" AND slug = {mark}*') == tenants[:4]


@pytest.mark.parametrize("fields, field, rule", [
    ({"filter": "status"}, "filter", "character 7: one of = < <= > >="),
    ({"filter": "status = done"}, "filter", "trial, active, suspended or closed"),
    ({"filter": "owner = me"}, "filter", "fields are status"),
    ({"filter": "status = trial OR type = org"}, "filter", "joined by AND"),
    ({"filter": "status = trial AND"}, "filter", "must follow AND"),
    ({"filter": "status = trial AND status = active"}, "filter", "named before"),
    ({"filter": "labels.a = 1 AND labels.a = 2"}, "filter", "names one label twice"),
    ({"filter": 'slug = "a'}, "filter", "no closing quote"),
    ({"filter": 'slug = "a*b"'}, "filter", "at the end only"),
    ({"filter": "plan.plan_id = plan_*"}, "filter", "slug and display_name only"),
    ({"filter": "slug > a"}, "filter", "only times"),
    ({"filter": "create_time > yesterday"}, "filter", "RFC 3339"),
    ({"filter": "create_time > 2026-02-30T00:00:00Z"}, "filter", "RFC 3339"),
    ({"filter": " AND ".join(f"labels.a{i} = 1" for i in range(17))}, "filter", "16 conditions"),
    ({"filter": "slug = " + "a" * 2048}, "filter", "2048 bytes"),
    ({"order_by": "status"}, "order_by", "create_time, slug or display_name"),
    ({"order_by": "slug down"}, "order_by", "create_time, slug or display_name"),
    ({"page_size": -1}, "page_size", "negative"),
    ({"page_token": "nonsense"}, "page_token", "next_page_token"),
])
def test_what_is_refused_names_field_and_rule(service, fields, field, rule):
    error = refused(list_page, service, **fields)
    assert error.code == CODE.INVALID_ARGUMENT and rule in error.fields[field]


def test_sizes(service, herd):
    assert len(list_page(service).tenants) <= 50
    assert len(list_page(service, page_size=100000).tenants) <= 200


def test_a_page_token_belongs_to_its_question(service, herd):
    mark, _ = herd
    fields = {"filter": f"labels.herd = {mark}", "order_by": "slug", "page_size": 2}
    token = list_page(service, **fields).next_page_token
    assert list_page(service, page_token=token, **fields).tenants
    assert list_page(service, page_token=token, **{**fields, "page_size": 5}).tenants, "the size may change"
    for change in ({"filter": ""}, {"order_by": "slug desc"}, {"order_by": ""}):
        error = refused(list_page, service, page_token=token, **{**fields, **change})
        assert error.code == CODE.INVALID_ARGUMENT and "page_token" in error.fields


def test_a_page_token_cannot_be_made_or_mended(service, herd):
    mark, _ = herd
    fields = {"filter": f"labels.herd = {mark}", "page_size": 2}
    token = list_page(service, **fields).next_page_token
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for i in range(len(raw)):
        forged = bytearray(raw)
        forged[i] ^= 1
        text = base64.urlsafe_b64encode(bytes(forged)).decode().rstrip("=")
        error = refused(list_page, service, page_token=text, **fields)
        assert error.code == CODE.INVALID_ARGUMENT, f"byte {i}"


def test_another_replica_takes_the_token(service, stack, herd):
    mark, tenants = herd
    fields = {"filter": f"labels.herd = {mark}", "page_size": 3}
    token = list_page(service, **fields).next_page_token
    other = Service(stack)
    try:
        assert list(list_page(other, page_token=token, **fields).tenants) == tenants[3:6]
    finally:
        assert other.stop() == 0


def test_only_the_operator_lists_and_it_is_audited(service, stack):
    for identity in ("api-gateway", "sync-service", "stranger"):
        error = refused(list_page, service, identity)
        assert (error.code, error.reason) == (CODE.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    with stack.superuser() as db:
        count = "SELECT count(*) FROM tenant.platform_audit WHERE action = 'tenant.list' AND target = %s"
        what = "status = closed"
        before = db.execute(count, [what]).fetchone()[0]
        list_page(service, filter=what)
        assert db.execute(count, [what]).fetchone()[0] == before + 1


def test_other_regions_are_not_listed(service, stack, unique):
    tenant = create(service, unique())
    with stack.superuser() as db:
        db.execute("UPDATE tenant.tenants SET home_region = 'ap' WHERE id = %s", [tenant_uuid(tenant.tenant_id)])
    assert list_all(service, filter=f"slug = {tenant.slug}") == []
