"""The consumer library on real streams: events are published by a stock client, the program under test is
tests/consumer/follow.c, linked against an installed libtenant-events.  tests/consumer/run starts the stack."""
import pathlib
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _compile_protos():
    out = pathlib.Path(tempfile.mkdtemp(prefix="tenant-consumer-"))
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}/proto", f"--python_out={out}",
         "tenant/v1/tenants.proto", "tenant/options/v1/options.proto", "tenant/events/v1/envelope.proto",
         "tenant/events/v1/tenant_events.proto"],
        check=True)
    sys.path.insert(0, str(out))


_compile_protos()

from broker import Broker  # noqa: E402  (needs the compiled protos)
from follower import Follower, build  # noqa: E402


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return build(tmp_path_factory.mktemp("events"))


@pytest.fixture
def broker():
    """The streams, empty."""
    with Broker() as broker:
        broker.reset()
        yield broker


@pytest.fixture
def follow(program, tmp_path):
    """Starts followers: follow(group="g", positions=True, …); whatever runs at the end is killed."""
    running = []

    def start(*verb, **settings):
        if settings.pop("positions", False):
            settings["positions"] = tmp_path / f"{settings.get('group', 'sync-service')}.positions"
        follower = Follower(program, *verb, **settings)
        running.append(follower)
        return follower

    yield start
    for follower in running:
        follower.kill()
    # One that was killed has no status that would tell.
    found = [line for follower in running for line in follower.notices if "Sanitizer" in line or "runtime error" in line]
    assert not found, found
