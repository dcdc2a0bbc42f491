"""What caches may answer: never older than 200 ms, on the replica that wrote never older than the write,
whatever Redis does and whoever loses the feed of changes.  Two replicas share the stack."""
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import grpc
import psycopg
import pytest

from support import Service, call, create, get, update
from tenant.v1 import tenants_pb2 as pb
from test_isolation import cluster

CODE = grpc.StatusCode
FRESH = 0.2
REDIS = ("redis-1", "redis-2", "redis-3")


@pytest.fixture(scope="module")
def other(stack):
    """A replica that hardly remembers anything itself, so that it asks Redis."""
    replica = Service(stack, CACHE_MEMORY_ENTRIES=1)
    yield replica
    assert replica.stop() == 0


@pytest.fixture
def redis(stack):
    """For tests that take it away."""
    yield REDIS
    for server in REDIS:
        stack.repair(server)


def answer(service, tenant_id):
    """The tenant, where it came from and how old it may be."""
    reply, _, head = call(service, "GetTenant", pb.GetTenantRequest(tenant_id=tenant_id))
    return reply.tenant, head["x-source"], int(head["x-staleness-ms"])


def rename(service, tenant_id, name):
    return update(service, pb.Tenant(tenant_id=tenant_id, display_name=name), ["display_name"])


def look_up(service, slug):
    return service.stub().LookupTenant(pb.LookupTenantRequest(slug=slug), timeout=10).tenant


def finds(service, slug):
    try:
        return look_up(service, slug).tenant_id
    except grpc.RpcError as error:
        assert error.code() == CODE.NOT_FOUND, error
        return None


def profile_key(tenant_id):
    return "tenants/{%s}/profile" % tenant_id


def forget(replica, tenant_id, unique):
    """Drives the tenant out of the small replica's memory."""
    get(replica, create(replica, unique()).tenant_id)


def expect_within_freshness(read, old, new):
    """Calls read until it says `new`; `old` may be said for 200 ms from now on."""
    changed = time.monotonic()
    while True:
        asked = time.monotonic()
        seen = read()
        if seen == new:
            return
        assert seen == old, seen
        assert asked - changed <= FRESH, f"{asked - changed:.3f} s after the change"


def test_hot_entries_outlive_their_freshness(service, unique, eventually):
    tenant = create(service, unique())
    eventually(lambda: answer(service, tenant.tenant_id)[1] == "memory")
    misses = service.metric("tenant_cache_lookups_total", result="miss")
    end = time.monotonic() + 1.5
    sources = []
    while time.monotonic() < end:
        found, source, age = answer(service, tenant.tenant_id)
        assert found == tenant and 0 <= age <= 200
        sources.append(source)
        time.sleep(0.01)
    assert sources.count("memory") >= 0.8 * len(sources), "the feed may be late on a busy machine, not always"
    assert service.metric("tenant_cache_lookups_total", result="miss") - misses <= 0.2 * len(sources) + 5


def test_another_replica_finds_it_in_redis(service, other, unique, eventually):
    tenant = create(service, unique())

    def from_redis():
        forget(other, tenant.tenant_id, unique)
        found, source, _ = answer(other, tenant.tenant_id)
        assert found == tenant
        return source == "redis"

    eventually(from_redis)


def test_a_new_process_finds_what_others_left(service, stack, unique, eventually):
    tenant = create(service, unique())
    client = cluster(stack)
    eventually(lambda: client.get(profile_key(tenant.tenant_id)))
    client.close()
    late = Service(stack)
    try:
        def from_redis():
            return late.metric("tenant_epoch_view_fresh") == 1 and answer(late, tenant.tenant_id)
        found, source, _ = eventually(from_redis)
        assert found == tenant and source in ("redis", "memory")
        assert late.metric("tenant_cache_lookups_total", result="redis") >= 1
    finally:
        assert late.stop() == 0


