"""Reads that no cache answers, and writes: calls per second against plain libpq with the same SQL, through the
same PgBouncer, on as many connections as the service's pool has."""
import os

import lab

TENANTS = 20000
POOL = 8            # database.pool_size, its default
CONNECTIONS, STREAMS = 8, 4


def run(report, rounds):
    lab.tenants_need(TENANTS)
    numbers = range(1, TENANTS + 1)
    headers = [{"x-tenant-id": lab.tenant_id(lab.bench_uuid(n))} for n in numbers]
    gets = lab.write_requests("uncached", [(lab.get_request(lab.bench_uuid(n)), h) for n, h in zip(numbers, headers)])
    result = {}
    with lab.uncached("uncached") as service:
        result["get"] = compare(report, "uncached GetTenant", service, lab.GET, "get", [gets] * rounds, [])
        lab.uncached_proven(service, sum(run["calls"] for run in result["get"]["service"]))
    with lab.Service("update") as service:
        files = [_updates(numbers, headers, turn) for turn in range(rounds)]
        lab.load(service, lab.UPDATE, files[0], who="api-gateway", count=20, warmup=0)
        payload = lab.sql("SELECT coalesce(max(octet_length(payload)), 400) FROM (SELECT payload FROM tenant.outbox "
                          "UNION ALL SELECT payload FROM tenant.outbox_sent) e")[0][0]
        result["update"] = compare(report, "UpdateTenant", service, lab.UPDATE, "update", files, [payload])
    return result


def _updates(numbers, headers, turn):
    """Every round another name, so that each call is a change."""
    return lab.write_requests(f"update-{turn}", [
        (lab.update_request(lab.bench_uuid(n), f"Round {turn} tenant {n:010d}"), h)
        for n, h in zip(numbers, headers)])


def compare(report, name, service, path, mode, files, more):
    runs = {"service": [], "plain": []}
    for requests in files:
        runs["plain"].append(lab.program("plain_pg", mode, os.environ["STACK_DATABASE_URL"], POOL, 2, TENANTS, *more))
        runs["service"].append(lab.load(service, path, requests, who="api-gateway", connections=CONNECTIONS,
                                        streams=STREAMS, seconds=2, warmup=0.5))
    ratio = lab.median([s["calls_per_s"] / p["calls_per_s"] for s, p in zip(runs["service"], runs["plain"])])
    rates = {key: lab.median_of(those, "calls_per_s") for key, those in runs.items()}
    report.goal(f"{name}: throughput / plain libpq", ratio, "≥", 0.85, "",
                f"{rates['service']:,.0f} /s / {rates['plain']:,.0f} /s, pool {POOL}, "
                f"{CONNECTIONS} × {STREAMS} calls")
    report.figure("  latency: p50", lab.median_of(runs["service"], "p50_us") / 1e3, "ms",
                  f"p99 {lab.median_of(runs['service'], 'p99_us') / 1e3:.1f} ms; libpq p50 "
                  f"{lab.median_of(runs['plain'], 'p50_us') / 1e3:.2f} ms with {POOL} in flight")
    report.figure("  server CPU per call", lab.median_of(runs["service"], "server_cpu_us_per_call"), "µs",
                  f"libpq program {lab.median_of(runs['plain'], 'cpu_us_per_call'):.1f} µs")
    return runs
