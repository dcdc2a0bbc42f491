"""Calls as spans at a collector: a stock gRPC server with OTLP's packaged stubs and the development CA's certificates.
Spans travel every five seconds, or when the process ends."""
import json
import secrets
import threading
import time

import grpc
import pytest

from collector import CLIENT, ERROR, SERVER, Collector, attributes, pb
from support import ROOT, Service, create, get, header, refused, wait_until
from tenant.v1 import tenants_pb2

GET = "tenant.v1.TenantService/GetTenant"


@pytest.fixture
def collector(stack):
    running = Collector(stack)
    yield running
    running.stop()


@pytest.fixture
def traced(stack, collector):
    """A service that exports to the collector and samples nothing by itself; ended by the test or after it."""
    service = Service(stack, TELEMETRY_OTLP_ENDPOINT=collector.endpoint)
    yield service
    if service.process.poll() is None:
        assert service.stop() == 0, service.log_path.read_text()[-3000:]


def traceparent(flags="01"):
    """A caller's trace and span, and the metadata that says so."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, (("traceparent", f"00-{trace}-{span}-{flags}"),)


def exported(service, result="exported"):
    return service.metric("tenant_otlp_spans_total", result=result)


def lines(service, event):
    found = [json.loads(line) for line in service.log_path.read_text().splitlines() if f'"{event}"' in line]
    return [line for line in found if line["event"] == event]


def test_a_call_is_a_span_of_its_caller_s_trace(traced, collector, unique):
    tenant = create(traced, unique())
    trace, parent, metadata = traceparent()
    before = time.time_ns()
    get(traced, tenant.tenant_id, identity="api-gateway", metadata=metadata + header(tenant.tenant_id))
    after = time.time_ns()
    span = collector.span(trace, GET)
    assert span.trace_id.hex() == trace and span.parent_span_id.hex() == parent
    assert len(span.span_id) == 8 and span.span_id.hex() not in (parent, "0" * 16)
    assert span.kind == SERVER and span.flags == 0x301 and not span.HasField("status")
    assert before - 20e6 < span.start_time_unix_nano < span.end_time_unix_nano < after + 20e6
    values = attributes(span)
    bucket = values.pop("tenant_id_hash")
    assert f'tenant_id_hash="{bucket}"' in traced.metrics() and len(bucket) == 2
    port = values.pop("network.peer.port")
    assert 0 < port < 65536
    host, service_port = traced.address.rsplit(":", 1)
    assert values == {"rpc.system.name": "grpc", "rpc.method": GET, "rpc.response.status_code": "OK",
                      "server.address": host, "server.port": int(service_port), "network.peer.address": "127.0.0.1"}
    assert tenant.tenant_id not in str(collector.requests) and tenant.slug not in str(collector.requests)


def test_what_a_call_asks_of_the_database_stands_below_it(traced, collector, unique):
    trace, _, metadata = traceparent()
    request = tenants_pb2.CreateTenantRequest(tenant=tenants_pb2.Tenant(
        slug=unique(), display_name="A", home_region="eu"))
    traced.stub().CreateTenant(request, metadata=metadata, timeout=10)
    assert traced.stop() == 0
    [server] = [span for span in collector.spans(trace) if span.kind == SERVER]
    runs = [span for span in collector.spans(trace) if span.kind == CLIENT]
    assert runs and len(runs) + 1 == len(collector.spans(trace))
    for span in runs:
        assert span.parent_span_id == server.span_id and span.flags == 0x101 and not span.HasField("status")
        assert server.start_time_unix_nano <= span.start_time_unix_nano < span.end_time_unix_nano
        assert attributes(span)["db.system.name"] == "postgresql"
        assert attributes(span)["db.query.summary"] == span.name
    write = max(runs, key=lambda span: attributes(span).get("db.operation.batch.size", 1))
    assert attributes(write)["db.operation.batch.size"] > 3  # the tenant, its audit row, the event …
    assert request.tenant.slug not in str(collector.requests) and "INSERT" not in str(collector.requests)


def test_resource_and_scope_say_who(traced, collector, unique):
    trace, _, metadata = traceparent()
    refused(get, traced, "tnt_01H455VB4PEX5VSKNK084SN02Q", metadata=metadata)
    collector.span(trace, GET)
    [of] = collector.requests[0].resource_spans
    values = attributes(of.resource)
    instance = values.pop("service.instance.id")
    assert f":{traced.process.pid}:" in instance
    version = (ROOT / "VERSION").read_text().strip()
    assert values == {"service.name": "tenant-service", "service.version": version, "cloud.region": "eu",
                      "deployment.environment.name": "development"}
    [scope] = of.scope_spans
    assert of.schema_url == scope.schema_url and scope.schema_url.startswith("https://opentelemetry.io/schemas/1.")
    assert scope.scope.name == "tenant-service" and scope.scope.version == version
    assert [peer[0] for peer in collector.peers] == [b"spiffe://ghasi.local/ns/tenant-service/sa/tenant-service"]


def test_refusals_are_no_errors_and_failures_are(traced, collector):
    traces = []
    for path, message in ((f"/{GET}", tenants_pb2.GetTenantRequest(tenant_id="tnt_01H455VB4PEX5VSKNK084SN02Q")),
                          ("/tenant.v1.TenantService/Nothing", tenants_pb2.GetTenantRequest())):
        trace, _, metadata = traceparent()
        rpc = traced.channel().unary_unary(path, request_serializer=lambda m: m.SerializeToString())
        refused(rpc, message, metadata=metadata, timeout=10)
        traces.append(trace)
    missing, unknown = collector.span(traces[0], GET), collector.span(traces[1])
    assert attributes(missing)["rpc.response.status_code"] == "NOT_FOUND"
    assert not missing.HasField("status") and "error.type" not in attributes(missing)
    assert unknown.name == "grpc" and attributes(unknown)["rpc.method"] == "_OTHER"
    assert attributes(unknown)["rpc.response.status_code"] == "UNIMPLEMENTED"
    assert unknown.status.code == ERROR and unknown.status.message == "METHOD_UNKNOWN"
    assert attributes(unknown)["error.type"] == "METHOD_UNKNOWN"


def test_what_is_not_sampled_is_not_sent(traced, collector, unique):
    tenant = create(traced, unique())
    trace, _, metadata = traceparent("00")
    get(traced, tenant.tenant_id, metadata=metadata)
    sampled, _, metadata = traceparent()
    get(traced, tenant.tenant_id, metadata=metadata)
    assert traced.stop() == 0
    collector.span(sampled, GET)
    assert not collector.spans(trace)
    assert {span.trace_id.hex() for span in collector.spans()} == {sampled}


def test_traces_that_begin_here_are_sampled_by_the_ratio(stack, collector, unique):
    service = Service(stack, TELEMETRY_OTLP_ENDPOINT=collector.endpoint, TELEMETRY_TRACE_RATIO="1")
    tenant = create(service, unique())
    get(service, tenant.tenant_id)
    assert service.stop() == 0
    roots = [span for span in collector.spans() if span.kind == SERVER]
    assert [span.name for span in roots] == ["tenant.v1.TenantService/CreateTenant", GET]
    assert all(span.parent_span_id == b"" and span.flags == 0x101 for span in roots)
    assert len({span.trace_id for span in roots}) == 2


def test_the_end_sends_what_is_left(traced, collector, unique):
    tenant = create(traced, unique())
    sent = []
    for _ in range(20):
        trace, _, metadata = traceparent()
        get(traced, tenant.tenant_id, metadata=metadata)
        sent.append(trace)
    assert traced.stop() == 0
    assert sorted(span.trace_id.hex() for span in collector.spans() if span.kind == SERVER) == sorted(sent)


def test_a_burst_loses_nothing(traced, collector, unique):
    """More than a batch, over both workers."""
    tenant = create(traced, unique())
    sent = set()

    def burst():
        channel = grpc.secure_channel(traced.address, traced.stack.credentials("admin"))
        rpc = channel.unary_unary(f"/{GET}", request_serializer=lambda m: m.SerializeToString())
        for _ in range(250):
            trace, _, metadata = traceparent()
            rpc(tenants_pb2.GetTenantRequest(tenant_id=tenant.tenant_id), metadata=metadata, timeout=20)
            sent.add(trace)
        channel.close()

    threads = [threading.Thread(target=burst) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert traced.stop() == 0
    came = [span.trace_id.hex() for span in collector.spans() if span.kind == SERVER]
    assert len(came) == 1250 and set(came) == sent
    assert len(collector.requests) >= 3


def test_a_collector_that_is_away_costs_spans_alone(stack, unique):
    collector = Collector(stack, start=False)
    service = Service(stack, TELEMETRY_OTLP_ENDPOINT=collector.endpoint, TELEMETRY_TRACE_RATIO="1")
    tenant = create(service, unique())
    for _ in range(50):
        get(service, tenant.tenant_id)
    wait_until(lambda: exported(service, "dropped_unavailable") > 0, 40)
    assert exported(service) == 0
    assert len(lines(service, "otlp.failed")) == 1
    ready = json.loads(service.http("/health/ready")[1])
    assert ready["dependencies"]["otlp"]["state"] == "down"
    assert service.http("/health/ready")[0] == 200 and service.metric("tenant_dependency_up", dependency="otlp") == 0
    collector.start()
    get(service, tenant.tenant_id)
    wait_until(lambda: exported(service) > 0, 40)
    assert len(lines(service, "otlp.recovered")) == 1
    assert service.metric("tenant_dependency_up", dependency="otlp") == 1
    assert service.stop() == 0
    collector.stop()


def test_a_collector_that_refuses_is_not_asked_again(traced, collector, unique):
    collector.answer = lambda context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    _, _, metadata = traceparent()
    refused(get, traced, "tnt_01H455VB4PEX5VSKNK084SN02Q", metadata=metadata)
    wait_until(lambda: exported(traced, "dropped_refused") > 0, 20)
    assert collector.calls == 1 and exported(traced, "dropped_unavailable") == 0
    [line] = lines(traced, "otlp.failed")
    assert line["status"] == "UNAUTHENTICATED" and line["text"] == "who are you?"


def test_what_a_collector_rejects_is_counted(traced, collector):
    collector.answer = lambda context: pb.ExportTraceServiceResponse(
        partial_success=pb.ExportTracePartialSuccess(rejected_spans=1, error_message="too old"))
    for _ in range(3):
        refused(get, traced, "tnt_01H455VB4PEX5VSKNK084SN02Q", metadata=traceparent()[2])
    wait_until(lambda: exported(traced, "dropped_refused") > 0, 20)
    assert collector.calls == exported(traced, "dropped_refused")
    assert lines(traced, "otlp.partly_taken")[0]["text"] == "too old"


def test_a_collector_that_hangs_holds_up_neither_calls_nor_the_end(traced, collector, unique):
    release = threading.Event()
    collector.answer = lambda context: release.wait(60) and None
    tenant = create(traced, unique())
    get(traced, tenant.tenant_id, metadata=traceparent()[2])
    wait_until(lambda: collector.calls > 0, 20)
    for _ in range(100):
        get(traced, tenant.tenant_id, metadata=traceparent()[2])
    began = time.monotonic()
    assert traced.stop() == 0
    release.set()
    assert time.monotonic() - began < 20  # drains in no time, then three seconds for the collector
    [line] = lines(traced, "otlp.failed")
    assert line["spans"] >= 1


@pytest.mark.parametrize("endpoint, told", [
    ("http://localhost:4317", "key telemetry.otlp_endpoint: expected a URL with a host that begins with https://"),
    ("https://localhost:4318/v1/traces", "telemetry.otlp_endpoint: expected https://HOST:PORT without anything behind it"),
])
def test_endpoints_of_other_protocols_end_the_start(stack, endpoint, told):
    service = Service(stack, wait=False, TELEMETRY_OTLP_ENDPOINT=endpoint)
    assert service.process.wait(30) == 2
    service.process.stdout.close()
    service.log.close()
    assert told in service.log_path.read_text()


def test_without_a_collector_nobody_traces(service):
    refused(get, service, "tnt_01H455VB4PEX5VSKNK084SN02Q", metadata=traceparent()[2])
    assert "tenant_otlp_" not in service.metrics()
    assert json.loads(service.http("/health/ready")[1])["dependencies"]["otlp"]["state"] == "off"
