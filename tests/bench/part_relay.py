"""Events from outbox to the streams: a backlog that appears at once, shipped by the service's relay and by the bare
one in turn; then the time from an event's row to its being stored and settled, under a steady stream of writes.

The relay runs and knows the ends of all streams before the backlog appears; how long it takes to learn them after a
start is a figure of its own."""
import os
import time

import lab

BACKLOG = 96000
TENANTS = 960
PACED_RATE = 2000
PACED_BATCH = 20
PACED_SECONDS = 10


def shard_of(text):
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value % 16


def shards():
    """Of the tenants 1 to TENANTS, an array of PostgreSQL."""
    return "{" + ",".join(str(shard_of(lab.tenant_id(lab.bench_uuid(n)))) for n in range(1, TENANTS + 1)) + "}"


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
    latency = delays(report, payload)
    return {"runs": runs, "latency": latency}


def delays(report, payload):
    """From the row's clock_timestamp(), which is before its commit, to the move after the acknowledgements: a bound of
    commit to stored from above."""
    behind = delay(lambda service: updates(service, 5))
    report.figure("  written → stored and settled: p99, behind the backlogs", behind["p99_ms"], "ms",
                  f"p50 {behind['p50_ms']:.1f} ms, {behind['events']} events, one caller; beside the vacuum and the "
                  "checkpoint of what came before")
    # a second of writing and another one of the vacuum's, that are the backlogs'
    lab.sql("VACUUM tenant.outbox")
    lab.sql("CHECKPOINT")
    single = delay(lambda service: updates(service, 10))
    report.goal("  written → stored and settled: p99, one caller", single["p99_ms"], "≤", 50, "ms",
                f"p50 {single['p50_ms']:.1f} ms, {single['events']} events of UpdateTenant in 10 s")
    paced = delay(lambda service: write_paced(payload, PACED_SECONDS))
    if paced["events"] < PACED_SECONDS * PACED_RATE:
        raise lab.Failed(f"{paced['events']} of {PACED_SECONDS * PACED_RATE} events were settled")
    report.goal("  written → stored and settled: p99, 2,000 events/s", paced["p99_ms"], "≤", 50, "ms",
                f"p50 {paced['p50_ms']:.1f} ms, {paced['events']} events, {PACED_BATCH} in a transaction")
    return {"behind": behind, "single": single, "paced": paced}


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
    unnest('{shards()}'::smallint[]) WITH ORDINALITY AS t(shard, n);
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
    """Between the first and the last move; the first one's rows do not count, as its time does not."""
    rows = lab.sql("""
WITH m AS (SELECT xmin::text AS transaction, count(*) AS events, max(sent_at) AS done FROM tenant.outbox_sent GROUP BY 1)
SELECT sum(events), sum(events) FILTER (WHERE done > first), extract(epoch FROM max(done) - first)
FROM m, (SELECT min(done) AS first FROM m) f GROUP BY first""")
    count, counted, seconds = int(rows[0][0]), int(rows[0][1]), float(rows[0][2])
    if count < BACKLOG or seconds <= 0:
        raise lab.Failed(f"{count} of {BACKLOG} events were settled in {seconds} s")
    return counted / seconds


def delay(write):
    """How long the events of `write` took, all of them."""
    with lab.Service("delay") as service:
        wake(service)
        lab.sql("TRUNCATE tenant.outbox_sent")
        write(service)
        drained()
    row = lab.sql("""
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)
FROM (SELECT extract(epoch FROM sent_at - created_at) * 1000 AS ms FROM tenant.outbox_sent) e""")[0]
    return {"events": int(row[0]), "p50_ms": float(row[1]), "p99_ms": float(row[2])}


def updates(service, seconds):
    file = lab.write_requests("delay", [
        (lab.update_request(lab.bench_uuid(n), f"Delay {time.time_ns()} {turn} {n}"),
         {"x-tenant-id": lab.tenant_id(lab.bench_uuid(n))}) for turn in range(8) for n in range(1, TENANTS + 1)])
    lab.load(service, lab.UPDATE, file, who="api-gateway", connections=1, streams=1, seconds=seconds, warmup=0)


def write_paced(payload, seconds):
    """More than the service's own writes could be on a machine that all of this shares: rows as a business transaction
    writes them, a lot for each hundredth of a second, each lot committed and flushed."""
    lab.sql(f"""
CREATE TEMP TABLE bench_tenant AS SELECT n - 1 AS n, s AS shard,
    ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS tenant_id
FROM unnest('{shards()}'::smallint[]) WITH ORDINALITY AS t(s, n);
DO $$
DECLARE
    began timestamptz := clock_timestamp();
BEGIN
    FOR lot IN 1..{seconds * PACED_RATE // PACED_BATCH} LOOP
        WITH next AS (UPDATE tenant.tenant_seq q SET seq = q.seq + 1 FROM bench_tenant b
            WHERE b.n / {PACED_BATCH} = lot % {TENANTS // PACED_BATCH} AND q.tenant_id = b.tenant_id
            RETURNING b.shard, q.tenant_id, q.seq, q.incarnation)
        INSERT INTO tenant.outbox (shard, tenant_id, seq, incarnation, epoch, msg_id, subject, payload)
        SELECT shard, tenant_id, seq, incarnation, 1, gen_random_uuid(), 'tenant.org.updated.v1', '\\x{payload}' FROM next;
        COMMIT;
        PERFORM pg_sleep(extract(epoch FROM began + lot * interval '{PACED_BATCH / PACED_RATE} s' - clock_timestamp()));
    END LOOP;
END $$;""")
