"""The hostile clients of gRPC core's `bad_client` (14) and `bad_ssl` (2), by what each of them is about: bytes of our own
over mTLS, the outcome that RFC 9113 or gRPC's specification asks for, and a server that serves on."""
import socket
import ssl
import subprocess

import hpack
import pytest

from support import create, get, tls
from tenant.v1 import tenants_pb2 as pb

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED, HAS_PRIORITY = 1, 4, 8, 32
NO_ERROR, PROTOCOL, INTERNAL, FLOW, SETTINGS_TIMEOUT, CLOSED, SIZE, REFUSED, CANCEL, COMPRESSION = range(10)
CALM = 11
MAGIC = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
GET = "/tenant.v1.TenantService/GetTenant"
LARGEST = 1 << 14


def frame(kind, flags=0, stream=0, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def number(kind, stream, value):
    return frame(kind, 0, stream, value.to_bytes(4, "big"))


def settings(*entries):
    return frame(SETTINGS, 0, 0, b"".join(k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in entries))


def fields(*more, drop=(), **changed):
    """The request's fields, some of them changed, dropped or added."""
    wanted = {":method": "POST", ":scheme": "https", ":path": GET, ":authority": "localhost",
              "te": "trailers", "content-type": "application/grpc"}
    wanted.update({{"path": ":path"}.get(k, k.replace("_", "-")): v for k, v in changed.items()})
    return [(k, v) for k, v in wanted.items() if k not in drop] + list(more)


def message(body=b""):
    return b"\0" + len(body).to_bytes(4, "big") + body


class Wire:
    """A connection that writes any bytes, and reads the server's frames."""

    def __init__(self, service, hello=MAGIC + settings()):
        host, port = service.address.rsplit(":", 1)
        self.socket = tls(service.stack, "admin").wrap_socket(
            socket.create_connection((host, int(port)), timeout=20), server_hostname="localhost")
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.bytes = b""
        self.ended = False
        self.send(hello)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts):
        try:
            self.socket.sendall(b"".join(parts))
        except OSError:
            pass  # it has been closed: what was said before that is still to be read

    def block(self, *args, **kwargs):
        return self.encoder.encode(fields(*args, **kwargs))

    def headers(self, stream, *args, flags=END_HEADERS, **kwargs):
        return frame(HEADERS, flags, stream, self.block(*args, **kwargs))

    def call(self, stream, *args, body=message(), **kwargs):
        self.send(self.headers(stream, *args, **kwargs), frame(DATA, END_STREAM, stream, body))

    def next(self):
        """(type, flags, stream, payload); None when the server has closed."""
        while len(self.bytes) < 9 or len(self.bytes) < 9 + int.from_bytes(self.bytes[:3], "big"):
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                more = b""
            if not more:
                self.ended = True
                return None
            self.bytes += more
        size = int.from_bytes(self.bytes[:3], "big")
        head, payload = self.bytes[:9], self.bytes[9:9 + size]
        self.bytes = self.bytes[9 + size:]
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    def goaway(self):
        """The error of the GOAWAY behind which the server closes; None: closed without one."""
        error = None
        while (got := self.next()) is not None:
            if got[0] == GOAWAY:
                error = int.from_bytes(got[3][4:8], "big")
        return error

    def reset(self, stream):
        """The error of the stream's RST_STREAM."""
        while (got := self.next()) is not None:
            assert got[0] != GOAWAY, got
            if got[0] == HEADERS and not got[1] & END_STREAM:
                self.decoder.decode(got[3])
            if (got[0], got[2]) == (RST, stream):
                return int.from_bytes(got[3], "big")
        raise AssertionError("closed")

    def answer(self, stream):
        """All fields of the stream's answer; other streams' are read over."""
        seen = {}
        while (got := self.next()) is not None:
            assert got[0] != GOAWAY and (got[0], got[2]) != (RST, stream), got
            if got[0] == HEADERS:
                decoded = self.decoder.decode(got[3])
                seen.update(decoded if got[2] == stream else ())
            if got[0] in (HEADERS, DATA) and got[2] == stream and got[1] & END_STREAM:
                return seen
        raise AssertionError("closed")

    def alive(self):
        """The connection still answers a PING."""
        self.send(frame(PING, 0, 0, b"bad-clie"))
        while (got := self.next()) is not None:
            assert got[0] != GOAWAY, got
            if got[0] == PING and got[1] & 1 and got[3] == b"bad-clie":
                return True
        return False


