"""One attacker and one well-behaved client: what the client feels, what the service pays, which limit answers.

    hostile.py [CLASS...]      the attacks, each for HOSTILE_SECONDS (6) in HOSTILE_ROUNDS (1); none: all

Prints a table.  Counted as failed: an answer to the well-behaved client that is wrong, an attack whose limit was not hit,
an attacker who came back more often than offenders may, more than 32 MiB of memory at the peak, a newcomer who does not get
in, a service that ended.  The client's p99 is shown beside its goal of 2 x its quiet value, which is measured before each
round; of several rounds the median counts.  Above it a class gets four rounds more, for a machine that runs everything at
once has moments of its own; HOSTILE_STRICT=1 (make chaos) counts as failed what is above it then.  HOSTILE_QUICK=1 (make test)
is for the rest alone: two seconds for each class that needs no more, and the ratio is of no account.  Handlers that "rapid reset" starts are counted for 100,000 resets: more than 400 fail.

Client, service and stack run before whatever else the machine does (SCHED_FIFO), so that an attacker who would have a
machine of his own takes no processor from them here.  HOSTILE_PREFER=0 does without; so does a user who may not.

In each class the attacker comes from an address of its own, where nobody has offended yet, but for "shared address", where
it has the client's.  In the classes that fight for entrance somebody new connects twice a second beside the client; the
longest wait is shown.
"""
import contextlib
import multiprocessing
import os
import pathlib
import ssl
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "build/e2e-protos")]
import attacks
import clients
from support import Service, Stack, create, get

QUICK = os.environ.get("HOSTILE_QUICK", "0") != "0"
SECONDS = float(os.environ.get("HOSTILE_SECONDS", "2" if QUICK else "6"))
ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "1"))
SLOW_SECONDS = 13  # more than body_progress, the longest of the limits
QUIET_SECONDS = 0.5 if QUICK else 3
HANDLERS_LIMIT = 400
OFFENDER_BURST, OFFENDER_RATE = 50, 20  # the defaults: so often an address that offends may come back
RSS_LIMIT_KIB = 32 * 1024
LONGER = (*attacks.SLOW, "answers on answers")  # than two seconds
ON_MANY = {"connections": "connections_per_identity", "handshakes": "silent_entrants"}  # and their limits
CLASSES = [*attacks.ON_A_CONNECTION, *ON_MANY]
FOR_ENTRANCE = ("shared address", "connections", "handshakes")
CLIENT = "127.0.0.1"
STRICT = os.environ.get("HOSTILE_STRICT", "0") != "0"
RATIO_LIMIT, DOUBT_ROUNDS = 2, 4
PREFER = os.environ.get("HOSTILE_PREFER", "1") != "0"


def main(wanted):
    if unknown := [name for name in wanted if name not in CLASSES]:
        print(f"hostile.py: {', '.join(unknown)}: no such class; there are {', '.join(CLASSES)}", file=sys.stderr)
        return 2
    stack = Stack(dict(os.environ))
    service, tenant = begin(stack)
    failed = passed = 0
    print(f"{'attack':<18} {'frames':>9} {'cut off':>8} {'limit':<24} {'hits':>7} "
          f"{'quiet ms':>9} {'p99 ms':>7} {'ratio':>6} {'turn ms':>8} {'RSS':>10}  verdict")
    for name in wanted or [name for name in CLASSES if not QUICK or name not in LONGER]:
        own = attacks.SETTINGS_OF.get(name)
        faults = one(service, stack, tenant, name) if own is None else one_with(stack, name, own)
        failed += bool(faults)
        passed += not faults
        for fault in faults:
            print(f"    FAIL {name}: {fault}", flush=True)
    if ended := end_of(service):
        failed += 1
        print(f"    FAIL {ended}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def begin(stack, **settings):
    """A service, and the tenant that its client asks for."""
    service = Service(stack, SERVER_WORKERS=1, **settings)
    tenant = create(service, f"hostile-{time.time_ns()}")
    try:
        if PREFER:
            prefer(service, stack)
        how = "run before" if PREFER else "share the processors with"
        print(f"client, service{' with ' + str(settings) if settings else ''} and stack {how} the attacker", flush=True)
    except PermissionError as error:
        print(f"client, service and stack share the processors with the attacker: {error}", flush=True)
    return service, tenant


def end_of(service):
    """What was wrong with it; empty: nothing."""
    status = service.stop()
    return f"the service ended with status {status}" if status != 0 else ""


def one_with(stack, name, settings):
    """A class that needs a service with settings of its own."""
    service, tenant = begin(stack, **settings)
    faults = one(service, stack, tenant, name)
    ended = end_of(service)
    return faults + [ended] if ended else faults


def prefer(service, stack):
    """Client, service and stack before whatever else the machine does, as on machines of their own.  The service's main
    thread, which shakes hands, stands behind its workers here as well; and so does PostgreSQL, whose machine is another
    than theirs: what an attacker makes it do must not take processors from the client."""
    run = pathlib.Path(stack.env["STACK_DIR"]) / "run"
    servers = {int(file.read_text("ascii").split()[0]): file.stem for file in run.glob("*.pid")}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid, parent = int(folder.name), int((folder / "stat").read_text("utf-8").rsplit(") ", 1)[1].split()[1])
            server = servers.get(pid, servers.get(parent))
            if pid not in (os.getpid(), service.process.pid) and server is None:
                continue
            for task in (folder / "task").iterdir():
                behind = int(task.name) == service.process.pid or server == "postgres"
                os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(5 if behind else 10))


