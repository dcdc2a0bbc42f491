"""h2spec in clear text → haproxy, which presents the client certificate → the service.

haproxy runs in tcp mode: it adds TLS and passes the frames untouched.  Arguments are h2spec's sections
(`http2/5.1`), all without.  The cases that tests/conformance/README.md lists do not apply: they count as
skipped unless they pass.  A case that h2spec skips without being listed there has failed.
"""
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[3]
LOGS = ROOT / "build/test-logs/conformance"
README = ROOT / "tests/conformance/README.md"
PATH = "/tenant.v1.TenantService/GetTenant"
IDENTITY = "api-gateway"
SUITES = {"default": [], "strict": ["--strict"]}
CASE_SECONDS = 2
SUITE_SECONDS = 600

PROXY = """
global
    maxconn 256
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen h2spec
    bind fd@{fd}
    server service {address} ssl crt {bundle} ca-file {ca} verify required verifyhost localhost alpn h2
"""


def main(sections):
    LOGS.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    with service() as (address, process), proxy(address) as port:
        for name, flags in SUITES.items():
            good, bad, skipped = suite_run(name, flags, port, sections)
            print(f"h2spec {name}: {good} passed, {bad} failed, {skipped} skipped", flush=True)
            passed, failed = passed + good, failed + bad
        if process.poll() is not None:
            print(f"the service ended with status {process.returncode}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


@contextlib.contextmanager
def service():
    env = {k: v for k, v in os.environ.items() if not k.startswith("TENANT_")}
    env.update(TENANT_SERVER_PORT="0", TENANT_OPS_PORT="0", TENANT_SERVER_WORKERS="2", TENANT_NATS_REPLICAS="1")
    program = ROOT / "build" / os.environ["MODE"] / "tenant-service"
    with open(LOGS / "h2spec-service.log", "wb") as log, \
            subprocess.Popen([program, "serve", "--config", env["STACK_CONFIG"]], env=env, stderr=log,
                             stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            yield ready_address(process), process
        finally:
            process_end(process)


def ready_address(process):
    timer = threading.Timer(30, process.kill)
    timer.start()
    for line in process.stdout:
        if line.startswith(b"ready: grpc "):
            timer.cancel()
            return line.decode().split()[2]
    raise SystemExit(f"the service did not start: see {LOGS}/h2spec-service.log")


@contextlib.contextmanager
def proxy(address):
    pki = pathlib.Path(os.environ["STACK_PKI"])
    with socket.socket() as listener, tempfile.TemporaryDirectory() as folder, \
            open(LOGS / "h2spec-haproxy.log", "wb") as log:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        bundle = pathlib.Path(folder) / "client.pem"
        bundle.write_bytes((pki / f"{IDENTITY}.pem").read_bytes() + (pki / f"{IDENTITY}.key").read_bytes())
        config = pathlib.Path(folder) / "haproxy.cfg"
        config.write_text(PROXY.format(fd=listener.fileno(), address=address, bundle=bundle, ca=pki / "ca.pem"))
        with subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", config], pass_fds=[listener.fileno()],
                              stdout=log, stderr=log, stdin=subprocess.DEVNULL) as process:
            try:
                yield listener.getsockname()[1]
            finally:
                process_end(process)


def process_end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


def suite_run(name, flags, port, sections):
    report = LOGS / f"h2spec-{name}.xml"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    with open(LOGS / f"h2spec-{name}.log", "wb") as log:
        subprocess.run([os.environ["DEPS_H2SPEC"], *sections, "-h", "127.0.0.1", "-p", str(port), "-P", PATH,
                        "-o", str(CASE_SECONDS), "-j", report, *flags],
                       stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=SUITE_SECONDS, check=False)
    if not report.exists():
        print(f"h2spec {name}: no report after {time.monotonic() - began:.0f} s, see {log.name}")
        return 0, 1, 0
    return suite_count(name, report)


def suite_count(name, report):
    listed = cases_listed()
    passed = failed = skipped = 0
    for case, title, result in report_cases(report):
        if result == "passed":
            passed += 1
        elif case in listed:
            skipped += 1
            print(f"h2spec {name}: does not apply: {case} {title}")
        else:
            failed += 1
            print(f"h2spec {name}: {result}: {case} {title}")
    return passed, failed, skipped


def cases_listed():
    """First column of the README's table."""
    return set(re.findall(r"^\| `(\S+)` \|", README.read_text(encoding="utf-8"), re.MULTILINE))


def report_cases(report):
    """Yields (section/number, title, passed|failed|skipped)."""
    for section in xml.parse(report).iter("testsuite"):
        for number, case in enumerate(section.findall("testcase"), 1):
            result = "passed"
            if case.find("skipped") is not None:
                result = "skipped"
            if case.find("failure") is not None or case.find("error") is not None:
                result = "failed"
            yield f"{case.get('package')}/{number}", case.get("classname"), result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
