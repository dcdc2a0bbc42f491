"""The configuration of a real process: what is wrong is named, secrets stay secret, and SIGHUP changes what can
change while calls go on."""
import copy
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import grpc
import pytest
import yaml

from collector import Collector
from support import MODE, ROOT, Service, create, get, refused, tls, update, wait_until
from tenant.v1 import tenants_pb2, tenants_pb2_grpc

CODE = grpc.StatusCode
PROGRAM = ROOT / "build" / MODE / "tenant-service"
PASSWORD = "Zebra-crossing-7"


class Settings:
    """A configuration file of the test's own, begun as the stack's."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder
        self.path = folder / "config.yaml"
        self.started = []
        with open(stack.env["STACK_CONFIG"], encoding="utf-8") as file:
            self.values = yaml.safe_load(file)
        self.values["server"]["port"] = self.values["ops"]["port"] = 0
        self.save()

    def set(self, section, key, value):
        self.values.setdefault(section, {})[key] = value
        self.save()

    def unset(self, section, key):
        self.values[section].pop(key)
        self.save()

    def save(self):
        """As Kubernetes does it: whoever reads meanwhile sees the old file or the new one."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(self.values))
        fresh.chmod(0o600)
        fresh.rename(self.path)

    def line_of(self, text):
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            if text in line:
                return number
        raise AssertionError(f"{text!r} is not in the file")

    def service(self, **fields):
        stack = copy.copy(self.stack)
        stack.env = {**self.stack.env, "STACK_CONFIG": str(self.path)}
        service = Service(stack, **fields)
        self.started.append(service)
        return service


@pytest.fixture
def settings(stack, tmp_path):
    made = Settings(stack, tmp_path)
    yield made
    for service in made.started:  # a test that failed has not stopped its own
        if service.process.poll() is None:
            service.stop(signal.SIGKILL)


@pytest.fixture
def running(settings):
    service = settings.service()
    yield service
    assert service.stop() == 0


def run(settings, *command, env=(), file=True):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TENANT_")}
    clean.update(env)
    config = ("--config", str(settings.path)) if file else ()
    return subprocess.run([PROGRAM, *command, *config], env=clean, capture_output=True, text=True, timeout=60)


def log_lines(service):
    """Every line is JSON of its own, even while others are being written."""
    return [json.loads(line) for line in service.log_path.read_text().splitlines() if line.startswith("{")]


def events(service, name):
    return [line for line in log_lines(service) if line["event"] == name]


def reload(service, result="success"):
    """SIGHUP, and back when the process has counted it."""
    before = service.metric("tenant_config_reload_total", result=result)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.metric("tenant_config_reload_total", result=result) > before)


# --- what is wrong is named ------------------------------------------------------------------------------------

