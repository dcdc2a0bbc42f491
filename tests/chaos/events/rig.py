"""Hands and eyes of the relay's tests, apart from the code under test: stock NATS, PostgreSQL and protobuf clients.

  rig.py reset                     empty outbox tables and no streams
  rig.py check [COUNT]             what database and streams must agree on once all is sent; COUNT events in all
  rig.py naive SECONDS             a relay with an increasing-id cursor, to see the check fail
  rig.py stream NUMBER JSON        create or update TENANT_NUMBER with these settings; DLQ and GROUPS are numbers too
  rig.py stream-delete NUMBER      as it says
  rig.py stream-show NUMBER KEY    one value of its configuration
  rig.py stepdown NUMBER           its leader gives up being it
  rig.py leader NUMBER             which server leads it: nats, nats-2 or nats-3
  rig.py purge NUMBER              all messages of TENANT_NUMBER
  rig.py cut NUMBER COUNT          its newest messages, one by one
  rig.py pierce NUMBER             one from its middle
  rig.py last NUMBER               its last sequence
  rig.py letters                   the dead letters: subject, cause, event id, detail, and the body's length or "omitted"
  rig.py sql STATEMENT             as superuser; prints the rows

Environment: a stack's stack.env.  Status 1 and one line per fault when the check fails.
"""
import asyncio
import json
import logging
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import time
import uuid

import nats
import psycopg
from nats.js import api

ROOT = pathlib.Path(__file__).resolve().parents[3]
PARTITIONS = 16
LETTERS = "TENANT_DLQ"
OTHERS = {"DLQ": "TENANT.DLQ.>", "GROUPS": "TENANT.GROUPS.*"}
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FAULTS_SHOWN = 20


def main(args):
    commands = {"reset": reset, "check": check, "naive": naive, "stream": stream_set,
                "stream-delete": stream_delete, "stream-show": stream_show, "sql": sql,
                "stepdown": stepdown, "leader": leader, "purge": purge, "cut": cut, "pierce": pierce, "last": last_sequence, "letters": letters}
    if not args or args[0] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of every closed TLS connection
    return asyncio.run(commands[args[0]](*args[1:])) or 0


# --- servers ---------------------------------------------------------------------------------------

def database():
    return psycopg.connect(os.environ["STACK_SUPERUSER_URL"], autocommit=True)


async def broker(identity="admin"):
    pki, creds = os.environ["STACK_PKI"], os.environ["STACK_NATS_CREDS"]
    context = ssl.create_default_context(cafile=f"{pki}/ca.pem")
    context.load_cert_chain(f"{pki}/{identity}.pem", f"{pki}/{identity}.key")
    return await nats.connect(os.environ["STACK_NATS_URL"].split(","), tls=context, tls_hostname="localhost",
                              nkeys_seed=f"{creds}/{identity}.nk", connect_timeout=5)


def stream_name(number):
    return f"TENANT_{number}" if number in OTHERS else f"TENANT_{int(number):02d}"


async def reset():
    with database() as db:
        db.execute("TRUNCATE tenant.outbox, tenant.outbox_sent, tenant.outbox_dead, tenant.tenant_seq,"
                   " tenant.rewound")
        db.execute("DELETE FROM tenant.relay_owner")
        db.execute("UPDATE tenant.installation SET incarnation = 1, server = ''")
        db.execute("UPDATE tenant.relay_stream SET incarnation = 1, created = ''")
        db.execute("UPDATE tenant.authz_epoch SET incarnation = 1, epoch = 1")
        db.execute("UPDATE tenant.relay_lease SET owner = '', expires_at = '-infinity'")
    client = await broker()
    js = client.jetstream()
    for name in map(stream_name, [*range(PARTITIONS), *OTHERS]):
        try:
            await js.delete_stream(name)
        except nats.js.errors.NotFoundError:
            pass
    await client.close()


async def stream_set(number, settings):
    subject = OTHERS[number] if number in OTHERS else f"tenant.*.*.*.{int(number):02d}"
    await configure(json.loads(settings) | {"name": stream_name(number), "subjects": [subject]})


async def ask_leader(verb, number, answer_of):
    """What answer_of() takes of the reply, once there is a leader that gives it: after a kill or a step down one is
    elected first, and its followers have to catch up."""
    client = await broker()
    answer, reply, ends = None, None, time.monotonic() + 30
    while not answer and time.monotonic() < ends:
        try:
            reply = json.loads((await client.request(f"$JS.API.STREAM.{verb}.{stream_name(number)}", b"", timeout=10)).data)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError) as error:
            reply = {"error": str(error)}
        answer = answer_of(reply)
        if not answer:
            await asyncio.sleep(0.2)
    await client.close()
    assert answer, f"{verb} of {stream_name(number)}: {reply}"
    return answer


