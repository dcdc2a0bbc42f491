"""What every part of the bench stands on: the stack, the service as a process, rows, requests and load."""
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import time
import urllib.request
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build/bench/bin"
OUT = ROOT / "build/bench"
MODE = os.environ.get("MODE", "release")
SERVICE = ROOT / "build" / MODE / "tenant-service"
GET = "/tenant.v1.TenantService/GetTenant"
LOOKUP = "/tenant.v1.TenantService/LookupTenant"
UPDATE = "/tenant.v1.TenantService/UpdateTenant"
LIST = "/tenant.v1.TenantService/ListTenants"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Failed(Exception):
    """A measurement that could not be made: not a missed goal."""


# --- protobuf, as much as the requests need ---------------------------------------------------------


def field(number, value):
    """A string, bytes or message field."""
    data = value.encode() if isinstance(value, str) else value
    assert len(data) < 16384
    size = bytes([len(data)]) if len(data) < 128 else bytes([len(data) & 127 | 128, len(data) >> 7])
    return bytes([number << 3 | 2]) + size + data


def varint_field(number, value):
    out = bytes([number << 3])
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def tenant_id(value):
    """tnt_ and the uuid as a ULID in Crockford's alphabet."""
    number = uuid.UUID(str(value)).int
    return "tnt_" + "".join(ALPHABET[number >> 5 * i & 31] for i in reversed(range(26)))


def get_request(value):
    return field(1, tenant_id(value))


def lookup_request(slug):
    return field(1, slug)


def update_request(value, name):
    return field(1, field(1, tenant_id(value)) + field(3, name)) + field(2, field(1, "display_name"))


def write_requests(name, lines):
    """lines: (message, {header: value}); the file that tests/bench/load reads."""
    path = OUT / f"{name}.requests"
    with open(path, "w", encoding="ascii") as file:
        for message, headers in lines:
            words = [message.hex() or "-"] + [f"{k}={v}" for k, v in headers.items()]
            file.write(" ".join(words) + "\n")
    return path


# --- the stack -----------------------------------------------------------------------------------------