BAD = {
    "unknown key": ("server:\n  prot: 1\n", 2, "key server.prot: expected a known key, got this one; did you mean"),
    "unknown section": ("servers:\n  port: 1\n", 1, "key servers: expected a known key"),
    "no number": ("server:\n  workers: many\n", 2, "key server.workers: expected a number from 0 to 256"),
    "out of range": ("nats:\n  replicas: 6\n", 2, "key nats.replicas: expected a number from 1 to 5"),
    "no unit": ("redis:\n  op_timeout: 5\n", 2, "key redis.op_timeout: expected a duration from 1ms to 10s"),
    "wrong unit": ("limits:\n  header_bytes: 16KB\n", 2, "key limits.header_bytes: expected a size from 1KiB"),
    "no choice": ("log:\n  level: loud\n", 2, "key log.level: expected debug, info, warn or error"),
    "no URL": ("database:\n  url: mysql://h/d\n", 2, "key database.url: expected a URL with a host"),
    "no URI": ("identities:\n  admin: me\n", 2, "key identities.admin: expected a URI"),
    "no address": ("server:\n  address: localhost\n", 2, "key server.address: expected a numeric IP address"),
    "no ratio": ("telemetry:\n  trace_ratio: 1.5\n", 2, "key telemetry.trace_ratio: expected a ratio from 0 to 1"),
    "plaintext": ("telemetry:\n  otlp_endpoint: http://c:4317\n", 2, "expected a URL with a host that begins with https://"),
    "no boolean": ("relay:\n  enabled: maybe\n", 2, "key relay.enabled: expected true or false"),
    "a list": ("region: [eu]\n", 1, "key region: expected one value, got a list"),
    "a section": ("region:\n  eu: 1\n", 1, "key region: expected one value, got a section"),
    "a value": ("server: 1\n", 1, "key server: expected a section of keys, got a value"),
    "twice": ("region: eu\nregion: eu\n", 2, "key region: expected once, got it again after line 1"),
    "an alias": ("region: &r eu\nenvironment: *r\n", 2, "key environment: expected one value, got an alias"),
    "no YAML": ("region: eu\nserver: }\n", 2, "expected YAML, got"),
    "two documents": ("region: eu\n---\nregion: us\n", 2, "expected one document"),
    "two keys": ("limits:\n  deadline_default: 40s\n", 2, "key limits.deadline_default: expected at most limits."),
    "epochs": ("cache:\n  max_age: 9ms\n  epoch_interval: 9ms\n", 3, "expected less than cache.max_age (9ms)"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_what_is_wrong_is_named_by_file_line_key_and_expectation(settings, case):
    text, line, expected = BAD[case]
    settings.path.write_text(text)
    done = run(settings, "check-config")
    assert done.returncode == 2 and done.stdout == ""
    assert f"tenant-service: {settings.path}:{line}: " in done.stderr and expected in done.stderr
    for command in ("serve", "relay", "migrate"):
        again = run(settings, command)
        assert again.returncode == 2, command
        if case not in ("two keys", "epochs"):  # rules between keys come when each by itself is right
            assert expected in again.stderr, command


def test_all_mistakes_are_told_at_once(settings):
    settings.path.write_text("region: mars\nserver:\n  port: -1\nnonsense: 1\n")
    done = run(settings, "check-config", env={"TENANT_NATS_REPLICAS": "9"})
    assert [line.split(": key ")[0].rsplit(":", 1)[-1].strip() for line in done.stderr.splitlines()] == \
        ["4", "1", "3", "TENANT_NATS_REPLICAS"]


def test_what_a_command_needs_must_be_there(settings):
    settings.path.write_text("environment: test\n")
    assert run(settings, "check-config").returncode == 0
    done = run(settings, "serve")
    assert done.returncode == 2
    for key in ("region", "tls.cert_file", "tls.key_file", "tls.ca_file", "database.url", "nats.url"):
        assert f"key {key}: expected " in done.stderr or key == "nats.url", key
    assert "got nothing; set it here or as TENANT_DATABASE_URL or DATABASE_URL" in done.stderr


def test_files_that_cannot_be_used_end_the_start(settings, tmp_path):
    done = run(settings, "serve", env={"TENANT_TLS_CERT_FILE": str(tmp_path / "none.pem")})
    assert done.returncode == 1 and f"certificate {tmp_path}/none.pem: No such file" in done.stderr
    (tmp_path / "keys").write_text("k1:00\n")
    done = run(settings, "serve", env={"TENANT_TOKENS_KEYS_FILE": str(tmp_path / "keys")})
    assert done.returncode == 2 and "line 1: after the id must stand 64 hexadecimal digits" in done.stderr
    settings.path.unlink()
    done = run(settings, "serve")
    assert done.returncode == 2 and f"{settings.path}: expected a readable file, got: No such file" in done.stderr


# --- what holds is shown ---------------------------------------------------------------------------------------

def test_print_shows_every_value_with_its_origin_as_yaml(settings):
    settings.set("limits", "idle", "90s")
    done = run(settings, "check-config", "--print",
               env={"TENANT_LOG_LEVEL": "warn", "OTEL_SERVICE_NAME": "tenants", "REGION": "us"})
    assert done.returncode == 0
    shown = yaml.safe_load(done.stdout)
    assert shown["limits"]["idle"] == "90s" and shown["log"]["level"] == "warn" and shown["region"] == "us"
    assert shown["telemetry"]["service_name"] == "tenants" and shown["limits"]["header_bytes"] == "16KiB"
    origins = dict(re.findall(r"^ *([a-z0-9_-]+): .*  # (.*)$", done.stdout, re.M))
    assert origins["idle"] == f"{settings.path}:{settings.line_of('idle')}"
    assert origins["level"] == "variable TENANT_LOG_LEVEL" and origins["region"] == "variable REGION"
    assert origins["service_name"] == "variable OTEL_SERVICE_NAME" and origins["header_bytes"] == "default"
    leaves = sum(len(v) if isinstance(v, dict) else 1 for v in shown.values())
    assert leaves == len(re.findall(r"  # (?:default|variable [A-Z_]+|/\S+:\d+)$", done.stdout, re.M))
    table = run(settings, "check-config", "--schema", file=False).stdout
    assert leaves == len(re.findall(r"^\| `", table, re.M)), "the table has every key"


def test_what_is_printed_is_a_configuration(settings):
    first = run(settings, "check-config", "--print").stdout
    settings.path.write_text(first)
    second = run(settings, "check-config", "--print")
    assert second.returncode == 0 and yaml.safe_load(second.stdout) == yaml.safe_load(first)


def test_the_stronger_of_two_names_wins_and_the_other_is_told(settings):
    env = {"TENANT_DATABASE_URL": "postgresql://a@one/d", "DATABASE_URL": f"postgresql://a:{PASSWORD}@two/d"}
    done = run(settings, "check-config", "--print", env=env)
    assert yaml.safe_load(done.stdout)["database"]["url"] == "postgresql://a@one/d"
    assert "DATABASE_URL: another value than TENANT_DATABASE_URL, which wins; ignored" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    del env["TENANT_DATABASE_URL"]
    done = run(settings, "check-config", "--print", env=env)
    assert yaml.safe_load(done.stdout)["database"]["url"] == "postgresql://a:****@two/d"
    assert "  # variable DATABASE_URL\n" in done.stdout and done.stderr == ""


# --- secrets ---------------------------------------------------------------------------------------------------

URLS = [("database", "url"), ("database", "relay_url"), ("database", "platform_url"), ("database", "migrate_url"),
        ("redis", "url"), ("nats", "url")]


def passwords(text):
    return set(re.findall(r"://[^:/@]*:([^@/]+)@", text))


def move_to_files(settings):
    for section, key in URLS:
        path = settings.folder / f"{section}-{key}"
        path.write_text(settings.values[section].pop(key) + "\n")
        path.chmod(0o644)  # as Kubernetes mounts secrets
        settings.set(section, f"{key}_file", str(path))


def test_a_service_lives_on_secrets_from_files(settings, unique, eventually):
    secrets = passwords(settings.path.read_text())
    assert len(secrets) >= 5
    move_to_files(settings)
    assert not passwords(settings.path.read_text())
    service = settings.service()
    tenant = create(service, unique())
    assert get(service, tenant.tenant_id).slug == tenant.slug
    eventually(lambda: service.metric("tenant_dependency_up", dependency="nats") == 1)
    eventually(lambda: service.metric("tenant_dependency_up", dependency="redis") == 1)
    assert service.stop() == 0
    printed = run(settings, "check-config", "--print").stdout
    assert '  # url: "postgresql://tenant_app:****@' in printed
    assert f"  # content of {settings.folder}/database-url\n" in printed
    assert not [s for s in secrets if s in printed]


@pytest.mark.parametrize("trouble,expected", [
    ("missing", "No such file or directory"), ("writable", "one that everybody may write (chmod o-w)"),
    ("empty", "an empty one"), ("large", "more than 8192 bytes"), ("folder", "something that is no regular file"),
    ("pipe", "something that is no regular file")])
def test_a_secret_file_that_will_not_do_ends_the_start(settings, trouble, expected):
    path = settings.folder / "secret"
    settings.values["database"].pop("url")
    settings.set("database", "url_file", str(path))
    if trouble == "folder":
        path.mkdir()
    elif trouble == "pipe":
        os.mkfifo(path)
    elif trouble != "missing":
        path.write_text({"writable": f"postgresql://a:{PASSWORD}@h/d", "empty": "\n", "large": "x" * 9000}[trouble])
        path.chmod(0o666 if trouble == "writable" else 0o600)
    done = run(settings, "serve")
    place = f"{settings.path}:{settings.line_of('url_file')}: key database.url_file: expected a readable file, got: "
    assert done.returncode == 2 and f"{place}{path}: {expected}\n" in done.stderr
    assert PASSWORD not in done.stderr


def test_a_value_and_a_file_for_it_are_refused_by_both_names(settings):
    (settings.folder / "secret").write_text(f"redis://:{PASSWORD}@h:1\n")
    done = run(settings, "serve", env={"TENANT_REDIS_URL_FILE": str(settings.folder / "secret")})
    assert done.returncode == 2
    assert "TENANT_REDIS_URL_FILE: key redis.url_file: expected either this or redis.url, got both (the other at " \
        f"{settings.path}:{settings.line_of('url: rediss')})" in done.stderr


def test_secrets_are_in_no_output_of_a_process(settings, stack, unique, eventually):
    """Not at start, not in calls, not at a reload that fails, not when logins are refused."""
    secrets = passwords(settings.path.read_text())
    secrets |= {open(settings.values["tokens"]["keys_file"], encoding="ascii").read().split(":")[1].strip()}
    secrets |= {open(settings.values["nats"]["seed_file"], encoding="ascii").read().strip()}
    settings.set("log", "level", "debug")
    service = settings.service()
    create(service, unique())
    settings.set("redis", "url", f"http://:{PASSWORD}@h:1")
    reload(service, "failure")
    shown = service.metrics() + service.http("/health/ready")[1]
    assert service.stop() == 0
    shown += service.log_path.read_text()
    assert "key redis.url: expected a URL" in shown
    settings.set("redis", "url", "")
    url = settings.values["database"]["url"]
    settings.set("database", "url", url.replace(next(iter(passwords(url))), PASSWORD))
    done = run(settings, "serve")
    assert done.returncode != 0 and "database" in done.stderr
    shown += done.stdout + done.stderr
    assert not [s for s in secrets | {PASSWORD} if s in shown]


# --- reload ----------------------------------------------------------------------------------------------------

def test_the_log_level_changes(settings, running, unique):
    tenant = create(running, unique())
    wait_until(lambda: len(events(running, "rpc.call")) == 1)
    settings.set("log", "level", "error")
    reload(running)
    assert events(running, "config.reloaded")[-1]["changed"] == "log.level"
    update(running, tenant, [])
    settings.set("log", "level", "info")
    reload(running)
    before = len(events(running, "rpc.call"))
    update(running, tenant, [])
    wait_until(lambda: len(events(running, "rpc.call")) == before + 1)
    assert before == 1, "a call was logged while lines of its level were not wanted"


def test_the_share_of_traces_changes_and_the_collector_does_not(settings, stack, unique):
    collector, other = Collector(stack), Collector(stack)
    settings.set("telemetry", "otlp_endpoint", collector.endpoint)
    service = settings.service()
    tenant = create(service, unique())
    settings.set("telemetry", "trace_ratio", 1)
    settings.set("telemetry", "otlp_endpoint", other.endpoint)
    reload(service)
    [pending] = events(service, "config.restart_needed")
    assert pending["keys"] == "telemetry.otlp_endpoint"
    get(service, tenant.tenant_id)
    assert service.stop() == 0
    names = [span.name for span in collector.spans() if span.kind == 2]
    assert names == ["tenant.v1.TenantService/GetTenant"] and not other.spans()
    collector.stop()
    other.stop()


def test_renewed_certificates_reach_the_collector(settings, stack, unique):
    """The connection of the old ones goes with them, although nobody closed it."""
    collector = Collector(stack)
    for suffix in ("pem", "key"):
        shutil.copy(stack.pki / f"tenant-service.{suffix}", settings.folder / f"own.{suffix}")
    settings.set("tls", "cert_file", str(settings.folder / "own.pem"))
    settings.set("tls", "key_file", str(settings.folder / "own.key"))
    settings.set("telemetry", "otlp_endpoint", collector.endpoint)
    settings.set("telemetry", "trace_ratio", 1)
    service = settings.service()
    create(service, unique())
    wait_until(lambda: collector.peers, 20)
    subprocess.run([ROOT / "tools/pki", "identity", settings.folder, "renewed", "--ca", stack.pki, "--dns", "localhost",
                    "--ip", "127.0.0.1"], check=True, capture_output=True)
    for suffix in ("pem", "key"):
        (settings.folder / f"renewed.{suffix}").replace(settings.folder / f"own.{suffix}")
    reload(service)
    create(service, unique())
    assert service.stop() == 0
    own, renewed = (f"spiffe://ghasi.local/ns/{name}/sa/{name}".encode() for name in ("tenant-service", "renewed"))
    assert own in collector.peers[0] and renewed in collector.peers[-1]
    assert len([span for span in collector.spans() if span.kind == 2]) == 2
    collector.stop()


def test_identities_change_under_open_connections(settings, running, unique):
    tenant = create(running, unique())
    assert get(running, tenant.tenant_id, identity="api-gateway",
               metadata=(("x-tenant-id", tenant.tenant_id),)).slug == tenant.slug
    uri = settings.values["identities"]["api-gateway"]
    settings.set("identities", "api-gateway", "spiffe://ghasi.local/ns/other/sa/other")
    reload(running)
    wait_until(lambda: gateway_is_refused(running, tenant))
    assert running.metric("tenant_rpc_connections") >= 2, "the connection stays"
    settings.set("identities", "api-gateway", uri)
    reload(running)
    wait_until(lambda: not gateway_is_refused(running, tenant))


def gateway_is_refused(service, tenant):
    try:
        get(service, tenant.tenant_id, identity="api-gateway", metadata=(("x-tenant-id", tenant.tenant_id),))
    except grpc.RpcError as error:
        assert error.code() == CODE.PERMISSION_DENIED
        return True
    return False


def test_limits_change_under_open_connections(settings, running, unique):
    tenant = create(running, unique())
    large = tenants_pb2.UpdateTenantRequest(tenant=tenant)
    large.tenant.labels.update({f"k{i}": "y" * 60 for i in range(40)})
    large.update_mask.paths.append("labels")
    stub = running.stub()
    assert len(stub.UpdateTenant(large, timeout=10).tenant.labels) == 40
    settings.set("limits", "message_bytes", "1KiB")
    settings.set("limits", "connections_total", 70)
    reload(running)
    large.tenant.ClearField("etag")

    def is_refused():
        try:
            stub.UpdateTenant(large, timeout=10)
        except grpc.RpcError as error:
            assert error.code() == CODE.RESOURCE_EXHAUSTED
            return True
        return False

    wait_until(is_refused)
    assert get(running, tenant.tenant_id).slug == tenant.slug
    changed = events(running, "config.reloaded")[-1]["changed"]
    assert changed == "limits.message_bytes, limits.connections_total"


def test_the_patience_of_the_end_changes(settings, stack, unique):
    service = settings.service()
    tenant = create(service, unique())
    settings.set("server", "drain_grace", "200ms")
    reload(service)
    with stack.superuser() as db, db.transaction():
        db.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", [tenant.slug])
        request = tenants_pb2.UpdateTenantRequest(tenant=tenant)
        request.tenant.display_name = "Renamed"
        request.update_mask.paths.append("display_name")
        in_flight = service.stub().UpdateTenant.future(request, timeout=20)
        wait_until(lambda: service.metric("tenant_rpc_streams") >= 1)
        begun = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
        assert time.monotonic() - begun < 4, "not the 5 s of the statement, nor the 25 s of the default"
    assert in_flight.exception(timeout=5).code() in (CODE.UNAVAILABLE, CODE.CANCELLED)


def test_how_long_answers_are_kept_changes(settings, running, stack, unique):
    settings.set("writes", "key_ttl", "2h")
    reload(running)
    key = unique("k")

    def is_kept_shortly():
        key = unique("k")
        request = tenants_pb2.CreateTenantRequest(
            tenant=tenants_pb2.Tenant(slug=unique(), display_name="Acme", home_region="eu"))
        running.stub().CreateTenant(request, metadata=(("idempotency-key", key),), timeout=10)
        with stack.superuser() as db:
            return db.execute("SELECT expires_at - created_at < interval '3 hours' FROM tenant.idempotency "
                              "WHERE key = %s", [key]).fetchone()[0]

    wait_until(is_kept_shortly)


def token_line(name, byte):
    return f"{name}:{byte:02x}" + f"{byte:02x}" * 31 + "\n"


def page(service, token=""):
    request = tenants_pb2.ListTenantsRequest(page_size=1, page_token=token)
    return service.stub().ListTenants(request, timeout=10)


def test_token_keys_rotate_and_old_tokens_still_verify(settings, unique):
    keys = settings.folder / "tokens.keys"
    keys.write_text(token_line("k1", 1))
    settings.set("tokens", "keys_file", str(keys))
    service = settings.service()
    for _ in range(3):
        create(service, unique())
    old = page(service).next_page_token
    keys.write_text(token_line("k2", 2) + token_line("k1", 1))
    reload(service)
    fresh = page(service, old).next_page_token
    assert page(service).next_page_token != old, "signed by the new key"
    keys.write_text(token_line("k2", 2))
    reload(service)
    assert page(service, fresh).tenants
    error = refused(page, service, old)
    assert error.code == CODE.INVALID_ARGUMENT and "page_token" in error.fields
    keys.write_text("k3:zz\n")
    reload(service, "failure")
    assert "line 1: after the id must stand 64" in events(service, "config.reload_failed")[-1]["text"]
    assert page(service, fresh).tenants, "the keys stay"
    assert service.stop() == 0


def peer_certificate(service):
    """The certificate that a new connection sees, PEM."""
    context = tls(service.stack, "admin")
    host, port = service.address.rsplit(":", 1)
    with context.wrap_socket(socket.create_connection((host, int(port)), timeout=10),
                             server_hostname="localhost") as secured:
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))


