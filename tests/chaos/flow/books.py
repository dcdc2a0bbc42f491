"""The books of the event chaos suite: what was written, what the database holds, what consumers read, and what
must be true of the three.  They are SQLite's, apart from the database under test.

    books.py [--written FOLDER] [--seen FILE] [--effects QUERY] [--keep FILE]

Compares the database and the streams of the stack in the environment (STACK_*), read now; with --written also the
logs of writers (writer.c), with --seen also a book of follow.py kept meanwhile, with --effects also what a consumer
did: QUERY returns a row (tenant_id, incarnation, sequence, event_id) for each effect, run as superuser; event_id is
"evt_…" or a uuid.  --keep leaves the books in FILE for questions in SQL.  Status 1 when anything is wrong; the last
line is `N passed, N failed`.
"""
import argparse
import collections
import hashlib
import os
import pathlib
import sqlite3
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PARTITIONS = 16
DIGITS = {digit: value for value, digit in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}

# --- records in files ------------------------------------------------------------------------------

APPLIED, SKIPPED, GAP = 0, 1, 2           # what docs/events-wire.md tells a consumer to do with an event
COMMITTED, REFUSED, UNKNOWN = 1, 2, 3     # enum fate of writer.c
WRITTEN = struct.Struct("<16s16sqqII")    # struct record of writer.c
SEEN = struct.Struct("<16s16s16s16sQQQQQHHI")
DEFECTS = ("headers", "subject", "partition", "position", "payload")


def fnv1a32(data):
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


def id_bytes(text):
    """16 bytes of "tnt_…" or of a uuid."""
    if len(text) != 30:
        return bytes.fromhex(text.replace("-", ""))
    number = 0
    for digit in text[4:]:
        number = number * 32 + DIGITS[digit]
    return number.to_bytes(16, "big")


def digest(data):
    return hashlib.sha256(data).digest()[:16]


class Seen:
    """One stored message as a consumer has read it."""

    def __init__(self, shard, place, message, stored_us):
        self.shard, self.place, self.message, self.stored_us = shard, place, message, stored_us
        self.verdict = self.defects = 0

    def decode(self, envelope_type, payload_type):
        """What the relay appended is cut off the body: the rest is what the writer's transaction stored."""
        data, headers = self.message.data, self.message.headers or {}
        envelope = envelope_type.FromString(data)
        tail = envelope_type(ingested_at=envelope.ingested_at, incarnation=envelope.incarnation,
                             sequence=envelope.sequence,
                             consistency_token=envelope.consistency_token).SerializeToString()
        kind = f"{envelope.event_type}.v{envelope.event_version}"
        wanted = {"Nats-Msg-Id": envelope.event_id, "Tenant-Id": envelope.tenant_id, "Event-Type": kind,
                  "Tenant-Sequence": str(envelope.sequence), "Tenant-Incarnation": str(envelope.incarnation)}
        self.tenant, self.event = id_bytes(envelope.tenant_id), id_bytes(envelope.event_id)
        self.incarnation, self.sequence = envelope.incarnation, envelope.sequence
        self.ingested_us = envelope.ingested_at.ToMicroseconds()
        self.hash = digest(data[:len(data) - len(tail)])
        self.mark = payload_type.FromString(envelope.payload).tenant.display_name.encode()[:16]
        wrong = (any(headers.get(name) != value for name, value in wanted.items()),
                 self.message.subject != f"{kind}.{self.shard:02d}",
                 fnv1a32(envelope.tenant_id.encode()) % PARTITIONS != self.shard,
                 not data.endswith(tail) or not envelope.sequence or not self.ingested_us,
                 not envelope.payload)
        self.defects = sum(1 << bit for bit, is_wrong in enumerate(wrong) if is_wrong)

    def packed(self):
        return SEEN.pack(self.tenant, self.event, self.hash, self.mark, self.incarnation, self.sequence, self.place,
                         self.stored_us, self.ingested_us, self.shard, self.verdict, self.defects)


# --- the books ---------------------------------------------------------------------------------------

