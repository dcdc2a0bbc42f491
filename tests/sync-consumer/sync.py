"""examples/sync-consumer keeps its replica exactly in step, whatever happens to it.

    sync.py [--kills consumer=24,nats=3,postgres=3,service=2,leader=0] [--seed N]

The program is built against an installed libtenant-events.  Two processes share a group while tenants are created and
changed through the service; they and the servers are killed with SIGKILL, each with events on their way (kills.py); then
source and replica must agree row by row, and the books (a trigger's record of every row that the replica was ever given, in the transaction that did it)
must show each event of each tenant once and in order.  At last the source forgets the latest event of a tenant, as a
database does that was restored, and a stream refuses the first event of another: rows in doubt wait for an event, or are
read anew.  On a cluster of brokers every stream has three copies, and `leader` kills the node that leads one.  Prints the
totals; the last line is `N passed, N failed`.
"""
import argparse
import collections
import functools
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "tests/contracts")]

import conftest  # noqa: E402,F401  (compiles the protos)
import events  # noqa: E402
import grpc  # noqa: E402
import kills  # noqa: E402
import psycopg  # noqa: E402
from support import Service, Stack, change_status, create, update, wait_until  # noqa: E402
from tenant.v1 import tenants_pb2 as pb  # noqa: E402

WRITERS = 4
MEMBERS = 2
DATABASE = "sync_replica"
BOOKS = """
CREATE TABLE sync_consumer.books (place bigint GENERATED ALWAYS AS IDENTITY, tenant_id text, incarnation bigint, sequence bigint);
CREATE FUNCTION sync_consumer.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sync_consumer.books (tenant_id, incarnation, sequence) VALUES (NEW.tenant_id, NEW.incarnation, NEW.sequence);
    RETURN NULL;
END $$;
CREATE TRIGGER books AFTER INSERT OR UPDATE ON sync_consumer.tenant_replica
    FOR EACH ROW EXECUTE FUNCTION sync_consumer.note();
CREATE TABLE sync_consumer.backwards (tenant_id text, was timestamptz, became timestamptz);
CREATE FUNCTION sync_consumer.note_backwards() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sync_consumer.backwards VALUES (NEW.tenant_id, OLD.update_time, NEW.update_time);
    RETURN NULL;
END $$;
CREATE TRIGGER backwards AFTER UPDATE ON sync_consumer.tenant_replica FOR EACH ROW
    WHEN (NEW.incarnation = OLD.incarnation AND NEW.update_time < OLD.update_time)
    EXECUTE FUNCTION sync_consumer.note_backwards();
"""
# Both sides as texts that can be compared.
SOURCE = """SELECT id::text, slug, display_name, type, home_region, status, plan_id, plan_addons, labels, default_locale, allowed_locales,
    mfa_required, offline_enabled, ai_enabled, branding_theme, create_time, update_time, version FROM tenant.tenants"""
REPLICA = """SELECT tenant_id, slug, display_name, type, home_region, status, plan_id, plan_addons, labels, default_locale,
    allowed_locales, mfa_required, offline_enabled, ai_enabled, branding_theme, create_time, update_time,
    trim('"' FROM etag)::bigint FROM sync_consumer.tenant_replica"""
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CHECKS = []


def check(name, broken):
    """broken: a list of what contradicts the claim."""
    CHECKS.append((name, not broken))
    print(("ok      " if not broken else "BROKEN  ") + name)
    for line in list(broken)[:10]:
        print(f"          {line}")


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(folder):
    """The libraries installed, the program built by its own Makefile: with the static ones, and the shared ones to be used."""
    clean = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MODE")}
    run("make", "-C", ROOT, "install-libtenant", "install-libtenant-events", f"PREFIX={folder}", env=clean)
    program = folder / "sync-consumer"
    for options in (["STATIC=1"], []):
        program.unlink(missing_ok=True)
        run("make", "-C", ROOT / "examples/sync-consumer", f"OUT={folder}", *options,
            env=clean | {"PKG_CONFIG_PATH": f"{folder}/lib/pkgconfig"})
        needed = run("readelf", "-d", program)
        check(f"it is built {' '.join(options) or 'with shared libraries'}",
              [] if ("libtenant-events.so" not in needed) == bool(options) else [needed])
        run(program, "--help", env=os.environ | {"LD_LIBRARY_PATH": str(folder / "lib")})
    return program