def one(service, stack, tenant, name):
    """All rounds of a class, its line of the table; returns what was wrong."""
    _, limit = attacks.ON_A_CONNECTION.get(name, (None, ON_MANY.get(name)))
    before = limit_hits(service)
    rounds = [a_round(service, stack, tenant, name) for _ in range(ROUNDS)]
    if ratio_of(rounds) > RATIO_LIMIT and not QUICK:
        rounds += [a_round(service, stack, tenant, name) for _ in range(DOUBT_ROUNDS)]
    more = {key: value - before.get(key, 0) for key, value in limit_hits(service).items() if value > before.get(key, 0)}
    named = [key for key in more if limit and key.startswith(limit)]
    faults = [fault for one_round in rounds for fault in one_round["faults"]]
    if limit and not named:
        faults.append(f"the limit {limit} was not hit; hit were {more or 'none'}")
    if service.process.poll() is not None:
        faults.append("the service is gone")
    frames, cuts = (sum(one_round[key] for one_round in rounds) for key in ("frames", "cuts"))
    grown = max(one_round["grown"] for one_round in rounds)
    ratio = ratio_of(rounds)
    if STRICT and ratio > RATIO_LIMIT:
        faults.append(f"the client's p99 is {ratio:.1f} x its quiet value, at most {RATIO_LIMIT}")
    shown = max(named or more, key=more.get) if more else "-"
    quiet, noisy = (statistics.median(one_round[key] for one_round in rounds) * 1000 for key in ("quiet", "noisy"))
    turn = max(one_round["turn"] for one_round in rounds)
    verdict = "FAILED" if faults else "ok" if ratio <= RATIO_LIMIT else "ok, but the client waits"
    print(f"{name:<18} {frames:>9} {cuts:>8} {shown:<24} {sum(more.values()):>7.0f} "
          f"{quiet:>9.2f} {noisy:>7.2f} {ratio:>6.1f} {turn * 1000:>8.2f} {grown:>6} KiB  {verdict}",
          flush=True)
    if name in FOR_ENTRANCE:
        waits = [wait for one_round in rounds for wait in one_round["waits"]]
        print(f"    {len(waits)} newcomers, who waited {max(waits) * 1000:.0f} ms at the most and "
              f"{statistics.median(waits) * 1000:.0f} ms as a rule", flush=True)
    return faults


def ratio_of(rounds):
    return statistics.median(one_round["ratio"] for one_round in rounds)


def a_round(service, stack, tenant, name):
    """The client alone, then beside the attacker."""
    newcomers = Newcomers(service, stack) if name in FOR_ENTRANCE else None
    quiet, _ = calls_for(service, tenant, QUIET_SECONDS)
    rss = rss_kib(service)
    handlers = service.metric("tenant_rpc_handlers_started_total")
    peak_forget(service)
    results = multiprocessing.Queue()
    seconds = SLOW_SECONDS if name in attacks.SLOW else SECONDS
    process = multiprocessing.Process(target=attacker, args=(service.address, stack.pki, name, seconds, results))
    process.start()
    noisy, wrong = calls_for(service, tenant, seconds)
    turn = service.metric("tenant_loop_lag_seconds", worker="0")
    frames, cuts = results.get(timeout=seconds + 60)
    process.join(30)
    grown = rss_kib(service, "VmHWM:") - rss
    faults = [f"{len(wrong)} wrong answers to the well-behaved client: {wrong[0]}"] if wrong else []
    if grown > RSS_LIMIT_KIB:
        faults.append(f"{grown} KiB more memory")
    if name == "rapid reset":
        started = service.metric("tenant_rpc_handlers_started_total") - handlers - len(noisy)
        share = started * 100_000 / max(frames, 1)
        print(f"    {started:.0f} handlers for {frames} resets: {share:.0f} for 100,000", flush=True)
        if share > HANDLERS_LIMIT or frames < HANDLERS_LIMIT:
            faults.append(f"{share:.0f} handlers for 100,000 resets, at most {HANDLERS_LIMIT}")
    if cuts > OFFENDER_BURST + OFFENDER_RATE * (seconds + 5):
        faults.append(f"cut off {cuts} times in {seconds:.0f} s: who is cut off is not paced")
    waits, refused = newcomers.end() if newcomers else ([], [])
    if refused:
        faults.append(f"{len(refused)} newcomers did not get in: {refused[0]}")
    return {"frames": frames, "cuts": cuts, "grown": grown, "turn": turn, "faults": faults, "waits": waits,
            "quiet": at(quiet, 0.99), "noisy": at(noisy, 0.99), "ratio": at(noisy, 0.99) / at(quiet, 0.99)}