def own_certificate(settings):
    """A copy of the stack's leaf that the test may renew."""
    for name in ("tenant-service.pem", "tenant-service.key"):
        shutil.copy(settings.stack.pki / name, settings.folder / name)
    settings.set("tls", "cert_file", str(settings.folder / "tenant-service.pem"))
    settings.set("tls", "key_file", str(settings.folder / "tenant-service.key"))


def renew_certificate(settings):
    subprocess.run([ROOT / "tools/pki", "identity", settings.folder, "tenant-service", "--ca", settings.stack.pki,
                    "--dns", "localhost", "--ip", "127.0.0.1"], check=True, capture_output=True)


def test_a_certificate_is_renewed_without_dropping_a_call_in_flight(settings, stack, unique):
    own_certificate(settings)
    service = settings.service()
    tenant = create(service, unique())
    before = peer_certificate(service)
    with stack.superuser() as db, db.transaction():
        db.execute("SELECT 1 FROM tenant.tenants WHERE slug = %s FOR UPDATE", [tenant.slug])
        tenant.display_name = "Renamed"
        request = tenants_pb2.UpdateTenantRequest(tenant=tenant)
        request.update_mask.paths.append("display_name")
        in_flight = service.stub().UpdateTenant.future(request, timeout=20)
        wait_until(lambda: service.metric("tenant_rpc_streams") >= 1)
        renew_certificate(settings)
        reload(service)
        assert peer_certificate(service) != before, "new connections see the new certificate"
        assert peer_certificate(service) == (settings.folder / "tenant-service.pem").read_text()
        assert not in_flight.done()
    assert in_flight.result(timeout=10).tenant.display_name == "Renamed"
    assert get(service, tenant.tenant_id).display_name == "Renamed", "the open connection goes on"
    assert service.metric("tenant_rpc_connections_accepted_total") <= 4
    assert service.stop() == 0


