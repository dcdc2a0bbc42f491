"""Connect and gRPC-Web through curl: the handlers, rights and limits that gRPC has, on the same port."""
import base64
import gzip
import json
import struct
import subprocess
import urllib.parse
import uuid

import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2
from tenant.v1 import tenants_pb2 as pb

from support import create, get, wait_until

TENANTS = "/tenant.v1.TenantService/"
JSON = "application/json"


class Answer:
    def __init__(self, raw):
        head, self.body = raw.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}

    def json(self):
        return json.loads(self.body)

    def envelopes(self):
        """[(flags, bytes)] of a framed body."""
        found, rest = [], self.body
        while rest:
            flags, size = struct.unpack(">BI", rest[:5])
            found.append((flags, rest[5:5 + size]))
            rest = rest[5 + size:]
        return found


def curl(service, path, body=None, content_type=JSON, identity="admin", options=(), **headers):
    pki = service.stack.pki
    command = ["curl", "--silent", "--show-error", "--http2", "--max-time", "30", "--include",
               "--cacert", pki / "ca.pem", "--cert", pki / f"{identity}.pem",
               "--key", pki / f"{identity}.key", *options]
    if body is not None:
        command += ["--data-binary", "@-", "-H", f"content-type: {content_type}"]
    for name, value in headers.items():
        command += ["-H", f"{name.replace('_', '-')}: {value}"]
    done = subprocess.run([*command, f"https://{service.address}{path}"], input=body or b"",
                          capture_output=True, check=True)
    return Answer(done.stdout)


def ask(service, method, message, **kwargs):
    return curl(service, TENANTS + method, json.dumps(message).encode(), **kwargs)


def frame(data, flags=0):
    return struct.pack(">BI", flags, len(data)) + data


def get_path(tenant_id, **more):
    query = {"connect": "v1", "encoding": "json", "message": json.dumps({"tenantId": tenant_id}), **more}
    return f"{TENANTS}GetTenant?{urllib.parse.urlencode(query)}"


def test_json_reads_what_grpc_reads(service, unique):
    tenant = create(service, unique("curl"), labels={"env": "prod"})
    answer = ask(service, "GetTenant", {"tenantId": tenant.tenant_id}, identity="api-gateway",
                 x_tenant_id=tenant.tenant_id)
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    assert answer.headers["x-request-id"]
    assert json_format.ParseDict(answer.json()["tenant"], pb.Tenant()) == get(service, tenant.tenant_id)
    assert "grpc-status" not in answer.headers


def test_protobuf_too(service, unique):
    tenant = create(service, unique("curl"))
    body = pb.GetTenantRequest(tenant_id=tenant.tenant_id).SerializeToString()
    answer = curl(service, TENANTS + "GetTenant", body, "application/proto")
    assert answer.headers["content-type"] == "application/proto"
    assert pb.GetTenantResponse.FromString(answer.body).tenant.slug == tenant.slug
    answer = curl(service, TENANTS + "GetTenant", gzip.compress(body), "application/proto",
                  content_encoding="gzip")
    assert answer.status == 200


def test_writes_are_written_once(service, unique):
    slug, key = unique("curl"), unique("key")
    message = {"tenant": {"slug": slug, "displayName": "C", "homeRegion": "eu"}}
    first = ask(service, "CreateTenant", message, idempotency_key=key)
    again = ask(service, "CreateTenant", message, idempotency_key=key)
    assert (first.status, first.body) == (200, again.body)
    tenant = get(service, first.json()["tenant"]["tenantId"])
    assert tenant.slug == slug
    # the same key and request as protobuf
    request = json_format.ParseDict(message, pb.CreateTenantRequest()).SerializeToString()
    packed = curl(service, TENANTS + "CreateTenant", request, "application/proto", idempotency_key=key)
    assert pb.CreateTenantResponse.FromString(packed.body).tenant.tenant_id == tenant.tenant_id


def test_errors_have_code_and_details(service):
    absent = "tnt_01H455VB4PEX5VSKNK084SN02Q"
    answer = ask(service, "GetTenant", {"tenantId": absent})
    assert (answer.status, answer.json()["code"]) == (404, "not_found")
    answer = ask(service, "CreateTenant", {"tenant": {"slug": "!"}})
    assert (answer.status, answer.headers["content-type"]) == (400, JSON)
    assert answer.json()["code"] == "invalid_argument"
    details = {d["type"]: base64.b64decode(d["value"] + "==") for d in answer.json()["details"]}
    info = error_details_pb2.ErrorInfo.FromString(details["google.rpc.ErrorInfo"])
    assert info.reason == "INVALID_ARGUMENT" and info.domain
    broken = error_details_pb2.BadRequest.FromString(details["google.rpc.BadRequest"])
    assert "tenant.slug" in [v.field for v in broken.field_violations]
    for body in (b"", b"{", b"[]", b'{"tenantId":1}'):
        assert curl(service, TENANTS + "GetTenant", body).status == 400


