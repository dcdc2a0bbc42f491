"""The controls: naive relays ship what the bulk writer writes, and the checker must find what they do wrong."""
import collections
import time

import books
from load import Bulk
from world import DUPLICATE_WINDOW_S, Child, World, wait_for

EVENTS = 1000
BURSTS = 20
PAUSE_US = 300000
KILLS = 3


class Naive(Child):
    def __init__(self, kind):
        super().__init__("naive.py", kind)
        assert self.line() == "ready", "naive.py does not start"

    def end(self):
        self.process.stdin.close()
        status = self.process.wait(120)
        assert status == 0, f"naive.py ended with status {status}"


def cursor(world, bulk):
    """Commits that overtake each other are missed for ever; written until that has happened."""
    relay = Naive("cursor")
    for _ in range(BURSTS):
        bulk.release(EVENTS)
        wait_for("the bulk writer is done", 120, bulk.is_done)
        if world.sql("SELECT count(*) FROM tenant.outbox o WHERE id <"
                     " (SELECT max(id) FROM tenant.outbox_sent s WHERE s.shard = o.shard)")[0][0] > 0:
            break
    return relay


def unchained(_world, bulk):
    """What was stored and not settled when the relay died is sent again when the duplicate window has passed."""
    bulk.release(EVENTS)
    wait_for("the bulk writer is done", 120, bulk.is_done)
    for _ in range(KILLS):
        relay = Naive("unchained")
        assert relay.line() == "sent"
        relay.kill()
        time.sleep(DUPLICATE_WINDOW_S + 0.5)
    return Naive("unchained")


# (relay, the kinds of faults of which the checker must find some)
CONTROLS = ((cursor, ("lost",)), (unchained, ("doubled", "reordered")))


def caught(options, control):
    world = World(options.seed, options.folder)
    world.empty()
    bulk = Bulk(options.writer, options.folder / control.__name__, options.seed, threads=12, pause_us=PAUSE_US)
    relay = None
    try:
        relay = control(world, bulk)
        bulk.stop()
        relay.end()
    finally:
        bulk.kill()
        if relay:
            relay.kill()
    return judged(world, options.folder, control.__name__)


def judged(world, folder, name):
    account = books.Books()
    books.read_streams(folder / f"{name}.seen")
    account.load_seen("afterwards", folder / f"{name}.seen")
    account.load_written(folder / name)
    with world.stack.superuser() as database:
        account.load_database(database)
    collections.deque(account.judge(), maxlen=0)
    return account


def run(options):
    """How many of the naive relays were caught, and how many were not."""
    missed = 0
    for control, wanted in CONTROLS:
        account = caught(options, control)
        found = {kind: account.faults[kind] for kind in wanted}
        ok = all(found.values())
        missed += not ok
        print(f"{'ok      ' if ok else 'BROKEN  '}the {control.__name__} relay is caught: of "
              f"{account.count('stored')} events " + ", ".join(f"{n} {kind}" for kind, n in found.items()), flush=True)
    return len(CONTROLS) - missed, missed
