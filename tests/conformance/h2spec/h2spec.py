"""h2spec in clear text → haproxy, which presents the client certificate → the service.

haproxy runs in tcp mode: it adds TLS and passes the frames untouched.  Arguments are h2spec's sections
(`http2/5.1`), all without.  The cases that tests/conformance/README.md lists do not apply: they are not run,
and told.  A case that h2spec does not know or skips has failed.
"""
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import servers

LOGS = servers.LOGS
README = servers.ROOT / "tests/conformance/README.md"
# a Connect GET, whose answer has a body; that it is a refusal (no x-tenant-id) makes no difference to the frames
PATH = "/tenant.v1.TenantService/GetTenant?connect=v1&encoding=json&" \
    "message=%7B%22tenantId%22%3A%22tnt_01H455VB4PEX5VSKNK084SN02Q%22%7D"
SUITES = {"default": [], "strict": ["--strict"]}
# the titles of the three parts that h2spec lists
PARTS = {"Generic": "generic", "Hypertext": "http2", "HPACK": "hpack"}
CASE_SECONDS = 2
SUITE_SECONDS = 600

def main(sections):
    LOGS.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    with service() as (words, process), servers.proxy(words[2], "h2spec") as port:
        for name, flags in SUITES.items():
            good, bad, skipped = suite_run(name, flags, port, sections)
            print(f"h2spec {name}: {good} passed, {bad} failed, {skipped} skipped", flush=True)
            passed, failed = passed + good, failed + bad
        if process.poll() is not None:
            print(f"the service ended with status {process.returncode}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def service():
    env = {k: v for k, v in os.environ.items() if not k.startswith("TENANT_")}
    env.update(TENANT_SERVER_PORT="0", TENANT_OPS_PORT="0", TENANT_SERVER_WORKERS="2", TENANT_NATS_REPLICAS="1")
    program = servers.ROOT / "build" / os.environ["MODE"] / "tenant-service"
    return servers.program([program, "serve", "--config", env["STACK_CONFIG"]], "ready: grpc ", "h2spec-service", env=env)


def suite_run(name, flags, port, sections):
    report = LOGS / f"h2spec-{name}.xml"
    report.unlink(missing_ok=True)
    known = cases_known(flags)
    chosen = [case for case in known if not sections or any(
        case == one or case.startswith((f"{one}/", f"{one}.")) for one in sections)]
    left_out = [case for case in chosen if case in cases_listed()]
    to_run = [case for case in chosen if case not in left_out]
    for case in left_out:
        print(f"h2spec {name}: does not apply and is not run: {case}")
    unknown = cases_listed() - set(known)
    for case in sorted(unknown):
        print(f"h2spec {name}: README.md lists {case}, which there is not")
    if not to_run:  # without a case h2spec would run all
        print(f"h2spec {name}: no case to run in {' '.join(sections)}")
        return 0, 1, len(left_out)
    began = time.monotonic()
    with open(LOGS / f"h2spec-{name}.log", "wb") as log:
        subprocess.run([os.environ["DEPS_H2SPEC"], *to_run, "-h", "127.0.0.1", "-p", str(port), "-P", PATH,
                        "-o", str(CASE_SECONDS), "-j", report, *flags],
                       stdout=log, stderr=log, stdin=subprocess.DEVNULL, timeout=SUITE_SECONDS, check=False)
    if not report.exists():
        print(f"h2spec {name}: no report after {time.monotonic() - began:.0f} s, see {log.name}")
        return 0, 1, len(left_out)
    passed, failed = suite_count(name, report, to_run)
    return passed, failed + len(unknown), len(left_out)


def suite_count(name, report, expected):
    passed = failed = 0
    missing = set(expected)
    for case, title, result in report_cases(report):
        missing.discard(case)
        if result == "passed":
            passed += 1
        else:
            failed += 1
            print(f"h2spec {name}: {result}: {case} {title}")
    for case in sorted(missing):
        print(f"h2spec {name}: not reported: {case}")
    return passed, failed + len(missing)


def cases_known(flags):
    """All of h2spec's cases, `http2/5.1/1`, in its order."""
    text = subprocess.run([os.environ["DEPS_H2SPEC"], "--dryrun", *flags], capture_output=True, text=True, check=True,
                          timeout=60).stdout
    part = section = None
    cases = []
    for line in text.splitlines():
        if line and not line.startswith(" "):
            part = PARTS[line.split()[0].rstrip(":")]
        elif found := re.match(r" +([0-9.]+)\. ", line):
            section = found[1]
        elif found := re.match(r" +([0-9]+): ", line):
            cases.append(f"{part}/{section}/{found[1]}")
    return cases


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
