"""The pacts of this tree against a running service, and that each of their expectations counts."""
import json
import os
import random
import subprocess

import pytest

import compile as pacts
import mutants
from program import ROOT, findings, verify

PACTS = sorted((ROOT / "contracts/pacts").glob("*.json"))
MUTANTS = int(os.environ.get("PACT_MUTANTS", "60"))


def test_the_committed_pacts_are_what_their_sources_say():
    done = subprocess.run([ROOT / "tools/pacts", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.stack
@pytest.mark.parametrize("path", PACTS, ids=lambda path: path.stem)
def test_tenant_service_keeps_its_pacts(service, path):
    report = verify(path, service=service)
    assert findings(report) == {}
    assert report["passed"] == len(json.loads(path.read_text())["interactions"])


@pytest.mark.stack
@pytest.mark.parametrize("path", PACTS, ids=lambda path: path.stem)
def test_each_expectation_counts(service, path, tmp_path):
    """A sample of one-expectation changes (PACT_MUTANTS=9999: all): every one is noticed, at its place."""
    document, changed = mutants.of_pact(path)
    count = min(MUTANTS // len(PACTS), len(changed))
    chosen = random.Random(os.environ.get("SEED", "1")).sample(changed, count)
    document["interactions"] = [mutant for mutant, _ in chosen]
    (tmp_path / "mutants.json").write_text(json.dumps(document))
    found = findings(verify(tmp_path / "mutants.json", service=service, timeout=120 + 2 * count))  # states take a while
    unnoticed = [mutant["description"] for mutant, _ in chosen if mutant["description"] not in found]
    assert unnoticed == []
    elsewhere = [(mutant["description"], found[mutant["description"]]) for mutant, where in chosen
                 if not is_at(found[mutant["description"]], where)]
    assert elsewhere == []


REFLECTION = """
consumer: admin
provider: tenant-service
image: contracts/released/0.1.0.binpb
protos: [grpc/reflection/v1/reflection.proto, grpc/health/v1/health.proto]
interactions:
- description: ask for services, then for a file
  call: grpc.reflection.v1.ServerReflection/ServerReflectionInfo
  inTurn: true
  request:
  - message: {list_services: '*'}
  - message: {file_containing_symbol: tenant.v1.TenantService}
  response:
  - message:
      original_request: {list_services: '*'}
      list_services_response: {service: !contains [{name: tenant.v1.TenantService}, {name: grpc.health.v1.Health}]}
  - message:
      file_descriptor_response: {file_descriptor_proto: !each {min: 1, of: !type AAEC}}
- description: watch a service that there is not
  call: grpc.health.v1.Health/Watch
  leftOpen: true
  request: {message: {service: no.such.Service}}
  response: [{message: {status: SERVICE_UNKNOWN}}]
"""


@pytest.mark.stack
def test_streams_of_the_service(service, tmp_path):
    """Both ways in turn, and one that goes on: beyond what the Protobuf plugin does."""
    (tmp_path / "streams.yaml").write_text(REFLECTION)
    (tmp_path / "streams.json").write_text(pacts.compile_pact(tmp_path / "streams.yaml"))
    assert findings(verify(tmp_path / "streams.json", service=service)) == {}
    (tmp_path / "streams.json").write_text(pacts.compile_pact(tmp_path / "streams.yaml").replace("inTurn", "notInTurn"))
    assert findings(verify(tmp_path / "streams.json", service=service)) == {}
    (tmp_path / "streams.yaml").write_text(REFLECTION.replace("name: grpc.health.v1.Health", "name: grpc.health.v9.Health"))
    (tmp_path / "streams.json").write_text(pacts.compile_pact(tmp_path / "streams.yaml"))
    (found,) = findings(verify(tmp_path / "streams.json", service=service)).values()
    assert [one[:2] for one in found] == [("body", "$.list_services_response.service of message 0")]


def is_at(mismatches, where):
    """At the place, below it (a list's element) or at the list that must contain it; or a state has not the value."""
    if isinstance(mismatches, str):
        return "the provider states gave no" in mismatches
    if where == "grpc-status":
        return mismatches[0][0] == "status"
    wanted = where.replace("[", ".").replace("]", "").split(".")
    places = [one[1].replace("[", ".").replace("]", "").split(".") for one in mismatches]
    return any(all(a in (b, "*") for a, b in zip(wanted, place)) or wanted[:len(place)] == place for place in places)
