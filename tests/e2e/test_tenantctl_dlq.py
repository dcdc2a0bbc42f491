"""tenantctl dlq: letters that a stock client has put into TENANT_DLQ."""
import os
import pty
import subprocess

import pytest

from broker import DLQ, Broker
from support import create, wait_until
from tenantctl import CTL, NOT_FOUND, REFUSED, USAGE, lines

from tenant.events.v1 import envelope_pb2


# Who may put letters there, by the word of the subject behind TENANT.DLQ.
WRITERS = {"relay": "tenant-service", "consumer": "follower", "requeue": "admin"}


@pytest.fixture
def writers(stack):
    brokers = {word: Broker(stack, identity) for word, identity in WRITERS.items()}
    brokers["requeue"].dead_letters()
    yield brokers
    for broker in brokers.values():
        broker.close()


class Post:
    """Puts letters about one real event into the stream."""

    def __init__(self, ctl, writers, service, unique):
        self.writers, self.broker, self.unique = writers, writers["requeue"], unique
        self.tenant = create(service, unique("dlq")).tenant_id
        self.event = wait_until(lambda: (seen := lines(ctl("events", "tail", "--tenant", self.tenant, "-o", "json").stdout)) and
                                seen[0])
        self.partition = self.event["stream"][7:]
        self.count = 0

    def letter(self, consumer, cause="HANDLER_FAILED", body=None, event_id=None, relay=False, **headers):
        """The letter's number and its event's id."""
        self.count += 1
        event_id = event_id or self.event["eventId"][:-4] + f"{self.count:04}"
        if body is None:
            original = self.broker.message(self.event["stream"], self.event["streamSequence"])
            envelope = envelope_pb2.EventEnvelope.FromString(original.data)
            envelope.event_id = event_id
            body = envelope.SerializeToString()
        subject = f"TENANT.DLQ.relay.{self.partition}" if relay else f"TENANT.DLQ.consumer.{consumer}.{self.partition}"
        values = {
            "Nats-Msg-Id": f"dlq:{consumer}:{event_id}", "Event-Type": "tenant.org.provisioned.v1", "Tenant-Id": self.tenant,
            "Tenant-Sequence": "1", "Tenant-Incarnation": "1", "Dlq-Event-Id": event_id, "Dlq-Cause": cause,
            "Dlq-Detail": "it hurts", "Dlq-Consumer": "relay" if relay else consumer, "Dlq-Stream": self.event["stream"],
            "Dlq-Stream-Sequence": str(self.event["streamSequence"]), "Dlq-Subject": self.event["subject"],
            "Dlq-Deliveries": "10", "Dlq-Time": "2026-11-23T07:00:00Z", **headers}
        return self.publish(subject, body, {name: value for name, value in values.items() if value}), event_id

    def publish(self, subject, body, headers):
        return self.writers[subject.split(".")[2]].publish(subject, body, headers)

    def returned(self, consumer):
        return self.broker.messages(DLQ, f"TENANT.DLQ.requeue.{consumer}.>")


@pytest.fixture
def post(ctl, writers, service, unique):
    return Post(ctl, writers, service, unique)


# --- list and show -----------------------------------------------------------------------------------------