TABLES = """
CREATE TABLE written (writer, number, mark, tenant, sequence, incarnation, work, fate);
CREATE TABLE stored (sent, shard, tenant, incarnation, sequence, event, hash, place, created_us, sent_us);
CREATE TABLE tenants (tenant PRIMARY KEY, version);
CREATE TABLE counters (tenant PRIMARY KEY, incarnation, sequence);
CREATE TABLE audits (tenant PRIMARY KEY, entries);
CREATE TABLE seen (reader, tenant, event, hash, mark, incarnation, sequence, place, stored_us, ingested_us, shard,
    verdict, defects);
CREATE TABLE effects (tenant, incarnation, sequence, event);
CREATE VIEW meanwhile AS SELECT * FROM seen WHERE reader = 'meanwhile';
CREATE VIEW afterwards AS SELECT * FROM seen WHERE reader = 'afterwards';
"""
INDEXES = """
CREATE INDEX written_mark ON written (mark);
CREATE INDEX stored_event ON stored (event);
CREATE INDEX stored_tenant ON stored (tenant, incarnation, sequence);
CREATE INDEX stored_created ON stored (created_us);
CREATE INDEX seen_place ON seen (reader, shard, place);
CREATE INDEX seen_tenant ON seen (reader, tenant, incarnation, sequence);
CREATE INDEX seen_event ON seen (reader, event);
CREATE INDEX seen_mark ON seen (reader, mark);
CREATE INDEX effects_event ON effects (event);
ANALYZE;
"""
EVENT = "substr(hex({0}.tenant), 21) || ' ' || {0}.incarnation || '/' || {0}.sequence"


def in_order(columns, table, condition):
    """Rows of a stream beside the row before them of the same tenant."""
    return f"""SELECT {EVENT.format('s')} || ' behind ' || s.before FROM (SELECT {columns},
        coalesce(max(sequence) OVER (PARTITION BY tenant, incarnation ORDER BY place
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before FROM {table}) s WHERE {condition}"""


