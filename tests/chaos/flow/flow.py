"""Events under fire: 0 lost, 0 doubled, 0 out of order per tenant, while whatever ships them is killed and stopped.

    flow.py [--kills service=30,nats=10,...] [--events N] [--controls] [--seed N] [--keep]

Two replicas write and ship on the stack of the environment, which must be this run's alone: it is emptied first.
Real calls go through both replicas all the time; the bulk of the events comes from the service's own write path
without the RPC (writer.c), released in bursts, one for each fault, so that each fault meets events on their way.
A fault that met none does not count: it is repeated.

  service    kill -9 of a replica with its relay          nats       kill -9 of the broker
  zombie     a replica sleeps through its leases with a   leader     kill -9 of the node of a cluster that leads a
             window on its way and wakes up too late                 stream
  outage     everything is stored and no answer comes     postgres   kill -9 of the postmaster or of all processes
             for longer than the duplicate window         pgbouncer  kill -9

The windows in which the streams refuse an event id that they know last two seconds here, so none of this leans
on them.  --controls also lets two naive relays ship: the same checker must catch them.  Prints totals; the last
line is `N passed, N failed`.  --keep leaves the books (SQLite) also when all is well.
"""
import argparse
import collections
import os
import pathlib
import random
import shutil
import signal
import statistics
import sys
import time

import books
import controls
import faults
from load import Bulk, Calls
from world import METRICS, Reader, Stuck, World, now_us, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]
CALLERS = 4
BURST_MIN = 300
BACKLOG_MAX = 20000
PROGRESS_S = 120
DRAIN_S = 180
ATTEMPTS = 2  # faults that met nothing may be repeated until there are twice as many as wanted


