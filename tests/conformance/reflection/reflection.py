"""Stock tools that know no proto: grpcurl and buf curl list, describe and call the service by reflection."""
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import servers

PKI = pathlib.Path(os.environ["STACK_PKI"])
SERVICES = ["grpc.channelz.v1.Channelz", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection", "tenant.v1.TenantService"]
GET = "tenant.v1.TenantService/GetTenant"
LOOKUP = "tenant.v1.TenantService/LookupTenant"
CREATE = "tenant.v1.TenantService/CreateTenant"


def main():
    service = servers.ROOT / "build" / os.environ["MODE"] / "tenant-service"
    env = {key: value for key, value in os.environ.items() if not key.startswith("TENANT_")}
    env.update(TENANT_SERVER_PORT="0", TENANT_OPS_PORT="0", TENANT_NATS_REPLICAS="1")
    passed = failed = 0
    with servers.program([service, "serve", "--config", os.environ["STACK_CONFIG"]], "ready", "reflection-service",
                         env=env) as (words, _):
        address = words[2]
        for name, tool in (("grpcurl", grpcurl), ("buf curl", buf_curl)):
            good = bad = 0
            for what, ok in tool(address):
                good, bad = good + bool(ok), bad + (not ok)
                if not ok:
                    print(f"reflection {name}: FAIL {what}")
            print(f"reflection {name}: {good} passed, {bad} failed, 0 skipped", flush=True)
            passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def new_tenant(tool):
    return json.dumps({"tenant": {"slug": f"{tool}-{time.time_ns():x}", "display_name": "Curled", "home_region": "eu"}})


def grpcurl(address):
    def as_identity(name):
        return [os.environ["DEPS_GRPCURL"], "-cacert", PKI / "ca.pem", "-cert", PKI / f"{name}.pem", "-key",
                PKI / f"{name}.key"]

    tool = as_identity("admin")
    status, out, _ = run(*tool, address, "list")
    yield "list", status == 0 and out.split() == SERVICES
    for name in SERVICES:
        status, out, _ = run(*tool, address, "describe", name)
        yield f"describe {name}", status == 0 and f"{name} is a service" in out
    status, out, _ = run(*tool, address, "describe", "tenant.v1.Tenant")
    yield "describe a message", status == 0 and "string tenant_id = 1" in out
    status, out, _ = run(*tool, "-d", new_tenant("grpcurl"), address, CREATE)
    yield "create", status == 0
    tenant = json.loads(out)["tenant"] if status == 0 else {}
    status, out, _ = run(*tool, "-d", json.dumps({"tenantId": tenant.get("tenantId")}), address, GET)
    yield "get", status == 0 and json.loads(out)["tenant"]["slug"] == tenant.get("slug")
    status, _, err = run(*tool, "-d", '{"slug": "nobody-has-it"}', address, LOOKUP)
    yield "a refusal with its details", status != 0 and "NotFound" in err and "google.rpc.ErrorInfo" in err
    status, _, err = run(*tool, address, "tenant.v1.TenantService/Nothing")
    yield "an unknown method", status != 0 and "does not include a method" in err
    for name in ("api-gateway", "sync-service"):
        status, out, _ = run(*as_identity(name), address, "list")
        yield f"list for {name}", status == 0 and out.split() == SERVICES
    status, out, err = run(*as_identity("stranger"), address, "list")
    yield "nothing for a stranger", status != 0 and "CALLER_NOT_ALLOWED" in err and not out


def buf_curl(address):
    def as_identity(name):
        return [os.environ["DEPS_BUF"], "curl", "--cacert", PKI / "ca.pem", "--cert", PKI / f"{name}.pem", "--key",
                PKI / f"{name}.key"]

    tool = as_identity("admin")
    url = "https://localhost:" + address.rsplit(":", 1)[1]
    status, out, _ = run(*tool, "--list-services", url)
    yield "list", status == 0 and out.split() == SERVICES
    status, out, _ = run(*tool, "--list-methods", url)
    yield "list methods", status == 0 and GET in out.split()
    for protocol in ("connect", "grpc", "grpcweb"):
        options = ["--protocol", protocol, "--reflect-protocol", "grpc-v1alpha" if protocol == "grpcweb" else "grpc-v1"]
        status, out, _ = run(*tool, *options, "-d", new_tenant("buf"), f"{url}/{CREATE}")
        yield f"create by {protocol}", status == 0
        slug = json.loads(out)["tenant"]["slug"] if status == 0 else ""
        status, out, _ = run(*tool, *options, "-d", json.dumps({"slug": slug}), f"{url}/{LOOKUP}")
        yield f"look up by {protocol}", status == 0 and json.loads(out)["tenant"]["slug"] == slug
        status, out, err = run(*tool, *options, "-d", '{"slug": "nobody-has-it"}', f"{url}/{LOOKUP}")
        yield f"a refusal by {protocol}", status != 0 and "not_found" in out + err
    status, out, err = run(*as_identity("stranger"), "--list-services", url)
    yield "nothing for a stranger", status != 0 and "CALLER_NOT_ALLOWED" in out + err


if __name__ == "__main__":
    sys.exit(main())