POSITION = "tenant, incarnation, sequence"
# (kind of fault, what must be true, a query for what contradicts it)
CHECKS = [
    ("lost", "each event of the database is in its stream",
     f"SELECT {EVENT.format('d')} FROM stored d WHERE d.event NOT IN (SELECT event FROM afterwards)"),
    ("lost", "each acknowledged write is in its stream",
     "SELECT mark FROM written WHERE fate = 1 AND mark NOT IN (SELECT mark FROM afterwards)"),
    ("lost", "the outbox is empty",
     f"SELECT {EVENT.format('d')} FROM stored d WHERE NOT sent"),
    ("lost", "what was read meanwhile is still there, unchanged",
     f"SELECT shard || ' ' || place || ' ' || hex(event) FROM (SELECT shard, place, {POSITION}, event, hash FROM"
     f" meanwhile EXCEPT SELECT shard, place, {POSITION}, event, hash FROM afterwards)"),
    ("lost", "what is there was read meanwhile",
     f"SELECT shard || ' ' || place || ' ' || hex(event) FROM (SELECT shard, place, {POSITION}, event, hash FROM"
     f" afterwards EXCEPT SELECT shard, place, {POSITION}, event, hash FROM meanwhile)"
     " WHERE EXISTS (SELECT 1 FROM meanwhile)"),
    ("doubled", "no event is stored twice",
     "SELECT hex(event) || ' at ' || group_concat(shard || ' ' || place) FROM afterwards GROUP BY event"
     " HAVING count(*) > 1"),
    ("doubled", "no sequence number is stored twice",
     f"SELECT hex(tenant) || ' ' || sequence FROM afterwards GROUP BY {POSITION} HAVING count(*) > 1"),
    ("doubled", "no write is stored twice",
     "SELECT CAST(mark AS TEXT) FROM afterwards WHERE mark IN (SELECT mark FROM written) GROUP BY mark"
     " HAVING count(*) > 1"),
    ("doubled", "the consumer skipped nothing",
     "SELECT shard || ' ' || place FROM meanwhile WHERE verdict = 1"),
    ("reordered", "each tenant's events are stored in their order",
     in_order(f"{POSITION}, place", "afterwards", "s.sequence <= s.before")),
    ("reordered", "each tenant's events were read in their order",
     in_order(f"{POSITION}, place", "meanwhile", "s.sequence <= s.before")),
    ("reordered", "each writer's writes of a tenant are in the order that it made them",
     f"""SELECT mark FROM (SELECT w.mark, a.sequence, lag(a.sequence) OVER
         (PARTITION BY w.writer, a.tenant, a.incarnation ORDER BY w.number) AS before
         FROM written w JOIN afterwards a ON a.mark = w.mark) WHERE sequence <= before"""),
    ("gaps", "each tenant's sequence has no gap",
     f"""SELECT hex(tenant) || ': ' || (max(sequence) - count(DISTINCT sequence)) || ' missing' FROM afterwards
         GROUP BY tenant, incarnation HAVING max(sequence) <> count(DISTINCT sequence)"""),
    ("gaps", "the consumer met no gap",
     in_order(f"{POSITION}, place, verdict", "meanwhile", "s.verdict = 2")),
    ("wrong", "each event in a stream is one of the database, where it says so and as it says",
     f"""SELECT {EVENT.format('a')} FROM afterwards a LEFT JOIN stored d ON d.event = a.event WHERE d.event IS NULL
         OR (a.tenant, a.incarnation, a.sequence, a.hash, a.shard) <>
         (d.tenant, d.incarnation, d.sequence, d.hash, d.shard) OR (d.sent AND d.place <> a.place)"""),
    ("wrong", "headers, subject, partition and position of each event are right",
     f"SELECT {EVENT.format('a')} || ': defects ' || defects FROM afterwards a WHERE defects <> 0"),
    ("wrong", "each acknowledged write has the number that its writer was told",
     f"""SELECT w.mark FROM written w JOIN afterwards a ON a.mark = w.mark WHERE w.fate = 1 AND w.sequence > 0
         AND (w.tenant, w.incarnation, w.sequence) <> (a.tenant, a.incarnation, a.sequence)"""),
    ("wrong", "no write that was refused is in a stream",
     "SELECT mark FROM written WHERE fate = 2 AND mark IN (SELECT mark FROM afterwards)"),
    ("wrong", "each transaction of unknown fate happened whole or not at all",
     """SELECT w.writer || ' ' || w.work FROM written w LEFT JOIN afterwards a ON a.mark = w.mark WHERE w.fate = 3
        GROUP BY w.writer, w.work HAVING count(a.mark) NOT IN (0, count(*))"""),
    ("wrong", "no event without a write",
     "SELECT CAST(mark AS TEXT) FROM afterwards WHERE EXISTS (SELECT 1 FROM written)"
     " AND mark NOT IN (SELECT mark FROM written)"),
    ("wrong", "each tenant's counter stands at its last event",
     f"""SELECT hex(c.tenant) FROM counters c LEFT JOIN (SELECT tenant, incarnation, max(sequence) AS sequence
         FROM stored GROUP BY tenant, incarnation) d USING (tenant, incarnation)
         WHERE c.sequence IS NOT d.sequence"""),
    ("wrong", "each tenant that was written by calls alone has as many events as versions",
     """SELECT hex(t.tenant) || ': version ' || t.version || ', ' || coalesce(d.events, 0) || ' events' FROM tenants t
        LEFT JOIN (SELECT tenant, count(*) AS events FROM stored GROUP BY tenant) d USING (tenant)
        WHERE t.version IS NOT d.events
        AND t.tenant NOT IN (SELECT tenant FROM written WHERE tenant IS NOT NULL)"""),
    ("wrong", "each tenant has as many audit rows as versions",
     """SELECT hex(t.tenant) || ': version ' || t.version || ', ' || coalesce(a.entries, 0) || ' rows' FROM tenants t
        LEFT JOIN audits a USING (tenant) WHERE t.version IS NOT a.entries"""),
]
EFFECT_CHECKS = [
    ("lost", "each event has an effect",
     f"SELECT {EVENT.format('d')} FROM stored d WHERE d.event NOT IN (SELECT event FROM effects)"),
    ("doubled", "no event has two effects",
     "SELECT hex(event) FROM effects GROUP BY event HAVING count(*) > 1"),
    ("wrong", "each effect is of an event, and of its number",
     f"""SELECT {EVENT.format('e')} FROM effects e LEFT JOIN stored d ON d.event = e.event WHERE d.event IS NULL
         OR (e.tenant, e.incarnation, e.sequence) <> (d.tenant, d.incarnation, d.sequence)"""),
]

SENT = """SELECT {sent}, shard, tenant_id, incarnation, seq, msg_id, encode(substring(sha256(payload) FOR 16), 'hex'),
    {place}, (extract(epoch FROM created_at) * 1000000)::bigint, (extract(epoch FROM {time}) * 1000000)::bigint
    FROM tenant.{table}"""


