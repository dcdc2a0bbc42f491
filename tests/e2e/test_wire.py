"""The edge: certificates, probes, bad requests, limits and deadlines, seen by stock clients."""
import gzip
import socket
import ssl
import threading
import time
import urllib.request

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from support import Refusal, create, get, refused, tls, wait_until
from tenant.v1 import tenants_pb2 as pb

CODE = grpc.StatusCode
GET = "/tenant.v1.TenantService/GetTenant"


def raw_unary(service, path, payload, identity="admin", **kwargs):
    """A unary call of arbitrary bytes."""
    call = service.channel(identity).unary_unary(
        path, request_serializer=lambda b: b, response_deserializer=lambda b: b)
    return call(payload, timeout=kwargs.pop("timeout", 10), **kwargs)


class Client:
    """One HTTP/2 connection under the test's control."""

    def __init__(self, service, identity="admin"):
        host, port = service.address.rsplit(":", 1)
        self.socket = tls(service.stack, identity).wrap_socket(
            socket.create_connection((host, int(port)), timeout=10), server_hostname="localhost")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            validate_outbound_headers=False, normalize_outbound_headers=False))
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def request(self, headers=(), body=b"\0\0\0\0\0", path=GET, method="POST", end=True, drop=()):
        fields = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": path,
                  "content-type": "application/grpc", "te": "trailers"}
        fields.update(headers)
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, [(k, v) for k, v in fields.items() if k not in drop],
                             end_stream=body is None)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        self.flush()
        return stream

    def events(self, until, seconds=10):
        """Reads until `until(event)` is true; returns all events."""
        self.socket.settimeout(seconds)
        seen = []
        while True:
            data = self.socket.recv(65536)
            if not data:
                return seen
            for event in self.h2.receive_data(data):
                seen.append(event)
                if until(event):
                    self.flush()
                    return seen
            self.flush()

    def answer(self, stream):
        """All header fields of the stream's answer and trailers, as one dictionary."""
        fields = {}
        ends = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)
        for event in self.events(lambda e: isinstance(e, ends) and
                                 getattr(e, "stream_id", stream) == stream):
            if getattr(event, "stream_id", None) == stream and hasattr(event, "headers"):
                fields.update({(k.decode() if isinstance(k, bytes) else k):
                               (v.decode() if isinstance(v, bytes) else v) for k, v in event.headers})
        return fields

    def close(self):
        self.socket.close()


@pytest.fixture
def client(service):
    made = Client(service)
    yield made
    made.close()


# --- who gets in -------------------------------------------------------------------------------------


def connect(service, context):
    host, port = service.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.settimeout(10)
            secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            return secure.recv(1)


def test_no_certificate_no_connection(service):
    before = service.metric("tenant_tls_handshake_failures_total")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert connect(service, tls(service.stack, None)) == b"never"
    # the alert may be here before the worker has counted it
    wait_until(lambda: service.metric("tenant_tls_handshake_failures_total") > before)


def test_a_certificate_of_another_authority(service, tmp_path):
    import subprocess
    key, cert = tmp_path / "k.pem", tmp_path / "c.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", "/CN=admin", "-addext",
                    "subjectAltName=URI:spiffe://ghasi.local/ns/admin/sa/admin"],
                   check=True, capture_output=True)
    context = tls(service.stack, None)
    context.load_cert_chain(cert, key)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert connect(service, context) == b"never"


def test_tls_1_2_is_refused(service):
    context = tls(service.stack, "admin")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert connect(service, context) == b"never"


@pytest.mark.parametrize("protocols", [["http/1.1"], None])
def test_alpn_must_be_h2(service, protocols):
    import ssl as ssl_module
    context = ssl_module.create_default_context(cafile=service.stack.pki / "ca.pem")
    context.load_cert_chain(service.stack.pki / "admin.pem", service.stack.pki / "admin.key")
    if protocols:
        context.set_alpn_protocols(protocols)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert connect(service, context) == b"never"


# --- probes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/startup"])
def test_plain_probes_on_both_ports(service, path):
    for address in (service.address, service.ops):
        status, body = service.http(path, address)
        assert status == 200, body


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/health/live/", "/tenant.v1.TenantService/GetTenant"])
def test_nothing_else_in_the_clear(service, path):
    status, _ = service.http(path, service.address)
    assert status in (400, 403, 404)


def test_plain_post_is_refused(service):
    request = urllib.request.Request(f"http://{service.address}/health/live", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=5)
    assert error.value.code in (400, 405)