@pytest.fixture(autouse=True)
def serves_on(service, unique):
    """Whatever a test did, the next caller is served."""
    yield
    tenant = create(service, unique())
    assert get(service, tenant.tenant_id) == tenant


@pytest.fixture
def wire(service):
    with Wire(service) as made:
        yield made


# --- bad_streaming_id ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [0, 2, 1 << 30])
def test_bad_streaming_id(wire, stream):
    """RFC 9113 section 5.1.1: clients open odd streams; 0 is none."""
    wire.call(stream)
    assert wire.goaway() == PROTOCOL


def test_bad_streaming_id_goes_back(wire):
    wire.call(5)
    wire.call(3)
    assert wire.goaway() == PROTOCOL


# --- badreq ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path, code", [("/", "12"), ("/foo", "12"), ("/foo/bar", "12"), (GET + "/", "12")])
def test_badreq_paths(wire, path, code):
    wire.call(1, path=path)
    assert wire.answer(1)["grpc-status"] == code
    assert wire.alive()


@pytest.mark.parametrize("path", ["", "foo", "*"])
def test_badreq_path_without_slash(wire, path):
    """RFC 9113 section 8.3.1: it starts with a "/" or the request is malformed."""
    wire.call(1, path=path)
    assert wire.reset(1) == PROTOCOL
    assert wire.alive()


def test_badreq_algorithm(wire):
    wire.call(1, ("grpc-encoding", "frobnicate"))
    seen = wire.answer(1)
    assert seen["grpc-status"] == "12" and "gzip" in seen["grpc-accept-encoding"]


@pytest.mark.parametrize("kind", ["text/html", "application/grpcx", "application/gr", "nonsense"])
def test_badreq_content_type(wire, kind):
    wire.call(1, content_type=kind)
    assert wire.answer(1)[":status"] == "415"


@pytest.mark.parametrize("te", ["frobnicate", "gzip"])
def test_badreq_te(wire, te):
    """RFC 9113 section 8.2.2: TE "MUST NOT contain any value other than "trailers"."""
    wire.call(1, te=te)
    assert wire.reset(1) == PROTOCOL


@pytest.mark.parametrize("name", [":method", ":scheme", ":path"])
def test_badreq_without_a_pseudo_header(wire, name):
    wire.call(1, drop=(name,))
    assert wire.reset(1) == PROTOCOL


# --- connection_prefix -----------------------------------------------------------------------------------


def test_connection_prefix(service):
    """Every beginning of the client's first bytes, and then the end."""
    for size in range(len(MAGIC) + 1):
        with Wire(service, MAGIC[:size]):
            pass


def test_connection_prefix_that_is_wrong(service):
    for size in range(0, len(MAGIC), 3):
        with Wire(service, MAGIC[:size] + b"X" + MAGIC[size + 1:] + settings()) as wire:
            assert wire.goaway() in (PROTOCOL, None)
            assert wire.ended


# --- duplicate_header --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [":path", ":method", ":scheme", ":authority"])
def test_duplicate_header(wire, name):
    wire.send(frame(HEADERS, END_HEADERS, 1, wire.encoder.encode([(name, dict(fields())[name])] + fields())),
              frame(DATA, END_STREAM, 1, message()))
    assert wire.reset(1) == PROTOCOL
    assert wire.alive()


def test_duplicate_pseudo_header_behind_the_others(wire):
    wire.call(1, (":path", GET))
    assert wire.reset(1) == PROTOCOL


