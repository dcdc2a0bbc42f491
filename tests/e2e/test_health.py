"""grpc.health.v1 as load balancers use it, through the stock client: Check, List, Watch."""
import threading
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1 import health_pb2_grpc

from support import Service, create, wait_until

CODE = grpc.StatusCode
SERVING, NOT_SERVING, UNKNOWN = (pb.HealthCheckResponse.SERVING, pb.HealthCheckResponse.NOT_SERVING,
                                 pb.HealthCheckResponse.SERVICE_UNKNOWN)
NAMES = ("", "tenant.v1.TenantService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
         "grpc.reflection.v1alpha.ServerReflection", "grpc.channelz.v1.Channelz")


def stub(service, identity="admin"):
    return health_pb2_grpc.HealthStub(service.channel(identity))


class Watch:
    """What a watcher hears, on a thread of its own."""

    def __init__(self, service, name="", identity="stranger", **kwargs):
        self.heard, self.end = [], None
        self.call = stub(service, identity).Watch(pb.HealthCheckRequest(service=name), **kwargs)
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        try:
            for message in self.call:
                self.heard.append(message.status)
        except grpc.RpcError as error:
            self.end = error


@pytest.mark.parametrize("identity", ["admin", "api-gateway", "sync-service", "stranger"])
def test_anybody_with_a_certificate_may_ask(service, identity):
    assert stub(service, identity).Check(pb.HealthCheckRequest(), timeout=5).status == SERVING


def test_check_and_list_agree(service):
    listed = stub(service).List(pb.HealthListRequest(), timeout=5).statuses
    assert {name: answer.status for name, answer in listed.items()} == dict.fromkeys(NAMES, SERVING)
    for name in NAMES:
        assert stub(service).Check(pb.HealthCheckRequest(service=name), timeout=5).status == SERVING
    with pytest.raises(grpc.RpcError) as error:
        stub(service).Check(pb.HealthCheckRequest(service="no.such.Service"), timeout=5)
    assert error.value.code() == CODE.NOT_FOUND


def test_a_watcher_hears_at_once_and_of_changes_only(service):
    watches = [Watch(service, name) for name in NAMES]
    wait_until(lambda: all(w.heard for w in watches), 5)
    time.sleep(0.6)
    assert all(w.heard == [SERVING] and w.end is None for w in watches)
    for w in watches:
        w.call.cancel()
        w.thread.join(5)
        assert w.end.code() == CODE.CANCELLED


def test_an_unknown_service_does_not_end_the_watch(service):
    """health.proto: SERVICE_UNKNOWN, "but will *not* terminate the call"."""
    watch = Watch(service, "no.such.Service")
    wait_until(lambda: watch.heard, 5)
    time.sleep(0.4)
    assert watch.heard == [UNKNOWN] and watch.end is None
    watch.call.cancel()
    watch.thread.join(5)


def test_a_watch_has_the_deadline_it_asks_for(service):
    watch = Watch(service, timeout=0.5)
    watch.thread.join(5)
    assert watch.heard == [SERVING] and watch.end.code() == CODE.DEADLINE_EXCEEDED


def test_watchers_hear_of_the_drain_and_do_not_hold_it_up(stack):
    service = Service(stack)
    watch = Watch(service)
    wait_until(lambda: watch.heard, 5)
    running = service.metric("tenant_rpc_running_handlers")
    assert running >= 1
    service.process.terminate()
    watch.thread.join(10)
    assert watch.heard == [SERVING, NOT_SERVING]
    assert watch.end.code() == CODE.UNAVAILABLE and "SHUTTING_DOWN" in watch.end.details()
    assert service.process.wait(15) == 0 and service.stop() == 0


def test_watchers_that_go_leave_nothing(service, unique):
    before = service.metric("tenant_rpc_running_handlers")
    watches = [Watch(service, identity="api-gateway") for _ in range(40)]
    wait_until(lambda: all(w.heard for w in watches), 10)
    assert service.metric("tenant_rpc_running_handlers") >= before + 40
    create(service, unique("beside"))  # others are served meanwhile
    for w in watches:
        w.call.cancel()
    wait_until(lambda: service.metric("tenant_rpc_running_handlers") <= before, 10)
