"""Every write is safe to repeat, and says what a reader must see from then on."""
import base64
import concurrent.futures
import os
import time

import grpc
import pytest

from support import Service, call, change_status, create, get, header, refused, update
from streams import read_streams, tenant_uuid
from tenant.v1 import tenants_pb2 as pb

CODE = grpc.StatusCode


def key(text):
    return (("idempotency-key", text),)


def new(slug, **fields):
    return pb.CreateTenantRequest(tenant=pb.Tenant(slug=slug, display_name="Acme", home_region="eu", **fields))


def rename(tenant, name, **fields):
    request = pb.UpdateTenantRequest(tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name=name, **fields))
    request.update_mask.paths.append("display_name")
    return request


def mutations(tenant):
    """One request of every method that changes something."""
    return {
        "UpdateTenant": rename(tenant, "Renamed"),
        "SuspendTenant": pb.SuspendTenantRequest(tenant_id=tenant.tenant_id, reason="r"),
        "ReactivateTenant": pb.ReactivateTenantRequest(tenant_id=tenant.tenant_id),
        "CloseTenant": pb.CloseTenantRequest(tenant_id=tenant.tenant_id),
    }


def test_a_repeated_create_makes_one_tenant_and_one_answer(service, stack, unique, eventually):
    request, k = new(unique(), labels={"b": "1", "a": "2", "c": "3"}), unique("k")
    first, first_bytes, first_head = call(service, "CreateTenant", request, metadata=key(k))
    again, again_bytes, again_head = call(service, "CreateTenant", request, metadata=key(k))
    assert again_bytes == first_bytes and again.tenant.tenant_id == first.tenant.tenant_id
    assert again_head["idempotency-replayed"] == "true" and "idempotency-replayed" not in first_head
    assert again_head["x-consistency-token"] == first_head["x-consistency-token"]
    with stack.superuser() as db:
        uuid = tenant_uuid(first.tenant.tenant_id)
        for table, column in (("tenants", "id"), ("tenant_audit", "tenant_id"), ("idempotency", "tenant_id")):
            count = db.execute(f"SELECT count(*) FROM tenant.{table} WHERE {column} = %s", [uuid]).fetchone()[0]
            assert count == 1, table
    assert eventually(lambda: [e for e in read_streams(stack) if e.tenant_id == first.tenant.tenant_id], 10)
    assert len([e for e in read_streams(stack) if e.tenant_id == first.tenant.tenant_id]) == 1


@pytest.mark.parametrize("method", ["UpdateTenant", "SuspendTenant", "ReactivateTenant", "CloseTenant"])
def test_every_change_is_replayed_byte_for_byte(service, unique, method):
    tenant = create(service, unique())
    request, k = mutations(tenant)[method], unique("k")
    first, first_bytes, first_head = call(service, method, request, metadata=key(k))
    change_status(service, "Reactivate", tenant.tenant_id) if method == "SuspendTenant" else None
    again, again_bytes, again_head = call(service, method, request, metadata=key(k))
    assert again_bytes == first_bytes and again_head["idempotency-replayed"] == "true"
    assert again_head["x-consistency-token"] == first_head["x-consistency-token"]
    assert again.tenant.etag == first.tenant.etag


def test_a_replay_is_the_old_answer_and_not_the_state_of_now(service, unique):
    tenant = create(service, unique())
    k = unique("k")
    _, first_bytes, _ = call(service, "UpdateTenant", rename(tenant, "One"), metadata=key(k))
    update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="Two"), ["display_name"])
    _, again_bytes, _ = call(service, "UpdateTenant", rename(tenant, "One"), metadata=key(k))
    assert again_bytes == first_bytes
    assert get(service, tenant.tenant_id).display_name == "Two"


def test_map_order_does_not_make_another_request(service, unique):
    """protobuf leaves the order of map entries open: a client may send a retry with another one."""
    slug, k = unique(), unique("k")
    head = new(slug).SerializeToString()
    entries = [pb.Tenant(labels={name: "1"}).SerializeToString() for name in ("aa", "bb", "cc")]
    rpc = service.channel().unary_unary("/tenant.v1.TenantService/CreateTenant",
                                        request_serializer=lambda data: data, response_deserializer=lambda d: d)

    def body(order):
        tenant = new(slug).tenant.SerializeToString() + b"".join(entries[i] for i in order)
        return b"\x0a" + bytes([len(tenant)]) + tenant

    assert len(body([0, 1, 2])) < 130 and head
    first = rpc(body([0, 1, 2]), metadata=key(k), timeout=10)
    assert rpc(body([2, 0, 1]), metadata=key(k), timeout=10) == first


