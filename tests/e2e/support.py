"""The stack, the service process and typed access to both, for the end-to-end suites."""
import contextlib
import os
import pathlib
import shlex
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

import grpc
import psycopg
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tenant.v1 import tenants_pb2, tenants_pb2_grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODE = os.environ.get("MODE", "release")
IDENTITIES = ("admin", "api-gateway", "sync-service", "stranger")


def wait_until(check, seconds=10, pause=0.02):
    """Calls check until it returns something true; fails with its last value."""
    end = time.monotonic() + seconds
    value = check()
    while not value:
        assert time.monotonic() < end, f"not within {seconds} s: last value {value!r}"
        time.sleep(pause)
        value = check()
    return value


class Stack:
    def __init__(self, env):
        self.name = env["TENANT_STACK"]
        self.pki = pathlib.Path(env["STACK_PKI"])
        self.env = {k: v for k, v in env.items() if k.startswith("STACK_")}

    def superuser(self):
        return psycopg.connect(self.env["STACK_SUPERUSER_URL"], autocommit=True)

    def app(self):
        return psycopg.connect(self.env["STACK_DATABASE_URL"], prepare_threshold=None)

    def platform(self):
        return psycopg.connect(self.env["STACK_PLATFORM_URL"], prepare_threshold=None)

    def control(self, server, action):
        """stop, start, kill, pause or resume one server of the stack."""
        done = subprocess.run([ROOT / "tools/stack", "server", self.name, server, action], check=False,
                              capture_output=True, text=True, env=dict(os.environ, STACK_TIMEOUT="90"))
        assert done.returncode == 0, f"{server} {action}: {done.stdout}{done.stderr}"

    def pid(self, server):
        return int((pathlib.Path(self.env["STACK_DIR"]) / "run" / f"{server}.pid").read_text())

    def repair(self, server):
        """Resumes and starts it, whatever it is doing; says nothing when it runs already."""
        for action in ("resume", "start"):
            subprocess.run([ROOT / "tools/stack", "server", self.name, server, action], check=False,
                           capture_output=True)

    def credentials(self, identity):
        return grpc.ssl_channel_credentials(
            (self.pki / "ca.pem").read_bytes(),
            (self.pki / f"{identity}.key").read_bytes(),
            (self.pki / f"{identity}.pem").read_bytes(),
        )


@contextlib.contextmanager
def stack_of_its_own(name):
    """Another stack, migrated, for tests that would be in everybody's way."""
    tool = ROOT / "tools/stack"
    try:
        path = subprocess.run([tool, "up", name], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        made = dict(line.split("=", 1) for line in shlex.split(pathlib.Path(path).read_text()))
        subprocess.run([ROOT / "build" / MODE / "tenant-service", "migrate", "--config", made["STACK_CONFIG"]], check=True,
                       env={k: v for k, v in os.environ.items() if not k.startswith("TENANT_")})
        yield Stack(made | {"TENANT_STACK": name})
    finally:
        subprocess.run([tool, "down", name, "--purge"], check=False)


class Service:
    """One tenant-service process on free ports."""

    _count = 0

    def __init__(self, stack, wait=True, **settings):
        Service._count += 1
        self.stack = stack
        folder = ROOT / "build" / "test-logs"
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / f"service-{os.getpid()}-{Service._count}.log"
        env = {k: v for k, v in os.environ.items() if not k.startswith("TENANT_")}
        env.update({
            "TENANT_SERVER_PORT": "0",
            "TENANT_OPS_PORT": "0",
            "TENANT_SERVER_WORKERS": "2",
            "TENANT_NATS_REPLICAS": "1",
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
        })
        env.update({f"TENANT_{k}": str(v) for k, v in settings.items()})
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [ROOT / "build" / MODE / "tenant-service", "serve", "--config",
             stack.env["STACK_CONFIG"]],
            stdout=subprocess.PIPE, stderr=self.log, env=env, stdin=subprocess.DEVNULL)
        self._channels = {}
        try:
            if wait:
                self._read_ready()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def _read_ready(self):
        timer = threading.Timer(30, self.process.kill)
        timer.start()
        line = b""
        for line in self.process.stdout:
            if line.startswith(b"ready: "):
                break
        timer.cancel()
        words = line.decode().split()
        assert words[:2] == ["ready:", "grpc"], \
            f"no ready line ({line!r}); log: {self.log_path.read_text()[-3000:]}"
        self.address, self.ops = words[2], words[4]

    def channel(self, identity="admin"):
        if identity not in self._channels:
            self._channels[identity] = grpc.secure_channel(
                self.address, self.stack.credentials(identity))
        return self._channels[identity]

    def stub(self, identity="admin"):
        return tenants_pb2_grpc.TenantServiceStub(self.channel(identity))

    def metrics(self):
        return self.http("/metrics")[1]

    def metric(self, name, **labels):
        """The sum of the series of that name whose labels contain those given."""
        total = 0.0
        for line in self.metrics().splitlines():
            if line.startswith("#") or not line.startswith((name + "{", name + " ")):
                continue
            series, value = line.rsplit(" ", 1)
            if all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def http(self, path, address=None):
        try:
            with urllib.request.urlopen(f"http://{address or self.ops}{path}", timeout=5) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self, how=signal.SIGTERM, seconds=40):
        for channel in self._channels.values():
            channel.close()
        self._channels = {}
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
            self.log.close()
        return status