# --- head_of_line_blocking -----------------------------------------------------------------------------------


def test_head_of_line_blocking(wire):
    """A message that does not come holds up no other call."""
    wire.send(wire.headers(1), frame(DATA, 0, 1, b"\0\0\x01\0\0" + bytes(1000)))
    for stream in (3, 5, 7):
        wire.call(stream)
        assert wire.answer(stream)["grpc-status"] == "3"
    assert wire.alive()


# --- headers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [b"\xfe", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x80", b"\x3f\xe1\xff\x7f",
                                   b"\x00\x7f\xff\xff\xff\xff\xff\xff", b"\x00\x85\xff\xff\xff\xff\xff\x01a"])
def test_headers_that_do_not_decode(wire, block):
    """RFC 9113 section 4.3: a connection error of type COMPRESSION_ERROR."""
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    assert wire.goaway() == COMPRESSION


def test_headers_cut_anywhere(service):
    """A block in two frames, at every place; then one that is never finished."""
    with Wire(service) as wire:
        for stream in range(1, 41, 2):
            block = wire.block()
            cut = stream % len(block)
            wire.send(frame(HEADERS, 0, stream, block[:cut]), frame(CONTINUATION, END_HEADERS, stream, block[cut:]),
                      frame(DATA, END_STREAM, stream, message()))
            assert wire.answer(stream)["grpc-status"] == "3"
        wire.send(frame(HEADERS, 0, 41, wire.block()))


@pytest.mark.parametrize("frames", [
    [frame(DATA, 0, 1, b"x")], [frame(PING, 0, 0, bytes(8))], [frame(CONTINUATION, END_HEADERS, 3, b"")],
    [frame(HEADERS, END_HEADERS, 3, b"")], [frame(0x58, 0, 1, b"")]])
def test_headers_that_are_interrupted(wire, frames):
    """RFC 9113 section 6.10: nothing but CONTINUATION of the same stream may follow."""
    wire.send(frame(HEADERS, 0, 1, wire.block()), *frames)
    assert wire.goaway() == PROTOCOL


@pytest.mark.parametrize("flags, payload", [(PADDED, b"\x05abc"), (PADDED, b""), (HAS_PRIORITY, b"\0\0")])
def test_headers_whose_parts_do_not_fit(wire, flags, payload):
    wire.send(frame(HEADERS, END_HEADERS | END_STREAM | flags, 1, payload))
    assert wire.goaway() in (PROTOCOL, SIZE)


@pytest.mark.parametrize("kind, flags", [(CONTINUATION, END_HEADERS), (DATA, END_STREAM), (PUSH, END_HEADERS)])
def test_headers_that_were_not_there(wire, kind, flags):
    wire.send(frame(kind, flags, 1, bytes(4)))
    assert wire.goaway() in (PROTOCOL, CLOSED)


def test_headers_on_a_stream_that_ends_itself(wire):
    """Priorities are ignored, this one's mistake too (RFC 9113 section 5.3.2)."""
    wire.send(frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"\0\0\0\3\x10" + wire.block()),
              frame(DATA, END_STREAM, 1, message()))
    assert wire.answer(1)["grpc-status"] == "3"


# --- initial_settings_frame --------------------------------------------------------------------------------------


@pytest.mark.parametrize("first, error", [
    (frame(SETTINGS, 0, 0, b"x"), SIZE), (frame(SETTINGS, 0, 0, bytes(7)), SIZE),
    (frame(SETTINGS, 1, 0, bytes(6)), PROTOCOL), (frame(SETTINGS, 0, 1, b""), PROTOCOL),
    (settings((2, 2)), PROTOCOL), (settings((4, 1 << 31)), FLOW), (settings((5, 1)), PROTOCOL),
    (settings((5, 1 << 24)), PROTOCOL), (frame(PING, 0, 0, bytes(8)), PROTOCOL), (frame(HEADERS, 5, 1, b""), PROTOCOL)])
