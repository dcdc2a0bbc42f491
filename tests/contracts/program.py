"""Runs contract-verify."""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / os.environ.get("MODE", "release") / "contract-verify"
PROVIDER = f"exec '{sys.executable}' '{ROOT}/tests/contracts/provider.py'"


def run(*arguments, **options):
    options.setdefault("timeout", 120)
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, **options)
    assert done.returncode in (0, 1, 2), f"status {done.returncode}: {done.stderr}"
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def verify(*arguments, service=None, **options):
    """The report of `verify`, and its exit status."""
    env = dict(os.environ, **options.pop("env", {}))
    if service is not None:
        env["SERVICE_ADDR"] = service.address
        arguments = ("--address", service.address, "--pki", service.stack.pki, "--provider-state-command", PROVIDER,
                     "--message-command", PROVIDER, *arguments)
    done = run("verify", "--format", "json", *arguments, env=env, **options)
    assert done.returncode != 2, done.stderr
    report = json.loads(done.stdout)
    assert report["success"] == (done.returncode == 0)
    return report


def findings(report):
    """What did not verify: {description: [(attribute, identifier, expected, actual)] or the error}."""
    out = {}
    for pact in report["pacts"]:
        for one in pact["interactions"]:
            if one["verdict"] != "passed":
                out[one["description"]] = one.get("error") or [
                    (m["attribute"], m["identifier"], m["expected"], m["actual"]) for m in one["mismatches"]]
    return out