class Books:
    """Loaded by the load_ functions, then judged once."""

    def __init__(self, path=":memory:"):
        self.db = sqlite3.connect(path)
        self.db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + TABLES)
        self.effects = False
        self.faults = collections.Counter()

    def load_seen(self, reader, path):
        rows = (row[:3] + (row[3].rstrip(b"\0"),) + row[4:] for row in records(SEEN, path))
        self.db.executemany(f"INSERT INTO seen VALUES ('{reader}', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def load_written(self, folder):
        for path in pathlib.Path(folder).glob("*.log"):
            rows = ((path.stem, number, mark.rstrip(b"\0"), tenant, sequence, incarnation, work, fate)
                    for number, (tenant, mark, sequence, incarnation, work, fate)
                    in enumerate(records(WRITTEN, path)))
            self.db.executemany("INSERT INTO written VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def add_written(self, writer, fates):
        """Writes of one event each, (mark, fate) in the order of their making."""
        self.db.executemany("INSERT INTO written VALUES (?, ?, ?, NULL, 0, 0, ?, ?)",
                            ((writer, number, mark.encode(), number, fate)
                             for number, (mark, fate) in enumerate(fates)))

    def load_database(self, connection):
        for sent, table, place, time in ((0, "outbox", "0", "'epoch'::timestamptz"),
                                         (1, "outbox_sent", "stream_seq", "sent_at")):
            self.copy(connection, SENT.format(sent=sent, table=table, place=place, time=time),
                      "stored", (int, int, id_bytes, int, int, id_bytes, bytes.fromhex, int, int, int))
        self.copy(connection, "SELECT id, version FROM tenant.tenants", "tenants", (id_bytes, int))
        self.copy(connection, "SELECT tenant_id, incarnation, seq FROM tenant.tenant_seq", "counters",
                  (id_bytes, int, int))
        self.copy(connection, "SELECT tenant_id, count(*) FROM tenant.tenant_audit GROUP BY 1", "audits",
                  (id_bytes, int))

    def load_effects(self, connection, query):
        self.effects = True
        self.copy(connection, query, "effects", (id_bytes, int, int, id_bytes))

    def copy(self, connection, query, table, kinds):
        places = ", ".join("?" * len(kinds))
        with connection.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as rows:
            self.db.executemany(
                f"INSERT INTO {table} VALUES ({places})",
                (tuple(kind(text) for kind, text in zip(kinds, bytes(row).decode().split())) for row in rows))

    def judge(self):
        """(kind, what must be true, how often it is not, some of the contradictions) for each check."""
        self.db.executescript(INDEXES)
        for kind, name, query in CHECKS + (EFFECT_CHECKS if self.effects else []):
            found = self.db.execute(query)
            shown = [as_text(row[0]) for row in found.fetchmany(5)]
            count = len(shown) + sum(1 for _ in found)
            self.faults[kind] += count
            yield kind, name, count, shown

    def count(self, table, condition="1"):
        return self.db.execute(f"SELECT count(*) FROM {table} WHERE {condition}").fetchone()[0]

    def in_flight(self, at_us, shards):
        """Events of these shards that were on their way at that moment: in all, and stored without the relay having
        settled them."""
        marks = ", ".join(map(str, shards))
        return self.db.execute(
            f"""SELECT count(*), coalesce(sum(a.stored_us <= ?1), 0) FROM stored d JOIN afterwards a ON a.event = d.event
                WHERE d.created_us BETWEEN ?1 - 120000000 AND ?1 AND d.sent_us > ?1 AND d.shard IN ({marks})""",
            (at_us,)).fetchone()


def records(form, path):
    with open(path, "rb") as file:
        while block := file.read(form.size * 4096):
            yield from form.iter_unpack(block)


def as_text(value):
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def read_streams(path):
    """All streams as they are now, by a process of its own."""
    subprocess.run([sys.executable, HERE / "follow.py", path, "--all"], check=True, stdout=subprocess.DEVNULL)


def report(books, out=sys.stdout):
    """Prints the verdicts; how many checks passed and failed."""
    failed = 0
    verdicts = list(books.judge())
    for _, name, count, shown in verdicts:
        print(f"{'BROKEN  ' if count else 'ok      '}{name}{f': {count} times not' if count else ''}", file=out)
        for line in shown:
            print(f"          {line}", file=out)
        failed += count > 0
    return len(verdicts) - failed, failed


def main():
    import psycopg
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--written", help="folder with logs of writers")
    options.add_argument("--seen", help="book of a follow.py that ran meanwhile")
    options.add_argument("--effects", help="query for what a consumer did")
    options.add_argument("--keep", default=":memory:", help="file for the books")
    options = options.parse_args()
    books = Books(options.keep)
    with tempfile.NamedTemporaryFile() as file, psycopg.connect(os.environ["STACK_SUPERUSER_URL"]) as database:
        read_streams(file.name)
        books.load_seen("afterwards", file.name)
        books.load_database(database)
        if options.seen:
            books.load_seen("meanwhile", options.seen)
        if options.written:
            books.load_written(options.written)
        if options.effects:
            books.load_effects(database, options.effects)
    passed, failed = report(books)
    books.db.commit()
    print(f"{books.count('afterwards')} events in the streams, {books.count('stored')} in the database")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