def test_initial_settings_frame(service, first, error):
    with Wire(service, MAGIC + first) as wire:
        assert wire.goaway() == error


@pytest.mark.parametrize("first", [settings(), settings((0x1234, 5)), settings((1, 0), (1, 65536)),
                                   settings((3, 0), (4, 0), (6, 1)), settings((4, 1), (4, 65535))])
def test_initial_settings_frame_that_is_sound(service, first):
    with Wire(service, MAGIC + first) as wire:
        assert wire.alive()


@pytest.mark.parametrize("size", range(0, 9))
def test_initial_settings_frame_that_is_cut(service, size):
    with Wire(service, MAGIC + settings((3, 100))[:size]):
        pass


# --- large_metadata -----------------------------------------------------------------------------------------------


def test_large_metadata(wire):
    """Beyond the limit the connection ends: a few bytes may be megabytes once inflated."""
    wire.send(*(frame(HEADERS if i == 0 else CONTINUATION, 0, 1, wire.encoder.encode(
        (fields() if i == 0 else []) + [(f"x-large-{i}", "v" * 7000)], huffman=False)) for i in range(6)))
    assert wire.goaway() == CALM


def test_large_metadata_within_the_limit(wire):
    wire.call(1, *((f"x-large-{i}", "v" * 1000) for i in range(4)))
    assert wire.answer(1)["grpc-status"] == "3"


# --- out_of_bounds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, flags, stream, size", [
    (RST, 0, 1, 3), (RST, 0, 1, 5), (WINDOW, 0, 0, 3), (WINDOW, 0, 0, 5), (PING, 0, 0, 7), (PING, 0, 0, 9),
    (GOAWAY, 0, 0, 7), (SETTINGS, 0, 0, 5), (DATA, 0, 1, LARGEST + 1), (HEADERS, END_HEADERS, 3, LARGEST + 1)])
def test_out_of_bounds(wire, kind, flags, stream, size):
    """RFC 9113 section 4.2: FRAME_SIZE_ERROR."""
    wire.send(wire.headers(1), frame(kind, flags, stream, bytes(size)))
    assert wire.goaway() == SIZE


def test_out_of_bounds_behind_a_connection_error(wire):
    """All in one read: what follows the error must not be judged any more."""
    wire.send(wire.headers(1), frame(DATA, 0, 1) * 400, frame(DATA, PADDED, 1), frame(SETTINGS, 0, 0, bytes(5)))
    assert wire.goaway() == CALM


# --- server_registered_method ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body, code", [
    (b"", "12"), (b"\0", "13"), (b"\0\0\0\0", "13"), (b"\0\0\0\0\1", "13"), (b"\1\0\0\0\0", "13"),
    (b"\0\0\0\0\0" * 2, "12"), (b"\0\xff\xff\xff\xff", "8"), (message(b"\x0a\x09x"), "3"), (message(), "3")])
def test_server_registered_method(wire, body, code):
    wire.call(1, body=body)
    assert wire.answer(1)["grpc-status"] == code
    assert wire.alive()


# --- simple_request -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["plain", "padded", "priority", "split", "empty", "trailers", "windows", "content-type"])
def test_simple_request(wire, service, unique, way):
    tenant = create(service, unique())
    body = message(pb.GetTenantRequest(tenant_id=tenant.tenant_id).SerializeToString())
    block = wire.block(content_type="application/grpc+proto") if way == "content-type" else wire.block()
    head = {"padded": frame(HEADERS, END_HEADERS | PADDED, 1, b"\x05" + block + bytes(5)),
            "priority": frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"\0\0\0\0\x10" + block),
            }.get(way, frame(HEADERS, END_HEADERS, 1, block))
    last = frame(DATA, END_STREAM, 1, body)
    rest = {"padded": frame(DATA, END_STREAM | PADDED, 1, b"\x07" + body + bytes(7)),
            "split": b"".join(frame(DATA, 0, 1, body[i:i + 1]) for i in range(len(body))) + frame(DATA, END_STREAM, 1),
            "empty": frame(DATA, 0, 1) * 3 + last,
            "trailers": frame(DATA, 0, 1, body) + frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\0\1x\1y"),
            "windows": number(WINDOW, 0, 1) + number(WINDOW, 1, 1) + last}.get(way, last)
    wire.send(head, rest)
    assert wire.answer(1)["grpc-status"] == "0"