def test_a_certificate_that_will_not_do_changes_nothing(settings, unique):
    own_certificate(settings)
    service = settings.service()
    before = peer_certificate(service)
    tenant = create(service, unique())
    shutil.copy(settings.stack.pki / "admin.key", settings.folder / "tenant-service.key")
    settings.set("log", "level", "error")
    reload(service, "failure")
    lines = len(events(service, "rpc.call"))
    update(service, tenant, [])
    wait_until(lambda: len(events(service, "rpc.call")) > lines)  # the level is as it was: all or nothing
    line = events(service, "config.reload_failed")[-1]
    assert line["key"] == "tls" and line["level"] == "error"
    assert f"key {settings.folder}/tenant-service.key: does not match the certificate" in line["text"]
    assert peer_certificate(service) == before
    settings.unset("log", "level")
    renew_certificate(settings)
    reload(service)
    assert peer_certificate(service) != before
    assert service.stop() == 0


def test_another_ca_is_trusted_by_new_connections_alone(settings, unique):
    other = settings.folder / "other"
    subprocess.run([ROOT / "tools/pki", "ca", other], check=True, capture_output=True)
    subprocess.run([ROOT / "tools/pki", "identity", other, "admin"], check=True, capture_output=True)
    both = settings.folder / "both.pem"
    both.write_text((settings.stack.pki / "ca.pem").read_text())
    settings.set("tls", "ca_file", str(both))
    service = settings.service()
    tenant = create(service, unique())
    credentials = grpc.ssl_channel_credentials((settings.stack.pki / "ca.pem").read_bytes(),
                                               (other / "admin.key").read_bytes(), (other / "admin.pem").read_bytes())

    def get_as_other():
        with grpc.secure_channel(service.address, credentials) as channel:
            stub = tenants_pb2_grpc.TenantServiceStub(channel)
            return stub.GetTenant(tenants_pb2.GetTenantRequest(tenant_id=tenant.tenant_id), timeout=5).tenant

    assert refused(get_as_other).code == CODE.UNAVAILABLE
    both.write_text((settings.stack.pki / "ca.pem").read_text() + (other / "ca.pem").read_text())
    reload(service)
    assert get_as_other().slug == tenant.slug
    assert get(service, tenant.tenant_id).slug == tenant.slug
    assert service.stop() == 0


