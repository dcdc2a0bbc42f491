"""What the service costs while nothing happens: memory, memory per idle mTLS connection, and the start."""
import os
import subprocess
import time

import lab

CONNECTIONS = 1000


def run(report, rounds):
    starts = []
    for turn in range(max(rounds, 5)):
        with lab.Service(f"start-{turn}") as service:
            starts.append(service.ready_ms)
    # the limits that guard against a single caller's thousand connections, raised for this one
    with lab.Service("idle", LIMITS_CONNECTIONS_PER_IDENTITY=2 * CONNECTIONS, LIMITS_ACCEPTS_PER_SECOND=1000) as service:
        time.sleep(2)
        idle = service.rss_kib()
        cpu = idle_cpu(service.pid)
        holding = hold(service)
        time.sleep(1)
        full = service.rss_kib()
        holding.stdin.close()
        holding.wait(20)
        time.sleep(1)
        after = service.rss_kib()
    report.goal("RSS idle, one worker", idle / 1024, "≤", 20, "MiB", "2 s after ready, relay and consumers running")
    report.goal("RSS per idle mTLS connection", (full - idle) / CONNECTIONS, "≤", 48, "KiB",
                f"{CONNECTIONS:,} connections: {idle / 1024:.1f} → {full / 1024:.1f} MiB, closed: {after / 1024:.1f} MiB")
    report.goal("exec → ready, median", lab.median(starts), "≤", 100, "ms",
                f"of {len(starts)}, {min(starts):.0f} to {max(starts):.0f} ms, migrated stack")
    report.figure("  CPU while idle", cpu, "%", "of one core, over 3 s")
    return {"start_ms": starts, "rss_idle_kib": idle, "rss_full_kib": full, "rss_after_kib": after,
            "connections": CONNECTIONS, "idle_cpu_percent": cpu}


def idle_cpu(pid):
    def used():
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total
    before = used()
    time.sleep(3)
    return (used() - before) / 3e9 * 100


def hold(service):
    holding = subprocess.Popen([lab.BIN / "load", "--addr", service.address, "--pki", os.environ["STACK_PKI"], "--idle",
                                "--connections", str(CONNECTIONS), "--rate", "400"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    line = holding.stdout.readline().decode()
    if line.split() != ["open", str(CONNECTIONS)]:
        raise lab.Failed(f"the connections were not opened ({line!r})")
    return holding