def test_a_write_is_seen_here_at_once_and_elsewhere_in_time(service, other, unique):
    for writer, reader in ((service, other), (other, service)):
        tenant = create(writer, unique())
        for i in range(25):
            assert get(reader, tenant.tenant_id).tenant_id == tenant.tenant_id
            old = get(reader, tenant.tenant_id).display_name
            rename(writer, tenant.tenant_id, f"n{i}")
            changed = f"n{i}"
            for _ in range(3):
                assert get(writer, tenant.tenant_id).display_name == changed
            expect_within_freshness(lambda: get(reader, tenant.tenant_id).display_name, old, changed)
            assert get(reader, tenant.tenant_id).display_name == changed


def test_slugs_follow_their_tenants(service, other, unique):
    for writer, reader in ((service, other), (other, service)):
        slugs = [unique("slug") for _ in range(8)]
        for replica in (writer, reader):
            assert finds(replica, slugs[0]) is None
        tenant = create(writer, slugs[0])
        assert finds(writer, slugs[0]) == tenant.tenant_id
        expect_within_freshness(lambda: finds(reader, slugs[0]), None, tenant.tenant_id)
        for before, after in zip(slugs, slugs[1:]):
            for replica in (writer, reader):
                assert finds(replica, after) is None
            update(writer, pb.Tenant(tenant_id=tenant.tenant_id, slug=after), ["slug"])
            assert finds(writer, before) is None and finds(writer, after) == tenant.tenant_id
            expect_within_freshness(lambda: finds(reader, before), tenant.tenant_id, None)
            expect_within_freshness(lambda: finds(reader, after), None, tenant.tenant_id)
            assert look_up(reader, after).slug == after


def test_values_set_back_by_redis_are_refused(service, stack, other, unique, eventually):
    """A failover that lost the last writes: Redis says again what was true before."""
    tenant = create(service, unique())
    client = cluster(stack)
    key = profile_key(tenant.tenant_id)
    old = eventually(lambda: client.get(key))
    rename(service, tenant.tenant_id, "New")
    time.sleep(FRESH)
    before = other.metric("tenant_cache_refusals_total", reason="older")
    for _ in range(20):
        forget(other, tenant.tenant_id, unique)
        client.set(key, old, px=600_000)
        assert get(other, tenant.tenant_id).display_name == "New"
    assert other.metric("tenant_cache_refusals_total", reason="older") > before
    client.set(key, old, px=600_000)
    late = Service(stack)  # a process that knows nothing of the change
    try:
        for _ in range(5):
            client.set(key, old, px=600_000)
            assert get(late, tenant.tenant_id).display_name == "New"
    finally:
        assert late.stop() == 0
    client.close()


def test_garbage_in_redis_is_a_miss_and_counted(service, stack, other, unique, eventually):
    client = cluster(stack)
    tenant, stranger = create(service, unique()), create(service, unique())
    keys = [profile_key(t.tenant_id) for t in (tenant, stranger)]
    value, foreign = (eventually(lambda k=k: client.get(k)) for k in keys)
    before = other.metric("tenant_cache_redis_errors_total", kind="value")
    flipped = bytes([value[0] ^ 1]) + value[1:]
    old_format = b"tc1:" + value[4:]
    spoilt = (b"", b"garbage", foreign, value[:-1], value[:100], flipped, old_format, b"\0" * 4000)
    for poison in spoilt:
        forget(other, tenant.tenant_id, unique)
        client.set(keys[0], poison, px=600_000)
        found, source, _ = answer(other, tenant.tenant_id)
        assert found == tenant and source == "primary", (poison, source)
    slug_key = "slugs/{%s}" % tenant.slug
    for poison in (b"none", b"garbage", value):
        forget(other, tenant.tenant_id, unique)
        client.set(slug_key, poison, px=600_000)
        assert finds(other, tenant.slug) == tenant.tenant_id
    assert other.metric("tenant_cache_redis_errors_total", kind="value") - before >= len(spoilt) + 3
    client.close()


