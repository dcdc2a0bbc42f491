"""Other gRPC servers beside ours: the same call, the same bytes, the same mutual TLS and load, in one run.

Each peer passes bytes through and looks nothing up, so that what it leaves out is to its advantage.
"""
import os
import pathlib
import shutil
import subprocess

import lab
from part_hot import CONNECTIONS, STREAMS, TENANTS

FOLDER = lab.OUT / "peers"
PEERS = ("tonic", "grpc-go", "grpc-cpp", "grpc-java", "grpc-js")
SERVER_CORE, LOAD_CORE = "0", "1"


class Peer:
    """A server on a free port of loopback that says `ready PORT`."""

    def __init__(self, command):
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
        words = self.process.stdout.readline().decode().split()
        if words[:1] != ["ready"]:
            raise lab.Failed(f"{command[0]} did not start")
        self.address, self.pid = f"127.0.0.1:{words[1]}", self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


class Nghttpd:
    """nghttp2's own server: the answer is a file, the status a trailer.  It asks for the client's certificate and
    does not look at it."""

    def __init__(self, size):
        root = lab.OUT / "nghttpd"
        file = root / lab.GET[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\0" + size.to_bytes(4, "big") + bytes(size))
        pki = pathlib.Path(os.environ["STACK_PKI"])
        port = lab.free_port()
        command = [*lab.on_core(SERVER_CORE), "nghttpd", "--address=127.0.0.1", f"--htdocs={root}",
                   "--trailer=grpc-status: 0", "--verify-client", "--no-content-length", str(port),
                   pki / "tenant-service.key", pki / "tenant-service.pem"]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
        self.address, self.pid = f"127.0.0.1:{port}", self.process.pid
        lab.port_opens(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def run(report, rounds):
    lab.tenants_need(TENANTS)
    requests = lab.write_requests("hot", [
        (lab.get_request(lab.bench_uuid(n)), {"x-tenant-id": lab.tenant_id(lab.bench_uuid(n))})
        for n in range(1, TENANTS + 1)])
    names = [name for name in PEERS if (FOLDER / name).exists()]
    full = dict(connections=CONNECTIONS, streams=STREAMS, who="api-gateway", seconds=2, warmup=1)
    with lab.Service("peers") as service:
        size = lab.load(service, lab.GET, requests, connections=1, streams=1, who="api-gateway", count=TENANTS,
                        warmup=0)["message_bytes_max"]
        costs = _costs(service, names, size, requests, full, rounds)
        for name in names:
            _cost_lines(report, name, costs)
    # One core for the server, one for the load: where they share, the scheduler's slices are what is measured.
    with lab.Service("peers-core", core=SERVER_CORE) as service:
        apart = dict(full, core=LOAD_CORE)
        lab.load(service, lab.GET, requests, **dict(apart, seconds=0.5))
        halves = {name: _half_load(name, service, size, requests, apart, rounds) for name in names}
        for name, (ours, theirs) in halves.items():
            mine, its = lab.median_of(ours, "p99_us"), lab.median_of(theirs, "p99_us")
            report.goal(f"p99 at half load / {name}'s", mine / its, "≤", 1.0, "", f"{mine:.0f} / {its:.0f} µs, "
                        f"{lab.median_of(theirs, 'calls_per_s'):,.0f} calls/s, half of what {name} can do on a core")
        nghttpd = _nghttpd(report, service, size, requests, apart, rounds) if shutil.which("nghttpd") else None
    return {"costs": costs, "half_load": halves, "nghttpd": nghttpd}


def _costs(service, names, size, requests, full, rounds):
    """CPU per call, all of them in each round."""
    runs = {name: [] for name in ("floor", "service", *names)}
    for _ in range(rounds):
        with lab.Floor(size) as floor:
            runs["floor"].append(lab.load(floor, lab.GET, requests, expect=size, **full))
        runs["service"].append(lab.load(service, lab.GET, requests, **full))
        for name in names:
            with Peer(_command(name, size)) as peer:
                runs[name].append(lab.load(peer, lab.GET, requests, expect=size, **full))
    return runs


def _command(name, size, core=None):
    return [*lab.on_core(core), FOLDER / name, os.environ["STACK_PKI"], size]


def _cost_lines(report, name, costs):
    ratio = lab.median([ours["server_cpu_us_per_call"] / theirs["server_cpu_us_per_call"]
                        for ours, theirs in zip(costs["service"], costs[name])])
    floors = lab.median([theirs["server_cpu_us_per_call"] / floor["server_cpu_us_per_call"]
                         for theirs, floor in zip(costs[name], costs["floor"])])
    detail = (f"{lab.median_of(costs['service'], 'server_cpu_us_per_call'):.2f} / "
              f"{lab.median_of(costs[name], 'server_cpu_us_per_call'):.2f} µs; {name} costs {floors:.1f} × the floor, "
              f"{lab.median_of(costs[name], 'calls_per_s'):,.0f} calls/s")
    limit = {"tonic": 2 / 3, "grpc-cpp": 0.25}.get(name)
    title = f"hot GetTenant: server CPU per call / {name}'s"
    if limit is None:
        report.figure(title, ratio, "", detail)
    else:
        report.goal(title, ratio, "≤", round(limit, 3), "", detail)


def _half_load(name, service, size, requests, full, rounds):
    """Calls begun at a steady pace, half of what the peer managed; the same pace for both, in turn.  A p99 needs more
    time than a mean: what else runs on the machine touches some rounds of one side and not of the other."""
    runs = [], []
    with Peer(_command(name, size, SERVER_CORE)) as peer:
        pace = lab.load(peer, lab.GET, requests, **full)["calls_per_s"] / 2
        for _ in range(rounds):
            for server, its in zip((service, peer), runs):
                its.append(lab.load(server, lab.GET, requests, **dict(full, pace=pace, seconds=5)))
    return runs


def _nghttpd(report, service, size, requests, apart, rounds):
    runs = {"service": [], "nghttpd": []}
    for _ in range(rounds):
        with Nghttpd(size) as nghttpd:
            runs["nghttpd"].append(lab.load(nghttpd, lab.GET, requests, expect=size, **apart))
        runs["service"].append(lab.load(service, lab.GET, requests, **apart))
    ratio = lab.median([ours["calls_per_s"] / theirs["calls_per_s"]
                        for ours, theirs in zip(runs["service"], runs["nghttpd"])])
    report.goal("hot GetTenant: calls/s / nghttpd's", ratio, "≥", 0.5, "",
                f"{lab.median_of(runs['service'], 'calls_per_s'):,.0f} / "
                f"{lab.median_of(runs['nghttpd'], 'calls_per_s'):,.0f}, one core for the server, one for the load")
    return runs
