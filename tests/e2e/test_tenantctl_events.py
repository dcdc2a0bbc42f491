"""tenantctl events get, replay, lag and reset, held against what the stock client sees."""
import json
import signal
import subprocess
import threading
import time

import pytest

from broker import Broker
from streams import partition_of
from support import create, wait_until
from tenantctl import CONFLICT, CTL, NOT_FOUND, REFUSED, USAGE, lines

from tenant.events.v1 import envelope_pb2


@pytest.fixture
def admin(stack):
    broker = Broker(stack, "admin")
    yield broker
    broker.close()


@pytest.fixture
def story(ctl, service, unique):
    """A tenant with four events that are in its stream: its id and the events."""
    tenant = create(service, unique("story")).tenant_id
    ctl("tenant", "update", tenant, "--display-name", "Second")
    ctl("tenant", "suspend", tenant, "--reason", "unpaid")
    ctl("tenant", "reactivate", tenant)
    events = wait_until(lambda: (seen := lines(ctl("events", "tail", "--tenant", tenant, "-o", "json").stdout)) and
                        len(seen) == 4 and seen)
    return tenant, events


# --- get ---------------------------------------------------------------------------------------------------


def test_an_event_is_found_by_id_and_by_place(ctl, admin, story):
    tenant, events = story
    for event in events:
        by_id = ctl.json("events", "get", event["eventId"])
        assert by_id == ctl.json("events", "get", event["eventId"].lower(), "--tenant", tenant)
        assert by_id == ctl.json("events", "get", f"{event['stream']}:{event['streamSequence']}")
        assert by_id == ctl.json("events", "get", f"{event['stream'][7:]}:{event['streamSequence']}")
        assert by_id == event
    stored = admin.message(events[2]["stream"], events[2]["streamSequence"])
    envelope = envelope_pb2.EventEnvelope.FromString(stored.data)
    assert (envelope.event_id, envelope.sequence, envelope.tenant_id) == (
        events[2]["eventId"], events[2]["sequence"], tenant)
    text = ctl("events", "get", events[2]["eventId"]).stdout
    for part in (events[2]["eventId"], "tenant.org.suspended.v1", tenant, '"reason": "unpaid"', f"incarnation {envelope.incarnation}"):
        assert part in text, text


def test_the_raw_bytes_are_the_streams(ctl, admin, story, tmp_path):
    event = story[1][1]
    stored = admin.message(event["stream"], event["streamSequence"])
    with open(tmp_path / "raw", "wb") as file:
        subprocess.run([CTL, "events", "get", event["eventId"], "--raw"], env=ctl.env(), stdout=file, check=True)
    assert (tmp_path / "raw").read_bytes() == stored.data


