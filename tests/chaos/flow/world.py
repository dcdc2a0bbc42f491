"""What a run is made of: the stack, two replicas behind gates, who writes, who reads; and how to see from outside
what is on its way."""
import asyncio
import json
import logging
import os
import pathlib
import random
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "e2e"))
sys.path.insert(0, str(HERE.parent / "events"))

import conftest  # noqa: E402,F401  (compiles the protos)
import psycopg  # noqa: E402
import rig  # noqa: E402
from streams import leaders  # noqa: E402
from support import Service, Stack  # noqa: E402

REPLICAS = 2
SETTINGS = {"RELAY_LEASE_TTL": "1500ms", "NATS_DUPLICATE_WINDOW": "2s", "LOG_LEVEL": "warn"}
DUPLICATE_WINDOW_S = 2
METRICS = {"fenced": ("tenant_relay_fenced_publishes_total", {}),
           "duplicates": ("tenant_relay_errors_total", {"kind": "duplicate"}),
           "stored unheard": ("tenant_relay_stored_unacknowledged_total", {}),
           "windows": ("tenant_relay_windows_total", {}), "leases": ("tenant_relay_takeovers_total", {})}


logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it warns of every closed TLS connection


class Stuck(Exception):
    """Something that must come did not."""


def wait_for(what, seconds, check, pause=0.02):
    end = time.monotonic() + seconds
    while not (value := check()):
        if time.monotonic() > end:
            raise Stuck(f"not within {seconds} s: {what}")
        time.sleep(pause)
    return value


