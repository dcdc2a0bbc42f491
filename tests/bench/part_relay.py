"""Events from outbox to the streams: a backlog that appears at once, shipped by the service's relay and by the bare
one in turn; then the time from an event's row to its being stored and settled, under a steady stream of writes.

The relay runs and knows the ends of all streams before the backlog appears; how long it takes to learn them after a
start is a figure of its own."""
import os
import time

import lab

BACKLOG = 96000
TENANTS = 960


def shard_of(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value % 16


def run(report, rounds):
    lab.tenants_need(TENANTS)
    rounds = min(rounds, 3)
    payload = sample_payload()
    runs = {"service": [], "bare": []}
    for _ in range(rounds):
        fill(payload)
        runs["bare"].append(lab.program("bare_relay", os.environ["STACK_RELAY_URL"], os.environ["STACK_NATS_URL"],
                                        os.environ["STACK_PKI"], os.environ["STACK_NATS_CREDS"]))
        runs["bare"][-1]["settled_per_s"] = settled_rate()
        lab.sql("TRUNCATE tenant.outbox_sent")  # or the service puts back what it does not find in its streams
        with lab.Service("relay") as service:
            takeover_s = wake(service)
            fill(payload)
            drained()
        runs["service"].append({"settled_per_s": settled_rate(), "takeover_s": takeover_s})
    ratio = lab.median([s["settled_per_s"] / b["settled_per_s"] for s, b in zip(runs["service"], runs["bare"])])
    rate = {name: lab.median_of(those, "settled_per_s") for name, those in runs.items()}
    report.goal("relay: events per second / bare relay", ratio, "≥", 0.9, "",
                f"{rate['service']:,.0f} /s / {rate['bare']:,.0f} /s, backlog {BACKLOG:,} events of "
                f"{len(payload) // 2} bytes, 16 streams, R1 on file")
    report.figure("  start → all 16 streams are known and served", lab.median_of(runs["service"], "takeover_s"), "s",
                  "one event for each shard, settled; the relay compares the last 2,000 messages of each stream")
    latency = trickle()
    report.goal("  written → stored and settled: p99", latency["p99_ms"], "≤", 50, "ms",
                f"p50 {latency['p50_ms']:.1f} ms at {latency['writes_per_s']:.0f} writes/s, "
                f"{latency['events']} events; from the row's clock_timestamp() to the move after the acks")
    return {"runs": runs, "latency": latency}


def sample_payload():
    """An event as the service makes it, in hex; the streams are there after this, too."""
    with lab.Service("relay-sample") as service:
        file = lab.write_requests("relay", [(lab.update_request(lab.bench_uuid(n), f"Sample {time.time_ns()} {n}"),
                                             {"x-tenant-id": lab.tenant_id(lab.bench_uuid(n))}) for n in range(1, 9)])
        lab.load(service, lab.UPDATE, file, who="api-gateway", count=8, warmup=0)
        drained()
    return lab.sql("SELECT encode(payload, 'hex') FROM tenant.outbox_sent ORDER BY sent_at DESC LIMIT 1")[0][0]


def wake(service):
    """An event for every shard; how long until all are settled."""
    began = time.monotonic()
    file = lab.write_requests("wake", [(lab.update_request(lab.bench_uuid(n), f"Wake {time.time_ns()} {n}"),
                                        {"x-tenant-id": lab.tenant_id(lab.bench_uuid(n))}) for n in range(1, 129)])
    lab.load(service, lab.UPDATE, file, who="api-gateway", count=128, warmup=0)
    drained()
    return time.monotonic() - began


def fill(payload):
    shards = "{" + ",".join(str(shard_of(lab.tenant_id(lab.bench_uuid(n)))) for n in range(1, TENANTS + 1)) + "}"
    base = int(lab.sql("SELECT coalesce(max(seq), 0) FROM tenant.outbox_sent")[0][0]) + 1_000_000
    lab.sql(f"""
SET synchronous_commit = off;
TRUNCATE tenant.outbox_sent;
CHECKPOINT;
INSERT INTO tenant.outbox (shard, tenant_id, seq, incarnation, epoch, msg_id, subject, payload, traceparent)
SELECT t.shard, ('01900000-0000-7000-8000-' || lpad(to_hex(t.n), 12, '0'))::uuid, {base} + s,
    (SELECT incarnation FROM tenant.installation), 1, gen_random_uuid(), 'tenant.org.updated.v1',
    '\\x{payload}', '00-0123456789abcdef0123456789abcdef-0123456789abcdef-00'
FROM generate_series(1, {BACKLOG // TENANTS}) s,
    unnest('{shards}'::smallint[]) WITH ORDINALITY AS t(shard, n);
UPDATE tenant.tenant_seq SET seq = {base} + {BACKLOG // TENANTS}
WHERE tenant_id IN (SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid
                    FROM generate_series(1, {TENANTS}) n);""")


def drained():
    """Asks in one session, and each time anew: a psql for each question would take from the relay's time, and a
    statement that waits would keep its rows from being forgotten."""
    end = time.monotonic() + 120
    with lab.Session() as session:
        while session.ask("SELECT EXISTS (SELECT 1 FROM tenant.outbox)") == "t":
            if time.monotonic() > end:
                raise lab.Failed("the backlog was not shipped in 120 s")
            time.sleep(0.25)


def settled_rate():
    """Between the first and the last move; the first one's rows do not count."""
    rows = lab.sql("""
WITH b AS (SELECT sent_at, date_trunc('milliseconds', sent_at) AS at FROM tenant.outbox_sent),
 f AS (SELECT min(sent_at) AS first, max(sent_at) AS last FROM b)
SELECT count(*), extract(epoch FROM max(f.last) - min(f.first)) FROM b, f""")
    count, seconds = int(rows[0][0]), float(rows[0][1])
    if count < BACKLOG or seconds <= 0:
        raise lab.Failed(f"{count} of {BACKLOG} events were settled in {seconds} s")
    return count / seconds


def trickle():
    with lab.Service("trickle") as service:
        wake(service)
        lab.sql("TRUNCATE tenant.outbox_sent")
        lab.sql("CHECKPOINT")  # of the backlogs before: a second of writing, that is not this part's
        file = lab.write_requests("trickle", [
            (lab.update_request(lab.bench_uuid(n), f"Trickle {time.time_ns()} {turn} {n}"),
             {"x-tenant-id": lab.tenant_id(lab.bench_uuid(n))}) for turn in range(8) for n in range(1, TENANTS + 1)])
        done = lab.load(service, lab.UPDATE, file, who="api-gateway", connections=1, streams=1, seconds=10, warmup=1)
        drained()
    row = lab.sql("""
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)
FROM (SELECT extract(epoch FROM sent_at - created_at) * 1000 AS ms FROM tenant.outbox_sent) e""")[0]
    return {"events": int(row[0]), "p50_ms": float(row[1]), "p99_ms": float(row[2]),
            "writes_per_s": done["calls_per_s"]}
