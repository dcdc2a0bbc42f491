"""Certificates, CAs and revocation lists of a running server: new ones come into force without a restart, bad ones
change nothing, and peers that are no longer trusted lose their connections."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from configured import events, peer_certificate
from support import ROOT, create, get, refused, wait_until
from tenant.v1 import tenants_pb2, tenants_pb2_grpc

CODE = grpc.StatusCode


def pki(*arguments):
    subprocess.run([ROOT / "tools/pki", *map(str, arguments)], check=True, capture_output=True)


class Secret:
    """A mounted secret as Kubernetes makes it: NAME -> ..data/NAME, ..data -> a folder that is exchanged whole."""

    def __init__(self, folder, authority, issuer):
        self.folder, self.authority, self.issuer, self.turn = folder, authority, issuer, 0
        folder.mkdir()
        self.write({})
        for name in ("tls.crt", "tls.key", "ca.crt", "crl.pem"):
            (folder / name).symlink_to(f"..data/{name}")

    def write(self, other):
        """A new leaf of the stack's CA, the authority's CA and list; `other` overrides by name."""
        self.turn += 1
        place = self.folder / f"..{self.turn}"
        place.mkdir()
        pki("identity", place, "tls", "--ca", self.issuer, "--dns", "localhost", "--ip", "127.0.0.1")
        (place / "tls.pem").rename(place / "tls.crt")
        shutil.copy(self.authority / "ca.pem", place / "ca.crt")
        shutil.copy(self.authority / "crl.pem", place / "crl.pem")
        for name, text in other.items():
            (place / name).write_text(text)
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(place.name)
        fresh.rename(self.folder / "..data")

    def leaf(self):
        return (self.folder / "tls.crt").read_text()


@pytest.fixture
def authority(tmp_path, stack):
    """A CA of the test's own, with leafs of the stack's identities and an empty list."""
    folder = tmp_path / "authority"
    pki("ca", folder)
    for name in ("admin", "api-gateway", "sync-service"):
        pki("identity", folder, name)
    pki("crl", folder)
    return folder


@pytest.fixture
def secret(tmp_path, authority, stack):
    return Secret(tmp_path / "secret", authority, stack.pki)


@pytest.fixture
def served(settings, secret, authority, stack):
    """The stack's other servers keep the stack's CA: both are trusted."""
    bundle = (authority / "ca.pem").read_text() + (stack.pki / "ca.pem").read_text()
    pki("crl", stack_authority(stack, authority.parent))
    lists = (authority / "crl.pem").read_text() + (authority.parent / "stack-ca/crl.pem").read_text()
    secret.bundle, secret.lists = bundle, lists
    secret.write({"ca.crt": bundle, "crl.pem": lists})
    for key, name in (("cert_file", "tls.crt"), ("key_file", "tls.key"), ("ca_file", "ca.crt"), ("crl_file", "crl.pem")):
        settings.set("tls", key, str(secret.folder / name))
    settings.set("tls", "watch_interval", "200ms")
    service = settings.service()
    yield service
    if service.process.poll() is None:
        assert service.stop() == 0


def stack_authority(stack, folder):
    place = folder / "stack-ca"
    if not place.exists():
        place.mkdir()
        for name in ("ca.pem", "ca.key"):
            shutil.copy(stack.pki / name, place / name)
    return place


def revoke(secret, *names):
    pki("crl", secret.authority, *names)
    secret.lists = (secret.authority / "crl.pem").read_text() + \
        (secret.authority.parent / "stack-ca/crl.pem").read_text()


def renew(service, secret, **files):
    """Exchanges the secret and waits until it is in force."""
    before = service.metric("tenant_tls_reload_total", result="success")
    secret.write({"ca.crt": secret.bundle, "crl.pem": secret.lists,
                  **{name.replace("_", "."): text for name, text in files.items()}})
    wait_until(lambda: service.metric("tenant_tls_reload_total", result="success") > before, 30)


def channel_of(service, secret, identity):
    folder = secret.authority
    credentials = grpc.ssl_channel_credentials(secret.bundle.encode(), (folder / f"{identity}.key").read_bytes(),
                                               (folder / f"{identity}.pem").read_bytes())
    return grpc.secure_channel(service.address, credentials, options=(("grpc.use_local_subchannel_pool", 1),))


def get_over(channel, tenant_id, identity="admin"):
    metadata = [("x-tenant-id", tenant_id)] if identity == "api-gateway" else []
    return tenants_pb2_grpc.TenantServiceStub(channel).GetTenant(
        tenants_pb2.GetTenantRequest(tenant_id=tenant_id), timeout=10, metadata=metadata).tenant


def test_an_exchanged_secret_is_in_force_without_a_signal(served, secret, unique):
    tenant = create(served, unique())
    before = peer_certificate(served)
    assert before == secret.leaf()
    renew(served, secret)
    assert peer_certificate(served) == secret.leaf() != before
    assert get(served, tenant.tenant_id).slug == tenant.slug, "the open connection goes on"
    assert served.metric("tenant_tls_peers_dropped_total", reason="revoked") == 0
    assert served.metric("tenant_tls_last_reload_successful") == 1
    assert abs(served.metric("tenant_tls_last_reload_success_timestamp_seconds") - time.time()) < 60
    assert events(served, "tls.reloaded")[-1]["cert_file"] == str(secret.folder / "tls.crt")


def test_the_ends_are_metrics(served, secret):
    def end(which):
        return served.metric("tenant_tls_certificate_expiry_timestamp_seconds", certificate=which) - time.time()

    day = 24 * 3600
    assert 824 * day < end("leaf") < 826 * day
    assert 3600 * day < end("ca") < 3651 * day
    assert 29 * day < end("crl") < 31 * day


BAD = {
    "a broken leaf": ("tls.crt", "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n", "tls.crt: not usable"),
    "an empty key": ("tls.key", "", "tls.key: the file is empty"),
    "another's key": ("tls.key", "admin.key", "tls.key: does not match the certificate"),
    "no CA": ("ca.crt", "none\n", "ca.crt: not usable as PEM certificates"),
    "no list": ("crl.pem", "none\n", "crl.pem: not usable as PEM revocation lists"),
    "a list of one CA alone": ("crl.pem", "crl.pem", "crl.pem: holds no list of the CA"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_changes_nothing_and_is_told_once(served, secret, name, unique):
    file, text, reason = BAD[name]
    tenant = create(served, unique())
    before = peer_certificate(served)
    if text in ("admin.key", "crl.pem"):
        text = (secret.authority / text).read_text()
    files = {"ca.crt": secret.bundle, "crl.pem": secret.lists, file: text}
    secret.write(files)
    wait_until(lambda: served.metric("tenant_tls_reload_total", result="failure") == 1, 30)
    line = events(served, "tls.reload_failed")[-1]
    assert reason in line["text"] and line["level"] == "error"
    assert served.metric("tenant_tls_last_reload_successful") == 0
    assert peer_certificate(served) == before
    assert get(served, tenant.tenant_id).slug == tenant.slug
    time.sleep(1)  # some looks: the same bad files are not tried again
    assert served.metric("tenant_tls_reload_total", result="failure") == 1
    renew(served, secret)
    assert peer_certificate(served) == secret.leaf()
    assert served.metric("tenant_tls_last_reload_successful") == 1


def test_a_revoked_peer_loses_its_connection_and_nobody_else(served, secret, unique):
    tenant = create(served, unique())
    with channel_of(served, secret, "api-gateway") as revoked, channel_of(served, secret, "sync-service") as other:
        assert get_over(revoked, tenant.tenant_id, "api-gateway").slug == tenant.slug
        assert get_over(other, tenant.tenant_id).slug == tenant.slug
        accepted = served.metric("tenant_rpc_connections_accepted_total")
        revoke(secret, "api-gateway")
        renew(served, secret)
        wait_until(lambda: served.metric("tenant_tls_peers_dropped_total", reason="revoked") == 1)
        assert refused(get_over, revoked, tenant.tenant_id, "api-gateway").code == CODE.UNAVAILABLE
        wait_until(lambda: served.metric("tenant_tls_handshake_failures_total", reason="verify_failed") >= 1)
        assert get_over(other, tenant.tenant_id).slug == tenant.slug
    assert served.metric("tenant_rpc_connections_accepted_total") >= accepted
    assert served.metric("tenant_tls_peers_dropped_total", reason="revoked") == 1
    line = events(served, "tls.peer_dropped")[-1]
    assert line["caller"] == "api-gateway" and line["reason"] == "revoked"
    assert line["uri"].endswith("/ns/api-gateway/sa/api-gateway")


def test_a_revoked_peers_running_call_ends(served, secret):
    with channel_of(served, secret, "sync-service") as revoked, channel_of(served, secret, "admin") as other:
        streams = [health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
                   for channel in (revoked, other)]
        for stream in streams:
            assert next(stream).status == health_pb2.HealthCheckResponse.SERVING
        assert served.metric("tenant_rpc_running_handlers") == 2
        revoke(secret, "sync-service")
        renew(served, secret)
        assert refused(next, streams[0]).code == CODE.UNAVAILABLE
        wait_until(lambda: served.metric("tenant_rpc_running_handlers") == 1)
        assert streams[1].is_active()
        streams[1].cancel()


def test_a_peer_of_a_removed_ca_gets_a_goaway(served, secret, stack, unique):
    create(served, unique())  # over the stack's CA
    context = ssl.create_default_context(cadata=secret.bundle)
    context.check_hostname = False
    context.load_cert_chain(secret.authority / "admin.pem", secret.authority / "admin.key")
    context.set_alpn_protocols(["h2"])
    host, port = served.address.rsplit(":", 1)
    with context.wrap_socket(socket.create_connection((host, int(port)), timeout=20),
                             server_hostname="localhost") as peer:
        peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)) +
                     bytes((0, 0, 0, 4, 1, 0, 0, 0, 0)))
        only = (stack.pki / "ca.pem").read_text()
        lists = (secret.authority.parent / "stack-ca/crl.pem").read_text()
        renew(served, secret, ca_crt=only, crl_pem=lists)
        came = b""
        while chunk := peer.recv(65536):
            came += chunk
    frames = []
    while came:
        size = int.from_bytes(came[:3], "big")
        frames.append((came[3], came[9:9 + size]))
        came = came[9 + size:]
    kind, payload = frames[-1]
    assert kind == 7 and int.from_bytes(payload[4:8], "big") == 0xc, "GOAWAY with INADEQUATE_SECURITY"
    assert served.metric("tenant_tls_peers_dropped_total", reason="untrusted") == 1


def test_sighup_reads_them_again_without_the_watch(settings, secret, stack, unique):  # noqa: F811
    """And counts a refusal of theirs as one of both reloads."""
    shutil.copy(stack.pki / "ca.pem", secret.folder / "stack.pem")
    for key, name in (("cert_file", "tls.crt"), ("key_file", "tls.key")):
        settings.set("tls", key, str(secret.folder / name))
    settings.set("tls", "watch_interval", "0s")
    secret.bundle = (secret.authority / "ca.pem").read_text()
    service = settings.service()
    before = peer_certificate(service)
    secret.write({})
    time.sleep(1)
    assert peer_certificate(service) == before and service.metric("tenant_tls_reload_total", result="success") == 0
    os.kill(service.process.pid, signal.SIGHUP)
    wait_until(lambda: service.metric("tenant_tls_reload_total", result="success") == 1)
    assert peer_certificate(service) == secret.leaf()
    secret.write({"tls.key": ""})
    os.kill(service.process.pid, signal.SIGHUP)
    wait_until(lambda: service.metric("tenant_tls_reload_total", result="failure") == 1)
    wait_until(lambda: service.metric("tenant_config_reload_total", result="failure") == 1)
    assert service.metric("tenant_tls_last_reload_successful") == 0
    assert service.stop() == 0