def test_what_is_not_there_is_said(ctl, story):
    _, events = story
    gone = ctl("events", "get", "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV", status=NOT_FOUND).stderr
    assert "was not stored between" in gone and "--within" in gone
    assert "there is no message" in ctl("events", "get", f"{events[0]['stream']}:999999999", status=NOT_FOUND).stderr
    for wrong in ("evt_1", "TENANT_16:1", "7:1", "TENANT_07:0", "TENANT_07:x", "tnt_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        assert "expected evt_ and 26 characters" in ctl("events", "get", wrong, status=USAGE).stderr, wrong


# --- replay ------------------------------------------------------------------------------------------------


def test_a_replay_is_what_the_streams_hold_in_order(ctl, admin, story):
    done = ctl("events", "replay", "--since", "1h")
    events = lines(done.stdout)
    assert {event["eventId"] for event in story[1]} <= {event["eventId"] for event in events}
    held = sum(admin.wait(admin.js.stream_info(f"TENANT_{partition:02}")).state.messages for partition in range(16))
    assert len(events) == held, "the stack is younger than an hour"
    assert f"{held} events, {held} messages read" in done.stderr
    times = [event["storedAt"] for event in events]
    assert times == sorted(times)
    last = {}
    for event in events:
        key = event["tenantId"], event["incarnation"]
        assert event["sequence"] == last.get(key, 0) + 1, key
        last[key] = event["sequence"]


def test_a_replay_is_narrowed_by_tenant_type_and_time(ctl, story):
    tenant, events = story

    def replay(*words):
        return lines(ctl("events", "replay", "--tenant", tenant, *words).stdout)

    assert replay() == events
    assert replay("--type", "tenant.org.suspended") == replay("--type", "tenant.org.suspended.v1") == [events[2]]
    assert replay("--type", "tenant.org.suspended.v2") == []
    assert replay("--since", events[1]["storedAt"], "--until", events[3]["storedAt"]) == events[1:3]
    assert replay("--until", events[0]["storedAt"]) == []
    assert replay("--since", "2999-01-01T00:00:00Z") == []
    table = ctl("events", "replay", "--tenant", tenant, "-o", "table").stdout
    assert len(table.splitlines()) == 4 and "was TENANT_STATUS_TRIAL: unpaid" in table
    assert "--since is after --until" in ctl("events", "replay", "--since", "1h", "--until", "2h", status=USAGE).stderr
    assert "expected an event" in ctl("events", "replay", "--type", 'x"}', status=USAGE).stderr


def test_a_replay_keeps_its_rate_and_can_be_stopped(ctl, story):
    process = subprocess.Popen([CTL, "events", "replay", "--tenant", story[0], "--rate", "1"], env=ctl.env(),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    assert json.loads(process.stdout.readline())["sequence"] == 1
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=10)
    assert process.returncode == REFUSED and told.startswith("interrupted: ") and len(rest.splitlines()) < 3
    assert "expected a number from 1 to 100000" in ctl("events", "replay", "--rate", "0", status=USAGE).stderr


def test_the_rate_is_that_of_what_is_printed(ctl, service, unique):
    """Behind sixty events of others in the same stream: at one read a second it would take a minute."""
    crowd = create(service, unique("crowd")).tenant_id
    for number in range(60):
        ctl("tenant", "update", crowd, "--display-name", f"Number {number}")
    mine = wait_until(lambda: (one := create(service, unique("behind")).tenant_id) and partition_of(one) == partition_of(crowd) and one, 60)
    wait_until(lambda: ctl("events", "tail", "--tenant", mine, "-o", "json").stdout)
    done = ctl("events", "replay", "--tenant", mine, "--rate", "1", seconds=30)
    assert [event["tenantId"] for event in lines(done.stdout)] == [mine]
    assert int(done.stderr.split("1 events, ")[1].split()[0]) > 60, done.stderr


# --- lag ---------------------------------------------------------------------------------------------------


def test_lag_tells_what_is_pending_and_what_is_not_acknowledged(ctl, admin, story, unique):
    group = unique("lag")
    stream = story[1][0]["stream"]
    admin.durable(stream, group, ack_wait=60)
    held = admin.wait(admin.js.stream_info(stream)).state.messages
    first, second = admin.fetch(stream, group, 2)
    admin.ack([second])
    told = ctl.json("events", "lag", "--consumer", group)
    row = next(one for one in told["streams"] if one["stream"] == stream)
    assert row["messages"] == held and row["lastSequence"] >= held
    [mine] = row["consumers"]
    assert (mine["pending"], mine["ackPending"], mine["redelivered"]) == (held - 2, 1, 0)
    age = mine["oldestSeconds"]
    stored = first.metadata.timestamp.timestamp()
    assert 0 < age and abs(time.time() - stored - age) < 30
    [total] = told["consumers"]
    assert total["consumer"] == group and total["pending"] == held - 2 and total["oldestSeconds"] == age
    table = ctl("events", "lag", "--consumer", group).stdout.splitlines()
    assert table[0].split() == ["STREAM", "LAST", "CONSUMER", "PENDING", "UNACKED", "REDELIVERED", "OLDEST"]
    assert table[1].split()[2:5] == [group, str(held - 2), "1"] and table[2].split()[:2] == ["all", group]
    admin.ack([first])
    while admin.consumer(stream, group).num_pending:
        admin.ack(admin.fetch(stream, group, 50))
    assert ctl.json("events", "lag", "--consumer", group)["consumers"][0]["oldestSeconds"] is None
    assert "no stream has a consumer" in ctl("events", "lag", "--consumer", "nobody", status=NOT_FOUND).stderr
    assert len(ctl.json("events", "lag")["streams"]) >= 16
    assert "TENANT_00" in ctl("events", "lag").stdout


# --- reset -------------------------------------------------------------------------------------------------


def test_a_group_reads_again_from_a_moment_or_a_sequence(ctl, admin, story, unique):
    tenant, events = story
    group = unique("reset")
    stream = events[0]["stream"]
    for partition in range(16):
        admin.durable(f"TENANT_{partition:02}", group, ack_wait=45, max_ack_pending=77)
    while admin.consumer(stream, group).num_pending:
        admin.ack(admin.fetch(stream, group, 50))
    assert "add --yes" in ctl("events", "reset", group, "--to-time", "1h", status=USAGE).stderr
    assert admin.consumer(stream, group).num_pending == 0
    done = lines(ctl("events", "reset", group, "--to-time", events[1]["storedAt"], "--yes", "-o", "json").stdout)
    assert [one["stream"] for one in done] == [f"TENANT_{partition:02}" for partition in range(16)]
    info = admin.consumer(stream, group)
    assert info.num_pending == next(one for one in done if one["stream"] == stream)["pending"] >= 3
    assert (info.config.ack_wait, info.config.max_ack_pending, info.config.durable_name) == (45, 77, group)
    assert admin.fetch(stream, group, 1)[0].metadata.sequence.stream == events[1]["streamSequence"]
    text = ctl("events", "reset", group, "--tenant", tenant, "--to-sequence", events[2]["streamSequence"], "--yes").stdout
    assert text.startswith(f"{stream}  {group} begins at sequence {events[2]['streamSequence']}, ")
    assert admin.fetch(stream, group, 1)[0].metadata.sequence.stream == events[2]["streamSequence"]


def test_a_group_at_work_is_not_reset(ctl, admin, story, unique):
    group = unique("busy")
    stream = story[1][0]["stream"]
    admin.durable(stream, group, deliver_policy="new")
    waiting = threading.Thread(target=lambda: pytest.raises(Exception, admin.fetch, stream, group, 1, 8))
    waiting.start()
    wait_until(lambda: admin.consumer(stream, group).num_waiting == 1)
    assert "stop the group first" in ctl("events", "reset", group, "--to-time", "1h", "--yes", status=CONFLICT).stderr
    assert admin.consumer(stream, group).config.deliver_policy == "new"
    waiting.join()


def test_a_group_with_a_living_member_is_not_reset(ctl, stack, admin, story):
    """A member's beat moves; one that stands still for its time to live is that of the dead."""
    group, stream = "sync-service", story[1][0]["stream"]
    member = Broker(stack, "sync-service")
    admin.groups()
    admin.durable(stream, group)
    reset = ["events", "reset", group, "--to-time", "1h", "--yes"]
    try:
        beat, stop = iter(range(1, 1000)), threading.Event()

        def live():
            while not stop.wait(0.1):
                member.publish(f"TENANT.GROUPS.{group}", f"tenant-group 1\nmember m-1 {next(beat)} 1000\n".encode(), None)

        living = threading.Thread(target=live)
        living.start()
        wait_until(lambda: admin.messages("TENANT_GROUPS", f"TENANT.GROUPS.{group}"))
        assert "m-1 is a living member of sync-service: stop the group first" in ctl(*reset, status=CONFLICT).stderr
        stop.set()
        living.join()
        assert f"{stream}  {group} begins at " in ctl(*reset).stdout
        member.publish(f"TENANT.GROUPS.{group}", b"tenant-group 1\n", None)
        ctl(*reset)
    finally:
        stop.set()
        member.close()
        admin.wait(admin.js.delete_consumer(stream, group))


@pytest.mark.parametrize("words, text", [
    ([], "GROUP is missing"), (["g"], "say where to begin"), (["g", "--to-time", "1h", "--to-sequence", "1"], "say where to begin"),
    (["g", "--to-sequence", "1"], "needs --partition or --tenant"), (["g", "--to-sequence", "0", "--partition", "01"], "a number from 1"),
    (["g", "--to-time", "1h", "--partition", "16"], "expected 00 to 15"), (["g.x", "--to-time", "1h"], "expected 1 to 64 letters"),
    (["relay", "--to-time", "1h"], "expected 1 to 64 letters"), (["g", "--to-time", "soon"], "expected a time such as 30m")])
def test_a_reset_says_what_it_needs(ctl, words, text):
    assert text in ctl("events", "reset", *words, status=USAGE).stderr


def test_a_group_that_is_not_there_is_not_reset(ctl):
    assert "no stream has a consumer" in ctl("events", "reset", "nobody", "--to-time", "1h", "--yes", status=NOT_FOUND).stderr
