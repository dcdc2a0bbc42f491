"""The faults, each upon events that are on their way.  A fault returns what it met: a Strike.

Servers are killed with SIGKILL at the moment that the run chooses, not when a script gets to it; they are
started again by tools/stack."""
import asyncio
import os
import signal
import time

from world import DUPLICATE_WINDOW_S, REPLICAS, Stuck, now_us, wait_for

WINDOW_BYTES = 16384  # held requests that must be events: the relay asks all streams with less
TAKEOVER_S = 20
FLIGHT_S = 15
SHIPPING_S = 60


class Strike:
    """at_us: when; events: committed and unsettled just then, of the partitions `shards`."""

    def __init__(self, kind, at_us, events, shards, detail=""):
        self.kind, self.at_us, self.events, self.shards, self.detail = kind, at_us, events, shards, detail


def flight_wait(world, service=None):
    """At a random moment from now on at which something is on its way; if nothing comes, the strike will say so."""
    time.sleep(world.chance.uniform(0.02, 0.3))
    try:
        wait_for("events on their way", FLIGHT_S, lambda: world.is_flying(service), 0.01)
    except Stuck:
        pass


def replica_chosen(world):
    place = world.chance.randrange(REPLICAS)
    world.note_metrics(world.services[place])
    return place, world.services[place]


def service(world):
    """kill -9 of a replica, with its relay; another process takes its place."""
    place, doomed = replica_chosen(world)
    flight_wait(world, doomed)
    world.services[place] = None
    doomed.process.send_signal(signal.SIGKILL)
    at_us = now_us()
    strike = Strike("service", at_us, world.flight(doomed, at_us), world.shards(doomed))
    doomed.stop(signal.SIGKILL)
    time.sleep(world.chance.uniform(0, 0.3))
    world.services[place] = world.service(place)
    return strike


def server_killed(world, kind, server, pids, pause_s):
    """The database cannot be asked once it is dead, so it is asked just before."""
    flight_wait(world)
    events = world.flight()
    for pid in pids():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    at_us = now_us()
    if kind != "postgres":
        events = world.flight(until_us=at_us)
    time.sleep(world.chance.uniform(0, pause_s))
    world.stack.control(server, "start")
    return Strike(kind, at_us, events, list(range(16)), server)


def nats(world):
    """kill -9 of the one broker."""
    return server_killed(world, "nats", "nats", lambda: [world.pid("nats")], 0.5)


def leader(world):
    """kill -9 of the node of a cluster that leads a stream with events on their way."""
    def lead():
        try:
            return asyncio.run(world.leader(world.chance.randrange(16)))
        except Exception:  # no answer while there is no leader
            return None
    server = wait_for("a stream's leader", 30, lead, 0.2)
    return server_killed(world, "leader", server, lambda: [world.pid(server)], 1)


def postgres_pids(world):
    """The postmaster alone or all its processes."""
    master = world.pid("postgres")
    children = []
    if world.chance.random() < 0.5:
        for task in os.listdir(f"/proc/{master}/task"):
            with open(f"/proc/{master}/task/{task}/children", encoding="ascii") as file:
                children += map(int, file.read().split())
    return [master, *children]


def postgres(world):
    """kill -9 of the postmaster alone or of all its processes at once."""
    return server_killed(world, "postgres", "postgres", lambda: postgres_pids(world), 0.5)


def pgbouncer(world):
    return server_killed(world, "pgbouncer", "pgbouncer", lambda: [world.pid("pgbouncer")], 0.5)


def windows_held(world, place, replica):
    """The replica's requests wait in its gate, a window of events among them.  A relay that is asking a stream just
    then, or reading the database, sends none: let go before its leases suffer, and try again once it ships."""
    end = time.monotonic() + SHIPPING_S
    while time.monotonic() < end:
        before = world.note_metrics(replica)["windows"]
        world.bulk.release(500)
        wait_for("the relay ships", SHIPPING_S, lambda: world.note_metrics(replica)["windows"] > before)
        world.gate("hold", place)
        for _ in range(30):
            time.sleep(0.01)
            if int(world.gate("held", place)) >= WINDOW_BYTES:
                return
        world.gate("pass", place)
    raise Stuck("the relay sends no window")


def zombie(world):
    """A replica sleeps through its leases with a window on its way, which arrives after another one has shipped the
    same events.  Late: when the broker has forgotten their ids, so that only the fence is left."""
    place, sleeper = replica_chosen(world)
    world.zombies += 1
    late = world.zombies % 3 != 0
    flight_wait(world, sleeper)
    windows_held(world, place, sleeper)
    world.services[place] = None
    sleeper.process.send_signal(signal.SIGSTOP)
    at_us = now_us()
    try:
        shards = world.shards(sleeper)
        strike = Strike("zombie", at_us, world.flight(sleeper, at_us), shards)
        wait_for("another relay has the sleeper's partitions", TAKEOVER_S, lambda: not world.shards(sleeper))
        wait_for("their events are shipped", TAKEOVER_S, lambda: not shipped_not(world, shards, at_us))
        if late:
            time.sleep(DUPLICATE_WINDOW_S + 0.3)
        world.gate("pass", place)
        time.sleep(world.chance.uniform(0, 0.1))
    finally:
        sleeper.process.send_signal(signal.SIGCONT)
        world.services[place] = sleeper
    if late:
        before = world.told.get(sleeper, {"fenced": 0})["fenced"]
        try:
            wait_for("the fence", 5, lambda: world.note_metrics(sleeper)["fenced"] > before, 0.05)
            strike.detail = "fenced"
        except Stuck:
            strike.detail = "late, not fenced"
    return strike


def shipped_not(world, shards, until_us):
    return world.sql("SELECT count(*) FROM tenant.outbox WHERE shard = ANY(%s) AND created_at <= to_timestamp(%s / 1e6)",
                     shards, until_us)[0][0]


def outage(world):
    """What is published is stored, and no answer comes back until the broker has forgotten the ids; then the
    connections are lost."""
    for gone in world.services:
        world.note_metrics(gone)
    flight_wait(world)
    for place in range(REPLICAS):
        world.gate("mute", place)
    time.sleep(DUPLICATE_WINDOW_S + world.chance.uniform(0.3, 1.5))
    at_us = now_us()
    strike = Strike("outage", at_us, world.flight(until_us=at_us), list(range(16)))
    for place in range(REPLICAS):
        world.gate("cut", place)
    return strike


ALL = {fault.__name__: fault for fault in (service, nats, leader, postgres, pgbouncer, zombie, outage)}