def test_another_request_under_the_key_is_refused(service, unique):
    tenant, k = create(service, unique()), unique("k")
    call(service, "UpdateTenant", rename(tenant, "One"), metadata=key(k))
    for other in (rename(tenant, "Two"), rename(tenant, "One", etag='"1"')):
        error = refused(call, service, "UpdateTenant", other, metadata=key(k))
        assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "IDEMPOTENCY_REPLAY_MISMATCH")
        assert "idempotency-key" in error.fields
    slug, k = unique(), unique("k")
    call(service, "CreateTenant", new(slug), metadata=key(k))
    error = refused(call, service, "CreateTenant", new(slug + "x"), metadata=key(k))
    assert error.reason == "IDEMPOTENCY_REPLAY_MISMATCH"


def test_a_key_belongs_to_tenant_principal_and_method(service, unique):
    one, two, k = create(service, unique()), create(service, unique()), unique("k")
    for tenant in (one, two):
        answer, _, head = call(service, "UpdateTenant", rename(tenant, "New"), metadata=key(k))
        assert answer.tenant.tenant_id == tenant.tenant_id and "idempotency-replayed" not in head
    answer, _, head = call(service, "UpdateTenant", rename(one, "Gateway"), "api-gateway",
                           metadata=key(k) + header(one.tenant_id))
    assert answer.tenant.display_name == "Gateway" and "idempotency-replayed" not in head
    answer, _, head = call(service, "SuspendTenant", pb.SuspendTenantRequest(tenant_id=one.tenant_id),
                           metadata=key(k))
    assert answer.tenant.status == pb.TENANT_STATUS_SUSPENDED and "idempotency-replayed" not in head


def test_a_refusal_does_not_use_up_the_key(service, unique):
    slug, k = unique(), unique("k")
    owner = create(service, slug)
    error = refused(call, service, "CreateTenant", new(slug), metadata=key(k))
    assert error.reason == "SLUG_TAKEN"
    answer, _, _ = call(service, "CreateTenant", new(slug + "-2"), metadata=key(k))
    assert answer.tenant.tenant_id != owner.tenant_id


def test_validate_only_does_not_use_up_the_key(service, unique):
    request, k = new(unique()), unique("k")
    request.validate_only = True
    call(service, "CreateTenant", request, metadata=key(k))
    request.validate_only = False
    _, _, head = call(service, "CreateTenant", request, metadata=key(k))
    assert "idempotency-replayed" not in head


def test_an_update_that_changes_nothing_is_replayed_too(service, unique):
    tenant, k = create(service, unique()), unique("k")
    request = rename(tenant, tenant.display_name)
    _, first, head = call(service, "UpdateTenant", request, metadata=key(k))
    assert head["x-consistency-token"]
    update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="Else"), ["display_name"])
    _, again, _ = call(service, "UpdateTenant", request, metadata=key(k))
    assert again == first


@pytest.mark.parametrize("bad", ["", "a" * 256, "two words"])
def test_a_malformed_key_is_refused(service, unique, bad):
    error = refused(call, service, "CreateTenant", new(unique()), metadata=key(bad))
    assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "METADATA_INVALID")
    assert "255" in error.fields["idempotency-key"]


def test_while_the_first_still_runs(service, stack, unique, eventually):
    """The first call waits for a row that we hold; the second learns that it is not done yet."""
    tenant, k = create(service, unique()), unique("k")
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR UPDATE%'"
    with concurrent.futures.ThreadPoolExecutor() as pool, stack.superuser() as db, stack.superuser() as eye:
        with db.transaction():
            db.execute("SELECT FROM tenant.tenants WHERE id = %s FOR UPDATE", [tenant_uuid(tenant.tenant_id)])
            first = pool.submit(call, service, "UpdateTenant", rename(tenant, "One"), metadata=key(k))
            eventually(lambda: eye.execute(waiting).fetchone()[0], 5)
            error = refused(call, service, "UpdateTenant", rename(tenant, "One"), metadata=key(k))
        assert (error.code, error.reason) == (CODE.ABORTED, "IDEMPOTENCY_IN_PROGRESS") and error.retry_s > 0
        assert first.result(10)[0].tenant.display_name == "One"
    _, _, head = call(service, "UpdateTenant", rename(tenant, "One"), metadata=key(k))
    assert head["idempotency-replayed"] == "true"


