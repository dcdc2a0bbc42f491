"""The service as its callers see it: a real process on a real stack, called by stock gRPC clients.

Needs a running, migrated stack (STACK_* in the environment, TENANT_STACK its name): tests/e2e/run makes
sure of it.  The service under test is build/$MODE/tenant-service.
"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _compile_protos():
    out = pathlib.Path(tempfile.mkdtemp(prefix="tenant-e2e-"))
    protos = [
        "tenant/v1/tenants.proto",
        "tenant/options/v1/options.proto",
        "tenant/events/v1/envelope.proto",
        "tenant/events/v1/tenant_events.proto",
        "billing/events/v1/subscription_events.proto",
    ]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}/proto", f"--python_out={out}",
         f"--grpc_python_out={out}", *protos],
        check=True,
    )
    sys.path.insert(0, str(out))


_compile_protos()

from configured import Settings                  # noqa: E402  (needs the compiled protos)
from support import Service, Stack, stack_of_its_own, wait_until  # noqa: E402
from tenantctl import Ctl                        # noqa: E402


@pytest.fixture(scope="session")
def stack():
    return Stack(os.environ)


@pytest.fixture
def own(stack, request):
    """A stack that nobody else uses, named after the module's last word."""
    with stack_of_its_own(f"{stack.name[:30]}-{request.module.__name__.rsplit('_', 1)[-1]}") as made:
        yield made


@pytest.fixture(scope="session")
def service(stack):
    running = Service(stack)
    yield running
    status = running.stop()
    assert status == 0, f"the service ended with status {status}: see {running.log_path}"


@pytest.fixture
def ctl(stack, service, tmp_path):
    return Ctl(stack, service.address, tmp_path)


@pytest.fixture
def settings(stack, tmp_path):
    made = Settings(stack, tmp_path)
    yield made
    for service in made.started:  # a test that failed has not stopped its own
        if service.process.poll() is None:
            service.stop(signal.SIGKILL)


@pytest.fixture
def running(settings):
    service = settings.service()
    yield service
    assert service.stop() == 0


@pytest.fixture
def unique():
    """A slug that no other test uses."""
    count = 0

    def make(prefix="t"):
        nonlocal count
        count += 1
        return f"{prefix}-{time.time_ns():x}-{count}"

    return make


@pytest.fixture
def eventually():
    return wait_until