def test_simple_request_that_is_reset(wire):
    for stream in range(1, 21, 2):
        wire.send(wire.headers(stream), frame(DATA, 0, stream, message()[:3]), number(RST, stream, CANCEL))
    assert wire.alive()


# --- unknown_frame ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0x0a, 0x58, 0xff])
def test_unknown_frame(wire, kind):
    """RFC 9113 section 5.5: "Implementations MUST discard frames that have unknown or unsupported types."""
    odd = frame(kind, 0xff, 0, b"what is this") + frame(kind, 0, 1) + frame(kind, 3, 12345, bytes(100))
    wire.send(odd, wire.headers(1), odd, frame(DATA, END_STREAM, 1, message()), odd)
    assert wire.answer(1)["grpc-status"] == "3"
    assert wire.alive()


# --- window_overflow ----------------------------------------------------------------------------------------------------------


def test_window_overflow(wire):
    """More than the stream's window, which goes back to nobody whose message is refused."""
    wire.send(wire.headers(1), frame(DATA, 0, 1, b"\0\x7f\xff\xff\xff"), frame(DATA, 0, 1, bytes(LARGEST)) * 6)
    assert wire.reset(1) == FLOW
    assert wire.alive()


# --- window_update_overflow -----------------------------------------------------------------------------------------------------


def test_window_update_overflow(wire):
    wire.send(number(WINDOW, 0, (1 << 31) - 1) * 2)
    assert wire.goaway() == FLOW


def test_window_update_overflow_of_a_stream(wire):
    wire.send(wire.headers(1), number(WINDOW, 1, (1 << 31) - 1))
    assert wire.reset(1) == FLOW
    assert wire.alive()


@pytest.mark.parametrize("stream", [0, 1])
def test_window_update_of_nothing(wire, stream):
    """RFC 9113 section 6.9: an increment of 0 is an error of type PROTOCOL_ERROR; any may end the connection."""
    wire.send(wire.headers(1), number(WINDOW, stream, 0))
    assert wire.goaway() == PROTOCOL


def test_window_update_overflow_by_settings(wire):
    """RFC 9113 section 6.9.2 wants the connection's end; nghttp2 ends the stream whose window it is."""
    wire.send(wire.headers(1), number(WINDOW, 1, (1 << 31) - 1 - 65535), settings((4, 65536)))
    assert wire.reset(1) == FLOW
    assert wire.alive()


# --- bad_ssl ------------------------------------------------------------------------------------------------------------------------


def handshake(service, context):
    host, port = service.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(MAGIC + settings())
            return secure.recv(1)


@pytest.mark.parametrize("protocols", [None, ["http/1.1"], ["grpc-exp"], ["h2c", "h3"]])
def test_bad_ssl_alpn(service, protocols):
    context = ssl.create_default_context(cafile=service.stack.pki / "ca.pem")
    context.load_cert_chain(service.stack.pki / "admin.pem", service.stack.pki / "admin.key")
    if protocols:
        context.set_alpn_protocols(protocols)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert handshake(service, context) == b"never"


@pytest.mark.parametrize("extra", [[], ["-addext", "extendedKeyUsage=clientAuth"]])
def test_bad_ssl_cert(service, tmp_path, extra):
    """It signs itself, and says it is the administrator."""
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                    key, "-out", cert, "-days", "2", "-subj", "/CN=admin", "-addext",
                    "subjectAltName=URI:spiffe://ghasi.local/ns/admin/sa/admin", *extra], check=True, capture_output=True)
    context = tls(service.stack, None)
    context.load_cert_chain(cert, key)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        assert handshake(service, context) == b"never"