def test_rights_are_the_same(service, unique):
    tenant, other = create(service, unique("curl")), create(service, unique("curl"))
    message = {"tenantId": tenant.tenant_id}
    for identity, sent in (("stranger", tenant.tenant_id), ("api-gateway", other.tenant_id)):
        answer = ask(service, "GetTenant", message, identity=identity, x_tenant_id=sent)
        assert (answer.status, answer.json()["code"]) == (403, "permission_denied")
    assert ask(service, "GetTenant", message, identity="api-gateway").status == 403


def test_what_is_not_spoken(service):
    answer = curl(service, TENANTS + "GetTenant", b"<x/>", "application/xml")
    assert answer.status == 415 and JSON in answer.headers["accept-post"]
    answer = curl(service, TENANTS + "Nothing", b"{}")
    assert (answer.status, answer.json()["code"]) == (404, "unimplemented")
    assert curl(service, TENANTS + "GetTenant", b"{}", connect_protocol_version="7").status == 400
    assert curl(service, TENANTS + "GetTenant", b"{}", connect_timeout_ms="12345678901").status == 400
    answer = ask(service, "ListTenants", {}, connect_timeout_ms="5000", connect_protocol_version="1")
    assert answer.status == 200
    large = b'{"tenantId":"' + b"x" * (8 << 20) + b'"}'
    answer = curl(service, TENANTS + "GetTenant", large)
    assert (answer.status, answer.json()["code"]) == (429, "resource_exhausted")


def test_get_is_for_reads(service, unique):
    tenant = create(service, unique("curl"))
    answer = curl(service, get_path(tenant.tenant_id), identity="api-gateway",
                  x_tenant_id=tenant.tenant_id)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.json()["tenant"]["slug"] == tenant.slug
    packed = pb.GetTenantRequest(tenant_id=tenant.tenant_id).SerializeToString()
    message = base64.urlsafe_b64encode(packed).rstrip(b"=").decode()
    answer = curl(service, get_path(tenant.tenant_id, encoding="proto", base64="1", message=message))
    assert pb.GetTenantResponse.FromString(answer.body).tenant.slug == tenant.slug
    answer = curl(service, TENANTS + "CreateTenant?connect=v1&encoding=json&message=%7B%7D")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert curl(service, get_path("x", message="{")).status == 400


def test_grpc_web(service, unique):
    tenant = create(service, unique("curl"))
    body = frame(pb.GetTenantRequest(tenant_id=tenant.tenant_id).SerializeToString())
    answer = curl(service, TENANTS + "GetTenant", body, "application/grpc-web+proto")
    assert answer.headers["content-type"] == "application/grpc-web+proto"
    (flags, message), (end, trailers) = answer.envelopes()
    assert pb.GetTenantResponse.FromString(message).tenant.slug == tenant.slug
    assert (flags, end) == (0, 0x80) and trailers.startswith(b"grpc-status: 0\r\n")
    answer = curl(service, TENANTS + "GetTenant", frame(b""), "application/grpc-web+proto")
    (end, trailers), = answer.envelopes()
    assert end == 0x80 and trailers.startswith(b"grpc-status: 3\r\ngrpc-message: INVALID_ARGUMENT")


def test_connect_streams(service):
    """Reflection, whose calls end when the client has asked everything."""
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    body = frame(b'{"listServices":""}') + frame(b'{"fileByFilename":"absent.proto"}')
    answer = curl(service, path, body, "application/connect+json", identity="sync-service")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/connect+json")
    listed, absent, end = answer.envelopes()
    assert {"name": "tenant.v1.TenantService"} in json.loads(listed[1])["listServicesResponse"]["service"]
    assert json.loads(absent[1])["errorResponse"]["errorCode"] == 5
    assert end == (2, b"{}")
    (flags, end), = curl(service, path, frame(b"{"), "application/connect+json").envelopes()
    assert flags == 2 and json.loads(end)["error"]["code"] == "invalid_argument"
    (flags, end), = curl(service, path, body, "application/connect+json", identity="stranger").envelopes()
    assert flags == 2 and json.loads(end)["error"]["code"] == "permission_denied"


def test_metrics_and_log_see_the_method(service):
    before = service.metric("tenant_http_requests_total", route=TENANTS + "GetTenant")
    assert ask(service, "GetTenant", {"tenantId": "x"}).status == 400
    assert service.metric("tenant_http_requests_total", route=TENANTS + "GetTenant") >= before + 1
    asked = "curl-" + str(uuid.uuid4())
    assert ask(service, "GetTenant", {"tenantId": "x"}, x_request_id=asked).status == 400
    line, = wait_until(lambda: [json.loads(line) for line in service.log_path.read_text().splitlines()
                                if asked in line and "rpc.call" in line])
    assert (line["protocol"], line["status"]) == ("connect", "INVALID_ARGUMENT")
    assert TENANTS + "GetTenant" in line.values()
