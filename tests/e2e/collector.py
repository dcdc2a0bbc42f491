"""A stock gRPC server with the packaged stubs of OTLP, in the place of an OpenTelemetry collector."""
import socket
import threading
import time
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

SERVER, CLIENT = 2, 3
ERROR = 2


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def attributes(of):
    """Python values by key; a key that stands twice fails."""
    values = {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}
    assert len(values) == len(of.attributes)
    return values


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is sent.  `answer` may be set to a function of the context that aborts, waits, or returns another
    response than "all taken"."""

    def __init__(self, stack, start=True):
        self.pki, self.port = stack.pki, free_port()
        self.requests, self.peers, self.answer = [], [], None
        self.calls = 0
        self.lock = threading.Lock()
        self.server = None
        if start:
            self.start()

    @property
    def endpoint(self):
        return f"https://localhost:{self.port}"

    def start(self):
        read = lambda name: (self.pki / name).read_bytes()  # noqa: E731
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        credentials = grpc.ssl_server_credentials([(read("tenant-service.key"), read("tenant-service.pem"))],
                                                  read("ca.pem"), require_client_auth=True)
        assert self.server.add_secure_port(f"127.0.0.1:{self.port}", credentials) == self.port
        self.server.start()

    def stop(self):
        if self.server is not None:
            self.server.stop(0).wait()
        self.server = None

    def Export(self, request, context):  # noqa: N802  (gRPC's name)
        with self.lock:
            self.calls += 1
            self.peers.append(context.auth_context()["x509_subject_alternative_name"])
        response = None if self.answer is None else self.answer(context)
        with self.lock:
            self.requests.append(request)
        return pb.ExportTraceServiceResponse() if response is None else response

    def spans(self, trace_id=None):
        with self.lock:
            return [span for request in self.requests for of in request.resource_spans for scope in of.scope_spans
                    for span in scope.spans if trace_id is None or span.trace_id.hex() == trace_id]

    def span(self, trace_id, name=None, seconds=20):
        """The only span of a trace (with that name), once it has come."""
        end = time.monotonic() + seconds
        while True:
            found = [span for span in self.spans(trace_id) if name is None or span.name == name]
            if found:
                break
            assert time.monotonic() < end, f"no span of {trace_id} {name or ''}; {len(self.spans())} others came"
            time.sleep(0.05)
        assert len(found) == 1, found
        return found[0]