LOGINS = {"url": "tenant_app", "platform_url": "tenant_platform", "relay_url": "tenant_relay"}


def set_passwords(db, urls):
    for key, role in LOGINS.items():
        password = next(iter(passwords(urls[key])))
        db.execute(f"ALTER ROLE {role} PASSWORD '{password}'")


def can_write(service, tenant):
    tenant.display_name = f"Renamed at {time.monotonic_ns()}"
    tenant.etag = ""
    try:
        update(service, tenant, ["display_name"])
    except grpc.RpcError as error:
        assert error.code() == CODE.UNAVAILABLE
        return False
    return True


def test_passwords_of_the_database_rotate(settings, stack, unique):
    """Past the pooler, which has passwords of its own."""
    port = re.search(r":(\d+)/", settings.values["database"]["migrate_url"]).group(1)
    old, new = {}, {}
    for key in LOGINS:
        url = settings.values["database"][key]
        old[key] = re.sub(r":\d+/", f":{port}/", url) + "&application_name=rotation"
        new[key] = old[key].replace(next(iter(passwords(url))), f"{PASSWORD}-{key}")
    settings.values["database"].update(old)
    settings.save()
    service = settings.service()
    tenant = create(service, unique())
    assert can_write(service, tenant)
    with stack.superuser() as db:
        try:
            set_passwords(db, new)

            def is_shut_out():
                # again and again: one may have logged in while the password changed
                db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                           "WHERE application_name = 'rotation'")
                return not can_write(service, tenant) and service.metric("tenant_epoch_view_fresh") == 0

            wait_until(is_shut_out)
            settings.values["database"].update(new)
            settings.save()
            reload(service)
            assert events(service, "config.reloaded")[-1]["changed"] == \
                "database.url, database.relay_url, database.platform_url"
            wait_until(lambda: can_write(service, tenant), 20)
            wait_until(lambda: service.metric("tenant_epoch_view_fresh") == 1, 20)
            # other relays of the stack share the partitions: some tenant is this one's
            published = service.metric("tenant_nats_events_published_total")
            wait_until(lambda: create(service, unique()) and
                       service.metric("tenant_nats_events_published_total") > published, 20, pause=0.2)
        finally:
            set_passwords(db, old)
    assert not events(service, "config.restart_needed")
    assert PASSWORD not in service.log_path.read_text()
    assert service.stop() == 0