def test_an_expired_key_is_free_again(service, stack, unique):
    tenant, k = create(service, unique()), unique("k")
    call(service, "UpdateTenant", rename(tenant, "One"), metadata=key(k))
    with stack.superuser() as db:
        ttl = db.execute("UPDATE tenant.idempotency SET expires_at = now() WHERE key = %s "
                         "RETURNING expires_at - created_at", [k]).fetchone()
        assert ttl
    answer, _, head = call(service, "UpdateTenant", rename(tenant, "Two"), metadata=key(k))
    assert answer.tenant.display_name == "Two" and "idempotency-replayed" not in head
    _, _, head = call(service, "UpdateTenant", rename(tenant, "Two"), metadata=key(k))
    assert head["idempotency-replayed"] == "true"


def test_records_live_a_day(service, stack, unique):
    k = unique("k")
    call(service, "CreateTenant", new(unique()), metadata=key(k))
    with stack.superuser() as db:
        for table in ("idempotency", "platform_idempotency"):
            hours = db.execute(f"SELECT extract(epoch FROM expires_at - created_at) / 3600 FROM tenant.{table} "
                               "WHERE key = %s", [k]).fetchone()[0]
            assert 23.99 < hours < 24.01


@pytest.mark.parametrize("rounds", [int(os.environ.get("RACE_ROUNDS", "100"))])
def test_races_have_one_winner(service, stack, unique, rounds):
    """Same slug, same key, same etag, from sixteen callers at two replicas."""
    other = Service(stack)
    try:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for _ in range(rounds):
                race_slug(pool, (service, other), unique())
                race_key(pool, (service, other), unique(), unique("k"))
                race_etag(pool, (service, other), create(service, unique()))
    finally:
        assert other.stop() == 0


def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except grpc.RpcError as error:
        return error


def race_slug(pool, services, slug):
    asked = [pool.submit(outcome, create, services[i % 2], slug) for i in range(6)]
    answers = [a.result() for a in asked]
    errors = [a for a in answers if isinstance(a, grpc.RpcError)]
    assert len(errors) == 5
    assert all(e.code() == CODE.ALREADY_EXISTS for e in errors), errors


def race_key(pool, services, slug, k):
    asked = [pool.submit(outcome, call, services[i % 2], "CreateTenant", new(slug), metadata=key(k))
             for i in range(6)]
    answers = [a.result() for a in asked]
    errors = [a for a in answers if isinstance(a, grpc.RpcError)]
    assert all(e.code() == CODE.ABORTED for e in errors), errors
    assert len({a[1] for a in answers if not isinstance(a, grpc.RpcError)}) == 1


def race_etag(pool, services, tenant):
    wanted = [pb.Tenant(tenant_id=tenant.tenant_id, display_name=f"n{i}", etag=tenant.etag) for i in range(6)]
    asked = [pool.submit(outcome, update, services[i % 2], wanted[i], ["display_name"]) for i in range(6)]
    answers = [a.result() for a in asked]
    errors = [a for a in answers if isinstance(a, grpc.RpcError)]
    assert len(errors) == 5
    assert all(e.code() == CODE.ABORTED for e in errors), errors


# --- consistency tokens ----------------------------------------------------------------------------------

def with_token(token):
    return (("x-consistency-token", token),)


