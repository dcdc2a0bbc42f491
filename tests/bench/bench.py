"""make bench: measures the service against the limits of what it stands on, in one run, and prints each figure
beside its goal.  A missed goal is a result; the status is not 0 only when something could not be measured.

    bench.py [PART...]      parts: hot uncached relay publish consumer idle size (all), and peers when named

BENCH_ROUNDS (5): how often a comparison alternates.  BENCH_TENANTS (1000000): the large size of `size`.
"""
import importlib
import json
import os
import pathlib
import subprocess
import sys
import time

import lab

PARTS = ("hot", "uncached", "relay", "publish", "consumer", "idle", "size")
ASKED_FOR = ("peers",)  # only when named: it needs servers that are built first


class Report:
    """Lines of the table, as they are measured."""

    def __init__(self):
        self.lines = []

    def goal(self, name, value, relation, limit, unit, detail):
        met = value <= limit if relation == "≤" else value >= limit
        self._line(name, value, unit, f"{relation} {limit:g} {unit}".strip(), "met" if met else "missed", detail)

    def figure(self, name, value, unit, detail):
        self._line(name, value, unit, "", "", detail)

    def _line(self, name, value, unit, limit, verdict, detail):
        self.lines.append(dict(name=name.strip(), value=value, unit=unit, goal=limit, verdict=verdict,
                               detail=detail))
        shown = f"{value:,.2f}" if value < 1000 else f"{value:,.0f}"
        print(f"{name:<52} {shown + ' ' + unit:>13}  {limit:<10} {verdict:<6}  {detail}", flush=True)


def machine():
    """What the figures depend on."""
    model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
             if line.startswith("model name")]
    memory = pathlib.Path("/proc/meminfo").read_text("ascii").split()[1]
    postgres = lab.sql("SHOW server_version")[0][0]
    return {
        "cpu": model[0] if model else "unknown", "cpus": os.cpu_count(), "memory_kib": int(memory),
        "kernel": os.uname().release, "load_before": os.getloadavg()[0], "postgresql": postgres,
        "commit": _output("git", "rev-parse", "--short=12", "HEAD"),
        "changed_files": len(_output("git", "status", "--porcelain", "src", "gen").splitlines()),
        "openssl": _output("openssl", "version"), "compiler": _output("gcc", "--version").splitlines()[0],
        "mode": lab.MODE,
    }


def _output(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=lab.ROOT)
    return done.stdout.strip() or "unknown"


def main(parts):
    unknown = [part for part in parts if part not in PARTS + ASKED_FOR]
    if unknown:
        print(f"bench: no part {unknown[0]} (parts: {' '.join(PARTS + ASKED_FOR)})", file=sys.stderr)
        return 2
    rounds = int(os.environ.get("BENCH_ROUNDS", "5"))
    facts = machine()
    print(f"{facts['cpu']}, {facts['cpus']} CPUs, Linux {facts['kernel']}, {facts['openssl']}, PostgreSQL "
          f"{facts['postgresql']}, commit {facts['commit']}; everything on this machine, {rounds} rounds")
    print(f"{'figure':<52} {'measured':>13}  {'goal':<10} {'':<6}  detail")
    failed = 0
    for part in parts or PARTS:
        report = Report()
        began = time.time()
        result = {"part": part, "machine": facts, "rounds": rounds, "began": began}
        try:
            result["measured"] = importlib.import_module(f"part_{part}").run(report, rounds)
        except (lab.Failed, subprocess.TimeoutExpired) as error:
            print(f"{part}: could not be measured: {error}", flush=True)
            result["failed"] = str(error)
            failed += 1
        result.update(table=report.lines, seconds=time.time() - began)
        (lab.OUT / f"{part}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False), "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