# ends at the first error: who waits for an answer finds the end of it
PSQL = ["psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]


def sql(text, url="STACK_SUPERUSER_URL"):
    """Rows as lists of text."""
    done = subprocess.run([*PSQL, os.environ[url]], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"SQL: {done.stderr.strip()}")
    return [line.split("\t") for line in done.stdout.splitlines() if line]


class Session:
    """One psql for many questions with one word for an answer."""

    def __init__(self, url="STACK_SUPERUSER_URL"):
        self.process = subprocess.Popen([*PSQL, os.environ[url]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, question):
        self.process.stdin.write(question + ";\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise Failed(f"SQL: no answer to {question}")
        return answer.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def tenants_need(count):
    """At least `count` tenants of the bench, all alike in length; returns nothing."""
    have = int(sql("SELECT count(*) FROM tenant.tenants WHERE slug LIKE 'bench-%'")[0][0])
    if have >= count:
        return
    sql(f"""
SET synchronous_commit = off;
INSERT INTO tenant.tenants (id, slug, display_name, type, home_region, status, plan_id, plan_addons,
    labels, allowed_locales, create_time, update_time, version)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    'bench-' || lpad(n::text, 10, '0'), 'Bench tenant ' || lpad(n::text, 10, '0'), 'org', 'eu',
    'active', 'plan_business', '{{sso,audit}}', '{{"sector": "education", "tier": "gold"}}',
    '{{en,de}}', timestamptz '2026-01-01' + n * interval '1 millisecond',
    timestamptz '2026-01-01' + n * interval '1 millisecond', 1
FROM generate_series({have + 1}, {count}) n;
RESET synchronous_commit;
ANALYZE tenant.tenants;""")


def tenants_drop():
    sql("""
SET session_replication_role = replica;
DELETE FROM tenant.tenants WHERE slug LIKE 'bench-%';
TRUNCATE tenant.tenant_audit, tenant.tenant_seq, tenant.authz_epoch;
RESET session_replication_role;
VACUUM ANALYZE tenant.tenants;""")


def bench_uuid(n):
    return f"01900000-0000-7000-8000-{n:012x}"


def bench_slug(n):
    return f"bench-{n:010d}"


# --- processes --------------------------------------------------------------------------------------------


class Service:
    """One tenant-service with one worker and default settings, but for what the part names."""

    def __init__(self, name, core=None, **settings):
        env = {k: v for k, v in os.environ.items() if not k.startswith("TENANT_")}
        env.update(TENANT_SERVER_PORT="0", TENANT_OPS_PORT="0", TENANT_SERVER_WORKERS="1")
        env.update({f"TENANT_{k}": str(v) for k, v in settings.items()})
        self.log_path = OUT / f"service-{name}.log"
        began = time.monotonic()
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([*on_core(core), SERVICE, "serve", "--config", os.environ["STACK_CONFIG"]],
                                            stdout=subprocess.PIPE, stderr=log, env=env)
        line = b""
        for line in self.process.stdout:
            if line.startswith(b"ready: "):
                break
        self.ready_ms = (time.monotonic() - began) * 1e3
        words = line.decode().split()
        if words[:2] != ["ready:", "grpc"]:
            raise Failed(f"the service did not become ready: {self.log_path}")
        self.address, self.ops, self.pid = words[2], words[4], self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def counter(self, name, **labels):
        """The sum of a counter's series that carry the labels."""
        with urllib.request.urlopen(f"http://{self.ops}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines
                   if line.split("{")[0].split(" ")[0] == name and all(word in line for word in wanted))

    def rss_kib(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        raise Failed("no VmRSS")


def uncached(name):
    """A service whose memory holds one tenant and that has no Redis: with distinct tenants all reads are the
    database's."""
    return Service(name, CACHE_MEMORY_ENTRIES=1, REDIS_URL="")


def uncached_proven(service, calls):
    hits = service.counter("tenant_cache_lookups_total", result="memory")
    if hits > calls / 100:
        raise Failed(f"{hits:.0f} of {calls} reads came from the cache")


class Floor:
    def __init__(self, size, *options):
        self.process = subprocess.Popen([BIN / "floor", os.environ["STACK_PKI"], str(size), *options],
                                        stdout=subprocess.PIPE)
        words = self.process.stdout.readline().decode().split()
        if words[:1] != ["ready"]:
            raise Failed("the floor did not start")
        self.address, self.pid = f"127.0.0.1:{words[1]}", self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def on_core(core):
    """What pins a command to one core; nothing: where the scheduler likes."""
    return [] if core is None else ["taskset", "-c", core]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_opens(port, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failed(f"nothing listens on port {port}")


def load(server, path, requests, core=None, **options):
    """One run of the load generator; a wrong answer is a failed measurement."""
    command = [*on_core(core), BIN / "load", "--addr", server.address, "--pki", os.environ["STACK_PKI"], "--path", path,
               "--requests", requests, "--pid", str(server.pid)]
    for name, value in options.items():
        command += [f"--{'as' if name == 'who' else name}", str(value)]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, timeout=180)
    if done.returncode != 0:
        raise Failed(f"load on {path}: {done.stderr.strip()} {done.stdout.strip()}")
    return json.loads(done.stdout)


def program(name, *arguments, timeout=180):
    """A baseline that prints one JSON object."""
    done = subprocess.run([str(BIN / name), *map(str, arguments)], capture_output=True, text=True, check=False,
                          timeout=timeout)
    if done.returncode != 0:
        raise Failed(f"{name}: {done.stderr.strip()} {done.stdout.strip()}")
    return json.loads(done.stdout)


def median(values):
    return statistics.median(values)


def median_of(runs, key):
    return statistics.median(run[key] for run in runs)