def test_every_write_gives_a_token_and_every_read_takes_it(service, unique):
    answer, _, head = call(service, "CreateTenant", new(unique()))
    tenant = answer.tenant
    tokens = [head["x-consistency-token"]]
    for method, request in mutations(tenant).items():
        tokens.append(call(service, method, request)[2]["x-consistency-token"])
    assert len(set(tokens)) == 5
    for token in tokens:
        reads = (("GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id)),
                 ("LookupTenant", pb.LookupTenantRequest(slug=tenant.slug)),
                 ("ListTenants", pb.ListTenantsRequest(filter=f"slug = {tenant.slug}")))
        for method, request in reads:
            answer, _, _ = call(service, method, request, metadata=with_token(token))
            found = answer.tenants[0] if method == "ListTenants" else answer.tenant
            assert found.status == pb.TENANT_STATUS_CLOSED and found.display_name == "Renamed"


def test_a_token_beats_every_cache_of_another_replica(service, stack, unique):
    other = Service(stack)
    try:
        tenant = create(service, unique())
        for i in range(60):
            get(other, tenant.tenant_id)
            token = call(service, "UpdateTenant", rename(tenant, f"n{i}"))[2]["x-consistency-token"]
            answer, _, head = call(other, "GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id),
                                   metadata=with_token(token))
            assert answer.tenant.display_name == f"n{i}", head
    finally:
        assert other.stop() == 0


def test_tokens_of_others_and_forged_ones_are_refused(service, unique):
    one, _, head = call(service, "CreateTenant", new(unique()))
    two = create(service, unique())
    token = head["x-consistency-token"]
    error = refused(get, service, two.tenant_id, metadata=with_token(token))
    assert (error.code, error.reason) == (CODE.INVALID_ARGUMENT, "METADATA_INVALID")
    assert "another tenant" in error.fields["x-consistency-token"]
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for i in range(len(raw)):
        forged = bytearray(raw)
        forged[i] ^= 0x10
        text = base64.urlsafe_b64encode(bytes(forged)).decode().rstrip("=")
        error = refused(get, service, one.tenant.tenant_id, metadata=with_token(text))
        assert error.reason == "METADATA_INVALID", f"byte {i}"
    for text in ("", "x", token + "A", token[:-1]):
        assert refused(get, service, one.tenant.tenant_id, metadata=with_token(text)).reason == "METADATA_INVALID"


def test_a_token_from_the_future_is_not_answered_with_less(service, stack, unique):
    """As after a failover that lost the last writes: the row is set back behind the token."""
    answer, _, _ = call(service, "CreateTenant", new(unique()))
    tenant = answer.tenant
    token = call(service, "UpdateTenant", rename(tenant, "New"))[2]["x-consistency-token"]
    with stack.superuser() as db:
        db.execute("UPDATE tenant.authz_epoch SET epoch = epoch - 1, xid = pg_current_xact_id() WHERE tenant_id = %s",
                   [tenant_uuid(tenant.tenant_id)])
    time.sleep(0.3)
    for method, request in (("GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id)),
                            ("LookupTenant", pb.LookupTenantRequest(slug=tenant.slug)),
                            ("ListTenants", pb.ListTenantsRequest())):
        # one that has no cached copy of what was lost
        other = Service(stack, REDIS_URL="") if method == "GetTenant" else None
        error = refused(call, other or service, method, request, metadata=with_token(token))
        assert (error.code, error.reason) == (CODE.UNAVAILABLE, "CONSISTENCY_UNAVAILABLE"), method
        assert error.retry_s > 0
        if other:
            assert other.stop() == 0


# --- slugs ---------------------------------------------------------------------------------------------------

def test_a_former_slug_stays_its_tenants_own(service, unique):
    tenant = create(service, unique())
    old, renamed = tenant.slug, unique()
    update(service, pb.Tenant(tenant_id=tenant.tenant_id, slug=renamed), ["slug"])
    assert refused(create, service, old).reason == "SLUG_TAKEN"
    other = create(service, unique())
    assert refused(update, service, pb.Tenant(tenant_id=other.tenant_id, slug=old), ["slug"]).reason == "SLUG_TAKEN"
    back = update(service, pb.Tenant(tenant_id=tenant.tenant_id, slug=old), ["slug"])
    assert back.slug == old
    assert refused(create, service, renamed).reason == "SLUG_TAKEN"


def test_the_eleventh_former_slug_is_free(service, unique):
    tenant = create(service, unique())
    slugs = [tenant.slug]
    for _ in range(11):
        slugs.append(unique())
        update(service, pb.Tenant(tenant_id=tenant.tenant_id, slug=slugs[-1]), ["slug"])
    assert create(service, slugs[0]).slug == slugs[0]
    assert refused(create, service, slugs[1]).reason == "SLUG_TAKEN"


@pytest.mark.parametrize("slug", ["admin", "www", "localhost"])
def test_the_platforms_own_slugs(service, unique, slug):
    error = refused(create, service, slug)
    assert error.code == CODE.INVALID_ARGUMENT and "reserved" in error.fields["tenant.slug"]
    tenant = create(service, unique())
    error = refused(update, service, pb.Tenant(tenant_id=tenant.tenant_id, slug=slug), ["slug"])
    assert "reserved" in error.fields["tenant.slug"]


def test_expired_keys_are_deleted_and_others_are_not(service, stack, unique, eventually):
    """By the relay, which sees expired rows alone."""
    old, kept = unique("k"), unique("k")
    for k in (old, kept):
        call(service, "CreateTenant", new(unique()), metadata=key(k))
    tables = ("idempotency", "platform_idempotency")
    with stack.superuser() as db:
        for table in tables:
            db.execute(f"UPDATE tenant.{table} SET expires_at = now() - interval '1 second' WHERE key = %s", [old])

        def left():
            return [db.execute(f"SELECT key FROM tenant.{table} WHERE key = ANY(%s)", [[old, kept]]).fetchall()
                    for table in tables]

        other = Service(stack)  # housekeeping is among the first things that a relay does
        try:
            assert eventually(lambda: left() == [[(kept,)], [(kept,)]], 90)
        finally:
            assert other.stop() == 0