class Run:
    def __init__(self, options):
        self.options = options
        self.world = World(options.seed, options.folder)
        self.world.bulk = None
        self.reader = self.calls = None
        self.strikes, self.missed = [], collections.Counter()
        self.began = self.shown = time.monotonic()

    def say(self, text, every_s=0):
        if time.monotonic() - self.shown >= every_s:
            self.shown = time.monotonic()
            print(f"{self.shown - self.began:6.0f} s  {text}", file=sys.stderr, flush=True)

    def written(self):
        return self.world.bulk.value("committed") + self.calls.acknowledged()

    def status(self):
        return f"{len(self.strikes)} faults, {self.written()} events written, {self.reader.told['seen']} read"

    # --- the run --------------------------------------------------------------------------------------

    def play(self):
        world = self.world
        world.empty()
        world.start()
        self.reader = Reader(self.options.folder / "meanwhile")
        world.bulk = Bulk(self.options.writer, self.options.folder / "written", self.options.seed)
        self.calls = Calls(world, CALLERS)
        self.began = time.monotonic()
        plan = [kind for kind, count in self.options.kills.items() for _ in range(count)]
        world.chance.shuffle(plan)
        allowed = ATTEMPTS * len(plan)
        while plan and allowed > 0:
            allowed -= 1
            self.strike(plan)
        for kind in plan:
            self.missed[f"{kind} never met"] += 1
        self.write_the_rest()
        self.settle()

    def strike(self, plan):
        """The next fault of the plan, in the midst of a burst and after the last one is over."""
        world, kind, since = self.world, plan.pop(), now_us()
        wait_for("a smaller backlog", PROGRESS_S, lambda: world.backlog_is_below(BACKLOG_MAX), 0.05)
        world.bulk.release(max(BURST_MIN, (self.options.events - self.written()) // (len(plan) + 1)))
        wait_for("an event is shipped", PROGRESS_S, lambda: world.settled_since(since))
        strike = faults.ALL[kind](world)
        if strike.events > 0:
            self.strikes.append(strike)
        else:
            self.missed[kind] += 1
            plan.insert(world.chance.randrange(len(plan) + 1), kind)
        self.say(self.status(), 10)

    def write_the_rest(self):
        world = self.world
        while (missing := self.options.events - self.written()) > 0:
            wait_for("a smaller backlog", PROGRESS_S, lambda: world.backlog_is_below(BACKLOG_MAX), 0.05)
            world.bulk.release(min(missing + 16, 4000))
            wait_for("the bulk writer is done", PROGRESS_S, world.bulk.is_done)
            self.say(self.status(), 10)

    def settle(self):
        """Everybody ends by himself, and nothing is left behind."""
        world = self.world
        world.over = True
        world.bulk.stop()
        self.calls.join()
        self.seconds = time.monotonic() - self.began
        wait_for("the outbox is empty", DRAIN_S, lambda: world.backlog_is_below(1), 0.1)
        for service in world.services:
            world.note_metrics(service)
        self.statuses = [service.stop() for service in world.services]
        world.services = []
        self.say(f"{self.status()}; comparing")
        self.reader.finish(300)
        books.read_streams(self.options.folder / "afterwards")

    def stop(self):
        if self.world.bulk:
            self.world.bulk.kill()
        if self.reader:
            self.reader.kill()
        self.world.close()

    # --- the verdict ----------------------------------------------------------------------------------

    def judge(self):
        account = books.Books(self.options.folder / "books.sqlite")
        account.load_written(self.options.folder / "written")
        self.calls.into(account)
        account.load_seen("meanwhile", self.options.folder / "meanwhile")
        account.load_seen("afterwards", self.options.folder / "afterwards")
        with self.world.stack.superuser() as database:
            account.load_database(database)
        passed, failed = books.report(account)
        for name, broken in self.claims(account):
            print(f"{'BROKEN  ' if broken else 'ok      '}{name}")
            for line in broken[:10]:
                print(f"          {line}")
            passed, failed = passed + (not broken), failed + bool(broken)
        self.totals(account)
        account.db.commit()
        return passed, failed

    def claims(self, account):
        """What the books do not know."""
        kills, world = self.options.kills, self.world
        done = collections.Counter(strike.kind for strike in self.strikes)
        events = account.count("afterwards")
        yield "every fault met events on their way", [f"{kind}: {done[kind]} of {count} faults"
                                                      for kind, count in kills.items() if done[kind] < count]
        yield "as many events as wanted", [f"{events} of {self.options.events}"] * (events < self.options.events)
        yield "the replicas ended by themselves with status 0", [s for s in self.statuses if s != 0]
        yield "no call met a surprising refusal", world.surprises
        yield "no call with an idempotency key stayed unknown", self.calls.lost_keys()
        if kills.get("zombie", 0) > 0:
            late = [strike.detail for strike in self.strikes if strike.kind == "zombie" and strike.detail]
            yield "late publishes of sleepers were fenced", [
                f"{late.count('fenced')} of {len(late)}"] * (late.count("fenced") == 0)
        if kills.get("outage", 0) > 0:
            yield "outages left events stored and unheard", ["none"] * (world.metrics["stored unheard"] == 0)

    def totals(self, account):
        written = dict(account.db.execute("SELECT fate, count(*) FROM written GROUP BY fate"))
        calls = account.count("written", "writer LIKE 'call%' AND fate = 1")
        events, tenants = account.count("afterwards"), account.count("tenants")
        print(f"\n{events} events of {tenants} tenants in {self.seconds:.0f} s, {events / self.seconds:.0f} per second: "
              f"{written.get(1, 0)} acknowledged ({calls} by gRPC calls, {self.calls.repeats()} repeats), "
              f"{written.get(3, 0)} unknown, {written.get(2, 0)} refused")
        for kind in sorted({strike.kind for strike in self.strikes}):
            self.kind_total(account, kind)
        missed = ", ".join(f"{kind} {count}" for kind, count in self.missed.items())
        print(f"not counted, for nothing was on its way: {missed or 'none'}")
        print("relays: " + ", ".join(f"{name} {value:.0f}" for name, value in self.world.metrics.items()))
        print("lost {lost}, doubled {doubled}, reordered {reordered}, gaps {gaps}, wrong {wrong}".format(
            **{kind: account.faults[kind] for kind in ("lost", "doubled", "reordered", "gaps", "wrong")}))

    def kind_total(self, account, kind):
        those = [strike for strike in self.strikes if strike.kind == kind]
        events = [strike.events for strike in those]
        unsettled = [account.in_flight(strike.at_us, strike.shards)[1] for strike in those]
        details = collections.Counter(strike.detail for strike in those if strike.detail)
        print(f"{kind:10} {len(those):4}, with {min(events)} to {max(events)} events on their way (median "
              f"{statistics.median(events):.0f}); in {sum(n > 0 for n in unsettled)} some were stored and not settled "
              f"({sum(unsettled)} in all)" + "".join(f"; {name} {count}" for name, count in sorted(details.items())))


def kills(text):
    wanted = {}
    for part in filter(None, text.split(",")):
        kind, _, count = part.partition("=")
        if kind not in faults.ALL or not count.isdigit():
            raise argparse.ArgumentTypeError(f"'{part}' is not KIND=NUMBER with KIND of {', '.join(faults.ALL)}")
        wanted[kind] = int(count)
    return wanted


def arguments():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=kills, default="service=6,nats=2,postgres=1,pgbouncer=1,zombie=1,outage=1",
                         help="how many faults of each kind")
    options.add_argument("--events", type=int, default=10000, help="at least so many are written")
    options.add_argument("--controls", action="store_true", help="see that naive relays are caught, first")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 24))
    options.add_argument("--keep", action="store_true")
    options = options.parse_args()
    options.writer = ROOT / "build" / os.environ.get("MODE", "release") / "tests" / "flow-writer"
    options.folder = ROOT / "build" / "chaos-flow" / os.environ["TENANT_STACK"]
    return options


def ended(_number, _frame):
    sys.exit("ended")


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, ended)
    signal.signal(signal.SIGINT, ended)
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    print(f"seed {options.seed}", flush=True)
    passed = failed = 0
    if options.controls:
        passed, failed = controls.run(options)
    run = Run(options)
    try:
        run.play()
    except (Stuck, AssertionError) as error:
        print(f"BROKEN  the run itself: {error}; {run.status() if run.reader and run.calls else 'at its start'}")
        for line in run.world.state():
            print(f"          {line}")
        passed, failed = passed, failed + 1
    else:
        more = run.judge()
        passed, failed = passed + more[0], failed + more[1]
    finally:
        run.stop()
    if failed:
        print(f"what is known lies in {options.folder.relative_to(ROOT)} and, of the replicas, in build/test-logs")
    elif not options.keep:
        shutil.rmtree(options.folder)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
