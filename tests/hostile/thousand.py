"""A thousand connections, on each a hundred answers that nobody takes: HTTP/2's window is nothing.

    thousand.py      [CONNECTIONS (1000) [STREAMS (100)]]

By default a stranger may not have so many connections; here he may, so that the memory of all of them is what bounds him
(connection_memory, 160 MiB).  When that is used up he waits to be let in until what stood still is gone.

Counted as failed: more than 200 MiB of memory at the peak, that limit not met (then nothing was held), a stream still open 15 s
after the last was begun, a client beside them who gets a wrong answer, a service that ended.
"""
import multiprocessing
import os
import sys
import time

import clients
from clients import DATA, END_STREAM, NO_WINDOW, frame
from hostile import begin, calls_for, end_of, peak_forget, rss_kib
from support import Stack

RSS_LIMIT_KIB = 200 * 1024
GONE_SECONDS = 15
OPENERS = 2
CHECK = "/grpc.health.v1.Health/Check"  # costs little
MEMORY = "160MiB"
PATIENCE = 120  # seconds until all are let in


def main(connections=1000, streams=100):
    service, tenant = begin(Stack(dict(os.environ)), LIMITS_CONNECTION_MEMORY=MEMORY,
                            LIMITS_CONNECTIONS_PER_IDENTITY=str(connections + 10))
    passed = failed = 0
    try:
        rounds = flood(service, tenant, connections, streams)
    finally:
        ended = end_of(service)
    for fault, holds in (*rounds, (ended, not ended)):
        passed, failed = passed + holds, failed + (not holds)
        if not holds:
            print(f"    FAIL {fault}")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def flood(service, tenant, connections, streams):
    """What was seen, and whether it may be."""
    before = rss_kib(service)
    peak_forget(service)
    opened, over = multiprocessing.Queue(), multiprocessing.Event()
    openers = [multiprocessing.Process(target=opener, args=(service.address, service.stack.pki, connections // OPENERS, streams,
                                                            opened, over)) for _ in range(OPENERS)]
    began = time.monotonic()
    for process in openers:
        process.start()
    most, wrong = 0, []
    while opened.qsize() < OPENERS and time.monotonic() - began < PATIENCE:
        most = max(most, service.metric("tenant_rpc_streams"))
        wrong += calls_for(service, tenant, 0.1)[1]
    last = time.monotonic()
    while (left := service.metric("tenant_rpc_streams")) > 0 and time.monotonic() - last < 2 * GONE_SECONDS:
        most = max(most, left)
        wrong += calls_for(service, tenant, 0.1)[1]
    gone = time.monotonic() - last
    over.set()
    count = sum(opened.get(timeout=30) for _ in openers)
    for process in openers:
        process.join(30)
    grown = rss_kib(service, "VmHWM:") - before
    stalled, full = (service.metric("tenant_rpc_limit_hits_total", limit=limit) for limit in ("write_stall", "connection_memory"))
    print(f"{count} streams of {connections} connections in {last - began:.0f} s, at most {most:.0f} at a time; all gone {gone:.1f} s "
          f"later; {grown >> 10} MiB more memory at the peak; connection_memory met {full:.0f} times, write_stall {stalled:.0f} times")
    return ((f"{grown} KiB more memory", grown <= RSS_LIMIT_KIB),
            (f"connection_memory {full:.0f} times, write_stall {stalled:.0f} times, {count} streams",
             full > 0 and stalled > 0 and count == connections * streams),
            (f"{left:.0f} streams left after {gone:.1f} s", left == 0 and gone <= GONE_SECONDS),
            (f"{len(wrong)} wrong answers to the client beside it: {wrong[:1]}", not wrong))


def opener(address, pki, connections, streams, opened, over):
    """Opens them all, says so, and keeps them: the number of streams begun."""
    kept = []
    end = time.monotonic() + PATIENCE
    while len(kept) < connections and time.monotonic() < end:
        try:
            connection = clients.Connection(address, pki, "api-gateway", "127.0.0.9")
            connection.send(NO_WINDOW + b"".join(
                connection.begin(path=CHECK) + frame(DATA, END_STREAM, connection.stream, bytes(5)) for _ in range(streams)))
            kept.append(connection)
        except OSError:  # nobody is let in at the moment
            time.sleep(0.05)
    opened.put(len(kept) * streams)
    over.wait(2 * PATIENCE)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
