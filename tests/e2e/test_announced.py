"""HPACK's table, frames and windows: what the configuration says is what a stock client is told, and what holds."""
import os
import signal

import grpc
import pytest

from support import create, get, refused, update, wait_until
from test_bad_client import COMPRESSION, DATA, END_STREAM, FLOW, SETTINGS, SIZE, WINDOW, Wire, frame, message
from tenant.v1 import tenants_pb2 as pb

UPDATE = "/tenant.v1.TenantService/UpdateTenant"  # takes the largest messages
LONG = b"\x0a\xf5\xb8\x02\x0a\xf1\xb8\x02" + b"x" * 40049  # a tenant with a tenant_id of 40,049 bytes
TABLE, STREAM_WINDOW, FRAME = 1, 4, 5
ACK = frame(SETTINGS, 1)
SETS = [  # table, frame, stream's window, connection's: as little as may be, and much
    ("0", "16KiB", "16KiB", "64KiB"), ("64KiB", "1MiB", "1MiB", "4MiB")]


def told(wire):
    """The server's SETTINGS and the window of its connection."""
    entries, window = {}, 0
    while not entries or not window:  # in either order
        kind, flags, stream, payload = wire.next()
        if kind == SETTINGS and not flags & 1:
            entries = {int.from_bytes(payload[i:i + 2], "big"): int.from_bytes(payload[i + 2:i + 6], "big")
                       for i in range(0, len(payload), 6)}
        if kind == WINDOW and stream == 0:
            window = 65535 + int.from_bytes(payload, "big")
    return entries, window


def stream_window(service):
    """Of a new connection."""
    with Wire(service) as wire:
        return told(wire)[0][STREAM_WINDOW]


def announced(settings, table, size, stream, connection):
    for key, value in (("header_table_bytes", table), ("frame_bytes", size), ("stream_window", stream),
                       ("connection_window", connection)):
        settings.set("limits", key, value)


@pytest.mark.parametrize("values", SETS)
def test_stock_clients_live_with_any(settings, unique, values):
    """Requests that fill windows and tables: the answer says that the message has come whole."""
    announced(settings, *values)
    service = settings.service()
    tenant = create(service, unique())
    for _ in range(3):
        assert get(service, tenant.tenant_id) == tenant
        named = pb.Tenant(tenant_id=tenant.tenant_id, display_name="x" * 260_000)
        assert refused(update, service, named, ["display_name"]).code == grpc.StatusCode.INVALID_ARGUMENT
    assert service.stop() == 0


def test_large_frames_are_taken_where_allowed(settings):
    announced(settings, "4KiB", "40KiB", "64KiB", "1MiB")
    service = settings.service()
    with Wire(service) as wire:
        entries, window = told(wire)
        assert (entries[TABLE], entries[FRAME], entries[STREAM_WINDOW], window) == (4096, 40960, 65536, 1 << 20)
        body = message(LONG)
        wire.send(ACK, wire.headers(1, path=UPDATE), frame(DATA, 0, 1, body[:40000]), frame(DATA, END_STREAM, 1, body[40000:]))
        assert wire.answer(1)["grpc-status"] == "3"
        wire.send(wire.headers(3), frame(DATA, 0, 3, bytes(40961)))
        assert wire.goaway() == SIZE
    assert service.metric("tenant_rpc_limit_hits_total", limit="frame_size") == 1
    assert service.stop() == 0


def test_who_goes_beyond_is_stopped(settings):
    announced(settings, "0", "16KiB", "16KiB", "64KiB")
    service = settings.service()
    with Wire(service) as wire:
        told(wire)
        wire.send(ACK, wire.headers(1))  # and not a word of the smaller table, which RFC 7541 section 4.2 asks for
        assert wire.goaway() == COMPRESSION
    with Wire(service) as wire:
        told(wire)
        wire.encoder.header_table_size = 0
        wire.send(ACK)
        for stream in range(1, 80, 2):  # 256 KiB each: more than a connection has room for, so the last ones wait
            wire.send(wire.headers(stream, path=UPDATE), frame(DATA, 0, stream, b"\0\0\x03\xff\xff"))
        wire.send(frame(DATA, 0, 79, bytes(16380)))
        assert wire.reset(79) == FLOW
        assert wire.alive()
    assert service.metric("tenant_rpc_limit_hits_total", limit="stream_window") == 1
    assert service.stop() == 0


def test_a_reload_is_for_new_connections(settings, unique):
    service = settings.service()
    with Wire(service) as before:
        told(before)
        announced(settings, "0", "16KiB", "16KiB", "64KiB")
        os.kill(service.process.pid, signal.SIGHUP)
        wait_until(lambda: service.metric("tenant_config_reload_total", result="success") == 1)
        wait_until(lambda: stream_window(service) == 16384)  # each worker learns of it by itself
        before.send(ACK, before.headers(1, path=UPDATE), frame(DATA, 0, 1, message(LONG)[:16384]),
                    frame(DATA, 0, 1, b"x" * 16384))
        assert before.alive()
    create(service, unique())
    assert service.stop() == 0
