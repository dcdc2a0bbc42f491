"""SIGHUP changes of a running process what can change, all or nothing, while calls go on."""
import os
import re
import signal
import subprocess
import threading
import time

import grpc

from collector import Collector
from configured import PASSWORD, PROGRAM, events, own_certificate, reload, renew_certificate
from support import create, get, update, wait_until
from tenant.v1 import tenants_pb2, tenants_pb2_grpc

CODE = grpc.StatusCode


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
