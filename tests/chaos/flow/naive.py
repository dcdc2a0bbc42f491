"""Relays as they are often made by hand, to see that the checker catches them.  Test only.

    naive.py cursor      goes on behind the greatest id that it has sent
    naive.py unchained   always from the lowest id, but asks no stream where it stands and expects nothing of it;
                         prints "sent" between the acknowledgements and the database

Both print "ready" first, and end when their standard input ends and nothing is left that they would send.
"""
import asyncio
import logging
import os
import pathlib
import select
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "events"))

import rig  # noqa: E402

DUPLICATE_WINDOW_S = 2
IDLE_ROUNDS = 20
COLUMNS = "id, subject, payload, tenant_id, seq, incarnation"


def is_told_to_end():
    return bool(select.select([sys.stdin], [], [], 0)[0]) and not os.read(0, 1)


async def cursor(js, db, envelope):
    last = [0] * rig.PARTITIONS
    idle = 0
    while idle < IDLE_ROUNDS:
        idle = idle + 1 if is_told_to_end() else 0
        for number in range(rig.PARTITIONS):
            rows = db.execute(f"SELECT {COLUMNS} FROM tenant.outbox WHERE shard = %s AND id > %s ORDER BY id"
                              " LIMIT 200", (number, last[number])).fetchall()
            for row in rows:
                last[number], idle = row[0], 0
            await ship(js, db, envelope, number, rows)
        await asyncio.sleep(0.02)


async def unchained(js, db, envelope):
    idle = 0
    while idle < IDLE_ROUNDS:
        idle = idle + 1 if is_told_to_end() else 0
        for number in range(rig.PARTITIONS):
            rows = db.execute(f"SELECT {COLUMNS} FROM tenant.outbox WHERE shard = %s ORDER BY id LIMIT 200",
                              (number,)).fetchall()
            if rows:
                idle = 0
                await ship(js, db, envelope, number, rows, pause_s=0.2)
        await asyncio.sleep(0.02)


async def ship(js, db, envelope, number, rows, pause_s=0):
    acks = await asyncio.gather(*(rig.naive_publish(js, envelope, number, row) for row in rows))
    if pause_s:
        print("sent", flush=True)
        await asyncio.sleep(pause_s)
    for row, ack in zip(rows, acks):
        rig.naive_settle(db, number, row, ack)


async def main(mode):
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # it warns of every closed TLS connection
    client = await rig.broker("tenant-service")
    js = client.jetstream()
    for number in range(rig.PARTITIONS):
        await js.add_stream(name=rig.stream_name(number), subjects=[f"tenant.*.*.*.{number:02d}"],
                            duplicate_window=DUPLICATE_WINDOW_S)
    print("ready", flush=True)
    with rig.database() as db:
        await {"cursor": cursor, "unchained": unchained}[mode](js, db, rig.envelope_type())
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
