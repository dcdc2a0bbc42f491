"""Keys, certificates and passwords of a running process rotate by SIGHUP, without a call lost."""
import re
import shutil
import socket
import ssl
import subprocess
import time

import grpc

from collector import Collector
from configured import PASSWORD, events, own_certificate, passwords, peer_certificate, reload, renew_certificate
from support import ROOT, create, get, refused, update, wait_until
from tenant.v1 import tenants_pb2, tenants_pb2_grpc

CODE = grpc.StatusCode


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
