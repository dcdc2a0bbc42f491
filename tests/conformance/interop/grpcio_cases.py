"""The interoperability cases of gRPC with python's grpcio as the client, over mutual TLS.

    grpcio_cases.py HOST:PORT PKI-FOLDER PROTO-FOLDER ITERATIONS CHANNELS    prints a line for each case, then the sums

ITERATIONS are those of rpc_soak, CHANNELS those of channel_soak.
Names and expectations are those of doc/interop-test-descriptions.md of grpc/grpc.
"""
import collections
import pathlib
import sys
import threading
import time

import grpc

KIND_BYTES = {"request": 271828, "response": 314159}
INPUT_SIZES = (27182, 8, 1828, 45904)
OUTPUT_SIZES = (31415, 9, 2653, 58979)
ECHO_INITIAL, ECHO_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
GZIP, PLAIN = grpc.Compression.Gzip, grpc.Compression.NoCompression
CODE = grpc.StatusCode


class Cases:
    def __init__(self, connect, pb, stubs, soak):
        self.connect, self.pb, self.stubs = connect, pb, stubs
        self.iterations, self.channels = soak
        self.channel = connect()
        self.stub = stubs.TestServiceStub(self.channel)

    # --- messages -------------------------------------------------------------------------------------------

    def payload(self, size):
        return self.pb.Payload(body=bytes(size))

    def simple(self, **fields):
        return self.pb.SimpleRequest(payload=self.payload(KIND_BYTES["request"]),
                                     response_size=KIND_BYTES["response"], **fields)

    def output_request(self, sizes, **fields):
        parameters = [self.pb.ResponseParameters(size=size) for size in sizes]
        return self.pb.StreamingOutputCallRequest(response_parameters=parameters, **fields)

    def check_large(self, response):
        assert response.payload.body == bytes(KIND_BYTES["response"])

    # --- cases ----------------------------------------------------------------------------------------------

    def empty_unary(self):
        assert self.stub.EmptyCall(self.pb.Empty(), timeout=10) == self.pb.Empty()

    def large_unary(self):
        self.check_large(self.stub.UnaryCall(self.simple(), timeout=20))

    def client_streaming(self):
        requests = (self.pb.StreamingInputCallRequest(payload=self.payload(size)) for size in INPUT_SIZES)
        assert self.stub.StreamingInputCall(requests, timeout=20).aggregated_payload_size == 74922

    def server_streaming(self):
        answers = self.stub.StreamingOutputCall(self.output_request(OUTPUT_SIZES), timeout=20)
        assert [len(answer.payload.body) for answer in answers] == list(OUTPUT_SIZES)

    def ping_pong(self):
        with Talk(self.stub.FullDuplexCall) as talk:
            for size, answer_size in zip(INPUT_SIZES, OUTPUT_SIZES):
                talk.say(self.output_request([answer_size], payload=self.payload(size)))
                assert len(talk.hear().payload.body) == answer_size
            talk.end()
            assert talk.hear() is None

    def empty_stream(self):
        assert list(self.stub.FullDuplexCall(iter(()), timeout=10)) == []

    def half_duplex(self):
        requests = [self.output_request([size]) for size in OUTPUT_SIZES]
        answers = self.stub.HalfDuplexCall(iter(requests), timeout=20)
        assert [len(answer.payload.body) for answer in answers] == list(OUTPUT_SIZES)

    def custom_metadata(self):
        metadata = ((ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab"))

        def check(call):
            assert dict(call.initial_metadata())[ECHO_INITIAL] == "test_initial_metadata_value"
            assert dict(call.trailing_metadata())[ECHO_TRAILING] == b"\xab\xab\xab"

        response, call = self.stub.UnaryCall.with_call(self.simple(), metadata=metadata, timeout=20)
        self.check_large(response)
        check(call)
        with Talk(self.stub.FullDuplexCall, metadata=metadata) as talk:
            talk.say(self.output_request([KIND_BYTES["response"]], payload=self.payload(KIND_BYTES["request"])))
            talk.hear()
            talk.end()
            assert talk.hear() is None
            check(talk.call)

    def status_code_and_message(self):
        self._echoes_status("test status message")

    def special_status_message(self):
        self._echoes_status(SPECIAL)

    def _echoes_status(self, text):
        status = self.pb.EchoStatus(code=2, message=text)
        error = refusal(lambda: self.stub.UnaryCall(self.pb.SimpleRequest(response_status=status), timeout=10))
        assert (error.code(), error.details()) == (CODE.UNKNOWN, text)
        request = self.pb.StreamingOutputCallRequest(response_status=status)
        error = refusal(lambda: list(self.stub.FullDuplexCall(iter([request]), timeout=10)))
        assert (error.code(), error.details()) == (CODE.UNKNOWN, text)

    def unimplemented_method(self):
        error = refusal(lambda: self.stub.UnimplementedCall(self.pb.Empty(), timeout=10))
        assert error.code() == CODE.UNIMPLEMENTED

    def unimplemented_service(self):
        call = self.channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")
        assert refusal(lambda: call(b"", timeout=10)).code() == CODE.UNIMPLEMENTED

    def cancel_after_begin(self):
        with Talk(self.stub.StreamingInputCall, answers=False) as talk:
            talk.call.cancel()
            assert talk.call.cancelled() and talk.call.code() == CODE.CANCELLED

    def cancel_after_first_response(self):
        with Talk(self.stub.FullDuplexCall) as talk:
            talk.say(self.output_request([31415], payload=self.payload(27182)))
            assert len(talk.hear().payload.body) == 31415
            talk.call.cancel()
            assert refusal(talk.hear).code() == CODE.CANCELLED

    def timeout_on_sleeping_server(self):
        with Talk(self.stub.FullDuplexCall, timeout=0.001) as talk:
            talk.say(self.output_request([31415], payload=self.payload(27182)))
            assert refusal(lambda: [talk.hear(), talk.hear()]).code() == CODE.DEADLINE_EXCEEDED

    def client_compressed_unary(self):
        expect = self.pb.BoolValue(value=True)
        error = refusal(lambda: self.stub.UnaryCall(self.simple(expect_compressed=expect), compression=PLAIN, timeout=20))
        assert error.code() == CODE.INVALID_ARGUMENT
        self.check_large(self.stub.UnaryCall(self.simple(expect_compressed=expect), compression=GZIP, timeout=20))
        not_expected = self.pb.BoolValue(value=False)
        self.check_large(self.stub.UnaryCall(self.simple(expect_compressed=not_expected), compression=PLAIN, timeout=20))

    def server_compressed_unary(self):
        for wanted in (True, False):
            response = self.stub.UnaryCall(self.simple(response_compressed=self.pb.BoolValue(value=wanted)), timeout=20)
            self.check_large(response)

    def client_compressed_streaming(self):
        expect = self.pb.BoolValue(value=True)

        def requests():
            yield self.pb.StreamingInputCallRequest(payload=self.payload(27182), expect_compressed=expect)
            yield self.pb.StreamingInputCallRequest(payload=self.payload(45904), expect_compressed=expect)

        error = refusal(lambda: self.stub.StreamingInputCall(requests(), compression=PLAIN, timeout=20))
        assert error.code() == CODE.INVALID_ARGUMENT
        answer = self.stub.StreamingInputCall(requests(), compression=GZIP, timeout=20)
        assert answer.aggregated_payload_size == 73086

    def server_compressed_streaming(self):
        parameters = [self.pb.ResponseParameters(size=size, compressed=self.pb.BoolValue(value=wanted))
                      for size, wanted in ((31415, True), (92653, False))]
        request = self.pb.StreamingOutputCallRequest(response_parameters=parameters)
        answers = self.stub.StreamingOutputCall(request, timeout=20)
        assert [len(answer.payload.body) for answer in answers] == [31415, 92653]

    def concurrent_large_unary(self):
        """1,000 at once on one channel; "TODO" in the descriptions."""
        calls = [self.stub.UnaryCall.future(self.simple(), timeout=120, wait_for_ready=True) for _ in range(1000)]
        for call in calls:
            self.check_large(call.result())

    def rpc_soak(self):
        for _ in range(self.iterations):
            self.check_large(self.stub.UnaryCall(self.simple(), timeout=20))

    def channel_soak(self):
        for _ in range(self.channels):
            with self.connect() as channel:
                self.check_large(self.stubs.TestServiceStub(channel).UnaryCall(self.simple(), timeout=20))


class Talk:
    """A call whose requests are said one by one."""

    def __init__(self, method, answers=True, timeout=20, **options):
        self.queue, self.ready, self.ended = collections.deque(), threading.Condition(), False
        start = method if answers else method.future
        self.call = start(self._requests(), timeout=timeout, **options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.call.cancel()

    def say(self, message):
        with self.ready:
            self.queue.append(message)
            self.ready.notify()

    def end(self):
        with self.ready:
            self.ended = True
            self.ready.notify()

    def hear(self):
        return next(self.call, None)

    def _requests(self):
        while True:
            with self.ready:
                self.ready.wait_for(lambda: self.queue or self.ended)
                if not self.queue:
                    return
                message = self.queue.popleft()
            yield message


def refusal(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("it succeeded")


def load(protos):
    """The stubs by path: `grpc` is grpcio's own package."""
    sys.path.insert(0, protos)
    import interop_pb2
    import interop_pb2_grpc
    return interop_pb2, interop_pb2_grpc


def run(address, pki, protos, *soak):
    pb, stubs = load(protos)
    read = lambda name: (pathlib.Path(pki) / name).read_bytes()
    credentials = grpc.ssl_channel_credentials(read("ca.pem"), read("api-gateway.key"), read("api-gateway.pem"))
    connect = lambda: grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", "localhost")])
    passed = failed = 0
    names = [name for name in vars(Cases) if not name.startswith("_") and
             name not in ("payload", "simple", "output_request", "check_large")]
    for name in names:
        began = time.monotonic()
        cases = Cases(connect, pb, stubs, [int(count) for count in soak])
        with cases.channel:
            try:
                getattr(cases, name)()
            except Exception as error:  # pylint: disable=broad-except
                failed += 1
                print(f"FAIL    {name}: {type(error).__name__}: {str(error)[:300]}")
                continue
        passed += 1
        print(f"ok      {name} ({time.monotonic() - began:.1f} s)")
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(0 if run(*sys.argv[1:6]) else 1)
