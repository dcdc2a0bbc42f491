"""kill -9 of the service at random moments, each with writes in flight; afterwards database and stream agree.

    crash.py [--kills N] [--seed N]

Nothing that was acknowledged may be lost, doubled or out of order per tenant.  Every write leaves its mark
(its number in the display name), so a write can be followed from the caller's reply through the row, the
audit, the outbox and the stream.  Prints the totals; the last line is `N passed, N failed`.
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
        self.unknown = 0
        self.refused = 0

    def run(self):
        while not self.world.over:
            service = self.world.service
            if service is None:
                time.sleep(0.002)
                continue
            self.write(service)

    def write(self, service):
        mark = f"w{self.number}-{self.attempts}"
        self.attempts += 1
        new = not self.created or self.random.random() < 0.25
        slug = f"crash-{self.world.run}-{mark}" if new else self.random.choice(list(self.created))
        self.marks[mark] = slug
        tenant = pb.Tenant(slug=slug, display_name=mark, home_region="eu") if new else \
            pb.Tenant(tenant_id=self.created[slug], display_name=mark)
        self.in_flight = True
        try:
            stub = service.stub("admin")
            if new:
                answer = stub.CreateTenant(pb.CreateTenantRequest(tenant=tenant), timeout=5).tenant
            else:
                answer = stub.UpdateTenant(pb.UpdateTenantRequest(tenant=tenant), timeout=5).tenant
        except (grpc.RpcError, ValueError) as error:
            if isinstance(error, grpc.RpcError) and error.code() in (
                    grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ALREADY_EXISTS,
                    grpc.StatusCode.INVALID_ARGUMENT):
                self.refused += 1
                self.world.surprises.append(f"{mark}: {error.code()} {error.details()}")
            else:
                self.unknown += 1
            time.sleep(0.005)
            return
        finally:
            self.in_flight = False
        assert answer.display_name == mark
        self.created[slug] = answer.tenant_id
        self.acknowledged[mark] += 1


class World:
    def __init__(self, stack, seed):
        self.stack, self.seed = stack, seed
        self.run = f"{time.time_ns():x}"
        self.service = None
        self.over = False
        self.surprises = []
        self.writers = [Writer(self, n) for n in range(WRITERS)]

    def kill_once(self, chance):
        time.sleep(chance.uniform(0.05, 0.4))
        end = time.monotonic() + 5
        while not any(w.in_flight for w in self.writers) and time.monotonic() < end:
            time.sleep(0.0005)
        in_flight = sum(w.in_flight for w in self.writers)
        doomed, self.service = self.service, None
        doomed.process.send_signal(signal.SIGKILL)
        doomed.stop(signal.SIGKILL)
        self.service = Service(self.stack)
        return in_flight


def rows(stack, query, *arguments):
    with stack.superuser() as sql:
        return sql.execute(query, arguments).fetchall()


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    options = options.parse_args()
    print(f"seed {options.seed}")
    stack = Stack(os.environ)
    world = World(stack, options.seed)
    chance = random.Random(options.seed)
    world.service = Service(stack)
    for writer in world.writers:
        writer.start()
    in_flight = [world.kill_once(chance) for _ in range(options.kills)]
    time.sleep(1)
    world.over = True
    for writer in world.writers:
        writer.join()
    drain(stack)
    status = world.service.stop()
    judge(world, in_flight, status)
    passed = sum(ok for _, ok in CHECKS)
    print(f"{passed} passed, {len(CHECKS) - passed} failed")
    return 0 if passed == len(CHECKS) else 1


def drain(stack, seconds=60):
    end = time.monotonic() + seconds
    while rows(stack, "SELECT count(*) FROM tenant.outbox")[0][0] > 0:
        assert time.monotonic() < end, "the outbox does not drain"
        time.sleep(0.05)


def judge(world, in_flight, status):
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
    events = [e for e in read_streams(stack) if e.slug.startswith(prefix)]
    print(f"kills {len(in_flight)}, each with {min(in_flight)} to {max(in_flight)} writes in flight; "
          f"{len(marks)} writes: {sum(acknowledged.values())} acknowledged, {unknown} unknown; "
          f"{len(tenants)} tenants, {len(events)} events")

    check("every kill met a write in flight", [n for n in in_flight if n == 0])
    check("the last process ended by itself with status 0", [] if status == 0 else [status])
    check("no surprising refusal", world.surprises)
    check("something was written", [] if len(acknowledged) > 50 else [len(acknowledged)])

    by_tenant = collections.defaultdict(list)
    for event in events:
        by_tenant[event.tenant_uuid].append(event)
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