class Member:
    """One process, started again under another name after each death."""
    count = 0

    def __init__(self, world, *options):
        self.world, self.options = world, options
        self.start()

    def start(self):
        Member.count += 1
        self.name = f"member-{Member.count}"
        env, stack = self.world.stack.env, self.world.stack
        self.log = open(ROOT / f"build/test-logs/sync-consumer-{os.getpid()}-{Member.count}.log", "wb")
        self.metrics = self.world.folder / f"metrics-{Member.count}"
        self.process = subprocess.Popen(
            [self.world.program, "--nats", env["STACK_NATS_URL"], "--seed", f"{env['STACK_NATS_CREDS']}/sync-service.nk",
             "--ca", stack.pki / "ca.pem", "--cert", stack.pki / "sync-service.pem", "--key", stack.pki / "sync-service.key",
             "--database", self.world.replica_url, "--member", self.name, "--ack-wait-ms", "2000", "--lease-ttl-ms", "1500",
             "--metrics-file", self.metrics, "--create-schema", *self.options],
            stdout=self.log, stderr=self.log, env=dict(os.environ, LD_LIBRARY_PATH=str(self.world.folder / "lib")))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.end()
            return "did not end"

    def end(self):
        """Whatever it is doing."""
        self.process.kill()
        self.process.wait()
        self.log.close()


class Writer(threading.Thread):
    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world, self.random = world, random.Random(world.seed * 1000 + number)
        self.number, self.done, self.mine = number, 0, []

    def run(self):
        while not self.world.over:
            if self.world.crowded:
                time.sleep(0.02)
                continue
            try:
                self.write()
                self.done += 1
            except grpc.RpcError as error:
                if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
                    self.world.surprises.append(error.details())
                time.sleep(0.02)
            except ValueError as error:  # the channel of a service that was killed
                if "closed channel" not in str(error):
                    self.world.surprises.append(str(error))
                time.sleep(0.02)

    def write(self):
        service, chance = self.world.service, self.random
        if len(self.mine) < 4 or chance.random() < 0.05:
            slug = f"sync-{self.world.run}-{self.number}-{len(self.mine)}-{self.done}"
            self.mine.append(create(service, slug, labels={"team": f"t{chance.randrange(9)}"}).tenant_id)
            return
        tenant = chance.choice(self.mine)
        if chance.random() < 0.1:
            change_status(service, chance.choice(("Suspend", "Reactivate")), tenant, reason="the test")
            return
        change = pb.Tenant(tenant_id=tenant, display_name=f"name {self.done} of {self.number}")
        change.settings.allowed_locales.extend(["en", "de"][:chance.randrange(3)])
        change.settings.mfa_required = chance.random() < 0.5
        change.settings.branding_theme["color"] = chance.choice(('{"}', "a\\b,c", "blau"))
        update(service, change, ["display_name", "settings.allowed_locales", "settings.mfa_required",
                                 "settings.branding_theme"])