def test_metrics(service, unique):
    create(service, unique())
    text = service.metrics()
    for name in ("tenant_http_requests_total", "tenant_http_request_duration_seconds_bucket",
                 "tenant_db_connections_active", "tenant_db_connections_waiting"):
        assert name in text
    assert service.metric("tenant_http_requests_total",
                          route="/tenant.v1.TenantService/CreateTenant", status="OK") > 0


def test_health_check(service):
    for identity in ("admin", "stranger"):
        stub = health_pb2_grpc.HealthStub(service.channel(identity))
        for name in ("", "tenant.v1.TenantService"):
            reply = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING
        error = refused(stub.Check, health_pb2.HealthCheckRequest(service="nobody"), timeout=5)
        assert error.code == CODE.NOT_FOUND


# --- bad requests --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/tenant.v1.TenantService/Nonsense", "/no.such.Service/GetTenant",
                                  "/tenant.v1.TenantService/getTenant", "/tenant.v1.TenantService/",
                                  "/tenant.v1.TenantService/GetTenant/"])
def test_unknown_methods(service, path):
    error = refused(raw_unary, service, path, b"")
    assert error.code == CODE.UNIMPLEMENTED


def test_a_path_without_its_slash_reaches_no_method(client):
    stream = client.request(path=GET[1:])
    last = client.events(lambda event: getattr(event, "stream_id", None) == stream or
                         isinstance(event, h2.events.ConnectionTerminated))[-1]
    assert isinstance(last, h2.events.StreamReset) and last.error_code == 1, last


@pytest.mark.parametrize("payload", [b"\x0a", b"\x0a\x05ab", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                     b"\x0a\x02\xc3\x28", b"\x0a\x03a\0b", b"\x0b", b"\x08\x01"])
def test_malformed_protobuf(service, payload):
    error = refused(raw_unary, service, GET, payload)
    assert error.code == CODE.INVALID_ARGUMENT, (payload, error)


def test_bad_utf8_names_the_field(service):
    error = refused(raw_unary, service, "/tenant.v1.TenantService/CreateTenant",
                    b"\x0a\x06\x1a\x04ab\xc3\x28")
    assert error.code == CODE.INVALID_ARGUMENT
    assert "tenant.display_name" in error.fields or "tenant.display_name" in error.message


def test_a_message_in_two_parts_is_refused_and_not_stored_by_half(service, unique):
    """Its parts would be merged, and the type of the first one lost on the way."""
    first = pb.Tenant(slug=unique("part"), display_name="X", home_region="eu", type=pb.TENANT_TYPE_PROVIDER)
    parts = [pb.CreateTenantRequest(tenant=first), pb.CreateTenantRequest(tenant=pb.Tenant(labels={"a": "b"}))]
    with pytest.raises(grpc.RpcError) as raised:
        raw_unary(service, "/tenant.v1.TenantService/CreateTenant", b"".join(part.SerializeToString() for part in parts))
    refusal = Refusal(raised.value)
    assert refusal.reason == "MESSAGE_MALFORMED" and refusal.fields == {"tenant": "must be given once, in one piece"}


def test_unknown_fields_are_ignored(service, unique):
    tenant = create(service, unique())
    payload = pb.GetTenantRequest(tenant_id=tenant.tenant_id).SerializeToString()
    answer = raw_unary(service, GET, payload + b"\xfa\x07\x03abc\xf8\x3f\x05")
    assert pb.GetTenantResponse.FromString(answer).tenant == tenant


def test_an_oversized_message(service):
    error = refused(raw_unary, service, GET, b"\x7a" + b"\xff\xff\x7f" + b"x" * (2 * 1024 * 1024))
    assert error.code == CODE.RESOURCE_EXHAUSTED
    error = refused(get, service, "tnt_01H455VB4PEX5VSKNK084SN02Q")
    assert error.code == CODE.NOT_FOUND, "the connection still works"


def test_a_length_beyond_the_limit_is_refused_before_the_bytes_come(client):
    stream = client.request(body=b"\0\x7f\xff\xff\xff", end=False)
    fields = client.answer(stream)
    assert fields["grpc-status"] == str(CODE.RESOURCE_EXHAUSTED.value[0])


def test_a_compressed_message_without_encoding(client):
    fields = client.answer(client.request(body=b"\1\0\0\0\0"))
    assert fields["grpc-status"] == str(CODE.INTERNAL.value[0])


def test_an_encoding_that_is_not_spoken(client):
    fields = client.answer(client.request({"grpc-encoding": "snappy"}))
    assert fields["grpc-status"] == str(CODE.UNIMPLEMENTED.value[0])
    assert "identity" in fields["grpc-accept-encoding"]


