"""The program under test and what it says."""
import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
EVENT = re.compile(r"(done|retry|dead|stale|away|crash) (tnt_\w+) (\d+)\.(\d+) (\d+) (\d+) (\S+) (evt_\w+) attempt=(\d+)"
                   r" before=(\d+)\.(\d+) payload=(\S+) header=(\S+)( requeued| replayed)?$")


def run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=600,
                          **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def install(prefix):
    run("make", "-C", ROOT, "install-libtenant-events", f"PREFIX={prefix}", env=dict(os.environ, MODE="release", MAKEFLAGS=""))
    return prefix


def flags(prefix, *wanted, packages=("tenant-events",)):
    return run("pkg-config", *wanted, *packages,
               env=dict(os.environ, PKG_CONFIG_PATH=str(prefix / "lib/pkgconfig"))).split()


def build(folder):
    """follow.c with the static library, in the mode of the run: the program then runs wherever it is started from."""
    prefix = install(folder / "prefix")
    library, extra = prefix / "lib/libtenant-events.a", []
    if (mode := os.environ.get("MODE", "release")) not in ("release", "shared"):
        library = ROOT / f"build/{mode}/lib/libtenant-events.a"
        run("make", "-C", ROOT, f"MODE={mode}", library.relative_to(ROOT), env=dict(os.environ, MAKEFLAGS=""))
        extra = ["-fsanitize=thread"] if mode == "tsan" else ["-fsanitize=address,undefined"] if "asan" in mode else []
    program = folder / "follow"
    run("gcc", "-O1", "-g", "-Wall", "-Wextra", "-Werror", *extra, ROOT / "tests/consumer/follow.c", "-o", program,
        *flags(prefix, "--cflags"), library, *run("pkg-config", "--libs", "libnats", "libcrypto", "libprotobuf-c").split(),
        "-lpthread")
    return program


class Event:
    def __init__(self, match):
        (self.what, self.tenant, incarnation, sequence, partition, stream_sequence, self.type, self.id, attempt,
         before_incarnation, before_sequence, self.payload, self.header, kind) = match.groups()
        self.at = (int(incarnation), int(sequence))
        self.sequence = int(sequence)
        self.partition, self.stream_sequence = int(partition), int(stream_sequence)
        self.attempt = int(attempt)
        self.before = (int(before_incarnation), int(before_sequence))
        self.requeued, self.replayed = kind == " requeued", kind == " replayed"
        self.seen = time.monotonic()

    def __repr__(self):
        return f"{self.what} {self.tenant} {self.at} attempt {self.attempt}"


class Follower:
    def __init__(self, program, *verb, **settings):
        pki, creds = os.environ["STACK_PKI"], os.environ["STACK_NATS_CREDS"]
        settings = {"url": os.environ["STACK_NATS_URL"], "seed_file": f"{creds}/sync-service.nk",
                    "ca_file": f"{pki}/ca.pem", "cert_file": f"{pki}/sync-service.pem",
                    "key_file": f"{pki}/sync-service.key", "group": "sync-service", "ack_wait_ms": 2000,
                    "lease_ttl_ms": 1500, "backoff_ms": 100, "gap_alarm_ms": 1000} | settings
        self.positions_file = settings.get("positions")
        self.lines, self.events, self.notices = queue.Queue(), [], []
        self.others = []
        self.process = subprocess.Popen([program, *verb, *(f"{k}={v}" for k, v in settings.items())], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream, place in ((self.process.stdout, self.take), (self.process.stderr, self.notices.append)):
            threading.Thread(target=self.read, args=(stream, place), daemon=True).start()

    @staticmethod
    def read(stream, place):
        for line in stream:
            place(line.rstrip("\n"))

    def take(self, line):
        match = EVENT.match(line)
        if match:
            self.events.append(Event(match))
        else:
            self.others.append(line)
            self.lines.put(line)

    def tell(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        while (line := self.lines.get(timeout=10)) != "ok":
            assert line.startswith("gap "), line

    def metrics(self):
        """name{labels} -> value"""
        while not self.lines.empty():
            self.lines.get()
        self.process.stdin.write("metrics\n")
        self.process.stdin.flush()
        return self.metrics_read()

    def metrics_read(self):
        found = {}
        while (line := self.lines.get(timeout=10)) != ".":
            if line.startswith("tenant_consumer"):
                series, value = line.rsplit(" ", 1)
                found[series] = float(value)
        return found

    def value(self, name):
        return sum(v for series, v in self.metrics().items() if series.split("{")[0] == f"tenant_consumer_{name}")

    def done(self, tenant=None):
        return [e for e in list(self.events) if e.what == "done" and tenant in (None, e.tenant)]

    def sequences(self, tenant):
        return [e.sequence for e in self.done(tenant)]

    def wait(self, count, tenant=None, seconds=20):
        until(lambda: len(self.done(tenant)) >= count, seconds,
              lambda: f"{len(self.done(tenant))} of {count}; {self.notices[-5:]}")
        return self.done(tenant)

    def stop(self, seconds=10):
        self.process.stdin.write("stop\n")
        self.process.stdin.flush()
        status = self.process.wait(seconds)
        assert status == 0, (status, self.notices)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)


def until(check, seconds=20, say=lambda: ""):
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, f"not within {seconds} s: {say()}"
        time.sleep(0.02)
    return value