def test_letters_are_listed_and_chosen(ctl, post, unique):
    one, other = unique("one"), unique("other")
    first, first_id = post.letter(one)
    second, _ = post.letter(one, cause="MALFORMED", body=b"no event", **{"Event-Type": None})
    third, _ = post.letter(other, **{"Event-Type": "tenant.org.updated.v1"})
    fourth, _ = post.letter("relay", cause="TOO_LARGE", relay=True, body=b"", **{"Dlq-Body": "omitted"})

    def listed(*words):
        return [row["letter"] for row in lines(ctl("dlq", "list", "-o", "json", *words).stdout)]

    assert listed("--tenant", post.tenant) == [first, second, third, fourth]
    assert listed("--consumer", one) == [first, second] and listed("--consumer", other) == [third]
    assert listed("--consumer", one, "--cause", "MALFORMED") == [second]
    assert listed("--consumer", "relay", "--tenant", post.tenant) == [fourth]
    assert listed("--tenant", post.tenant, "--type", "tenant.org.updated") == [third]
    assert listed("--consumer", one, "--since", "1h") == [first, second] and listed("--consumer", one, "--since", "2999-01-01T00:00:00Z") == []
    row = lines(ctl("dlq", "list", "--consumer", one, "-o", "json").stdout)[0]
    assert row["kind"] == "consumer" and row["eventId"] == first_id and row["deliveries"] == 10 and row["requeues"] == 0
    assert (row["cause"], row["detail"], row["givenUpAt"][:20]) == ("HANDLER_FAILED", "it hurts", "2026-11-23T07:00:00.")
    assert (row["originalStream"], row["originalSequence"]) == (post.event["stream"], post.event["streamSequence"])
    assert row["event"]["payload"]["tenant"]["tenantId"] == post.tenant and row["event"]["eventId"] == first_id
    assert "event" not in lines(ctl("dlq", "list", "--cause", "MALFORMED", "--consumer", one, "-o", "json").stdout)[0]
    table = ctl("dlq", "list", "--consumer", one).stdout.splitlines()
    assert table[0].split()[0] == "LETTER" and first_id in table[1] and "MALFORMED" in table[2] and len(table) == 3
    done = ctl("dlq", "list", "--consumer", unique("none"))
    assert done.stdout == "" and done.stderr == "no letters\n"


def test_a_letter_is_shown_with_its_event(ctl, post, unique):
    group = unique("show")
    seq, event_id = post.letter(group)
    text = ctl("dlq", "show", seq).stdout
    for part in (f"{seq} on TENANT.DLQ.consumer.{group}.", "HANDLER_FAILED", "it hurts", "after 10 deliveries", event_id,
                 "the event", '"slug": "', f"{post.event['stream']}:{post.event['streamSequence']}"):
        assert part in text, (part, text)
    assert [row["letter"] for row in lines(ctl("dlq", "show", event_id, "-o", "json").stdout)] == [seq]
    again, _ = post.letter(unique("second"), event_id=event_id)
    assert [row["letter"] for row in lines(ctl("dlq", "show", event_id.lower(), "-o", "json").stdout)] == [seq, again]
    raw = subprocess.run([CTL, "dlq", "show", str(seq), "--raw"], env=ctl.env(), capture_output=True, check=True).stdout
    assert raw == post.broker.message(DLQ, seq).data
    garbage, _ = post.letter(group, body=b"no event")
    assert "8 bytes that are no event" in ctl("dlq", "show", garbage).stdout
    omitted, _ = post.letter(group, body=b"", **{"Dlq-Body": "omitted"})
    assert "too large to be kept" in ctl("dlq", "show", omitted).stdout
    assert "there is no letter 999999999" in ctl("dlq", "show", "999999999", status=NOT_FOUND).stderr
    assert "expected its number" in ctl("dlq", "show", "evt_1", status=USAGE).stderr


def test_what_a_letter_says_cannot_steer_the_terminal(ctl, post, unique):
    group = unique("esc")
    seq, _ = post.letter(group, **{"Dlq-Detail": "\x1b[31mred"})
    assert "\x1b" not in ctl("dlq", "show", seq).stdout + ctl("dlq", "list", "--consumer", group).stdout


# --- requeue -----------------------------------------------------------------------------------------------