def attacker(address, pki, name, seconds, results):
    # he has a machine of his own elsewhere: here he gets what service and client leave of the processors
    preferred = os.sched_getscheduler(0) == os.SCHED_FIFO
    os.sched_setscheduler(0, os.SCHED_OTHER if preferred else os.SCHED_IDLE, os.sched_param(0))
    end = time.monotonic() + seconds
    attack, _ = attacks.ON_A_CONNECTION.get(name, (None, None))
    identity = "admin" if name in attacks.BY_ADMIN else "api-gateway"
    source = CLIENT if name == "shared address" else f"127.0.0.{2 + CLASSES.index(name)}"
    frames = cuts = 0
    kept = []
    while time.monotonic() < end:
        try:
            if name == "handshakes":
                kept.append(clients.dial(address, source))
                frames, kept = frames + 1, kept[-500:]
                continue
            kind = attacks.KINDS.get(name, clients.Connection)
            connection = kind(address, pki, identity, source)
            if name == "connections":
                kept.append(connection)
                frames += 1
                connection.drain()
                continue
            for count in attack(connection):
                frames += count
                if count == 0:
                    time.sleep(0.05)
                if time.monotonic() > end:
                    break
            connection.close()
        except OSError:
            cuts += 1
    results.put((frames, cuts))


class Newcomers:
    """Somebody new twice a second, from the client's address, until the end: connects and waits for the first frame."""

    def __init__(self, service, stack):
        self.results, self.over = multiprocessing.Queue(), multiprocessing.Event()
        self.process = multiprocessing.Process(target=self.come, args=(service.address, stack.pki))
        self.process.start()

    def come(self, address, pki):
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        context.load_cert_chain(pki / "sync-service.pem", pki / "sync-service.key")
        context.set_alpn_protocols(["h2"])
        waits, refused = [], []
        while not self.over.wait(0.5):
            began = time.monotonic()
            try:
                with context.wrap_socket(clients.dial(address, CLIENT), server_hostname="localhost") as connection:
                    connection.settimeout(10)
                    if not connection.recv(9):
                        raise ConnectionResetError("closed")
                    waits.append(time.monotonic() - began)
            except OSError as error:
                refused.append(repr(error)[:200])
        self.results.put((waits, refused))

    def end(self):
        self.over.set()
        outcome = self.results.get(timeout=30)
        self.process.join(30)
        return outcome


def calls_for(service, tenant, seconds):
    """One call after the other by somebody else: their times and what was wrong."""
    times, wrong = [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            if get(service, tenant.tenant_id).slug != tenant.slug:
                wrong.append("another tenant")
        except Exception as error:  # pylint: disable=broad-except
            wrong.append(repr(error)[:200])
        times.append(time.monotonic() - began)
        time.sleep(0.002)
    return times, wrong


def at(times, share):
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def limit_hits(service):
    """By limit, and by error code for what is wrong with one message alone."""
    hits = {}
    for line in service.metrics().splitlines():
        series, _, value = line.rpartition(" ")
        if series.startswith("tenant_rpc_limit_hits_total{"):
            hits[series.split('"')[1]] = float(value)
        elif series.startswith("tenant_http_errors_total{") and "MESSAGE_TOO_" in series:
            code = series.split('error_code="')[1].split('"')[0]
            hits[code] = hits.get(code, 0) + float(value)
    return hits


def peak_forget(service):
    """VmHWM begins anew (proc(5), clear_refs)."""
    pathlib.Path(f"/proc/{service.process.pid}/clear_refs").write_text("5", "ascii")


def rss_kib(service, what="VmRSS:"):
    for line in pathlib.Path(f"/proc/{service.process.pid}/status").read_text("ascii").splitlines():
        if line.startswith(what):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
