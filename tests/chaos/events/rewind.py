"""What consumers see of a database that was taken back in time, held against what the database then knows.

  rewind.py check INCARNATION [LOST]   the present incarnation; at least LOST events were lost
  rewind.py lost-tenants               how many tenants were told of

The consumer here keeps (incarnation, sequence) per tenant as docs/events-wire.md says and nothing else.  Environment:
a stack's stack.env.  Status 1 and one line per fault.
"""
import asyncio
import logging
import subprocess
import sys
import tempfile

from rig import FAULTS_SHOWN, PARTITIONS, ROOT, broker, database, id_uuid, stored, stream_name

REWOUND = "tenant.log.rewound"


def types():
    out = tempfile.mkdtemp(prefix="rewind-")
    protos = [f"tenant/events/v1/{name}.proto" for name in ("envelope", "rewound_event")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}/proto", f"--python_out={out}",
                    "tenant/options/v1/options.proto", *protos], check=True)
    sys.path.insert(0, out)
    from tenant.events.v1 import envelope_pb2, rewound_event_pb2
    return envelope_pb2.EventEnvelope, rewound_event_pb2.LogRewound


class Consumer:
    def __init__(self):
        self.envelope, self.rewound = types()
        self.faults = []
        self.last = {}      # tenant -> (incarnation, sequence) applied last
        self.applied = {}   # message id -> (tenant, incarnation, sequence)
        self.seen = {}      # the same for every message in the streams
        self.dropped = []   # messages taken for repetitions
        self.announced = {} # (tenant, previous incarnation) -> payload
        self.firsts = {}    # (tenant, incarnation) -> event type of its first event

    def fault(self, text):
        self.faults.append(text)

    def take(self, number, message):
        envelope = self.envelope.FromString(message.data)
        where = f"{stream_name(number)}/{message.metadata.sequence.stream}"
        tenant, place = envelope.tenant_id, (envelope.incarnation, envelope.sequence)
        self.seen[envelope.event_id] = (tenant, *place)
        incarnation, sequence = self.last.get(tenant, (0, 0))
        if place[0] == incarnation and place[1] <= sequence or place[0] < incarnation:
            self.dropped.append((envelope.event_id, where))
            return
        expected = sequence + 1 if place[0] == incarnation else 1
        if place[1] != expected:
            self.fault(f"{where}: {tenant} has {place} after {(incarnation, sequence)}")
        if place[0] > incarnation:
            self.firsts[tenant, place[0]] = envelope.event_type
        self.last[tenant] = place
        self.applied[envelope.event_id] = (tenant, *place)
        if envelope.event_type == REWOUND:
            payload = self.rewound.FromString(envelope.payload)
            if place[1] != 1:
                self.fault(f"{where}: {tenant} is told of a rewind by its event {place}")
            if (tenant, payload.previous_incarnation) in self.announced:
                self.fault(f"{where}: {tenant} is told twice of {payload.previous_incarnation}")
            self.announced[tenant, payload.previous_incarnation] = (payload, place[0])
            if envelope.data_residency != "eu" or not envelope.source.service:
                self.fault(f"{where}: residency {envelope.data_residency!r}, source {envelope.source}")

    def known(self, db):
        """Events that the database has sent, by message id, as it numbers them."""
        rows = db.execute("SELECT msg_id, tenant_id, incarnation, seq FROM tenant.outbox_sent")
        return {str(row[0]): (str(row[1]), row[2], row[3]) for row in rows}

    def compare(self, db, incarnation, at_least):
        known = self.known(db)
        if db.execute("SELECT count(*) FROM tenant.outbox").fetchone()[0]:
            self.fault("events are still in the outbox")
        installed = db.execute("SELECT incarnation FROM tenant.installation").fetchone()[0]
        if installed != incarnation:
            self.fault(f"the incarnation is {installed}, not {incarnation}")
        applied = {str(id_uuid(event)): place for event, place in self.applied.items()}
        for message, (tenant, *place) in known.items():
            found = applied.get(message)
            if found is None:
                self.fault(f"{message} of {tenant} {place} was not applied: dropped or missing")
            elif (str(id_uuid(found[0])), *found[1:]) != (tenant, *place):
                self.fault(f"{message}: applied as {found}, the database says {place}")
        for event, where in self.dropped:
            if str(id_uuid(event)) in known:
                self.fault(f"{where}: {event} was taken for a repetition")
        lost = self.losses(known)
        if sum(map(len, lost.values())) < at_least:
            self.fault(f"{sum(map(len, lost.values()))} events were lost, not {at_least}: nothing is proved")
        self.compare_announcements(lost)
        self.compare_counters(db)
        return lost

    def losses(self, known):
        lost = {}
        for event, (tenant, incarnation, sequence) in self.seen.items():
            if str(id_uuid(event)) not in known:
                lost.setdefault((tenant, incarnation), []).append(sequence)
        return lost

    def compare_announcements(self, lost):
        for key, sequences in lost.items():
            payload, told_in = self.announced.get(key, (None, 0))
            if payload is None:
                self.fault(f"{key} lost {sorted(sequences)} and nobody was told")
                continue
            wanted = (min(sequences) - 1, min(sequences), max(sequences))
            if (payload.last_valid_sequence, payload.lost_from, payload.lost_to) != wanted:
                self.fault(f"{key}: told {payload}, lost {wanted}")
            if self.firsts.get((key[0], told_in)) != REWOUND:
                self.fault(f"{key}: the first event of {told_in} is {self.firsts.get((key[0], told_in))}")
        for key in self.announced.keys() - lost.keys():
            self.fault(f"{key} lost nothing and was told so")

    def compare_counters(self, db):
        for tenant, sequence, incarnation in db.execute("SELECT tenant_id, seq, incarnation FROM tenant.tenant_seq"):
            found = [place for text, place in self.last.items() if id_uuid(text) == tenant]
            if found != [(incarnation, sequence)]:
                self.fault(f"tenant {tenant}: the database is at {(incarnation, sequence)}, its consumer at {found}")


async def check(incarnation, at_least=0):
    consumer = Consumer()
    client = await broker()
    for number in range(PARTITIONS):
        for message in await stored(client.jetstream(), number):
            consumer.take(number, message)
    await client.close()
    with database() as db:
        lost = consumer.compare(db, int(incarnation), int(at_least))
    for fault in consumer.faults[:FAULTS_SHOWN]:
        print(fault)
    print(f"{len(consumer.seen)} events, {sum(map(len, lost.values()))} lost of {len(lost)} tenants, "
          f"{len(consumer.announced)} announcements, {len(consumer.faults)} faults")
    return 1 if consumer.faults else 0


async def lost_tenants():
    with database() as db:
        print(db.execute("SELECT count(*) FROM tenant.rewound").fetchone()[0])


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    commands = {"check": check, "lost-tenants": lost_tenants}
    sys.exit(asyncio.run(commands[sys.argv[1]](*sys.argv[2:])) or 0)
