"""What Prometheus scrapes: every family is on the page of docs/, in both formats, and counts what happened."""
import re
import urllib.request

import grpc

from support import ROOT, call, change_status, create, get, refused
from tenant.v1 import tenants_pb2 as pb

PAGE = {line.split("`")[1]: [cell.strip() for cell in line.split("|")][2:4]
        for line in (ROOT / "docs" / "metrics.md").read_text().splitlines() if line.startswith("| `")}


def scrape(service, accept=None):
    request = urllib.request.Request(f"http://{service.ops}/metrics", headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=5) as reply:
        return reply.headers["Content-Type"], reply.read().decode()


def stir(service, unique):
    tenant = create(service, unique())
    for _ in range(3):
        get(service, tenant.tenant_id)
    refused(get, service, "tnt_01H455VB4PEX5VSKNK084SN02Q")
    change_status(service, "Suspend", tenant.tenant_id)
    call(service, "UpdateTenant", pb.UpdateTenantRequest(tenant=pb.Tenant(
        tenant_id=tenant.tenant_id, display_name="n")), metadata=(("idempotency-key", unique("k")),))
    return tenant


def test_every_family_is_on_the_page_with_type_and_labels(service, unique):
    stir(service, unique)
    _, text = scrape(service)
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    assert len(types) > 60
    assert {name: kind for name, kind in types.items() if PAGE.get(name, [""])[0] != kind} == {}
    for name, labels in re.findall(r"^(\w+)\{([^}]*)\} ", text, re.M):
        family = name if name in PAGE else re.sub(r"_(bucket|sum|count)$", "", name)
        shown = set(re.findall(r"(\w+)=", labels)) - {"le"}
        assert shown == set(re.findall(r"`(\w+)`", PAGE[family][1])), name


def test_what_is_not_bounded_is_no_label(service, unique):
    tenant = stir(service, unique)
    _, text = scrape(service)
    assert tenant.tenant_id not in text and tenant.slug not in text
    buckets = set(re.findall(r'tenant_id_hash="(\w+)"', text))
    assert 1 < len(buckets - {"-"}) <= 64


def test_openmetrics_on_request(service, unique):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    tenant = create(service, unique())
    for _ in range(2):
        call(service, "GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id),
             metadata=(("traceparent", f"00-{trace}-00f067aa0ba902b7-01"),))
    kind, text = scrape(service, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("\n# EOF\n") and text.count("# EOF") == 1
    assert "# TYPE tenant_http_requests counter\n" in text and "\ntenant_http_requests_total{" in text
    assert "# TYPE process_cpu_seconds counter\n" in text
    exemplars = re.findall(r'^tenant_http_request_duration_seconds_bucket\{[^}]*\} \d+ # \{trace_id="(\w{32})"\} '
                           r'[\d.e-]+ \d+\.\d{3}$', text, re.M)
    assert exemplars
    kind, text = scrape(service)
    assert kind.startswith("text/plain; version=0.0.4") and "# EOF" not in text and "trace_id" not in text


def test_what_happened_is_counted(service, unique):
    before = {name: service.metric(name, **labels) for name, labels in COUNTED}
    tenant, k = create(service, unique()), (("idempotency-key", unique("k")),)
    request = pb.UpdateTenantRequest(tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name="n"))
    call(service, "UpdateTenant", request, metadata=k)
    call(service, "UpdateTenant", request, metadata=k)
    refused(call, service, "UpdateTenant", pb.UpdateTenantRequest(tenant=pb.Tenant(
        tenant_id=tenant.tenant_id, display_name="m")), metadata=k)
    refused(call, service, "ListTenants", pb.ListTenantsRequest(page_token="x"))
    refused(get, service, tenant.tenant_id, metadata=(("x-consistency-token", "x"),))
    for name, labels in COUNTED:
        assert service.metric(name, **labels) > before[name], (name, labels)


COUNTED = [
    ("tenant_idempotency_keys_total", {"result": "replayed"}),
    ("tenant_page_tokens_refused_total", {}),
    ("tenant_consistency_tokens_total", {"result": "refused"}),
    ("tenant_http_errors_total", {"error_code": "IDEMPOTENCY_REPLAY_MISMATCH"}),
    ("tenant_db_commits_total", {"outcome": "yes"}),
]
