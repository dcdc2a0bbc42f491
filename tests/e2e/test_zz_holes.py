"""tenantctl events tail where streams have holes, or are made anew: on a stack that nobody else uses."""
import json
import signal
import subprocess

import pytest

from broker import Broker
from support import Service, create, update, wait_until
from tenant.v1 import tenants_pb2 as pb
from tenantctl import CTL, Ctl, lines


@pytest.fixture
def admin(own):
    broker = Broker(own, "admin")
    yield broker
    broker.close()


@pytest.fixture
def service(own):
    made = Service(own)
    yield made
    made.stop()


@pytest.fixture
def ctl(own, service, tmp_path):
    return Ctl(own, service.address, tmp_path)


def rename(service, tenant, name):
    update(service, pb.Tenant(tenant_id=tenant, display_name=name), ["display_name"])


def test_tail_passes_over_what_is_not_there(ctl, admin, service, unique):
    tenant = create(service, unique("holes")).tenant_id

    def tail():
        return lines(ctl("events", "tail", "--tenant", tenant, "-o", "json").stdout)

    def stored(count):
        return wait_until(lambda: (seen := tail()) and seen[-1]["sequence"] == count and seen)

    for name in ("Second", "Third", "Fourth"):
        rename(service, tenant, name)
    events = stored(4)
    stream = events[0]["stream"]
    admin.delete(stream, events[1]["streamSequence"])
    assert [event["sequence"] for event in tail()] == [1, 3, 4]

    process = subprocess.Popen([CTL, "events", "tail", "--tenant", tenant, "--follow", "-o", "json"], env=ctl.env(), text=True,
                               stdout=subprocess.PIPE)
    try:
        assert [json.loads(process.stdout.readline())["sequence"] for _ in range(3)] == [1, 3, 4]
        # What was deleted before it looked is passed over …
        process.send_signal(signal.SIGSTOP)
        rename(service, tenant, "Fifth")
        rename(service, tenant, "Sixth")
        admin.delete(stream, stored(6)[-2]["streamSequence"])
        process.send_signal(signal.SIGCONT)
        assert json.loads(process.stdout.readline())["sequence"] == 6
        # … and a stream that was made anew counts from 1.
        admin.delete_stream(stream)
        rename(service, tenant, "Seventh")
        while json.loads(process.stdout.readline())["sequence"] != 7:
            pass
    finally:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0