class World:
    def __init__(self, stack, seed, folder):
        self.stack, self.seed, self.folder = stack, seed, folder
        self.chance = random.Random(seed)
        self.brokers = ["nats", "nats-2", "nats-3"][:len(stack.env["STACK_NATS_URL"].split(","))]
        self.run, self.over, self.surprises = f"{time.time_ns():x}", False, []
        self.crowded = False
        self.program = build(folder)
        base = stack.env["STACK_SUPERUSER_URL"]
        self.replica_url = base.replace("/tenant?", f"/{DATABASE}?")
        with stack.superuser() as sql:
            sql.execute(f"DROP DATABASE IF EXISTS {DATABASE}")
            sql.execute(f"CREATE DATABASE {DATABASE}")
        self.service, self.members, self.writers, self.asked = None, [], [], {}

    def start_service(self, **settings):
        self.service = Service(self.stack, NATS_REPLICAS=len(self.brokers), **settings)

    def begin(self):
        self.start_service()
        self.members.append(Member(self))
        self.await_schema()
        self.members += [Member(self) for _ in range(MEMBERS - 1)]
        for number in range(WRITERS):
            writer = Writer(self, number)
            writer.start()
            self.writers.append(writer)

    def stop_writing(self):
        self.over = True
        for writer in self.writers:
            writer.join()

    def end(self):
        """Nothing of it runs on, however far it came."""
        for stop in (signal.SIGTERM, signal.SIGINT):
            signal.signal(stop, signal.SIG_IGN)
        self.stop_writing()
        for member in self.members:
            member.end()
        if self.service:
            self.service.stop(signal.SIGKILL)

    def await_schema(self):
        end = time.monotonic() + 20
        while True:
            try:
                with psycopg.connect(self.replica_url, autocommit=True) as sql:
                    sql.execute(BOOKS)
                return
            except psycopg.Error:
                assert time.monotonic() < end, "the consumer does not make its schema"
                time.sleep(0.1)

    def ask(self, query, source=False):
        """Waits for a database that was killed."""
        url, end = self.stack.env["STACK_SUPERUSER_URL"] if source else self.replica_url, time.monotonic() + 30
        while True:
            try:
                if url not in self.asked:
                    self.asked[url] = psycopg.connect(url, autocommit=True)
                return self.asked[url].execute(query).fetchall()
            except psycopg.OperationalError:
                self.asked.pop(url, None)
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    def pid(self, server):
        return self.stack.pid(server)

    def written(self, partitions=None):
        """The last event of each tenant that is committed, of these partitions or of all."""
        last = ((text_of(tenant), sequence) for tenant, sequence in self.ask(
            "SELECT tenant_id::text, seq FROM tenant.tenant_seq", source=True))
        return {tenant: sequence for tenant, sequence in last
                if partitions is None or events.partition_of(tenant) in partitions}

    def unapplied(self, written):
        """How many of them the replica does not have."""
        done = dict(self.ask("SELECT tenant_id, sequence FROM sync_consumer.tenant_inbox"))
        return sum(max(0, last - done.get(tenant, 0)) for tenant, last in written.items())

    def is_flying(self, partitions=None):
        return self.unapplied(self.written(partitions)) > 0

    def applied(self):
        return int(self.ask("SELECT coalesce(sum(sequence), 0) FROM sync_consumer.tenant_inbox")[0][0])

    def dead(self):
        """What the members that live say of dead letters."""
        lines = [line for member in self.members if member.metrics.exists()
                 for line in member.metrics.read_text().splitlines() if line.startswith("tenant_consumer_dead_total")]
        return "" if lines and all(line.endswith(" 0") for line in lines) else f"metrics: {lines}"

    def settle(self, seconds=90):
        end = time.monotonic() + seconds
        while (behind := self.unapplied(self.written())) != 0 and time.monotonic() < end:
            time.sleep(0.1)
        return behind


def plan(text):
    counts = dict(part.split("=") for part in text.split(","))
    unknown = set(counts) - set(kills.ALL)
    if unknown:
        raise argparse.ArgumentTypeError(f"cannot kill {', '.join(unknown)}")
    return {victim: int(count) for victim, count in counts.items()}


@functools.cache
def text_of(uuid_text):
    number = int(uuid_text.replace("-", ""), 16)
    digits = ""
    for _ in range(26):
        digits = DIGITS[number % 32] + digits
        number //= 32
    return "tnt_" + digits