def test_without_the_feed_everything_comes_from_the_database(service, stack, unique, eventually):
    tenant = create(service, unique())
    eventually(lambda: answer(service, tenant.tenant_id)[1] == "memory")
    with stack.superuser() as db:
        db.execute("ALTER ROLE tenant_platform NOLOGIN")
        try:
            def cut_off():
                db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE usename = 'tenant_platform'")
                return service.metric("tenant_epoch_view_fresh") == 0
            eventually(cut_off)
            time.sleep(FRESH)
            refusals = service.metric("tenant_cache_refusals_total", reason="view_stale")
            for i in range(20):
                rename(service, tenant.tenant_id, f"n{i}")
                found, source, age = answer(service, tenant.tenant_id)
                assert (found.display_name, source, age) == (f"n{i}", "primary", 0)
            assert service.metric("tenant_cache_refusals_total", reason="view_stale") >= refusals + 20
        finally:
            db.execute("ALTER ROLE tenant_platform LOGIN")
    eventually(lambda: answer(service, tenant.tenant_id)[1] == "memory", 20)


def test_many_misses_are_read_once(stack, unique):
    replica = Service(stack, SERVER_WORKERS=1, REDIS_URL="")
    try:
        tenant = create(replica, unique())
        with stack.superuser() as db:
            db.execute("BEGIN")
            # its epoch rises by nobody's hand: the entry of the creation is of no use any more
            db.execute("UPDATE tenant.authz_epoch SET epoch = epoch + 1, xid = pg_current_xact_id() "
                       "FROM tenant.tenants WHERE tenant_id = id AND slug = %s", [tenant.slug])
            db.execute("COMMIT")
            time.sleep(2 * FRESH)
            db.execute("BEGIN")
            db.execute("LOCK TABLE tenant.tenants IN ACCESS EXCLUSIVE MODE")
            request = pb.GetTenantRequest(tenant_id=tenant.tenant_id)
            futures = [replica.stub().GetTenant.future(request, timeout=10) for _ in range(40)]
            time.sleep(0.15)
            db.execute("ROLLBACK")
        for future in futures:
            assert future.result().tenant == tenant
        assert replica.metric("tenant_cache_coalesced_total", result="followed") >= 30
    finally:
        assert replica.stop() == 0


def test_a_stopped_redis_costs_a_few_calls_and_then_none(service, stack, redis, other, unique):
    tenant = create(service, unique())
    for server in redis:
        stack.control(server, "pause")
    began = time.monotonic()
    for _ in range(150):
        get(other, create(other, unique()).tenant_id)
        assert get(other, tenant.tenant_id) == tenant
    took = time.monotonic() - began
    timeouts = other.metric("tenant_cache_redis_errors_total", kind="timeout")
    unreachable = other.metric("tenant_cache_redis_errors_total", kind="unreachable")
    assert timeouts <= 3 * len(REDIS) * 2 * 4, "per node and worker: three, and what was under way"
    assert unreachable >= 50, "most look-ups found the breaker open"
    assert took < 30


# --- a standby ----------------------------------------------------------------------------------------------


