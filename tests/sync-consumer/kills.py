"""The kills of sync.py: SIGKILL, at a random moment at which events are on their way to whom it strikes, which are those
that were committed before it and are not applied right after it.  A kill that met none is repeated."""
import asyncio
import collections
import os
import pathlib
import signal
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "tests/chaos/flow")]

from faults import Strike, flight_wait, postgres_pids  # noqa: E402
from streams import PARTITIONS, connect, leaders  # noqa: E402
from world import Stuck, now_us, wait_for  # noqa: E402

GROUP = "sync-service"
RECORDS = "TENANT_GROUPS"
STREAMS = [f"TENANT_{number:02d}" for number in range(PARTITIONS)]
ATTEMPTS = 2  # kills that met nothing may be repeated until there are twice as many as wanted
PROGRESS_S = 60
BACKLOG_MAX = 4000
DRAIN_S = 180


def leases(world):
    """The partitions of each member, as the group's record has them; none while nobody can be asked."""
    async def read():
        client = await connect(world.stack, "admin")
        try:
            return (await client.jetstream().get_last_msg(RECORDS, f"TENANT.GROUPS.{GROUP}")).data.decode()
        finally:
            await client.close()
    held = collections.defaultdict(set)
    try:
        record = asyncio.run(asyncio.wait_for(read(), 10))
    except Exception:  # whatever a client says of a broker that comes back just now
        return held
    for words in map(str.split, record.splitlines()):
        if words[0] == "lease":
            held[words[2]].add(int(words[1]))
    return held


def killed(world, kind, kill, partitions=None, detail=""):
    """partitions: whose events must be on their way; None: anybody's."""
    flight_wait(world, partitions)
    written = world.written(partitions)
    kill()
    at_us = now_us()
    return Strike(kind, at_us, world.unapplied(written), partitions, detail)


def consumer(world):
    """A member that has partitions; another process takes its place, under another name."""
    def holders():
        held = leases(world)
        return [(member, held[member.name]) for member in world.members if member.name in held]
    member, partitions = world.chance.choice(wait_for("a member with partitions", PROGRESS_S, holders, 0.1))
    strike = killed(world, "consumer", member.end, partitions)
    member.start()
    return strike


def service(world):
    doomed = world.service
    strike = killed(world, "service", lambda: doomed.process.send_signal(signal.SIGKILL))
    doomed.stop(signal.SIGKILL)
    world.start_service()
    return strike


def server_back(world, server, pause_s=0.5):
    time.sleep(world.chance.uniform(0, pause_s))
    world.stack.control(server, "start")


def nats(world):
    strike = killed(world, "nats", lambda: os.kill(world.pid("nats"), signal.SIGKILL))
    server_back(world, "nats")
    return strike


def leader(world):
    """The node of a cluster that leads the stream of the group's record, or one with events on their way; the other streams
    that it leads are struck with it."""
    def led():
        try:
            return asyncio.run(asyncio.wait_for(leaders(world.stack, [RECORDS, *STREAMS]), 20))
        except Exception:  # no answer while there is no leader
            return {}
    found = wait_for("all streams have leaders", PROGRESS_S, lambda: len(now := led()) > PARTITIONS and now, 0.2)
    flight_wait(world)
    flying = [stream for number, stream in enumerate(STREAMS) if world.is_flying({number})] or STREAMS
    stream = RECORDS if world.chance.random() < 0.25 else world.chance.choice(flying)
    server = found[stream]
    partitions = {number for number, other in enumerate(STREAMS) if found[other] == server}
    strike = killed(world, "leader", lambda: os.kill(world.pid(server), signal.SIGKILL), partitions,
                    "of records" if stream == RECORDS else "of events")
    server_back(world, server, 1)
    return strike


def postgres(world):
    """The database, where the replica is too, cannot be asked once it is dead: it is asked just before."""
    pids = postgres_pids(world)
    flight_wait(world)
    events = world.unapplied(world.written())
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    strike = Strike("postgres", now_us(), events, None)
    server_back(world, "postgres")
    return strike


ALL = {kill.__name__: kill for kill in (consumer, nats, service, postgres, leader)}


class Kills:
    """wanted: how many of each kind."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.strikes, self.missed, self.stuck = [], collections.Counter(), []

    def play(self, world):
        """Each when something was applied since the one before.  Writers wait when they are too far ahead: a cluster that
        loses its leaders all the time takes more than members can apply meanwhile."""
        plan = [kind for kind, count in self.wanted.items() for _ in range(count)]
        world.chance.shuffle(plan)
        total, applied = len(plan), 0
        try:
            for _ in range(ATTEMPTS * total):
                if not plan:
                    break
                time.sleep(world.chance.uniform(0.1, 0.7))
                wait_for("an event is applied", PROGRESS_S, lambda: world.applied() > applied, 0.05)
                self.thin_out(world)
                self.one(world, plan)
                applied = world.applied()
                if len(self.strikes) % 20 == 0:
                    print(f"{len(self.strikes)} of {total} kills", flush=True)
        except Stuck as error:
            self.stuck.append(f"{error}, after {len(self.strikes)} of {total} kills")

    def thin_out(self, world):
        world.crowded = world.unapplied(world.written()) > BACKLOG_MAX
        if world.crowded:
            wait_for("a smaller backlog", DRAIN_S, lambda: world.unapplied(world.written()) < BACKLOG_MAX / 2, 0.1)
            world.crowded = False

    def one(self, world, plan):
        kind = plan.pop()
        strike = ALL[kind](world)
        if strike.events > 0:
            self.strikes.append(strike)
        else:
            self.missed[kind] += 1
            plan.insert(world.chance.randrange(len(plan) + 1), kind)

    def broken(self):
        """What contradicts that every kill happened with events on their way."""
        done = collections.Counter(strike.kind for strike in self.strikes)
        return self.stuck + [f"{kind}: {done[kind]} of {count}" for kind, count in self.wanted.items() if done[kind] < count]

    def totals(self):
        for kind in self.wanted:
            those = [strike for strike in self.strikes if strike.kind == kind]
            events = [strike.events for strike in those] or [0]
            details = collections.Counter(strike.detail for strike in those if strike.detail)
            print(f"{kind:8} {len(those):4} kills, with {min(events)} to {max(events)} events on their way (median "
                  f"{statistics.median(events):.0f})" + "".join(f"; {name} {count}" for name, count in sorted(details.items())))
        missed = ", ".join(f"{kind} {count}" for kind, count in self.missed.items())
        print(f"not counted, for nothing was on its way: {missed or 'none'}")
