"""grpc.channelz.v1 through the stock stubs: what operators see of the server and its connections."""
import ipaddress
import ssl
import time

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2 as pb, channelz_pb2_grpc

from support import create, get, refused, wait_until
from tenant.v1 import tenants_pb2, tenants_pb2_grpc

CODE = grpc.StatusCode
SERVER = 1


@pytest.fixture
def stub(service):
    return channelz_pb2_grpc.ChannelzStub(service.channel())


@pytest.fixture
def own(service, stub):
    """A connection of the test's own, of admin, with its socket id."""
    before = set(sockets(stub))
    with grpc.secure_channel(service.address, service.stack.credentials("admin"),
                             options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        grpc.channel_ready_future(channel).result(timeout=10)
        wait_until(lambda: set(sockets(stub)) - before)
        fresh, = set(sockets(stub)) - before
        yield channel, fresh


def sockets(stub, start=0, size=0):
    """All pages."""
    ids = []
    while True:
        page = stub.GetServerSockets(pb.GetServerSocketsRequest(server_id=SERVER, start_socket_id=start,
                                                                max_results=size), timeout=10)
        ids += [ref.socket_id for ref in page.socket_ref]
        if page.end:
            return ids
        assert page.socket_ref, "a page that is not the last has something"
        start = ids[-1] + 1


def socket(stub, number, **fields):
    return stub.GetSocket(pb.GetSocketRequest(socket_id=number, **fields), timeout=10).socket


def address(part):
    return f"{ipaddress.ip_address(part.tcpip_address.ip_address)}:{part.tcpip_address.port}"


def recent(timestamp):
    return abs(timestamp.ToNanoseconds() / 1e9 - time.time()) < 60


def test_the_server_and_its_listening_socket(service, stub):
    page = stub.GetServers(pb.GetServersRequest(), timeout=10)
    server, = page.server
    assert page.end and server.ref.server_id == SERVER and server.ref.name == "tenant-service"
    same = stub.GetServer(pb.GetServerRequest(server_id=SERVER), timeout=10).server
    assert same.ref == server.ref and same.listen_socket == server.listen_socket
    listener, = server.listen_socket
    found = socket(stub, listener.socket_id)
    assert address(found.local) == service.address
    assert not found.HasField("remote") and not found.HasField("security")
    assert listener.socket_id not in sockets(stub)
    last = stub.GetServers(pb.GetServersRequest(start_server_id=SERVER + 1), timeout=10)
    assert last.end and not last.server


def test_calls_are_counted_also_of_connections_that_are_gone(service, stub, unique):
    def counts():
        data = stub.GetServer(pb.GetServerRequest(server_id=SERVER), timeout=10).server.data
        assert recent(data.last_call_started_timestamp)
        return data.calls_started, data.calls_succeeded, data.calls_failed

    tenant = create(service, unique())
    started, succeeded, failed = counts()
    open_sockets = set(sockets(stub))
    started, succeeded, failed = counts()
    with grpc.secure_channel(service.address, service.stack.credentials("admin"),
                             options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        other = tenants_pb2_grpc.TenantServiceStub(channel)
        for _ in range(3):
            other.GetTenant(tenants_pb2.GetTenantRequest(tenant_id=tenant.tenant_id), timeout=10)
        assert refused(other.GetTenant, tenants_pb2.GetTenantRequest(tenant_id="x"), timeout=10)
    asked = 0

    def is_gone():
        nonlocal asked
        asked += 1
        return set(sockets(stub)) <= open_sockets

    wait_until(is_gone)
    after = counts()
    # the four above, what was asked meanwhile, and this one, which has started and not ended
    assert after[0] - started == 4 + asked + 1
    assert after[1] - succeeded == 3 + asked + 1
    assert after[2] - failed == 1


def test_a_connection_tells_what_passed_over_it(service, stub, own, unique):
    tenant = create(service, unique())
    channel, number = own
    fresh = socket(stub, number).data
    assert fresh.streams_started == fresh.messages_sent == fresh.messages_received == 0
    assert not fresh.HasField("last_remote_stream_created_timestamp")
    assert not fresh.HasField("last_message_sent_timestamp")
    stub_of_own = tenants_pb2_grpc.TenantServiceStub(channel)
    for _ in range(5):
        stub_of_own.GetTenant(tenants_pb2.GetTenantRequest(tenant_id=tenant.tenant_id), timeout=10)
    refused(stub_of_own.GetTenant, tenants_pb2.GetTenantRequest(tenant_id="x"), timeout=10)
    wait_until(lambda: socket(stub, number).data.streams_succeeded == 6)
    data = socket(stub, number).data
    assert data.streams_started == 6 and data.streams_failed == 0
    assert data.messages_received == 6 and data.messages_sent == 5, "a refusal is no message"
    for time_of in (data.last_remote_stream_created_timestamp, data.last_message_sent_timestamp,
                    data.last_message_received_timestamp):
        assert recent(time_of)
    assert not data.HasField("last_local_stream_created_timestamp"), "a server creates none"
    assert data.keep_alives_sent == 0
    wait_until(lambda: socket(stub, number).data.remote_flow_control_window.value > 512 << 10)
    assert socket(stub, number).data.local_flow_control_window.value >= 65535


def test_a_stream_that_was_reset_has_failed(service, stub, own, unique):
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    channel, number = own
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
    next(watch)
    data = socket(stub, number).data
    assert (data.streams_started, data.streams_succeeded, data.streams_failed) == (1, 0, 0)
    assert data.messages_sent == 1
    watch.cancel()
    wait_until(lambda: socket(stub, number).data.streams_failed == 1)


def test_addresses_and_certificates(service, stub, own):
    _, number = own
    found = socket(stub, number)
    assert found.ref.socket_id == number
    assert address(found.local) == service.address
    assert ipaddress.ip_address(found.remote.tcpip_address.ip_address).is_loopback
    assert found.remote.tcpip_address.port not in (0, found.local.tcpip_address.port)
    assert found.remote_name == "spiffe://ghasi.local/ns/admin/sa/admin"
    assert found.security.tls.standard_name.startswith("TLS_")
    pki = service.stack.pki
    assert found.security.tls.local_certificate == ssl.PEM_cert_to_DER_cert((pki / "tenant-service.pem").read_text())
    assert found.security.tls.remote_certificate == ssl.PEM_cert_to_DER_cert((pki / "admin.pem").read_text())
    summary = socket(stub, number, summary=True)
    assert summary.security.tls.standard_name and not summary.security.tls.remote_certificate
    assert summary.data.streams_started == 0 and summary.remote == found.remote


def test_pages_of_sockets(service, stub):
    channels = [grpc.secure_channel(service.address, service.stack.credentials("admin"),
                                    options=(("grpc.use_local_subchannel_pool", 1),)) for _ in range(7)]
    try:
        for channel in channels:
            grpc.channel_ready_future(channel).result(timeout=10)
        wait_until(lambda: len(sockets(stub)) >= 8)
        every = sockets(stub)
        assert every == sorted(set(every)) and min(every) > 0
        for size in (1, 3, 5000):
            assert sockets(stub, size=size) == every
        assert sockets(stub, start=every[3]) == every[3:]
        page = stub.GetServerSockets(pb.GetServerSocketsRequest(server_id=SERVER, max_results=2), timeout=10)
        assert not page.end and [ref.socket_id for ref in page.socket_ref] == every[:2]
        page = stub.GetServerSockets(pb.GetServerSocketsRequest(server_id=SERVER, start_socket_id=every[-1] + 1),
                                     timeout=10)
        assert page.end and not page.socket_ref
    finally:
        for channel in channels:
            channel.close()
    wait_until(lambda: not set(every[-7:]) <= set(sockets(stub)))


def test_what_is_not_there(stub):
    top = stub.GetTopChannels(pb.GetTopChannelsRequest(), timeout=10)
    assert top.end and not top.channel
    for method, request in ((stub.GetChannel, pb.GetChannelRequest(channel_id=1)),
                            (stub.GetSubchannel, pb.GetSubchannelRequest(subchannel_id=1)),
                            (stub.GetServer, pb.GetServerRequest(server_id=7)),
                            (stub.GetServerSockets, pb.GetServerSocketsRequest(server_id=7)),
                            (stub.GetSocket, pb.GetSocketRequest(socket_id=SERVER)),
                            (stub.GetSocket, pb.GetSocketRequest(socket_id=1 << 40))):
        error = refused(method, request, timeout=10)
        assert error.code == CODE.NOT_FOUND and error.reason == "CHANNELZ_UNKNOWN_ID"


def test_negative_numbers_are_refused(stub):
    for method, request, field in (
            (stub.GetTopChannels, pb.GetTopChannelsRequest(max_results=-1), "max_results"),
            (stub.GetServers, pb.GetServersRequest(start_server_id=-1), "start_server_id"),
            (stub.GetServerSockets, pb.GetServerSocketsRequest(server_id=SERVER, max_results=-5), "max_results"),
            (stub.GetServerSockets, pb.GetServerSocketsRequest(server_id=SERVER, start_socket_id=-5),
             "start_socket_id")):
        error = refused(method, request, timeout=10)
        assert error.code == CODE.INVALID_ARGUMENT and field in error.fields


@pytest.mark.parametrize("identity", ["api-gateway", "sync-service", "stranger"])
def test_it_is_the_operators_alone(service, identity):
    stub = channelz_pb2_grpc.ChannelzStub(service.channel(identity))
    error = refused(stub.GetServers, pb.GetServersRequest(), timeout=10)
    assert error.code == CODE.PERMISSION_DENIED and error.reason == "CALLER_NOT_ALLOWED"


def test_questions_while_connections_come_and_go(service, stub):
    """No answer is wrong or missing while the registry changes under the questions."""
    for _ in range(20):
        with grpc.secure_channel(service.address, service.stack.credentials("sync-service"),
                                 options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
            grpc.channel_ready_future(channel).result(timeout=10)
            for number in sockets(stub):
                try:
                    assert socket(stub, number).remote_name.startswith("spiffe://")
                except grpc.RpcError as error:
                    assert error.code() == CODE.NOT_FOUND
