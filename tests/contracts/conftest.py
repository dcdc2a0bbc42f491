"""contract-verify as its users see it, and the pacts of this tree against a running tenant-service."""
import logging
import os
import sys

import pytest

sys.dont_write_bytecode = True
logging.getLogger("asyncio").setLevel(logging.ERROR)  # it warns of every closed TLS connection

import protos  # noqa: E402

sys.path.insert(0, str(protos.compiled()))
sys.path.insert(0, str(protos.ROOT / "tests/e2e"))
sys.path.insert(0, str(protos.ROOT / "tools/pacts.d"))

counts = {"passed": 0, "failed": 0}


def pytest_configure(config):
    config.addinivalue_line("markers", "stack: needs a running stack")


def pytest_runtest_logreport(report):
    if report.failed:
        counts["failed"] += 1
    elif report.when == "call" and report.passed:
        counts["passed"] += 1


def pytest_collectreport(report):
    if report.failed:
        counts["failed"] += 1


def pytest_unconfigure(config):
    print(f"\n{counts['passed']} passed, {counts['failed']} failed")


@pytest.fixture(scope="session")
def service():
    import support
    running = support.Service(support.Stack(os.environ), RELAY_WITHHOLD_AFTER="1s")  # a pact has an event withheld
    yield running
    status = running.stop()
    assert status == 0, f"the service ended with status {status}: see {running.log_path}"
