"""Server reflection through the stock client: a tool that has no proto finds, describes and calls everything."""
import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2 as v1alpha
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from support import create, header, refused

SERVICES = ["grpc.channelz.v1.Channelz", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection", "tenant.v1.TenantService"]


@pytest.fixture
def database(service):
    return ProtoReflectionDescriptorDatabase(service.channel("sync-service"))


def ask(service, *requests, version="v1", identity="sync-service"):
    """The stock client knows v1alpha only; the messages of v1 are the same but for their package."""
    rpc = service.channel(identity).stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=v1alpha.ServerReflectionResponse.FromString)
    return list(rpc(iter(requests), timeout=10))


def test_services_are_listed(database, service):
    assert sorted(database.get_services()) == SERVICES
    answer, = ask(service, v1alpha.ServerReflectionRequest(host="me", list_services=""))
    assert sorted(s.name for s in answer.list_services_response.service) == SERVICES
    assert answer.valid_host == "me" and answer.original_request.HasField("list_services")


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_who_has_no_business_here_learns_no_schema(service, version):
    question = v1alpha.ServerReflectionRequest(list_services="")
    for identity in ("admin", "api-gateway", "sync-service"):
        answer, = ask(service, question, version=version, identity=identity)
        assert sorted(s.name for s in answer.list_services_response.service) == SERVICES
    refusal = refused(ask, service, question, version=version, identity="stranger")
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")


def test_a_call_without_any_proto(database, service, unique):
    """As grpcurl does it: describe, build the message from JSON, call, print JSON."""
    tenant = create(service, unique("refl"))
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("tenant.v1.TenantService").FindMethodByName("GetTenant")
    request = json_format.Parse('{"tenantId": "%s"}' % tenant.tenant_id,
                                message_factory.GetMessageClass(method.input_type)())
    rpc = service.channel("api-gateway").unary_unary(
        "/tenant.v1.TenantService/GetTenant", request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=message_factory.GetMessageClass(method.output_type).FromString)
    answer = json_format.MessageToDict(rpc(request, metadata=header(tenant.tenant_id), timeout=10))
    assert answer["tenant"]["slug"] == tenant.slug


@pytest.mark.parametrize("symbol, file", [
    ("tenant.v1.TenantService", "tenant/v1/tenants.proto"),
    ("tenant.v1.TenantService.GetTenant", "tenant/v1/tenants.proto"),
    ("tenant.v1.Tenant", "tenant/v1/tenants.proto"),
    ("tenant.v1.Tenant.slug", "tenant/v1/tenants.proto"),
    ("tenant.v1.Tenant.LabelsEntry", "tenant/v1/tenants.proto"),
    ("tenant.v1.TenantStatus", "tenant/v1/tenants.proto"),
    ("tenant.v1.TENANT_STATUS_ACTIVE", "tenant/v1/tenants.proto"),
    ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
    ("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"),
    ("tenant.options.v1.policy", "tenant/options/v1/options.proto"),
    ("google.protobuf.Timestamp", "google/protobuf/timestamp.proto"),
])
def test_symbols_lead_to_their_files(service, symbol, file):
    answer, = ask(service, v1alpha.ServerReflectionRequest(file_containing_symbol=symbol))
    files = [descriptor_pb2.FileDescriptorProto.FromString(data)
             for data in answer.file_descriptor_response.file_descriptor_proto]
    assert files[0].name == file
    names = {f.name for f in files}
    assert len(names) == len(files) and all(set(f.dependency) <= names for f in files)  # whole, each once


def test_extensions(service):
    options = "google.protobuf.MethodOptions"
    by_number = v1alpha.ServerReflectionRequest(file_containing_extension=v1alpha.ExtensionRequest(
        containing_type=options, extension_number=50701))
    all_numbers = v1alpha.ServerReflectionRequest(all_extension_numbers_of_type=options)
    none = v1alpha.ServerReflectionRequest(all_extension_numbers_of_type="tenant.v1.Tenant")
    first, second, third = ask(service, by_number, all_numbers, none)
    file = descriptor_pb2.FileDescriptorProto.FromString(first.file_descriptor_response.file_descriptor_proto[0])
    assert file.name == "tenant/options/v1/options.proto"
    assert list(second.all_extension_numbers_response.extension_number) == [50701]
    assert third.HasField("all_extension_numbers_response")
    assert not third.all_extension_numbers_response.extension_number


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_what_is_not_there_is_an_answer_and_the_stream_goes_on(service, version):
    unknown = [v1alpha.ServerReflectionRequest(file_by_filename="no/such.proto"),
               v1alpha.ServerReflectionRequest(file_containing_symbol="tenant.v1.Nothing"),
               v1alpha.ServerReflectionRequest(file_containing_symbol="tenant.v1.Tenan"),
               v1alpha.ServerReflectionRequest(file_containing_symbol=""),
               v1alpha.ServerReflectionRequest(file_containing_extension=v1alpha.ExtensionRequest(
                   containing_type="google.protobuf.MethodOptions", extension_number=1)),
               v1alpha.ServerReflectionRequest(all_extension_numbers_of_type="no.Type")]
    empty = v1alpha.ServerReflectionRequest(host="x")
    good = v1alpha.ServerReflectionRequest(file_by_filename="tenant/v1/tenants.proto")
    answers = ask(service, *unknown, empty, good, version=version)
    codes = [a.error_response.error_code for a in answers[:-1]]
    assert codes == [grpc.StatusCode.NOT_FOUND.value[0]] * 6 + [grpc.StatusCode.INVALID_ARGUMENT.value[0]]
    assert answers[-1].HasField("file_descriptor_response")
    assert [a.original_request for a in answers] == [*unknown, empty, good]


def test_the_descriptors_are_those_of_the_contract(database):
    """Also the options: policies and marks travel with them."""
    file = database.FindFileByName("tenant/v1/tenants.proto")
    method = next(m for m in file.service[0].method if m.name == "SuspendTenant")
    assert b"tenants.suspend" in method.options.SerializeToString()


def test_many_questions_on_one_stream(service):
    ask_many = [v1alpha.ServerReflectionRequest(file_containing_symbol="tenant.v1.Tenant")] * 200
    answers = ask(service, *ask_many)
    assert len(answers) == 200 and len({a.SerializeToString() for a in answers}) == 1
