"""Who attacks: connections whose frames are made by hand, and peers that are less than a connection, or more."""
import ctypes
import socket
import ssl
import struct

import hpack

DATA, HEADERS, PRIORITY, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 0x1, 0x4
PATH = "/tenant.v1.TenantService/GetTenant"


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def dial(address, source, receive_bytes=None):
    """A socket from that address of the loopback network: another machine's, as far as the service can tell.  Its kernel
    takes about so many bytes that nobody reads."""
    host, port = address.rsplit(":", 1)
    dialled = socket.socket()
    if receive_bytes is not None:  # before it connects: it is announced then
        dialled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    dialled.settimeout(5)
    dialled.bind((source, 0))
    dialled.connect((host, int(port)))
    return dialled


NO_WINDOW = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0))


class Connection:
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0)

    receive_bytes = None

    def __init__(self, address, pki, identity, source):
        context = ssl.create_default_context(cafile=pki / "ca.pem")
        context.load_cert_chain(pki / f"{identity}.pem", pki / f"{identity}.key")
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(dial(address, source, self.receive_bytes), server_hostname="localhost")
        self.socket.settimeout(2)
        self.encoder = hpack.Encoder()
        self.stream = -1
        self.send(self.hello)

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def drain(self):
        """Reads what is there, so that the server's side of the socket stays open to answers."""
        self.socket.settimeout(0)
        try:
            while self.socket.recv(65536):
                pass
            raise ConnectionResetError("closed")
        except (ssl.SSLWantReadError, BlockingIOError):
            pass
        finally:
            self.socket.settimeout(2)

    def next_stream(self):
        self.stream += 2
        return self.stream

    def request(self, extra=(), path=PATH):
        return self.encoder.encode([(":method", "POST"), (":scheme", "https"), (":path", path),
                                    (":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers"),
                                    *extra])

    def begin(self, extra=(), flags=END_HEADERS, path=PATH):
        """A request's HEADERS on a new stream."""
        return frame(HEADERS, flags, self.next_stream(), self.request(extra, path))


class OwnKeys:
    """A connection whose keys change at will, which Python's ssl cannot do: OpenSSL itself, by its C functions."""

    UPDATE_NOT_REQUESTED, FILE_PEM = 0, 1

    ssl = None

    def __init__(self, address, pki, identity, source):
        self.library = library = ctypes.CDLL("libssl.so.3")
        for name in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(library, name).restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(library.SSL_CTX_new(ctypes.c_void_p(library.TLS_client_method())))
        certificate, key = (str(pki / f"{identity}.{end}").encode() for end in ("pem", "key"))
        if library.SSL_CTX_use_certificate_chain_file(self.context, certificate) != 1 or \
                library.SSL_CTX_use_PrivateKey_file(self.context, key, self.FILE_PEM) != 1:
            raise RuntimeError(f"{identity}: OpenSSL does not take the certificate")
        library.SSL_CTX_set_alpn_protos(self.context, b"\x02h2", 3)
        self.socket = dial(address, source)
        self.socket.settimeout(None)  # else Python makes it non-blocking
        self.ssl = ctypes.c_void_p(library.SSL_new(self.context))
        library.SSL_set_fd(self.ssl, self.socket.fileno())
        self.done(library.SSL_connect(self.ssl))
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)
        self.done(library.SSL_write(self.ssl, hello, len(hello)) > 0)

    @staticmethod
    def done(result):
        if result != 1:
            raise ConnectionResetError("closed")

    def update(self):
        self.done(self.library.SSL_key_update(self.ssl, self.UPDATE_NOT_REQUESTED))
        self.done(self.library.SSL_do_handshake(self.ssl))

    def close(self):
        self.socket.close()

    def __del__(self):
        self.library.SSL_free(self.ssl)
        self.library.SSL_CTX_free(self.context)


class HalfPreface(Connection):
    """Shakes hands, and then is in no hurry."""

    hello = b"PRI * HTTP/2.0\r\n"


class OtherPreface(Connection):
    """Of another protocol, which ALPN did not promise."""

    hello = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class UnreadSocket(Connection):
    """HTTP/2's windows wide open, and nobody reads: the kernel's are full soon."""

    receive_bytes = 4096  # the least that there is
    hello = Connection.hello.replace(frame(SETTINGS, 0, 0), frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 0x7fffffff))) + \
        frame(WINDOW, 0, 0, struct.pack(">I", 0x7fff0000))


class HalfHandshakes:
    """Forty connections at once, each with the beginning of a ClientHello."""

    def __init__(self, address, _pki, _identity, source):
        self.sockets = [dial(address, source) for _ in range(40)]
        for one in self.sockets:
            one.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            one.settimeout(0)

    def drain(self):
        """Until the last of them is closed."""
        for one in list(self.sockets):
            try:
                if not one.recv(4096):
                    self.sockets.remove(one)
            except BlockingIOError:
                pass
            except ConnectionResetError:
                self.sockets.remove(one)
        if not self.sockets:
            raise ConnectionResetError("closed")

    def close(self):
        for one in self.sockets:
            one.close()


class Several:
    """Connections, as many as one asks for."""

    def __init__(self, *where):
        self.where, self.connections = where, []

    def another(self):
        self.connections.append(Connection(*self.where))
        return self.connections[-1]

    def close(self):
        for connection in self.connections:
            connection.close()