class Child:
    """A Python program of this folder that is spoken to by lines."""

    def __init__(self, name, *arguments):
        self.process = subprocess.Popen([sys.executable, HERE / name, *map(str, arguments)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)

    def line(self):
        return self.process.stdout.readline().strip()

    def ask(self, text):
        self.process.stdin.write(text + "\n")
        return self.line()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Reader(Child):
    """follow.py; its last line is kept up to date."""

    def __init__(self, book):
        super().__init__("follow.py", book)
        self.told = {"seen": 0, "gaps": 0}
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.process.stdout:
            self.told = json.loads(line)

    def finish(self, seconds):
        self.process.stdin.close()
        status = self.process.wait(seconds)
        self.thread.join()
        assert status == 0, f"the reader ended with status {status}"


class World:
    """Also what crash.Writer expects of one: seed, run, services, over, surprises."""

    def __init__(self, seed, folder):
        self.stack = Stack(os.environ)
        self.seed, self.folder = seed, folder
        self.chance = random.Random(seed)
        self.run = f"{time.time_ns():x}"
        self.nodes = self.stack.env["STACK_NATS_URL"].split(",")
        self.over, self.surprises, self.zombies = False, [], 0
        self.services, self.metrics, self.told = [], dict.fromkeys(METRICS, 0), {}
        self.gates = self.ports = self.db = None

    # --- replicas -------------------------------------------------------------------------------------

    def start(self):
        """Gates stand before a single broker; a cluster's nodes are reached directly."""
        if len(self.nodes) == 1:
            self.gates = Child("gate.py", self.nodes[0].rsplit(":", 1)[1], REPLICAS)
            self.ports = self.gates.line().split()
        self.services = [self.service(place) for place in range(REPLICAS)]

    def service(self, place):
        settings = dict(SETTINGS, NATS_REPLICAS=len(self.nodes))
        if self.ports:
            settings["NATS_URL"] = f"tls://127.0.0.1:{self.ports[place]}"
        return Service(self.stack, **settings)

    def gate(self, verb, place):
        return self.gates.ask(f"{verb} {place}")

    def note_metrics(self, service):
        """Adds what a replica counted since it was last asked.  What it counts between that and its death is lost
        to us: the sums are lower bounds."""
        before = self.told.get(service, dict.fromkeys(METRICS, 0))
        try:
            now = {name: service.metric(series, **labels) for name, (series, labels) in METRICS.items()}
        except OSError:
            return before
        for name in METRICS:
            self.metrics[name] += now[name] - before[name]
        self.told[service] = now
        return now

    # --- servers --------------------------------------------------------------------------------------

    def pid(self, server):
        return self.stack.pid(server)

    def sql(self, query, *arguments, seconds=30):
        """Straight to PostgreSQL; tries again while that is not there."""
        end = time.monotonic() + seconds
        while True:
            try:
                if self.db is None or self.db.closed:
                    self.db = self.stack.superuser()
                return self.db.execute(query, arguments).fetchall()
            except psycopg.OperationalError:
                self.db = None
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)

    async def leader(self, number):
        """The server that leads the stream TENANT_number."""
        return next(iter((await leaders(self.stack, [f"TENANT_{number:02d}"])).values()), None)

    def empty(self):
        """No tenant, no event, nobody who ships."""
        asyncio.run(rig.reset())
        with self.stack.superuser() as db:
            db.execute("TRUNCATE tenant.tenants CASCADE")

    # --- what is on its way ---------------------------------------------------------------------------

    def flight(self, service=None, until_us=None):
        """Events that are committed and not settled, of the partitions that this replica holds or of all."""
        return self.sql(
            "SELECT count(*) FROM tenant.outbox WHERE created_at <= coalesce(to_timestamp(%s / 1e6), 'infinity')"
            " AND (%s = '' OR shard IN (SELECT shard FROM tenant.relay_lease WHERE owner LIKE %s))",
            until_us, owner_of(service), owner_of(service))[0][0]

    def is_flying(self, service=None):
        """Whether there is any of them: much cheaper to ask."""
        return self.sql(
            "SELECT EXISTS (SELECT FROM tenant.relay_lease l WHERE (%s = '' OR l.owner LIKE %s)"
            " AND EXISTS (SELECT FROM tenant.outbox o WHERE o.shard = l.shard))",
            owner_of(service), owner_of(service))[0][0]

    def backlog_is_below(self, events):
        return self.sql("SELECT count(*) < %s FROM (SELECT FROM tenant.outbox LIMIT %s) AS waiting",
                        events, events)[0][0]

    def shards(self, service=None):
        return [row[0] for row in self.sql("SELECT shard FROM tenant.relay_lease WHERE %s = '' OR owner LIKE %s",
                                           owner_of(service), owner_of(service))]

    def settled_since(self, time_us):
        return self.sql("SELECT coalesce(max(sent_at) > to_timestamp(%s / 1e6), false) FROM tenant.outbox_sent",
                        time_us)[0][0]

    def state(self):
        """Lines for whoever has to find out why nothing moves."""
        yield "shard owner epoch expires_in waiting oldest"
        for row in self.sql(
                "SELECT l.shard, l.owner, l.epoch, extract(epoch FROM l.expires_at - clock_timestamp())::numeric(20, 1),"
                " count(o.id), extract(epoch FROM clock_timestamp() - min(o.created_at))::numeric(20, 1)"
                " FROM tenant.relay_lease l LEFT JOIN tenant.outbox o USING (shard) GROUP BY l.shard ORDER BY l.shard"):
            yield " ".join(map(str, row))
        yield from (" ".join(map(str, row)) for row in self.sql(
            "SELECT pid, usename, state, wait_event, now() - xact_start, left(query, 100) FROM pg_stat_activity"
            " WHERE datname = 'tenant' AND state <> 'idle'"))
        for service in filter(None, self.services):
            yield f"replica {service.process.pid}, {service.log_path}"
            try:
                yield from (line for line in service.metrics().splitlines()
                            if line.startswith(("tenant_relay", "tenant_outbox")) and "_bucket" not in line)
            except OSError as error:
                yield f"no metrics: {error}"

    def close(self):
        for service in self.services:
            if service is not None:
                service.process.kill()
                service.process.wait()
        if self.gates:
            self.gates.kill()


def owner_of(service):
    """Relays are named HOST:PID:RANDOM."""
    return "" if service is None else f"%:{service.process.pid}:%"


def now_us():
    return time.time_ns() // 1000