async def stepdown(number):
    await ask_leader("LEADER.STEPDOWN", number, lambda reply: reply.get("success"))


async def leader(number):
    elected = await ask_leader("INFO", number, lambda reply: reply.get("cluster", {}).get("leader"))
    print("nats" + elected.removeprefix("stack-" + os.environ["STACK_NAME"]))


async def purge(number):
    client = await broker()
    await client.jetstream().purge_stream(stream_name(number))
    await client.close()


async def cut(number, count):
    client = await broker()
    last = (await client.jetstream().stream_info(stream_name(number))).state.last_seq
    for sequence in range(last, last - int(count), -1):
        await client.jetstream().delete_msg(stream_name(number), sequence)
    await client.close()


async def pierce(number):
    client = await broker()
    state = (await client.jetstream().stream_info(stream_name(number))).state
    await client.jetstream().delete_msg(stream_name(number), (state.first_seq + state.last_seq) // 2)
    await client.close()


async def last_sequence(number):
    client = await broker()
    print((await client.jetstream().stream_info(stream_name(number))).state.last_seq)
    await client.close()


async def letters():
    client = await broker()
    js = client.jetstream()
    for sequence in range(1, (await js.stream_info(LETTERS)).state.last_seq + 1):
        message = await js.get_msg(LETTERS, sequence)
        head = message.headers
        assert head["Nats-Msg-Id"] == "dlq:relay:" + head["Dlq-Event-Id"], head
        body = head.get("Dlq-Body") or len(message.data)
        print(message.subject, head["Dlq-Cause"], head["Dlq-Event-Id"], body, head["Dlq-Detail"])
    await client.close()


async def configure(config):
    client = await broker()
    for verb in ("CREATE", "UPDATE"):
        reply = await client.request(f"$JS.API.STREAM.{verb}.{config['name']}",
                                     json.dumps(config).encode(), timeout=5)
        answer = json.loads(reply.data)
        if "error" not in answer:
            break
    await client.close()
    assert "error" not in answer, answer


async def stream_delete(number):
    client = await broker()
    await client.jetstream().delete_stream(stream_name(number))
    await client.close()


async def stream_show(number, key):
    client = await broker()
    reply = await client.request(f"$JS.API.STREAM.INFO.{stream_name(number)}", b"", timeout=5)
    print(json.loads(reply.data)["config"].get(key))
    await client.close()


async def sql(statement):
    with database() as db:
        answer = db.execute(statement)
        for row in answer if answer.description else ():
            print(*row)


# --- the check ---------------------------------------------------------------------------------------

def fnv1a32(data):
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def id_uuid(text):
    number = 0
    for digit in text[4:]:
        number = number * 32 + DIGITS.index(digit)
    return uuid.UUID(int=number)


def check_vectors(faults):
    vectors = json.loads((ROOT / "contracts/partition-vectors.json").read_text())["vectors"]
    for vector in vectors:
        value = fnv1a32(vector["tenant_id"].encode())
        if (value, f"{value % 16:02d}", str(id_uuid(vector["tenant_id"]))) != \
                (vector["fnv1a32"], vector["partition"], vector["uuid"]):
            faults.append(f"vector {vector['tenant_id']}: {value}")


def envelope_type():
    out = tempfile.mkdtemp(prefix="relay-rig-")
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}/proto", f"--python_out={out}",
                    "tenant/events/v1/envelope.proto"], check=True)
    sys.path.insert(0, out)
    from tenant.events.v1 import envelope_pb2
    return envelope_pb2.EventEnvelope


async def stored(js, number):
    """All messages of a stream, oldest first, through an ordered consumer."""
    name = stream_name(number)
    try:
        count = (await js.stream_info(name)).state.messages
    except nats.js.errors.NotFoundError:
        return []
    if count == 0:
        return []
    subscription = await js.subscribe(f"tenant.*.*.*.{number:02d}", stream=name, ordered_consumer=True,
                                      config=api.ConsumerConfig(deliver_policy="all"))
    messages = [await subscription.next_msg(timeout=20) for _ in range(count)]
    await subscription.unsubscribe()
    return messages


