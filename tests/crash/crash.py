"""kill -9 of the service and of the servers it stands on, each with writes in flight; afterwards database and
stream agree.

    crash.py [--kills service=100,postgres=20,nats=20,pgbouncer=20] [--seed N]

Two replicas run.  Nothing that was acknowledged may be lost, doubled or out of order per tenant.  Every write
leaves its mark (its number in the display name), so a write can be followed from the caller's reply through
the row, the audit, the outbox and the stream.  Half of the writers send an idempotency key and repeat a write
of unknown fate until it is acknowledged: none of theirs may stay unknown.  Prints the totals; the last line is
`N passed, N failed`.
"""
import argparse
import collections
import pathlib
import random
import signal
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import conftest  # noqa: E402,F401  (compiles the protos)
import grpc  # noqa: E402
import os  # noqa: E402
from support import Service, Stack  # noqa: E402
from streams import read_streams  # noqa: E402
from tenant.v1 import tenants_pb2 as pb  # noqa: E402

WRITERS = 6
CHECKS = []


def check(name, broken):
    """broken: a list of what contradicts the claim."""
    CHECKS.append((name, not broken))
    print(("ok      " if not broken else "BROKEN  ") + name)
    for line in list(broken)[:10]:
        print(f"          {line}")


class Writer(threading.Thread):
    """Creates tenants and renames them, one write at a time, and remembers what it was told."""

    def __init__(self, world, number):
        super().__init__(daemon=True)
        self.world, self.number = world, number
        self.random = random.Random(world.seed * 1000 + number)
        self.in_flight = False
        self.attempts = 0
        self.created = {}                            # slug -> tenant id, acknowledged
        self.acknowledged = collections.Counter()    # mark -> replies "done"
        self.marks = {}                              # mark -> slug
        self.keyed = number % 2 == 0
        self.repeats = 0
        self.unknown = 0

    def run(self):
        while not self.world.over:
            self.write()

    def write(self):
        mark = f"w{self.number}-{self.attempts}"
        self.attempts += 1
        new = not self.created or self.random.random() < 0.25
        slug = f"crash-{self.world.run}-{mark}" if new else self.random.choice(list(self.created))
        self.marks[mark] = slug
        tenant = pb.Tenant(slug=slug, display_name=mark, home_region="eu") if new else \
            pb.Tenant(tenant_id=self.created[slug], display_name=mark)
        metadata = (("idempotency-key", f"{self.world.run}-{mark}"),) if self.keyed else ()
        patience = time.monotonic() + 60
        answer = self.attempt(new, tenant, mark, metadata)
        while answer is None and self.keyed and time.monotonic() < patience:
            self.repeats += 1
            answer = self.attempt(new, tenant, mark, metadata)
        if answer is None:
            self.unknown += 1
            return
        assert answer.display_name == mark
        self.created[slug] = answer.tenant_id
        self.acknowledged[mark] += 1

    def attempt(self, new, tenant, mark, metadata):
        """The answer, or None when the fate of the write is not known."""
        service = self.random.choice(self.world.services)
        if service is None:
            time.sleep(0.002)
            return None
        self.in_flight = True
        try:
            stub = service.stub("admin")
            if new:
                return stub.CreateTenant(pb.CreateTenantRequest(tenant=tenant), timeout=5, metadata=metadata).tenant
            return stub.UpdateTenant(pb.UpdateTenantRequest(tenant=tenant), timeout=5, metadata=metadata).tenant
        except (grpc.RpcError, ValueError) as error:
            if isinstance(error, grpc.RpcError) and error.code() in (
                    grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS,
                    grpc.StatusCode.INVALID_ARGUMENT):
                self.world.surprises.append(f"{mark}: {error.code()} {error.details()}")
            time.sleep(0.01)
            return None
        finally:
            self.in_flight = False


class World:
    def __init__(self, stack, seed):
        self.stack, self.seed = stack, seed
        self.run = f"{time.time_ns():x}"
        self.services = [Service(stack), Service(stack)]
        self.over = False
        self.surprises = []
        self.writers = [Writer(self, n) for n in range(WRITERS)]

    def kill_once(self, victim, chance):
        """Kills it while a write is in flight, and brings it back; returns how many were."""
        time.sleep(chance.uniform(0.05, 0.4))
        end = time.monotonic() + 30
        while not any(w.in_flight for w in self.writers) and time.monotonic() < end:
            time.sleep(0.0005)
        in_flight = sum(w.in_flight for w in self.writers)
        if victim != "service":
            self.stack.control(victim, "kill")
            time.sleep(chance.uniform(0, 0.5))
            self.stack.control(victim, "start")
            self.wait_for_a_write()
            return in_flight
        place = chance.randrange(len(self.services))
        doomed, self.services[place] = self.services[place], None
        doomed.process.send_signal(signal.SIGKILL)
        doomed.stop(signal.SIGKILL)
        self.services[place] = Service(self.stack)
        return in_flight

    def wait_for_a_write(self):
        done, end = self.acknowledged(), time.monotonic() + 60
        while self.acknowledged() == done:
            assert time.monotonic() < end, "no write works any more"
            time.sleep(0.01)

    def acknowledged(self):
        return sum(sum(w.acknowledged.values()) for w in self.writers)


def rows(stack, query, *arguments):
    with stack.superuser() as sql:
        return sql.execute(query, arguments).fetchall()