def test_a_letter_is_handed_back_and_goes(ctl, post, unique):
    group = unique("back")
    seq, event_id = post.letter(group, traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    letter = post.broker.message(DLQ, seq)
    done = lines(ctl("dlq", "requeue", seq, "-o", "json").stdout)
    [returned] = post.returned(group)
    assert done == [{"requeuedAs": returned.seq, "repeated": False, "result": "requeued", "letter": seq, "eventId": event_id,
                     "consumer": group}]
    assert post.broker.message(DLQ, seq) is None and returned.data == letter.data
    assert returned.subject == f"TENANT.DLQ.requeue.{group}.{post.partition}"
    headers = dict(returned.headers)
    assert headers["Nats-Msg-Id"] == f"requeue:{group}:{event_id}:1" and headers["Dlq-Requeues"] == "1"
    for name in ("Event-Type", "Tenant-Id", "Tenant-Sequence", "Tenant-Incarnation", "traceparent", "Dlq-Event-Id", "Dlq-Cause",
                 "Dlq-Consumer", "Dlq-Stream", "Dlq-Stream-Sequence", "Dlq-Subject"):
        assert headers[name] == letter.headers[name], name
    assert "no such letters" in ctl("dlq", "requeue", seq, status=NOT_FOUND).stderr
    assert [row["letter"] for row in lines(ctl("dlq", "list", "--requeued", "--consumer", group, "-o", "json").stdout)] == [returned.seq]
    assert ctl("dlq", "list", "--consumer", group, "-o", "json").stdout == ""
    assert "handed back already" in ctl("dlq", "requeue", returned.seq, status=REFUSED).stdout


def test_a_letter_that_comes_again_is_handed_back_again(ctl, post, unique):
    group = unique("again")
    _, event_id = post.letter(group)
    ctl("dlq", "requeue", event_id)
    post.letter(group, event_id=event_id, **{"Nats-Msg-Id": f"dlq:{group}:{event_id}:1", "Dlq-Requeues": "1"})
    ctl("dlq", "requeue", event_id)
    assert [dict(one.headers)["Nats-Msg-Id"] for one in post.returned(group)] == [
        f"requeue:{group}:{event_id}:1", f"requeue:{group}:{event_id}:2"]


def test_an_interrupted_requeue_is_said_again(ctl, post, unique):
    """It had published and not deleted."""
    group = unique("cut")
    seq, event_id = post.letter(group)
    post.publish(f"TENANT.DLQ.requeue.{group}.{post.partition}", b"the same", {"Nats-Msg-Id": f"requeue:{group}:{event_id}:1"})
    [result] = lines(ctl("dlq", "requeue", seq, "-o", "json").stdout)
    assert result["repeated"] and len(post.returned(group)) == 1 and post.broker.message(DLQ, seq) is None


def test_many_are_handed_back_by_what_they_are(ctl, post, unique):
    group = unique("many")
    failed = [post.letter(group)[0] for _ in range(5)]
    other, _ = post.letter(group, cause="GAP")
    choice = ["--consumer", group, "--cause", "HANDLER_FAILED"]
    assert "Requeue 5 letters: add --yes" in ctl("dlq", "requeue", *choice, status=USAGE).stderr
    dry = lines(ctl("dlq", "requeue", *choice, "--dry-run", "-o", "json").stdout)
    assert [row["letter"] for row in dry] == failed and {row["result"] for row in dry} == {"chosen"}
    assert post.returned(group) == []
    done = ctl("dlq", "requeue", *choice, "--yes")
    assert len(done.stdout.splitlines()) == 5 and "5 requeued, 0 refused" in done.stderr
    assert len(post.returned(group)) == 5
    assert [row["letter"] for row in lines(ctl("dlq", "list", "--consumer", group, "-o", "json").stdout)] == [other]
    assert "no letter is like that" in ctl("dlq", "requeue", *choice, "--yes").stderr


def test_a_terminal_is_asked(ctl, post, unique):
    group = unique("ask")
    seqs = [post.letter(group)[0] for _ in range(2)]

    def answered(text, *words):
        master, slave = pty.openpty()
        process = subprocess.Popen([CTL, *words], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ctl.env())
        os.close(slave)
        os.write(master, (text + "\n").encode())
        _, told = process.communicate(timeout=20)
        os.close(master)
        return process.returncode, told

    status, told = answered("no", "dlq", "drop", "--consumer", group)
    assert status == REFUSED and "Drop 2 letters?" in told and "nothing was done" in told
    assert all(post.broker.message(DLQ, seq) for seq in seqs)
    status, told = answered("yes", "dlq", "drop", "--consumer", group)
    assert status == 0 and "2 dropped" in told and not any(post.broker.message(DLQ, seq) for seq in seqs)


def test_the_relays_letters_are_nobodys_to_apply(ctl, post, unique):
    group = unique("mixed")
    mine, _ = post.letter(group)
    relays, _ = post.letter("relay", cause="TOO_LARGE", relay=True)
    done = ctl("dlq", "requeue", "--tenant", post.tenant, "--yes", status=REFUSED)
    assert "tenant.event.withheld has its place" in done.stdout and "1 requeued, 1 refused" in done.stderr
    assert post.broker.message(DLQ, relays) is not None and post.broker.message(DLQ, mine) is None
    [result] = lines(ctl("dlq", "requeue", relays, "-o", "json", status=REFUSED).stdout)
    assert result["result"] == "refused" and "dlq show" in result["refused"]
    ctl("dlq", "drop", relays, "--yes")
    assert post.broker.message(DLQ, relays) is None


def test_an_omitted_body_is_taken_from_the_original(ctl, post, unique):
    group = unique("large")
    here, _ = post.letter(group, event_id=post.event["eventId"], body=b"", **{"Dlq-Body": "omitted"})
    gone, _ = post.letter(group, body=b"", **{"Dlq-Body": "omitted", "Dlq-Stream-Sequence": "999999999"})
    foreign, _ = post.letter(group, body=b"", **{"Dlq-Body": "omitted"})  # another event has that place
    done = lines(ctl("dlq", "requeue", here, gone, foreign, "--yes", "-o", "json", status=REFUSED).stdout)
    assert [row["result"] for row in done] == ["requeued", "refused", "refused"] and "has left its stream" in done[1]["refused"]
    [returned] = post.returned(group)
    assert returned.data == post.broker.message(post.event["stream"], post.event["streamSequence"]).data
    assert "Dlq-Body" not in dict(returned.headers)


# --- drop and usage ----------------------------------------------------------------------------------------


def test_letters_are_dropped(ctl, post, unique):
    group = unique("drop")
    seqs = [post.letter(group)[0] for _ in range(3)]
    assert "Drop 1 letter: add --yes" in ctl("dlq", "drop", seqs[0], status=USAGE).stderr
    assert lines(ctl("dlq", "drop", seqs[0], "--yes", "-o", "json").stdout)[0]["result"] == "dropped"
    assert post.broker.message(DLQ, seqs[0]) is None and post.broker.message(DLQ, seqs[1]) is not None
    ctl("dlq", "drop", "--consumer", group, "--all", "--yes")
    assert not any(post.broker.message(DLQ, seq) for seq in seqs) and post.returned(group) == []
    assert "no such letters" in ctl("dlq", "drop", seqs[1], "--yes", status=NOT_FOUND).stderr


@pytest.mark.parametrize("words, text", [
    (["requeue"], "which letters?"), (["drop", "--yes"], "which letters?"), (["requeue", "1", "--all"], "not both"),
    (["list", "--cause", "soft"], "expected a word such as HANDLER_FAILED"), (["list", "--consumer", "a.b"], "expected a group's name"),
    (["list", "--tenant", "tnt_1"], "expected tnt_ and 26 characters"), (["drop", "x"], "expected its number"),
    (["show"], "LETTER is missing"), (["show", "1", "2"], 'unexpected argument "2"')])
def test_what_is_wrong_is_named(ctl, words, text):
    assert text in ctl("dlq", *words, status=USAGE).stderr


def test_who_may_not_publish_keeps_the_letter(ctl, post, stack, unique):
    """Another identity's NKey reads nothing of this and loses nothing."""
    seq, _ = post.letter(unique("may"))
    env = ctl.env(TENANTCTL_NATS_SEED_FILE=f"{stack.env['STACK_NATS_CREDS']}/stranger.nk")
    done = subprocess.run([CTL, "dlq", "requeue", str(seq)], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and post.broker.message(DLQ, seq) is not None