class Standby:
    """A copy of the stack's database that is in recovery, as after a fail-over that was not finished."""

    def __init__(self, stack):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tenant-standby-"))
        self.folder.chmod(0o755)
        data = self.folder / "data"
        with stack.superuser() as db:
            source = pathlib.Path(db.execute("SHOW data_directory").fetchone()[0])
            pid = (source / "postmaster.pid").read_text().split()[0]
            db.execute("SELECT pg_backup_start('standby', true)")
            subprocess.run(["cp", "-a", source, data], check=False)  # files may come and go meanwhile
            label = db.execute("SELECT labelfile FROM pg_backup_stop(false)").fetchone()[0]
            subprocess.run(["cp", "-a", f"{source}/pg_wal/.", data / "pg_wal"], check=False)
        owner = source.stat()
        (data / "postmaster.pid").unlink(missing_ok=True)
        for name, text in (("backup_label", label), ("standby.signal", "")):
            (data / name).write_text(text)
            os.chown(data / name, owner.st_uid, owner.st_gid)
        self.url = re.sub(r":\d+/", f":{self.port}/", stack.env["STACK_SUPERUSER_URL"])
        self.platform_url = re.sub(r":\d+/", f":{self.port}/", stack.env["STACK_PLATFORM_URL"])
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            [os.readlink(f"/proc/{pid}/exe"), "-D", data, "-p", str(self.port)], cwd="/",
            user=owner.st_uid, group=owner.st_gid, stdout=self.log, stderr=self.log)

    def ask(self, statement):
        with psycopg.connect(self.url, autocommit=True) as db:
            return db.execute(statement).fetchone()[0]

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            return self.ask("SELECT pg_is_in_recovery()")
        except psycopg.OperationalError:
            return None

    def close(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.log.close()
        shutil.rmtree(self.folder)


def test_a_standby_vouches_for_nothing(stack, unique, eventually):
    standby = Standby(stack)
    replica = None
    try:
        eventually(standby.answers, 20, 0.1)
        replica = Service(stack, DATABASE_PLATFORM_URL=standby.platform_url)
        tenant = create(replica, unique())
        eventually(lambda: replica.metric("tenant_epoch_feed_looks_total", result="recovering") >= 3)
        for _ in range(20):
            assert answer(replica, tenant.tenant_id)[1:] == ("primary", 0)
        assert replica.metric("tenant_epoch_view_fresh") == 0
        assert standby.ask("SELECT pg_promote()")
        eventually(lambda: replica.metric("tenant_epoch_view_fresh") == 1, 20)
    finally:
        if replica:
            assert replica.stop() == 0
        standby.close()


# --- all at once ------------------------------------------------------------------------------------------


class Model:
    """What was acknowledged when, for one tenant; its display name counts the writes."""

    def __init__(self, tenant_id, replicas):
        self.tenant_id = tenant_id
        self.lock = threading.Lock()
        self.acknowledged = []  # (when, value)
        self.own = {replica: 0 for replica in replicas}

    def floor(self, replica, now):
        with self.lock:
            everywhere = max((v for when, v in self.acknowledged if when <= now - FRESH), default=0)
            return max(everywhere, self.own[replica])

    def acknowledge(self, replica, value):
        with self.lock:
            self.acknowledged.append((time.monotonic(), value))
            self.own[replica] = max(self.own[replica], value)


def write(model, replica, counter):
    with counter["lock"]:  # one writer at a time: the names grow
        counter["next"] += 1
        value = counter["next"]
        try:
            rename(replica, model.tenant_id, str(value))
        except grpc.RpcError as error:
            assert error.code() in (CODE.UNAVAILABLE, CODE.ABORTED, CODE.DEADLINE_EXCEEDED), error
            return
        model.acknowledge(replica, value)


def read(model, replica, found):
    asked = time.monotonic()
    floor = model.floor(replica, asked)
    tenant, source, age = answer(replica, model.tenant_id)
    found[source] = found.get(source, 0) + 1
    assert int(tenant.display_name) >= floor, \
        f"{tenant.display_name} from {source}, {age} ms old; {floor} was acknowledged"


def disturb(stack, servers, rounds):
    client = cluster(stack)
    for i in range(rounds):
        server = random.choice(servers)
        action = ("pause", "kill", "flush", "sessions")[i % 4]
        if action == "flush":
            client.flushall()
        elif action == "sessions":
            with stack.superuser() as db:
                db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE usename = 'tenant_platform'")
        else:
            stack.control(server, action)
            time.sleep(0.3)
            stack.control(server, "resume" if action == "pause" else "start")
        time.sleep(0.2)
    client.close()


def test_no_answer_is_older_than_promised_while_all_goes_wrong(service, stack, redis, other, unique):
    replicas = (service, other)
    models = []
    for _ in range(3):
        tenant = create(service, unique(), display_name="0")
        models.append((Model(tenant.tenant_id, replicas), {"next": 0, "lock": threading.Lock()}))
    stop, failures, found = threading.Event(), [], {}

    def work(seed, writes):
        chance = random.Random(seed)
        try:
            while not stop.is_set():
                model, counter = chance.choice(models)
                replica = chance.choice(replicas)
                if writes and chance.random() < 0.2:
                    write(model, replica, counter)
                read(model, replica, found)
                time.sleep(chance.random() * 0.01)
        except Exception as error:  # noqa: BLE001  (told by the main thread)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed, seed < 2)) for seed in range(6)]
    for thread in threads:
        thread.start()
    try:
        disturb(stack, redis, 12)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures[0]
    assert sum(len(m.acknowledged) for m, _ in models) > 20
    assert found.get("memory", 0) > 100 and found.get("primary", 0) > 0, found
