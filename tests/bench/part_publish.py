"""Storing events in two ways, without a database: the relay's chain of pipelined publishes, and JetStream's atomic
batches.  In turn, over windows of several sizes; the broker's CPU beside the publisher's."""
import os
import pathlib
import time

import lab

EVENTS, BYTES = 192000, 560


def run(report, rounds):
    measured = {}
    for window in (16, 100, 1000):
        runs = {"chain": [], "atomic": []}
        for _ in range(rounds):
            for mode, those in runs.items():
                those.append(publish(mode, window))
        rate = {mode: lab.median_of(those, "events_per_s") for mode, those in runs.items()}
        ratio = lab.median([a["events_per_s"] / c["events_per_s"] for a, c in zip(runs["atomic"], runs["chain"])])
        report.figure(f"publish: atomic batches / chain, windows of {window}", ratio, "",
                      f"{rate['atomic']:,.0f} /s / {rate['chain']:,.0f} /s; broker "
                      f"{lab.median_of(runs['atomic'], 'broker_us'):.1f} / {lab.median_of(runs['chain'], 'broker_us'):.1f}"
                      f" µs, publisher {lab.median_of(runs['atomic'], 'cpu_us_per_event'):.1f} / "
                      f"{lab.median_of(runs['chain'], 'cpu_us_per_event'):.1f} µs of CPU an event")
        measured[window] = runs
    return measured


def publish(mode, window):
    before = broker_cpu()
    events = EVENTS if window > 16 else EVENTS // 8
    done = lab.program("publish_modes", mode, events, BYTES, window, os.environ["STACK_NATS_URL"],
                       os.environ["STACK_PKI"], os.environ["STACK_NATS_CREDS"])
    done["broker_us"] = (broker_cpu() - before) * 1e6 / done["events"]
    time.sleep(0.5)
    return done


def broker_cpu():
    """Seconds that the broker has used."""
    pid = pathlib.Path(os.environ["STACK_DIR"], "run", "nats.pid").read_text("ascii").strip()
    fields = pathlib.Path("/proc", pid, "stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