def plan(text):
    """service=20,nats=2 as a list of victims."""
    counts = dict(part.split("=") for part in text.split(","))
    unknown = set(counts) - {"service", "postgres", "nats", "pgbouncer"}
    if unknown:
        raise argparse.ArgumentTypeError(f"cannot kill {', '.join(unknown)}")
    return [victim for victim, count in counts.items() for _ in range(int(count))]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=plan, default="service=20")
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = options.parse_args()
    print(f"seed {options.seed}")
    stack = Stack(os.environ)
    world = World(stack, options.seed)
    chance = random.Random(options.seed)
    for writer in world.writers:
        writer.start()
    victims = options.kills
    chance.shuffle(victims)
    in_flight = []
    for victim in victims:
        in_flight.append(world.kill_once(victim, chance))
        if len(in_flight) % 20 == 0:
            print(f"{len(in_flight)} of {len(victims)} kills, {world.acknowledged()} writes acknowledged", flush=True)
    time.sleep(1)
    world.over = True
    for writer in world.writers:
        writer.join()
    drain(stack)
    statuses = [service.stop() for service in world.services]
    judge(world, victims, in_flight, statuses)
    passed = sum(ok for _, ok in CHECKS)
    print(f"{passed} passed, {len(CHECKS) - passed} failed")
    return 0 if passed == len(CHECKS) else 1


def drain(stack, seconds=60):
    end = time.monotonic() + seconds
    while rows(stack, "SELECT count(*) FROM tenant.outbox")[0][0] > 0:
        assert time.monotonic() < end, "the outbox does not drain"
        time.sleep(0.05)


def judge(world, victims, in_flight, statuses):
    stack = world.stack
    marks = {m: s for w in world.writers for m, s in w.marks.items()}
    acknowledged = sum((w.acknowledged for w in world.writers), collections.Counter())
    unknown = sum(w.unknown for w in world.writers)
    prefix = f"crash-{world.run}-"
    tenants = {str(i): (slug, name, version) for i, slug, name, version in rows(
        stack, "SELECT id, slug, display_name, version FROM tenant.tenants WHERE slug LIKE %s",
        prefix + "%")}
    audits = dict((str(i), n) for i, n in rows(
        stack, "SELECT tenant_id, count(*) FROM tenant.tenant_audit GROUP BY 1"))
    sent = dict((str(i), n) for i, n in rows(
        stack, "SELECT tenant_id, count(*) FROM tenant.outbox_sent GROUP BY 1"))
    events = [e for e in read_streams(stack) if (e.slug or "").startswith(prefix)]
    repeats = sum(w.repeats for w in world.writers)
    kills = ", ".join(f"{name} {count}" for name, count in sorted(collections.Counter(victims).items()))
    print(f"kills: {kills}, each with {min(in_flight)} to {max(in_flight)} writes in flight; "
          f"{len(marks)} writes: {sum(acknowledged.values())} acknowledged ({repeats} repeats), {unknown} unknown; "
          f"{len(tenants)} tenants, {len(events)} events")

    by_tenant = collections.defaultdict(list)
    for event in events:
        by_tenant[event.tenant_uuid].append(event)
    check("every kill met a write in flight", [n for n in in_flight if n == 0])
    check("the last processes ended by themselves with status 0", [status for status in statuses if status != 0])
    check("no write with a key stayed unknown", [
        f"writer {w.number}: {w.unknown}" for w in world.writers if w.keyed and w.unknown])
    check("no event or audit row of a tenant that is not there", [
        i for i in by_tenant if i not in tenants])
    check("no surprising refusal", world.surprises)
    check("something was written", [] if len(acknowledged) > 50 else [len(acknowledged)])

    event_marks = collections.Counter(e.display_name for e in events)
    check("each acknowledged write is in the stream once",
          [m for m in acknowledged if event_marks[m] != 1])
    check("no write is in the stream twice", [m for m, n in event_marks.items() if n > 1])
    check("no event without a write", [m for m in event_marks if m not in marks])
    check("acknowledged tenants exist", [
        s for w in world.writers for s in w.created if s not in {t[0] for t in tenants.values()}])
    check("each tenant has one event per version", [
        (i, t[2], len(by_tenant[i])) for i, t in tenants.items() if t[2] != len(by_tenant[i])])
    check("each tenant has one audit row per version", [
        (i, t[2], audits.get(i)) for i, t in tenants.items() if t[2] != audits.get(i)])
    check("each tenant has one sent row per version", [
        (i, t[2], sent.get(i)) for i, t in tenants.items() if t[2] != sent.get(i)])
    check("sequences are gapless and in stream order per tenant", [
        (i, [e.sequence for e in es]) for i, es in by_tenant.items()
        if [e.sequence for e in es] != list(range(1, len(es) + 1))])
    check("the last event is what the row says", [
        (i, es[-1].display_name, tenants[i][1]) for i, es in by_tenant.items()
        if es[-1].display_name != tenants[i][1]])
    check("no event id twice", [
        i for i, n in collections.Counter(e.event_id for e in events).items() if n > 1])
    check("a tenant's events lie in its own partition", [
        e.event_id for e in events if e.partition != e.expected_partition])
    for writer in world.writers:
        order = [m for m in marks if m.startswith(f"w{writer.number}-") and event_marks[m]]
        place = {e.display_name: (e.tenant_uuid, e.sequence) for e in events}
        wrong = []
        last = {}
        for mark in order:
            tenant, sequence = place[mark]
            if last.get(tenant, 0) >= sequence:
                wrong.append((mark, tenant, sequence))
            last[tenant] = sequence
        check(f"writer {writer.number}'s writes are in the order it made them", wrong)


if __name__ == "__main__":
    sys.exit(main())
