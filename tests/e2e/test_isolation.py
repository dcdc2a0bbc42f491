"""Two tenants that cannot see each other through any method, table, cache key or event."""
import json
import ssl

import grpc
import psycopg
import pytest
import redis

from streams import read_streams
from support import create, get, header, refused, update
from tenant.v1 import tenants_pb2 as pb

CANARY_A = "canary-alpha-4711"
CANARY_B = "canary-bravo-0815"


def make(service, unique, canary):
    return create(
        service, f"{canary}-{unique()}", display_name=f"{canary} name",
        labels={"note": f"{canary} label"}, plan=pb.Plan(plan_id=f"plan_{canary.replace('-', '_')}"),
        settings=pb.TenantSettings(branding_theme={"motto": f"{canary} theme"}))


@pytest.fixture
def pair(service, unique):
    return make(service, unique, CANARY_A), make(service, unique, CANARY_B)


def tables(sql, owner="tenant"):
    return [row[0] for row in sql.execute(
        "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE nspname = %s AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1", (owner,))]


def tenant_uuid(stack, tenant):
    with stack.superuser() as sql:
        return sql.execute("SELECT id FROM tenant.tenants WHERE slug = %s", (tenant.slug,)).fetchone()[0]


def test_answers_hold_no_foreign_canary(service, pair):
    a, b = pair
    for tenant, foreign in ((a, CANARY_B), (b, CANARY_A)):
        answers = [
            get(service, tenant.tenant_id),
            get(service, tenant.tenant_id, "api-gateway", metadata=header(tenant.tenant_id)),
            service.stub("sync-service").LookupTenant(pb.LookupTenantRequest(slug=tenant.slug)).tenant,
            update(service, pb.Tenant(tenant_id=tenant.tenant_id, display_name="x"), ["display_name"]),
        ]
        for answer in answers:
            assert foreign not in str(answer)


def test_the_gateway_cannot_reach_across(service, pair):
    a, b = pair
    for method in (
        lambda: get(service, b.tenant_id, "api-gateway", metadata=header(a.tenant_id)),
        lambda: update(service, pb.Tenant(tenant_id=b.tenant_id, display_name="stolen"),
                       ["display_name"], "api-gateway", metadata=header(a.tenant_id)),
    ):
        error = refused(method)
        assert error.code == grpc.StatusCode.PERMISSION_DENIED
        assert CANARY_B not in str(error)
    assert get(service, b.tenant_id).display_name == b.display_name


def test_refusals_do_not_tell_whether_a_foreign_tenant_exists(service, pair):
    a, b = pair
    missing = "tnt_01H455VB4PEX5VSKNK084SN02Q"
    there = refused(get, service, b.tenant_id, "api-gateway", metadata=header(a.tenant_id))
    absent = refused(get, service, missing, "api-gateway", metadata=header(a.tenant_id))
    assert (there.code, there.reason) == (absent.code, absent.reason)
    assert there.message.replace(b.tenant_id, "") == absent.message.replace(missing, "")


@pytest.mark.parametrize("setting", ["own", "other", "none", "empty", "malformed"])
def test_every_table_under_row_level_security(service, stack, pair, setting):
    a, b = pair
    own, other = tenant_uuid(stack, a), tenant_uuid(stack, b)
    value = {"own": str(own), "other": str(other), "none": None, "empty": "",
             "malformed": "not-a-uuid"}[setting]
    with stack.superuser() as sql:
        names = tables(sql)
        readable = [n for n in names if sql.execute(
            "SELECT has_table_privilege('tenant_app', %s, 'SELECT')", (f"tenant.{n}",)).fetchone()[0]]
        columns = {n: sql.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'tenant_id'",
            (f"tenant.{n}",)).fetchone()[0] for n in readable}
    assert "tenants" in readable
    for name in readable:
        column = "tenant_id" if columns[name] else ("id" if name == "tenants" else None)
        if column is None:
            continue
        with stack.app() as sql:
            if value is not None:
                sql.execute("SELECT set_config('app.tenant_id', %s, true)", (value,))
            query = f"SELECT {column} FROM tenant.{name}"
            if setting == "malformed":
                with pytest.raises(psycopg.Error):
                    sql.execute(query).fetchall()
                continue
            seen = {row[0] for row in sql.execute(query)}
            expected = {own} if setting == "own" else {other} if setting == "other" else set()
            assert seen <= expected, (name, setting)
            if name == "tenants":
                assert seen == expected


