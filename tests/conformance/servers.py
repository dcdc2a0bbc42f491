"""What the conformance runners share: a server that says when it is ready, and haproxy, which presents a client
certificate for tools that have none.  haproxy runs in tcp mode: it adds TLS and passes the frames untouched."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "build/test-logs/conformance"
IDENTITY = "api-gateway"

# Iterations of the soak cases, by SOAK in the environment.  grpc-go's channel_soak keeps its connections open: with more
# than 64 it meets connections_per_identity, rightly, and so the full one sets that higher.
SOAKS = {"": {"rpc_soak": 1000, "channel_soak": 50}, "full": {"rpc_soak": 10000, "channel_soak": 1000}}

PROXY = """
global
    maxconn 2048
defaults
    mode tcp
    timeout connect 5s
    timeout client {seconds}s
    timeout server {seconds}s
listen conformance
    bind fd@{fd}
    server service {address} ssl crt {bundle} ca-file {ca} verify required verifyhost localhost alpn h2
"""


def soak():
    """The iterations of each soak case."""
    chosen = os.environ.get("SOAK", "")
    if chosen not in SOAKS:
        raise SystemExit(f"SOAK={chosen}: expected nothing or full")
    return SOAKS[chosen]


def interop_server(name):
    """TestService; see interop/server.c."""
    command = [ROOT / "build" / os.environ["MODE"] / "tests/interop-server", os.environ["STACK_PKI"]]
    if os.environ.get("SOAK"):
        command.append(str(soak()["channel_soak"] + 64))
    return program(command, "ready", name)


@contextlib.contextmanager
def program(command, ready, name, **options):
    """Runs it until the end of the block; yields the words of its line that begins with `ready`, and the process."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log_path = LOGS / f"{name}.log"
    with open(log_path, "wb") as log, subprocess.Popen(command, stderr=log, stdout=subprocess.PIPE,
                                                       stdin=subprocess.DEVNULL, **options) as process:
        try:
            yield _ready_words(process, ready, log_path), process
        finally:
            process_end(process)


def _ready_words(process, ready, log_path):
    timer = threading.Timer(30, process.kill)
    timer.start()
    for line in process.stdout:
        if line.decode().startswith(ready):
            timer.cancel()
            return line.decode().split()
    raise SystemExit(f"{process.args[0]} did not start: see {log_path}")


@contextlib.contextmanager
def proxy(address, name, seconds=30):
    """A port that takes frames in clear text."""
    pki = pathlib.Path(os.environ["STACK_PKI"])
    with socket.socket() as listener, tempfile.TemporaryDirectory() as folder, \
            open(LOGS / f"{name}-haproxy.log", "wb") as log:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        bundle = pathlib.Path(folder) / "client.pem"
        bundle.write_bytes((pki / f"{IDENTITY}.pem").read_bytes() + (pki / f"{IDENTITY}.key").read_bytes())
        config = pathlib.Path(folder) / "haproxy.cfg"
        config.write_text(PROXY.format(fd=listener.fileno(), address=address, bundle=bundle, ca=pki / "ca.pem",
                                       seconds=seconds))
        with subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", config], pass_fds=[listener.fileno()],
                              stdout=log, stderr=log, stdin=subprocess.DEVNULL) as process:
            try:
                yield listener.getsockname()[1]
            finally:
                process_end(process)


def process_end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
