"""The demo's steps with Debian's stock gRPC client; exits 0 only when each was seen.

usage: steps.py TENANTCTL TENANTCTL_CONFIG      (the stack's environment must be set)
"""
import json
import os
import subprocess
import sys
import tempfile
import time

os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
OUT = tempfile.mkdtemp(prefix="tenant-demo-")
subprocess.run(["protoc", "-Iproto", "-I/usr/include", f"--python_out={OUT}", "tenant/v1/tenants.proto",
                "tenant/options/v1/options.proto"], check=True)
sys.path.insert(0, OUT)

import grpc  # noqa: E402
from tenant.v1 import tenants_pb2 as pb  # noqa: E402

PKI = os.environ["STACK_PKI"]


def step(text):
    print(f"\n== {text}", flush=True)


def seen(condition, text):
    if not condition:
        sys.exit(f"demo: not seen: {text}")
    print(f"   seen: {text}", flush=True)


def read(name):
    with open(os.path.join(PKI, name), "rb") as file:
        return file.read()


def channel(identity):
    return grpc.secure_channel(os.environ["SERVICE_ADDR"], grpc.ssl_channel_credentials(
        read("ca.pem"), read(f"{identity}.key"), read(f"{identity}.pem")))


def call(method, request, answer, identity="admin", **kwargs):
    stub = channel(identity).unary_unary(
        f"/tenant.v1.TenantService/{method}", request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString)
    return stub.with_call(request, timeout=10, **kwargs)


def psql(url, *statements):
    command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", url]
    for statement in statements:
        command += ["-c", statement]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def under_tenant(tenant_uuid):
    """What the service's own login sees of the table with this tenant set, through PgBouncer."""
    return psql(os.environ["STACK_DATABASE_URL"],
                "BEGIN", f"SELECT set_config('app.tenant_id', '{tenant_uuid}', true)",
                "SELECT id, slug, home_region, status, version FROM tenant.tenants", "COMMIT"
                ).split("\n", 1)[1:]


def redis(*arguments):
    password, nodes = os.environ["STACK_REDIS_URL"].split("rediss://:", 1)[1].split("@", 1)
    host, port = nodes.split(",")[0].rsplit(":", 1)
    return subprocess.run(
        ["redis-cli", "-c", "--tls", "-h", host, "-p", port, "--cacert", f"{PKI}/ca.pem", "--cert",
         f"{PKI}/tenant-service.pem", "--key", f"{PKI}/tenant-service.key", "--no-auth-warning",
         *arguments], env={**os.environ, "REDISCLI_AUTH": password}, check=True,
        capture_output=True).stdout


def main():
    tenantctl, config = sys.argv[1:3]
    step("Create a tenant: grpc.secure_channel with the operator's certificate")
    wanted = pb.Tenant(slug="acme", display_name="Acme Corp", home_region="eu", labels={"env": "demo"})
    answer, _ = call("CreateTenant", pb.CreateTenantRequest(tenant=wanted), pb.CreateTenantResponse)
    tenant = answer.tenant
    print("   " + str(tenant).strip().replace("\n", "\n   "))
    seen(tenant.slug == "acme" and tenant.tenant_id.startswith("tnt_"), "the reply with the new id")

    step("Read it back: api-gateway with x-tenant-id")
    answer, meta = call("GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id), pb.GetTenantResponse,
                        "api-gateway", metadata=(("x-tenant-id", tenant.tenant_id),))
    source = dict(meta.initial_metadata())["x-source"]
    seen(answer.tenant == tenant, f"the same tenant, x-source: {source}")
    try:
        call("GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id), pb.GetTenantResponse,
             "api-gateway", metadata=(("x-tenant-id", "tnt_01H455VB4PEX5VSKNK084SN02Q"),))
        sys.exit("demo: another tenant's header was let through")
    except grpc.RpcError as error:
        seen(error.code() == grpc.StatusCode.PERMISSION_DENIED, error.details())

    step("The row under row-level security: the service's own login, through PgBouncer")
    uuid = psql(os.environ["STACK_SUPERUSER_URL"], "SELECT id FROM tenant.tenants WHERE slug = 'acme'")
    rows = under_tenant(uuid)
    print("   " + "\n   ".join(rows))
    seen(len(rows) == 1 and "|acme|eu|trial|1" in rows[0], "the tenant sees its own row")
    other = under_tenant("00000000-0000-7000-8000-000000000000")
    seen(other in ([], [""]), "another tenant sees nothing")

    step("The cache entry in the Redis cluster, over TLS")
    key = "tenants/{%s}/profile" % tenant.tenant_id
    value = b""
    for _ in range(200):
        call("GetTenant", pb.GetTenantRequest(tenant_id=tenant.tenant_id), pb.GetTenantResponse)
        value = redis("--raw", "GET", key).rstrip(b"\n")
        if value:
            break
        time.sleep(0.01)
    print(f"   {key}: {len(value)} bytes")
    seen(tenant.tenant_id.encode() in value, "the profile under the tenant's own key")

    step("The event in JetStream, decoded")
    event = None
    for _ in range(100):
        shown = subprocess.run([tenantctl, "--config", config, "events", "tail", "--tenant", tenant.tenant_id,
                                "--output", "json"], capture_output=True, text=True, check=True).stdout
        if shown:
            event = json.loads(shown.splitlines()[0])
            break
        time.sleep(0.05)
    seen(event is not None, "an event of this tenant")
    print("   " + json.dumps(event, indent=2).replace("\n", "\n   "))
    seen(event["eventType"] == "tenant.org.provisioned" and event["sequence"] == 1 and
         event["payload"]["tenant"]["slug"] == "acme", "tenant.org.provisioned.v1, sequence 1")


main()
