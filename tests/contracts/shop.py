"""A provider that does what a test says: a gRPC server with mutual TLS, of tests/contracts/proto."""
import pathlib
import subprocess
import sys
from concurrent import futures

import grpc

import compile as pacts
import messages
from program import ROOT, verify

PROTO = ROOT / "tests/contracts/proto"
STREAMS = {"Buy": (False, False), "Watch": (False, True), "Upload": (True, False), "Chat": (True, True)}
HEAD = """
consumer: consumer
provider: shop
image: {image}
protos: [shop/v1/shop.proto, google/rpc/status.proto, google/rpc/error_details.proto]
interactions:
"""


def image(folder):
    target = pathlib.Path(folder) / "shop.binpb"
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"-I{ROOT}/proto", "--include_imports",
                    f"--descriptor_set_out={target}", "shop/v1/shop.proto", "google/rpc/status.proto",
                    "google/rpc/error_details.proto"], check=True)
    return target


def certificates(folder):
    for command in (["ca"], ["leaf", "shop", "--dns", "localhost", "--ip", "127.0.0.1"],
                    ["identity", "consumer"], ["identity", "stranger"]):
        subprocess.run([ROOT / "tools/pki", command[0], folder, *command[1:]], check=True, capture_output=True)
    return pathlib.Path(folder)


class Shop:
    """`methods`: {"Buy": function(request messages, context) -> messages}; messages are of the schema."""

    def __init__(self, folder):
        self.folder = folder
        self.image = image(folder)
        self.pki = certificates(folder / "pki")
        self.schema = messages.Schema(self.image, [file.name for file in messages.files_of(self.image)])
        self.methods, self.seen = {}, []
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Shop", {
            name: self.handler(name, *kinds) for name, kinds in STREAMS.items()}),))
        read = lambda name: (self.pki / name).read_bytes()
        credentials = grpc.ssl_server_credentials([(read("shop.key"), read("shop.pem"))], read("ca.pem"), True)
        self.address = f"127.0.0.1:{self.server.add_secure_port('127.0.0.1:0', credentials)}"
        self.server.start()

    def handler(self, name, requests, responses):
        make = getattr(grpc, f"{'stream' if requests else 'unary'}_{'stream' if responses else 'unary'}_rpc_method_handler")

        def many(given, context):
            self.seen.append((name, dict(context.invocation_metadata())))
            yield from self.methods[name](given if requests else iter([given]), context)

        def one(given, context):
            return next(iter(many(given, context)), self.new("Receipt"))

        return make(many if responses else one, request_deserializer=self.parse("Order"),
                    response_serializer=lambda message: message if isinstance(message, bytes) else message.SerializeToString())

    def parse(self, name):
        def parse(data):
            message = self.new(name)
            message.ParseFromString(data)
            return message
        return parse

    def new(self, name, **fields):
        message = self.schema.new(f"shop.v1.{name}")
        for key, value in fields.items():
            self.schema.fill(message, key, value)
        return message

    def pact(self, text):
        """Compiles interactions in YAML; the file's path."""
        source = self.folder / "shop.yaml"
        source.write_text(HEAD.format(image=self.image) + text)
        target = self.folder / "shop.json"
        target.write_text(pacts.compile_pact(source))
        return target

    def verify(self, text, *arguments, **options):
        return verify(self.pact(text), "--address", self.address, "--pki", self.pki, "--server-name", "localhost",
                      *arguments, **options)

    def stop(self):
        self.server.stop(None).wait()