class Refusal:
    """What a failed call says: code, message, ErrorInfo and field violations."""

    def __init__(self, error):
        self.code = error.code()
        self.message = error.details()
        self.trailers = dict(error.trailing_metadata() or ())
        self.reason, self.metadata, self.fields, self.retry_s = None, {}, {}, None
        status = rpc_status.from_call(error)
        for detail in status.details if status else ():
            info = error_details_pb2.ErrorInfo()
            bad = error_details_pb2.BadRequest()
            retry = error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                assert info.domain == "tenant.ghasi.io"
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(bad):
                self.fields = {v.field: v.description for v in bad.field_violations}
            elif detail.Unpack(retry):
                self.retry_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9

    def __repr__(self):
        return f"{self.code} {self.message!r} {self.metadata} {self.fields}"


def refused(function, *args, **kwargs):
    """Calls and returns the Refusal; fails when the call succeeds."""
    try:
        answer = function(*args, **kwargs)
    except grpc.RpcError as error:
        return Refusal(error)
    raise AssertionError(f"expected a refusal, got {answer}")


def header(tenant_id):
    return (("x-tenant-id", tenant_id),)


def create(service, slug, identity="admin", **fields):
    fields.setdefault("display_name", slug.title())
    fields.setdefault("home_region", "eu")
    request = tenants_pb2.CreateTenantRequest(tenant=tenants_pb2.Tenant(slug=slug, **fields))
    return service.stub(identity).CreateTenant(request, timeout=10).tenant


def get(service, tenant_id, identity="admin", **kwargs):
    request = tenants_pb2.GetTenantRequest(tenant_id=tenant_id)
    return service.stub(identity).GetTenant(request, timeout=10, **kwargs).tenant


def update(service, tenant, paths, identity="admin", **kwargs):
    request = tenants_pb2.UpdateTenantRequest(tenant=tenant)
    request.update_mask.paths.extend(paths)
    return service.stub(identity).UpdateTenant(request, timeout=10, **kwargs).tenant


def call(service, method, request, identity="admin", metadata=(), **kwargs):
    """Calls a method by name; returns the response, its bytes and its initial metadata."""
    path = f"/tenant.v1.TenantService/{method}"
    kind = getattr(tenants_pb2, f"{method}Response")
    rpc = service.channel(identity).unary_unary(
        path, request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=lambda data: (kind.FromString(data), data))
    kwargs.setdefault("timeout", 10)
    (response, data), done = rpc.with_call(request, metadata=metadata, **kwargs)
    return response, data, dict(done.initial_metadata())


def change_status(service, verb, tenant_id, identity="admin", metadata=(), **fields):
    """verb: Suspend, Reactivate or Close."""
    request = getattr(tenants_pb2, f"{verb}TenantRequest")(tenant_id=tenant_id, **fields)
    return call(service, f"{verb}Tenant", request, identity, metadata)[0].tenant


def tls(stack, identity):
    """An ssl context that speaks h2 as `identity` (None: no certificate)."""
    context = ssl.create_default_context(cafile=stack.pki / "ca.pem")
    context.set_alpn_protocols(["h2"])
    if identity:
        context.load_cert_chain(stack.pki / f"{identity}.pem", stack.pki / f"{identity}.key")
    return context
