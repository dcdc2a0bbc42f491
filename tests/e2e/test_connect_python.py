"""The service through connectrpc, the stock Connect client of Python: Connect, gRPC-Web and gRPC over mutual TLS."""
import contextlib
import itertools

import pyqwest
import pytest
from connectrpc.client import ConnectClientSync, ResponseMetadata
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from tenant.v1 import tenants_pb2 as pb

CODECS = {"proto": google_protobuf_binary_codec, "json": google_protobuf_json_codec}
KINDS = [*itertools.product(ProtocolType, CODECS)]
UNKNOWN = "tnt_01H455VB4PEX5VSKNK084SN02Q"


def method(service, descriptor, module, stream_type=StreamType.UNARY):
    """A method's face for the client, by the name of its messages."""
    reads = descriptor in ("GetTenant", "LookupTenant", "ListTenants")
    return MethodInfo(name=descriptor, service_name=service, input=getattr(module, f"{descriptor}Request"),
                      output=getattr(module, f"{descriptor}Response"), stream_type=stream_type,
                      idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS if reads else IdempotencyLevel.UNKNOWN)


GET, CREATE, LIST = (method("tenant.v1.TenantService", name, pb) for name in ("GetTenant", "CreateTenant", "ListTenants"))
WATCH = MethodInfo(name="Watch", service_name="grpc.health.v1.Health", input=health_pb2.HealthCheckRequest,
                   output=health_pb2.HealthCheckResponse, stream_type=StreamType.SERVER_STREAM,
                   idempotency_level=IdempotencyLevel.UNKNOWN)
REFLECT = MethodInfo(name="ServerReflectionInfo", service_name="grpc.reflection.v1alpha.ServerReflection",
                     input=reflection_pb2.ServerReflectionRequest, output=reflection_pb2.ServerReflectionResponse,
                     stream_type=StreamType.BIDI_STREAM, idempotency_level=IdempotencyLevel.UNKNOWN)


@contextlib.contextmanager
def client(service, protocol, codec, identity="admin"):
    pki = service.stack.pki
    transport = pyqwest.SyncHTTPTransport(
        tls_ca_cert=(pki / "ca.pem").read_bytes(), tls_cert=(pki / f"{identity}.pem").read_bytes(),
        tls_key=(pki / f"{identity}.key").read_bytes(), http_version=pyqwest.HTTPVersion.HTTP2)
    with transport:
        yield ConnectClientSync(f"https://{service.address}", protocol=protocol, codec=CODECS[codec](),
                                http_client=pyqwest.SyncClient(transport), timeout_ms=20000)


def refused(code, function, **kwargs):
    with pytest.raises(ConnectError) as caught:
        function(**kwargs)
    assert caught.value.code == code, caught.value
    return caught.value


@pytest.mark.parametrize("protocol,codec", KINDS)
def test_unary_calls(service, unique, protocol, codec):
    slug = unique("cpy")
    with client(service, protocol, codec) as admin:
        wanted = pb.Tenant(slug=slug, display_name="Ünï", home_region="eu", labels={"env": "prod"})
        tenant = admin.execute_unary(request=pb.CreateTenantRequest(tenant=wanted), method=CREATE).tenant
        assert (tenant.slug, tenant.display_name, dict(tenant.labels)) == (slug, "Ünï", {"env": "prod"})
        with ResponseMetadata() as seen:
            got = admin.execute_unary(request=pb.GetTenantRequest(tenant_id=tenant.tenant_id), method=GET,
                                      headers={"x-tenant-id": tenant.tenant_id})
        assert got.tenant == tenant
        assert seen.headers["x-source"] in ("memory", "redis", "primary")
        listed = admin.execute_unary(request=pb.ListTenantsRequest(filter=f'slug = "{slug}"'), method=LIST)
        assert [one.slug for one in listed.tenants] == [slug]


@pytest.mark.parametrize("protocol,codec", KINDS)
def test_refusals_have_code_text_and_details(service, protocol, codec):
    with client(service, protocol, codec) as admin:
        absent = refused(Code.NOT_FOUND, admin.execute_unary, request=pb.GetTenantRequest(tenant_id=UNKNOWN), method=GET)
        assert absent.message.startswith("TENANT_NOT_FOUND: ")
        details = {one.type_name: one.message_bytes for one in absent.details}
        assert error_details_pb2.ErrorInfo.FromString(details["google.rpc.ErrorInfo"]).reason == "TENANT_NOT_FOUND"
        large = pb.CreateTenantRequest(tenant=pb.Tenant(display_name="x" * (2 << 20)))
        refused(Code.RESOURCE_EXHAUSTED, admin.execute_unary, request=large, method=CREATE)
    with client(service, protocol, codec, "stranger") as stranger:
        refused(Code.PERMISSION_DENIED, stranger.execute_unary, request=pb.GetTenantRequest(tenant_id=UNKNOWN),
                method=GET)


@pytest.mark.parametrize("codec", CODECS)
def test_reads_by_get(service, unique, codec):
    with client(service, ProtocolType.CONNECT, codec) as admin:
        wanted = pb.CreateTenantRequest(tenant=pb.Tenant(slug=unique("cpy"), display_name="G", home_region="eu"))
        tenant = admin.execute_unary(request=wanted, method=CREATE).tenant
        got = admin.execute_unary(request=pb.GetTenantRequest(tenant_id=tenant.tenant_id), method=GET, use_get=True)
        assert got.tenant == tenant
        refused(Code.NOT_FOUND, admin.execute_unary, request=pb.GetTenantRequest(tenant_id=UNKNOWN), method=GET,
                use_get=True)


@pytest.mark.parametrize("protocol,codec", KINDS)
def test_the_server_streams(service, protocol, codec):
    with client(service, protocol, codec) as admin:
        answers = admin.execute_server_stream(
            request=health_pb2.HealthCheckRequest(service="tenant.v1.TenantService"), method=WATCH, timeout_ms=2000)
        assert next(answers).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(ConnectError) as caught:  # nothing changes until the deadline
            next(answers)
        assert caught.value.code == Code.DEADLINE_EXCEEDED


@pytest.mark.parametrize("protocol,codec", [kind for kind in KINDS if kind[0] != ProtocolType.GRPC_WEB])
def test_both_stream(service, protocol, codec):
    questions = [reflection_pb2.ServerReflectionRequest(list_services=""),
                 reflection_pb2.ServerReflectionRequest(file_by_filename="absent.proto")]
    with client(service, protocol, codec, "sync-service") as reader:
        answers = list(reader.execute_bidi_stream(request=iter(questions), method=REFLECT))
    assert [one.WhichOneof("message_response") for one in answers] == ["list_services_response", "error_response"]
    with client(service, protocol, codec, "stranger") as stranger, pytest.raises(ConnectError) as caught:
        list(stranger.execute_bidi_stream(request=iter(questions), method=REFLECT))
    assert caught.value.code == Code.PERMISSION_DENIED
