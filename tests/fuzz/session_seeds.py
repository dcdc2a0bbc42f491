#!/usr/bin/env python3
"""Writes the seeds of the session target: tests/fuzz/session_seeds.py tests/fuzz/corpus/session

Raw seeds are a client's bytes; the others are steps, as session_fuzz.c reads them."""
import pathlib
import sys

RAW, TIGHT, NO_PREFACE, SLOW, SHUTDOWN = 1, 2, 4, 8, 16
MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NEW, LAST = 0, 3
FLUSH, SWEEP = bytes([19]), lambda units: bytes([12, units])


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def literal(name, value):
    """A field without indexing, its name not in a table: RFC 7541 section 6.2.2."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def block(path, kind="application/grpc", method="POST"):
    return b"".join(literal(*field) for field in (
        (":method", method), (":scheme", "https"), (":path", "/fuzz.v1.Session/" + path),
        (":authority", "localhost"), ("te", "trailers"), ("content-type", kind)))


def message(body=b"\x08\x03"):
    return b"\0" + len(body).to_bytes(4, "big") + body


def raw(*frames, how=RAW, split=0):
    return bytes([how, split]) + MAGIC + frame(4) + b"".join(frames)


def call(stream, path="Echo", kind="application/grpc"):
    return frame(1, 4, stream, block(path, kind)) + frame(0, 1, stream, message())


def request(path, kind=0, end=False, extra=(), stream=NEW, part=0):
    """HEADERS; `part` chooses the size of CONTINUATION frames."""
    return bytes([0, stream, path | (0x80 if end else 0), kind, len(extra), *extra, part])


def data(code=3, end=True, stream=LAST, kind=0):
    return bytes([2, stream, 1 if end else 0, kind, code])


def steps(*parts, how=0, split=0):
    return bytes([how, split]) + b"".join(parts)


ECHO, CHAT, SUM, COUNT, WAIT, LARGE, IMPORT, LOOK = range(8)
number = {"reset": 4, "window": 5}
seeds = {
    "raw_call": raw(call(1)),
    "raw_split": raw(call(1), call(3, "Chat"), split=1),
    "raw_resets": raw(*(frame(1, 4, 2 * i + 1, block("Wait")) + frame(3, 0, 2 * i + 1, b"\0\0\0\x08")
                        for i in range(10)), how=RAW | TIGHT),
    "raw_continuation": raw(frame(1, 0, 1, block("Echo")[:20]), frame(9, 0, 1, block("Echo")[20:50]),
                            frame(9, 4, 1, block("Echo")[50:]), frame(0, 1, 1, message())),
    "raw_window_overflow": raw(frame(1, 4, 1, block("Echo")), frame(8, 0, 1, b"\x7f\xff\xff\xff"),
                               frame(8, 0, 0, b"\x7f\xff\xff\xff")),
    "raw_priority": raw(frame(2, 0, 3, b"\0\0\0\1\x10"), call(1), frame(2, 0, 1, b"\0\0\0\1\x10")),
    "raw_goaway": raw(frame(1, 4, 1, block("Count")), frame(7, 0, 0, bytes(8)), frame(0, 1, 1, message())),
    "raw_settings": raw(frame(4, 0, 0, b"\0\1\0\0\0\0\0\4\0\0\0\1"), frame(4, 1), call(1)),
    "raw_ping_unknown": raw(frame(6, 0, 0, b"fuzzping"), frame(0xaa, 5, 7, b"what"), call(1)),
    "raw_padding": raw(frame(1, 4, 1, block("Echo")), frame(0, 9, 1, b"\4" + message() + bytes(4))),
    "raw_connect": raw(call(1, kind="application/json"), call(3, kind="application/grpc-web")),
    "unary": steps(request(ECHO), data(), FLUSH, request(ECHO, extra=(10, 1)), data(kind=0x20), FLUSH),
    "refusals": steps(request(ECHO), data(7), request(ECHO), data(13), request(9, end=True), FLUSH),
    "chat": steps(request(CHAT), data(end=False, kind=2), FLUSH, data(), FLUSH),
    "sum": steps(request(SUM), data(end=False, kind=2), FLUSH, data(), FLUSH, split=1),
    "count": steps(request(COUNT), data(9), FLUSH, how=SLOW),
    "wait": steps(request(WAIT), data(), request(WAIT, extra=(3,)), data(), FLUSH, SWEEP(50), how=TIGHT),
    "large": steps(request(LARGE), data(127, kind=0), bytes([10, 3]), FLUSH, bytes([15, 5]), FLUSH),
    "import": steps(request(IMPORT), bytes([2, LAST, 0, 5, 7]), bytes([2, LAST, 0, 6, 0]) + bytes([10, 20]), FLUSH),
    "look": steps(request(11, 0x10, True), request(12, 0x10, True), request(13, 0x10, True), FLUSH),
    "json": steps(request(ECHO, 5), data(kind=0x48), request(CHAT, 8), data(kind=8), request(ECHO, 4), data(kind=8),
                  FLUSH),
    "reset_flood": steps(request(WAIT), data(), bytes([4, LAST, 0]), bytes([10, 30]), FLUSH, how=TIGHT),
    "window_flood": steps(request(ECHO), FLUSH, bytes([5, LAST, 1]), bytes([10, 39]), FLUSH, bytes([5, LAST, 5]), FLUSH),
    "held": steps(*(request(WAIT) + data() for _ in range(7)), FLUSH, bytes([4, 1, 0]), FLUSH, FLUSH, how=TIGHT),
    "continuations": steps(request(ECHO, part=2), data(), request(ECHO, part=1), FLUSH, how=TIGHT),
    "trailers": steps(request(CHAT), data(end=False), bytes([11, LAST, 0, 0]), FLUSH, how=SHUTDOWN),
    "settings": steps(bytes([6, 3, 1, 0, 4, 2, 5, 3]), bytes([8]), request(ECHO), data(), FLUSH, bytes([7]), FLUSH),
    "no_preface": steps(request(ECHO), FLUSH, how=NO_PREFACE),
    "shutdown": steps(request(WAIT), data(), FLUSH, bytes([16, 18]), bytes([0x87]), FLUSH, request(ECHO), FLUSH,
                      SWEEP(100)),
}
folder = pathlib.Path(sys.argv[1])
for name, seed in seeds.items():
    (folder / name).write_bytes(seed)