def tables(world):
    """The rows of source and replica, by tenant."""
    return ({text_of(row[0]): row[1:] for row in world.ask(SOURCE, source=True)},
            {row[0]: row[1:] for row in world.ask(REPLICA)})


def judge(world, killed, statuses):
    source, replica = tables(world)
    last = {text_of(t): (i, s) for t, i, s in world.ask(
        "SELECT tenant_id::text, incarnation, seq FROM tenant.tenant_seq", source=True)}
    books = collections.defaultdict(list)
    for tenant, incarnation, sequence in world.ask(
            "SELECT tenant_id, incarnation, sequence FROM sync_consumer.books ORDER BY place"):
        books[tenant].append((incarnation, sequence))
    applied = sum(len(b) for b in books.values())
    print(f"{sum(w.done for w in world.writers)} writes, {len(source)} tenants, {applied} events applied")
    killed.totals()
    expected = {tenant: [(i, n) for n in range(1, s + 1)] for tenant, (i, s) in last.items()}
    lost = [(t, sorted(set(expected[t]) - set(books[t]))[:3]) for t in expected if set(expected[t]) - set(books[t])]
    doubled = [t for t, b in books.items() if len(b) != len(set(b))]
    disordered = [t for t, b in books.items() if b != sorted(b)]
    check("something was written", [] if applied > 500 else [applied])
    check("every kill met events on their way", killed.broken())
    check("no surprising refusal", world.surprises)
    check("the books show no event lost", lost)
    check("the books show no event twice", doubled)
    check("the books show every tenant's events in order", disordered)
    check("nothing but the tenants' events is in the books", sorted(set(books) - set(expected)))
    check("every tenant is in the replica, and no other", sorted(set(source) ^ set(replica)))
    check("every row is what the source's row is", [
        (t, source[t], replica[t]) for t in source if t in replica and source[t] != replica[t]])
    check("no dead letter", [line for line in [world.dead()] if line])
    check("the consumers ended by themselves with status 0", [s for s in statuses if s != 0])


LATEST = """SELECT tenant_id::text, id FROM (SELECT DISTINCT ON (shard) * FROM tenant.outbox_sent ORDER BY shard, stream_seq DESC) last
    WHERE subject = 'tenant.org.updated.v1' LIMIT 1"""


def forget_latest(world):
    """The source as it was before the newest event of some stream.  Returns whose it was."""
    with world.stack.superuser() as sql:
        tenant, event = sql.execute(LATEST).fetchone()
        sql.execute("DELETE FROM tenant.outbox_sent WHERE tenant_id = %s AND id = %s", [tenant, event])
        sql.execute("UPDATE tenant.tenant_seq SET seq = seq - 1 WHERE tenant_id = %s", [tenant])
        sql.execute("UPDATE tenant.authz_epoch SET epoch = epoch - 1 WHERE tenant_id = %s", [tenant])
    return text_of(tenant)


def take_back(world):
    """A relay finds out and tells it; the replica's row is doubted until the tenant's next event."""
    stale = "SELECT tenant_id FROM sync_consumer.tenant_replica WHERE is_stale"
    place = "SELECT incarnation, sequence FROM sync_consumer.tenant_inbox WHERE tenant_id = '{}'"
    before = world.service.stop()
    tenant = forget_latest(world)
    world.start_service()
    member = Member(world)
    world.members.append(member)
    told = wait_until(lambda: world.ask(stale), 30)
    check("a tenant whose event is void is doubted, and no other", [] if told == [(tenant,)] else [tenant, told])
    at = world.ask(place.format(tenant))
    check("it begins anew in another incarnation", [] if at == [(2, 1)] else at)
    update(world.service, pb.Tenant(tenant_id=tenant, display_name="after all"), ["display_name"])
    wait_until(lambda: not world.ask(stale), 30)
    check("its next event ends the doubt", world.ask(stale) + differing(world))
    check("all of them ended by themselves with status 0", [s for s in (before, member.stop(), world.service.stop()) if s])