def test_a_stock_client_that_compresses(service, unique):
    """grpcio compresses both ways when told to; what comes back is what was sent."""
    labels = {f"label{n:02}": "x" * 60 for n in range(32)}
    wanted = pb.Tenant(slug=unique(), display_name="Compressed", home_region="eu", labels=labels)
    gzipped = grpc.Compression.Gzip
    made = service.stub().CreateTenant(pb.CreateTenantRequest(tenant=wanted), compression=gzipped).tenant
    assert made.labels == labels
    got = service.stub().GetTenant(pb.GetTenantRequest(tenant_id=made.tenant_id), compression=gzipped)
    assert got.tenant.labels == labels


def test_a_bomb_is_given_up_at_the_limit(client, service):
    before = service.metric("tenant_rpc_limit_hits_total", limit="inflated_bytes")
    bomb = gzip.compress(b"\x7a" + bytes(10 << 20))
    fields = client.answer(client.request({"grpc-encoding": "gzip"}, b"\1" + len(bomb).to_bytes(4, "big") + bomb))
    assert fields["grpc-status"] == str(CODE.RESOURCE_EXHAUSTED.value[0])
    assert service.metric("tenant_rpc_limit_hits_total", limit="inflated_bytes") == before + 1


def test_two_messages_on_a_unary_call(client):
    """statuscodes.md: "Request cardinality violation ... UNIMPLEMENTED"."""
    fields = client.answer(client.request(body=b"\0\0\0\0\0" * 2))
    assert fields["grpc-status"] == "12" and fields["grpc-message"].startswith("REQUEST_CARDINALITY: ")


@pytest.mark.parametrize("body, status", [(None, "12"), (b"", "12"), (b"\0\0", "13"), (b"\0\0\0\0\5ab", "13")])
def test_a_message_that_does_not_come(client, body, status):
    """None at all breaks the method's cardinality; one that was cut short breaks the protocol."""
    assert client.answer(client.request(body=body))["grpc-status"] == status


def test_http_rules(client):
    assert client.answer(client.request({"content-type": "text/plain"}))[":status"] == "415"
    fields = client.answer(client.request(method="PUT"))
    assert (fields[":status"], fields["allow"]) == ("405", "GET, POST"), "reads may be asked by Connect's GET"
    fields = client.answer(client.request(method="GET", path="/tenant.v1.TenantService/CreateTenant"))
    assert (fields[":status"], fields["allow"]) == ("405", "POST")
    assert client.answer(client.request(method="GET"))[":status"] == "415", "it lacks Connect's parameters"
    fields = client.answer(client.request({"content-type": "application/grpc+proto"}))
    assert (fields[":status"], fields["grpc-status"]) == ("200", "3")


@pytest.mark.parametrize("value", ["", "S", "1", "123456789S", "-1S", "1X", "1.5S"])
def test_malformed_timeouts(client, value):
    fields = client.answer(client.request({"grpc-timeout": value}))
    assert fields["grpc-status"] == "3"
    assert fields["grpc-message"].startswith("METADATA_INVALID: ") and "grpc-timeout" in fields["grpc-message"]


def test_framing_split_anywhere(client, service, unique):
    tenant = create(service, unique())
    message = pb.GetTenantRequest(tenant_id=tenant.tenant_id).SerializeToString()
    body = b"\0" + len(message).to_bytes(4, "big") + message
    for size in (1, 2, 7):
        stream = client.request(body=b"", end=False)
        for start in range(0, len(body), size):
            client.h2.send_data(stream, body[start:start + size])
            client.flush()
        client.h2.end_stream(stream)
        client.flush()
        assert client.answer(stream)["grpc-status"] == "0"


def test_many_calls_in_flight_on_one_connection(service, unique):
    tenants = [create(service, unique()) for _ in range(5)]
    stub = service.stub()
    futures = [stub.GetTenant.future(pb.GetTenantRequest(tenant_id=tenants[i % 5].tenant_id), timeout=20)
               for i in range(500)]
    for i, future in enumerate(futures):
        assert future.result().tenant == tenants[i % 5]