def redis_command(stack, url, words):
    """Says AUTH and one command to every node."""
    password, nodes = re.match(r"rediss://:([^@]+)@(.*)", url).groups()
    for node in nodes.split(","):
        host, port = node.split(":")
        context = ssl.create_default_context(cafile=stack.pki / "ca.pem")
        context.load_cert_chain(stack.pki / "tenant-service.pem", stack.pki / "tenant-service.key")
        with context.wrap_socket(socket.create_connection((host, int(port)), timeout=10),
                                 server_hostname=host) as secured:
            for command in (["AUTH", password], words):
                secured.sendall(f"*{len(command)}\r\n".encode() +
                                b"".join(f"${len(w)}\r\n{w}\r\n".encode() for w in command))
                answer = secured.recv(1000)
                assert answer[:1] in b"+:", (command[0], answer)


def test_the_password_of_redis_rotates(settings, stack, running, unique):
    old = settings.values["redis"]["url"]
    new = old.replace(next(iter(passwords(old))), PASSWORD)
    wait_until(lambda: running.metric("tenant_dependency_up", dependency="redis") == 1)
    redis_command(stack, old, ["CONFIG", "SET", "requirepass", PASSWORD])
    try:
        redis_command(stack, new, ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
        wait_until(lambda: running.metric("tenant_dependency_up", dependency="redis") == 0)
        tenant = create(running, unique())
        assert get(running, tenant.tenant_id).slug == tenant.slug, "the database answers"
        settings.set("redis", "url", new)
        reload(running)
        assert events(running, "config.reloaded")[-1]["changed"] == "redis.url"
        wait_until(lambda: running.metric("tenant_dependency_up", dependency="redis") == 1, 20)
        assert not events(running, "config.restart_needed")
    finally:
        redis_command(stack, new, ["CONFIG", "SET", "requirepass", next(iter(passwords(old)))])
    assert PASSWORD not in running.log_path.read_text()


def test_a_broken_file_changes_nothing_and_is_told_by_its_line(settings, running, unique):
    tenant = create(running, unique())
    loaded = running.metric("tenant_config_last_reload_success_timestamp_seconds")
    assert abs(loaded - time.time()) < 60
    good = settings.path.read_text()
    settings.path.write_text(good + "limits:\n  idle: 1m\n  header_fields: none\nlog: {level: error}\n")
    line = settings.line_of("header_fields")
    reload(running, "failure")
    told = events(running, "config.reload_failed")[-1]
    assert told["text"] == f'{settings.path}:{line}: key limits.header_fields: expected a number from 16 to 1000, ' \
        'got "none"'
    assert told["level"] == "error" and told["errors"] == 1
    assert get(running, tenant.tenant_id).slug == tenant.slug
    settings.path.unlink()
    reload(running, "failure")
    assert "No such file" in events(running, "config.reload_failed")[-1]["text"]
    assert get(running, tenant.tenant_id).slug == tenant.slug
    assert running.metric("tenant_config_reload_total", result="success") == 0
    assert running.metric("tenant_config_last_reload_success_timestamp_seconds") == loaded
    settings.path.write_text(good)
    reload(running)
    assert events(running, "config.reloaded")[-1]["changed"] == ""


def test_what_needs_a_restart_is_named_and_the_rest_applied(settings, running):
    settings.values["database"]["pool_size"] = 9
    settings.values["database"]["url"] = f"postgresql://a:{PASSWORD}@h/d"  # more than the password
    settings.set("limits", "idle", "1m")
    reload(running)
    assert events(running, "config.reloaded")[-1]["changed"] == "limits.idle"
    line = events(running, "config.restart_needed")[-1]
    assert line["keys"] == "database.url, database.pool_size" and line["level"] == "warn"
    settings.set("limits", "idle", "2m")
    reload(running)
    assert events(running, "config.restart_needed")[-1]["keys"] == "database.url, database.pool_size"
    assert len(events(running, "config.restart_needed")) == 2, "still pending"
    assert PASSWORD not in running.log_path.read_text()


def test_many_reloads_under_load_lose_no_call(settings, unique):
    own_certificate(settings)
    service = settings.service()
    tenant = create(service, unique())
    over = threading.Event()
    trouble, calls = [], [0] * 4

    def caller(number):
        while not over.is_set():
            try:
                with grpc.secure_channel(service.address, settings.stack.credentials("admin"),
                                         options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
                    stub = tenants_pb2_grpc.TenantServiceStub(channel)
                    for _ in range(20):
                        stub.GetTenant(tenants_pb2.GetTenantRequest(tenant_id=tenant.tenant_id), timeout=10)
                        calls[number] += 1
            except grpc.RpcError as error:
                trouble.append(error)

    threads = [threading.Thread(target=caller, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for turn in range(30):
        if turn % 10 == 0:
            renew_certificate(settings)
        settings.set("limits", "idle", f"{60 + turn}s")
        reload(service)
    over.set()
    for thread in threads:
        thread.join()
    assert not trouble and min(calls) > 0
    assert service.metric("tenant_config_reload_total", result="success") == 30
    assert service.stop() == 0


def has_hangups_in_hand(process):
    """Ignored or blocked, as the kernel says it."""
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        masks = re.findall(r"^Sig(?:Ign|Blk):\s*([0-9a-f]+)$", file.read(), re.M)
    return any(int(mask, 16) & 1 for mask in masks)


def test_a_reload_that_comes_too_early_does_not_end_the_start(settings, unique):
    service = settings.service(wait=False)
    wait_until(lambda: has_hangups_in_hand(service.process), pause=0)
    for _ in range(50):
        service.process.send_signal(signal.SIGHUP)
        time.sleep(0.002)
    service._read_ready()
    create(service, unique())
    reload(service)
    assert service.stop() == 0


def test_the_relay_alone_reloads_too(settings):
    """It has no port to ask: its log tells."""
    log = settings.folder / "relay.log"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TENANT_")}
    with open(log, "wb") as out:
        process = subprocess.Popen([PROGRAM, "relay", "--config", settings.path], stdout=subprocess.PIPE, stderr=out,
                                   env=clean, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout.readline().startswith(b"ready: relay ")
        settings.set("log", "level", "debug")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: '"changed":"log.level"' in log.read_text())
        settings.path.write_text("nonsense: 1\n")
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "key nonsense: expected a known key" in log.read_text())
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stdout.close()