class Checker:
    def __init__(self):
        self.faults = []
        self.last = {}      # (tenant, incarnation) -> sequence
        self.ids = set()
        self.places = {}    # msg id -> (shard, stream sequence)
        self.envelope = envelope_type()

    def fault(self, text):
        self.faults.append(text)

    def take(self, number, message):
        headers, place = message.headers or {}, message.metadata.sequence.stream
        envelope = self.envelope.FromString(message.data)
        where = f"{stream_name(number)}/{place}"
        tenant, sequence = envelope.tenant_id, envelope.sequence
        key = (tenant, envelope.incarnation)
        if sequence != self.last.get(key, 0) + 1:
            self.fault(f"{where}: {tenant} has sequence {sequence} after {self.last.get(key, 0)}")
        self.last[key] = max(sequence, self.last.get(key, 0))
        if envelope.event_id in self.ids:
            self.fault(f"{where}: {envelope.event_id} again")
        self.ids.add(envelope.event_id)
        self.places[str(id_uuid(envelope.event_id))] = (number, place)
        if fnv1a32(tenant.encode()) % PARTITIONS != number:
            self.fault(f"{where}: {tenant} is of another partition")
        if message.subject != f"{envelope.event_type}.v{envelope.event_version}.{number:02d}":
            self.fault(f"{where}: subject {message.subject}")
        wanted = {"Nats-Msg-Id": envelope.event_id, "Tenant-Id": tenant,
                  "Event-Type": f"{envelope.event_type}.v{envelope.event_version}",
                  "Tenant-Sequence": str(sequence), "Tenant-Incarnation": str(envelope.incarnation)}
        for name, value in wanted.items():
            if headers.get(name) != value:
                self.fault(f"{where}: header {name} is {headers.get(name)}, not {value}")
        if not envelope.payload or not envelope.HasField("ingested_at"):
            self.fault(f"{where}: payload or ingested_at is missing")

    def compare(self, db):
        unsent = db.execute("SELECT count(*) FROM tenant.outbox").fetchone()[0]
        if unsent != 0:
            self.fault(f"{unsent} events are still in the outbox")
        sent = {str(row[0]): (row[1], row[2]) for row in
                db.execute("SELECT msg_id, shard, stream_seq FROM tenant.outbox_sent")}
        for message in sent.keys() | self.places.keys():
            if sent.get(message) != self.places.get(message):
                self.fault(f"{message}: database says {sent.get(message)}, stream {self.places.get(message)}")
        for tenant, sequence, incarnation in db.execute(
                "SELECT tenant_id, seq, incarnation FROM tenant.tenant_seq"):
            found = [value for (text, number), value in self.last.items()
                     if number == incarnation and id_uuid(text) == tenant]
            if found != [sequence]:
                self.fault(f"tenant {tenant}: {sequence} events written, {found} in the stream")


async def check(count=None):
    checker = Checker()
    check_vectors(checker.faults)
    client = await broker()
    for number in range(PARTITIONS):
        for message in await stored(client.jetstream(), number):
            checker.take(number, message)
    await client.close()
    with database() as db:
        checker.compare(db)
    if count is not None and len(checker.ids) != int(count):
        checker.fault(f"{len(checker.ids)} events in the streams, {count} were committed")
    for fault in checker.faults[:FAULTS_SHOWN]:
        print(fault)
    print(f"{len(checker.ids)} events of {len(checker.last)} tenants, {len(checker.faults)} faults")
    return 1 if checker.faults else 0


# --- the relay that must be caught --------------------------------------------------------------------

async def naive(seconds):
    """Sends what has a greater id than the last one sent, as hand-made outboxes do."""
    client = await broker("tenant-service")
    js = client.jetstream()
    envelope = envelope_type()
    for number in range(PARTITIONS):
        await js.add_stream(name=stream_name(number), subjects=[f"tenant.*.*.*.{number:02d}"])
    last = [0] * PARTITIONS
    end = time.monotonic() + float(seconds)
    with database() as db:
        while time.monotonic() < end:
            for number in range(PARTITIONS):
                rows = db.execute(
                    "SELECT id, subject, payload, tenant_id, seq, incarnation FROM tenant.outbox"
                    " WHERE shard = %s AND id > %s ORDER BY id LIMIT 1000", (number, last[number])).fetchall()
                for row in rows:
                    last[number] = row[0]
                    naive_settle(db, number, row, await naive_publish(js, envelope, number, row))
    await client.close()


async def naive_publish(js, envelope, number, row):
    position = envelope(sequence=row[4], incarnation=row[5])
    position.ingested_at.GetCurrentTime()
    data = row[2] + position.SerializeToString()
    whole = envelope.FromString(data)
    headers = {"Nats-Msg-Id": whole.event_id, "Tenant-Id": whole.tenant_id, "Event-Type": row[1],
               "Tenant-Sequence": str(row[4]), "Tenant-Incarnation": str(row[5])}
    return await js.publish(f"{row[1]}.{number:02d}", data, headers=headers)


def naive_settle(db, number, row, ack):
    columns = "shard, id, tenant_id, seq, incarnation, msg_id, subject, payload, traceparent, created_at"
    db.execute(f"WITH d AS (DELETE FROM tenant.outbox WHERE shard = %s AND id = %s RETURNING {columns})"
               f" INSERT INTO tenant.outbox_sent ({columns}, stream_seq) SELECT d.*, %s FROM d",
               (number, row[0], ack.seq))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