def test_a_large_answer_crosses_small_windows(service, unique):
    theme = {f"key{i}": "v" * 1000 for i in range(32)}
    labels = {f"k{i}": "x" * 256 for i in range(64)}
    tenant = create(service, unique(), labels=labels, settings=pb.TenantSettings(branding_theme=theme))
    client = Client(service)
    message = pb.GetTenantRequest(tenant_id=tenant.tenant_id).SerializeToString()
    stream = client.request(body=b"\0" + len(message).to_bytes(4, "big") + message)
    body = b""
    ended = False
    while not ended:
        for event in client.h2.receive_data(client.socket.recv(65536)):
            ended = ended or isinstance(event, h2.events.StreamEnded)
            if isinstance(event, h2.events.DataReceived):
                body += event.data
                client.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        client.flush()
    client.close()
    assert pb.GetTenantResponse.FromString(body[5:]).tenant == tenant


# --- metadata, deadlines, cancellation -------------------------------------------------------------------


def test_answers_carry_request_id_and_source(service, unique):
    tenant = create(service, unique())
    stub = service.stub()
    _, call = stub.GetTenant.with_call(pb.GetTenantRequest(tenant_id=tenant.tenant_id), timeout=5,
                                       metadata=(("x-request-id", "edge-7"),))
    initial = dict(call.initial_metadata())
    assert initial["x-request-id"] == "edge-7"
    assert initial["x-source"] in ("memory", "redis", "primary")
    assert int(initial["x-staleness-ms"]) >= 0
    _, call = stub.GetTenant.with_call(pb.GetTenantRequest(tenant_id=tenant.tenant_id), timeout=5)
    assert dict(call.initial_metadata())["x-request-id"].startswith("req_")


def test_refusals_carry_the_request_id_too(service):
    with pytest.raises(grpc.RpcError) as raised:
        service.stub().GetTenant(pb.GetTenantRequest(tenant_id="x"), timeout=5, metadata=(("x-request-id", "edge-8"),))
    fields = dict(raised.value.initial_metadata() or ()) | dict(raised.value.trailing_metadata() or ())
    assert fields["x-request-id"] == "edge-8"
    assert Refusal(raised.value).reason


def test_deadlines_are_kept(service, stack, unique):
    tenant = create(service, unique())
    with stack.superuser() as sql:
        sql.execute("BEGIN")
        sql.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", (tenant.slug,))
        request = pb.UpdateTenantRequest(
            tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name="late"))
        started = time.monotonic()
        error = refused(service.stub().UpdateTenant, request, timeout=0.5)
        assert error.code == CODE.DEADLINE_EXCEEDED
        assert time.monotonic() - started < 5
        sql.execute("ROLLBACK")
    assert get(service, tenant.tenant_id).display_name == tenant.display_name


def test_the_servers_own_deadline_answers(service, stack, unique, client):
    """A raw client that does not watch its own clock gets DEADLINE_EXCEEDED from the server."""
    tenant = create(service, unique())
    with stack.superuser() as sql:
        sql.execute("BEGIN")
        sql.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", (tenant.slug,))
        message = pb.UpdateTenantRequest(
            tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name="late")).SerializeToString()
        stream = client.request({"grpc-timeout": "300m"}, path="/tenant.v1.TenantService/UpdateTenant",
                                body=b"\0" + len(message).to_bytes(4, "big") + message)
        assert client.answer(stream)["grpc-status"] == str(CODE.DEADLINE_EXCEEDED.value[0])
        sql.execute("ROLLBACK")


def test_cancelled_calls_leave_nothing_behind(service, stack, unique, eventually):
    tenant = create(service, unique())
    with stack.superuser() as sql:
        sql.execute("BEGIN")
        sql.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", (tenant.slug,))
        futures = [service.stub().UpdateTenant.future(pb.UpdateTenantRequest(
            tenant=pb.Tenant(tenant_id=tenant.tenant_id, display_name=f"n{i}")), timeout=20)
            for i in range(10)]
        time.sleep(0.3)
        for future in futures:
            future.cancel()
        time.sleep(0.3)
        sql.execute("ROLLBACK")
    assert get(service, tenant.tenant_id).display_name == tenant.display_name
    eventually(lambda: service.metric("tenant_db_connections_active") == 0)


def test_binary_metadata_is_tolerated(service, unique):
    tenant = create(service, unique())
    assert get(service, tenant.tenant_id, metadata=(("trace-bin", b"\0\xff\x80"),)) == tenant


def test_a_path_beyond_ascii(service):
    error = refused(raw_unary, service, "/tenant.v1.TenantService/Ünïcode%".encode().decode("latin1"), b"")
    assert error.code == CODE.UNIMPLEMENTED and error.message.startswith("METHOD_UNKNOWN: ")


def test_threads_share_one_channel(service, unique):
    tenant = create(service, unique())
    wrong = []

    def work():
        for _ in range(50):
            if get(service, tenant.tenant_id) != tenant:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
