"""Whether reads cost the same with many tenants as with few: the database's and the service's own CPU per call, and
the latency, uncached, at 1,000 tenants and at BENCH_TENANTS."""
import os
import random

import lab

SMALL = 1000
LARGE = int(os.environ.get("BENCH_TENANTS", "1000000"))
LIMIT = 1.3


def run(report, rounds):
    result = {"small": SMALL, "large": LARGE}
    lab.tenants_drop()
    lab.tenants_need(SMALL)
    lab.sql("VACUUM ANALYZE tenant.tenants")
    result["at_small"] = measure(SMALL, rounds)
    lab.tenants_need(LARGE)
    lab.sql("VACUUM ANALYZE tenant.tenants")
    result["at_large"] = measure(LARGE, rounds)
    for name, few in result["at_small"].items():
        many = result["at_large"][name]
        report.goal(f"{name}: p50 at {LARGE:,} / at {SMALL:,} tenants", many["p50_us"] / few["p50_us"], "≤", LIMIT, "",
                    f"{many['p50_us']:.0f} / {few['p50_us']:.0f} µs, p99 {many['p99_us']:.0f} / {few['p99_us']:.0f} "
                    "µs, uncached, one at a time")
    return result


def measure(count, rounds):
    """Spread over all tenants; the same random picks each time, so that both sizes are warm alike."""
    pick = random.Random(1)
    numbers = [pick.randint(1, count) for _ in range(1000)]
    files = {
        "GetTenant": (lab.GET, lab.write_requests("size-get", [(lab.get_request(lab.bench_uuid(n)), {})
                                                               for n in numbers])),
        "LookupTenant": (lab.LOOKUP, lab.write_requests("size-lookup", [(lab.lookup_request(lab.bench_slug(n)), {})
                                                                        for n in numbers])),
        "ListTenants, a page": (lab.LIST, lab.write_requests("size-list", [(b"", {})])),
    }
    out = {}
    with lab.uncached("size") as service:
        for name, (path, file) in files.items():
            runs = [lab.load(service, path, file, connections=1, streams=1, seconds=1.5, warmup=1)
                    for _ in range(min(rounds, 3))]
            out[name] = {key: lab.median_of(runs, key) for key in ("p50_us", "p90_us", "p99_us", "calls_per_s",
                                                                   "server_cpu_us_per_call")}
        lab.uncached_proven(service, sum(run["calls_per_s"] for run in out.values()))
    return out
