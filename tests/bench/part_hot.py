"""A read from the process's memory: the service's CPU per call against the floor's, in one run."""
import lab

CONNECTIONS, STREAMS = 8, 16
TENANTS = 64


def run(report, rounds):
    lab.tenants_need(TENANTS)
    as_gateway = lab.write_requests("hot", [
        (lab.get_request(lab.bench_uuid(n)), {"x-tenant-id": lab.tenant_id(lab.bench_uuid(n))})
        for n in range(1, TENANTS + 1)])
    common = dict(connections=CONNECTIONS, streams=STREAMS, who="api-gateway", seconds=2, warmup=0.5)
    with lab.Service("hot") as service:
        size = lab.load(service, lab.GET, as_gateway, connections=1, streams=1, who="api-gateway",
                        count=TENANTS, warmup=0)["message_bytes_max"]
        with lab.Floor(size) as floor, lab.Floor(size, "--read-ahead") as ahead:
            runs = {"service": [], "floor": [], "read_ahead": []}
            for _ in range(rounds):
                runs["floor"].append(lab.load(floor, lab.GET, as_gateway, expect=size, **common))
                runs["service"].append(lab.load(service, lab.GET, as_gateway, **common))
                runs["read_ahead"].append(lab.load(ahead, lab.GET, as_gateway, expect=size, **common))
            calm = dict(common, connections=1, streams=1)
            single = [lab.load(server, lab.GET, as_gateway, **calm) for server in (floor, service)]
    cost = {name: lab.median_of(those, "server_cpu_us_per_call") for name, those in runs.items()}
    ratio = lab.median([s["server_cpu_us_per_call"] / f["server_cpu_us_per_call"]
                        for s, f in zip(runs["service"], runs["floor"])])
    ahead_ratio = lab.median([s["server_cpu_us_per_call"] / f["server_cpu_us_per_call"]
                              for s, f in zip(runs["service"], runs["read_ahead"])])
    rate = lab.median_of(runs["service"], "calls_per_s")
    report.goal("hot GetTenant: server CPU per call / floor", ratio, "≤", 2.0, "",
                f"{cost['service']:.2f} µs / {cost['floor']:.2f} µs, {size} byte answers, "
                f"{CONNECTIONS} × {STREAMS}")
    report.figure("  against a floor that reads ahead", ahead_ratio, "",
                  f"{cost['service']:.2f} µs / {cost['read_ahead']:.2f} µs")
    report.figure("  calls per second, one worker", rate, "/s",
                  f"p50 {lab.median_of(runs['service'], 'p50_us'):.0f} µs, "
                  f"p99 {lab.median_of(runs['service'], 'p99_us'):.0f} µs, client on the same machine")
    report.figure("  one call at a time: p50", single[1]["p50_us"], "µs",
                  f"p99 {single[1]['p99_us']:.0f} µs; floor p50 {single[0]['p50_us']:.0f} µs; "
                  f"CPU {single[1]['server_cpu_us_per_call']:.1f} / {single[0]['server_cpu_us_per_call']:.1f} µs")
    return {"runs": runs, "one_at_a_time": {"floor": single[0], "service": single[1]}}