def row_of(world, tenant, read=False):
    """What the replica has, once it is in no doubt (and, with `read`, is what an RPC said); else nothing."""
    return world.ask(f"SELECT display_name FROM sync_consumer.tenant_replica WHERE tenant_id = '{tenant}' AND NOT is_stale"
                     f" AND NOT EXISTS (SELECT FROM sync_consumer.tenant_doubt d WHERE d.tenant_id = '{tenant}')"
                     + (" AND event_id = ''" if read else ""))


def differing(world):
    source, replica = tables(world)
    return [(t, source.get(t), replica.get(t)) for t in sorted(set(source) | set(replica)) if source.get(t) != replica.get(t)]


def withhold(world, change):
    """A change by labels that no stream takes, and what became of it."""
    events.largest_message(world.stack.env, range(16), 3000)
    try:
        return change({f"label-{n}": "x" * 60 for n in range(60)})
    finally:
        events.largest_message(world.stack.env, range(16), -1)


def create_withheld(world):
    """No stream takes its first event, so nothing but a doubt tells of it."""
    def make(labels):
        tenant = create(world.service, f"sync-{world.run}-withheld", labels=labels).tenant_id
        return tenant, wait_until(lambda: row_of(world, tenant, read=True), 30)
    tenant, found = withhold(world, make)
    check("a tenant whose first event was withheld is read", [] if found else [tenant])
    return tenant


def be_ahead(world, tenant):
    """Read while two changes have not been told yet."""
    majority = world.brokers[1:] or world.brokers
    for broker in majority:
        world.stack.control(broker, "kill")
    try:
        for name in ("one", "two"):
            update(world.service, pb.Tenant(tenant_id=tenant, display_name=name), ["display_name"])
        with psycopg.connect(world.replica_url, autocommit=True) as sql:
            sql.execute("INSERT INTO sync_consumer.tenant_doubt SELECT tenant_id, incarnation, sequence"
                        " FROM sync_consumer.tenant_inbox WHERE tenant_id = %s", [tenant])
        found = wait_until(lambda: row_of(world, tenant, read=True), 60)
    finally:
        for broker in majority:
            world.stack.control(broker, "start")
    check("what is read may be ahead of the events", [] if found == [("two",)] else found)
    check("they are passed over all the same", [behind] if (behind := world.settle()) else [])
    check("no row went back", world.ask("SELECT * FROM sync_consumer.backwards"))
    update(world.service, pb.Tenant(tenant_id=tenant, display_name="three"), ["display_name"])
    check("and events go on", [] if wait_until(lambda: row_of(world, tenant) == [("three",)], 30) else row_of(world, tenant))


def send_back(world, found):
    """An event as a dead letter that an operator sends back."""
    partition = events.partition_of(found.headers["Tenant-Id"])
    headers = {name: value for name, value in found.headers.items() if not name.startswith("Nats-")}
    headers |= {"Nats-Msg-Id": f"requeue:{found.headers['Nats-Msg-Id']}", "Dlq-Event-Id": found.headers["Nats-Msg-Id"],
                "Dlq-Cause": "HANDLER_FAILED", "Dlq-Detail": "the test's", "Dlq-Consumer": "sync-service",
                "Dlq-Stream": f"TENANT_{partition:02d}", "Dlq-Stream-Sequence": "1", "Dlq-Deliveries": "10", "Dlq-Requeues": "1",
                "Dlq-Subject": f"{found.headers['Event-Type']}.{partition:02d}", "Dlq-Time": "2026-01-01T00:00:00Z"}
    events.publish(world.stack.env, "admin", f"TENANT.DLQ.requeue.sync-service.{partition:02d}", found.body, headers)


