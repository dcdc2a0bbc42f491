"""The pacts of this tree against a running service."""
import subprocess

import pytest

import compile as pacts
from program import ROOT, findings, verify

FOLDER = ROOT / "contracts/pacts"


def test_the_committed_pacts_are_what_their_sources_say():
    done = subprocess.run([ROOT / "tools/pacts", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.stack
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_tenant_service_keeps_its_pacts(service, path):
    report = verify(path, service=service)
    assert findings(report) == {} and report["passed"] > 0


@pytest.mark.stack
def test_a_broken_expectation_is_told_with_path_and_values(service, tmp_path):
    source = (FOLDER / "api-gateway-tenant-service.yaml").read_text()
    broken = tmp_path / "broken.yaml"
    broken.write_text(source.replace("home_region: eu\n          plan: {plan_id: plan_pro}",
                                     "home_region: us\n          plan: {plan_id: plan_free}"))
    (tmp_path / "broken.json").write_text(pacts.compile_pact(broken))
    report = verify(tmp_path / "broken.json", "--filter", "get a tenant", service=service)
    assert findings(report)["get a tenant"] == [
        ("body", "$.tenant.home_region", '"us"', '"eu"'),
        ("body", "$.tenant.plan.plan_id", '"plan_free"', '"plan_pro"')]