def test_writes_across_the_border_fail(service, stack, pair):
    a, b = pair
    own, other = tenant_uuid(stack, a), tenant_uuid(stack, b)
    with stack.app() as sql:
        sql.execute("SELECT set_config('app.tenant_id', %s, true)", (str(own),))
        assert sql.execute("UPDATE tenant.tenants SET display_name = 'x' WHERE id = %s", (other,)).rowcount == 0
        sql.rollback()
    for statement in ("UPDATE tenant.tenants SET id = %s WHERE id = %s",):
        with stack.app() as sql:
            sql.execute("SELECT set_config('app.tenant_id', %s, true)", (str(own),))
            with pytest.raises(psycopg.Error):
                sql.execute(statement, (other, own))
    for statement in ("DELETE FROM tenant.tenants", "TRUNCATE tenant.tenants",
                      "ALTER TABLE tenant.tenants DISABLE ROW LEVEL SECURITY",
                      "SET ROLE tenant_owner", "CREATE TABLE tenant.mine (x int)"):
        with stack.app() as sql:
            sql.execute("SELECT set_config('app.tenant_id', %s, true)", (str(own),))
            with pytest.raises(psycopg.Error):
                sql.execute(statement)
                raise AssertionError(f"allowed: {statement}")


def test_a_pooled_connection_keeps_nothing(service, stack, pair):
    a, _ = pair
    own = tenant_uuid(stack, a)
    for _ in range(30):
        with stack.app() as sql:
            sql.execute("SELECT set_config('app.tenant_id', %s, true)", (str(own),))
            sql.commit()
        with stack.app() as sql:
            assert sql.execute("SELECT count(*) FROM tenant.tenants").fetchone()[0] == 0


# What the platform login may read: for look-ups, for the feed of changes, and for what a rewound database lost.
PLATFORM_READS = {"tenants", "authz_epoch", "rewound"}


def test_the_platform_login_reads_nothing_else(stack):
    with stack.superuser() as sql:
        names = tables(sql)
    for name in names:
        with stack.platform() as sql:
            if name in PLATFORM_READS:
                sql.execute(f"SELECT count(*) FROM tenant.{name}")
                continue
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sql.execute(f"SELECT * FROM tenant.{name}")


def cluster(stack):
    url = stack.env["STACK_REDIS_URL"]
    password = url.split(":", 2)[2].rsplit("@", 1)[0]
    host, port = url.rsplit("@", 1)[1].split(",")[0].rsplit(":", 1)
    return redis.RedisCluster(
        host=host, port=int(port), password=password, ssl=True, ssl_ca_certs=str(stack.pki / "ca.pem"),
        ssl_certfile=str(stack.pki / "tenant-service.pem"),
        ssl_keyfile=str(stack.pki / "tenant-service.key"), ssl_cert_reqs=ssl.CERT_REQUIRED,
        ssl_check_hostname=False)


def test_cache_entries_are_the_tenants_own(service, stack, pair, eventually):
    a, b = pair
    client = cluster(stack)
    for tenant, foreign in ((a, b), (b, a)):
        key = "tenants/{%s}/profile" % tenant.tenant_id

        def entry():
            get(service, tenant.tenant_id)
            return client.get(key)

        value = eventually(entry)
        assert tenant.tenant_id.encode() in value
        assert foreign.tenant_id.encode() not in value
        assert (CANARY_B if tenant is a else CANARY_A).encode() not in value
        assert 0 < client.pttl(key) <= 600_000 or client.get(key) is None
    client.close()


def test_a_foreign_or_spoilt_cache_value_is_never_served(service, stack, pair, eventually):
    a, b = pair
    client = cluster(stack)
    key_a, key_b = ("tenants/{%s}/profile" % t.tenant_id for t in (a, b))

    def foreign():
        get(service, b.tenant_id)
        return client.get(key_b)

    value_b = eventually(foreign)
    for poison in (value_b, b"", b"garbage", value_b[:-3], b"\0" * 100):
        for _ in range(3):
            client.set(key_a, poison, px=200)
            assert get(service, a.tenant_id) == a
    client.close()


def test_events_hold_their_own_tenant_only(service, stack, pair, eventually):
    a, b = pair

    def published():
        mine = [e for e in read_streams(stack) if e.tenant_id in (a.tenant_id, b.tenant_id)]
        return mine if {e.tenant_id for e in mine} == {a.tenant_id, b.tenant_id} else None

    for event in eventually(published, 15, 0.2):
        foreign = (CANARY_B, b.tenant_id) if event.tenant_id == a.tenant_id else (CANARY_A, a.tenant_id)
        stored = event.envelope.SerializeToString() + str(event.headers).encode() + event.subject.encode()
        assert not [text for text in foreign if text.encode() in stored]
        assert event.payload.tenant.tenant_id == event.tenant_id
        assert event.headers["Tenant-Id"] == event.tenant_id
        assert event.partition == event.expected_partition


def test_logs_and_metrics_hold_no_tenant_data(service, pair):
    a, b = pair
    get(service, a.tenant_id)
    refused(get, service, b.tenant_id, "api-gateway", metadata=header(a.tenant_id))
    log = service.log_path.read_text()
    for canary in (CANARY_A, CANARY_B):
        for text in ("name", "label", "theme"):
            assert f"{canary} {text}" not in log
        assert canary not in service.metrics()
    for line in log.splitlines():
        if line.startswith("{"):
            json.loads(line)