def doubt_outlives(world):
    """Letters of events that are older than the doubt do not end it, whether the row takes them or not."""
    tenant = create(world.service, f"sync-{world.run}-letters", display_name="one").tenant_id

    def doubted():
        return world.ask("SELECT display_name, d.tenant_id IS NOT NULL FROM sync_consumer.tenant_replica r LEFT JOIN"
                         f" sync_consumer.tenant_doubt d USING (tenant_id) WHERE tenant_id = '{tenant}' AND is_stale")

    def change(labels):
        update(world.service, pb.Tenant(tenant_id=tenant, labels=labels), ["labels"])
        wait_until(doubted, 30)

    update(world.service, pb.Tenant(tenant_id=tenant, display_name="two"), ["display_name"])
    wait_until(lambda: row_of(world, tenant) == [("two",)], 30)
    reader = events.Reader(world.stack.env)
    letters = [reader.find(tenant, f"tenant.org.{kind}.v1") for kind in ("updated", "provisioned")]
    reader.close()
    withhold(world, change)
    with psycopg.connect(world.replica_url, autocommit=True) as sql:  # as if "two" had been a dead letter
        sql.execute("UPDATE sync_consumer.tenant_replica SET sequence = 1, display_name = 'one' WHERE tenant_id = %s", [tenant])
    for number, letter in enumerate(letters, 1):
        send_back(world, letter)
        wait_until(lambda: world.ask("SELECT count(*) FROM sync_consumer.tenant_inbox_requeued") == [(number,)], 30)
        check(f"an older letter does not end a doubt ({letter.headers['Event-Type']})",
              [] if doubted() == [("two", True)] else [doubted()])


def rereads(member):
    """Tenants that it has read, as its metrics say, which are written every second."""
    name = 'sync_consumer_rereads_total{outcome="settled"} '
    return sum(int(line.removeprefix(name)) for line in member.metrics.read_text().splitlines() if line.startswith(name))


def read_anew(world):
    """With the service at hand no doubt waits for an event."""
    tenant = forget_latest(world)
    world.start_service(RELAY_WITHHOLD_AFTER="1s")
    alone = Member(world)
    world.members.append(alone)
    wait_until(lambda: world.ask(f"SELECT 1 FROM sync_consumer.tenant_doubt WHERE tenant_id = '{tenant}'"), 30)
    doubt_outlives(world)
    check("without the service doubts are no reason to fail", [s for s in [alone.stop()] if s])
    member = Member(world, "--service", world.service.address)
    world.members.append(member)
    found = wait_until(lambda: row_of(world, tenant, read=True), 30)
    check("a tenant whose event is void is read", [] if found else [tenant])
    be_ahead(world, create_withheld(world))
    check("every row is what the source's row is, again", differing(world))
    check("it counts what it reads", [] if wait_until(lambda: rereads(member) >= 4, 30) else [rereads(member)])
    check("these end with status 0 as well", [s for s in (member.stop(), world.service.stop()) if s])


def tell(world, wanted):
    world.begin()
    killed = kills.Kills(wanted)
    killed.play(world)
    time.sleep(1)
    world.stop_writing()
    left = world.settle(180)
    check("everything was applied in the end", [left] if left else [])
    statuses = [member.stop() for member in world.members]
    judge(world, killed, statuses)
    take_back(world)
    read_anew(world)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=plan, default="consumer=24,nats=3,postgres=3,service=2")
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = options.parse_args()
    print(f"seed {options.seed}")
    (ROOT / "build/test-logs").mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="sync-consumer-") as folder:
        world = World(Stack(os.environ), options.seed, pathlib.Path(folder))
        if options.kills.get("leader", 0) > 0 and len(world.brokers) == 1:
            sys.exit("only a cluster of brokers has leaders to kill: STACK_NATS_NODES=3")
        try:
            tell(world, options.kills)
        finally:
            world.end()
    passed = sum(ok for _, ok in CHECKS)
    print(f"{passed} passed, {len(CHECKS) - passed} failed")
    return 0 if passed == len(CHECKS) else 1


if __name__ == "__main__":
    sys.exit(main())
