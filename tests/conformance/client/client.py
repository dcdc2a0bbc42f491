"""Our client's cases against servers of others and our own; see client.c."""
import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import servers

SECONDS = 900


def main():
    pki = os.environ["STACK_PKI"]
    tests = servers.ROOT / "build" / os.environ["MODE"] / "tests"
    passed = failed = 0
    for name, serve, more in (("our own server", own, ["gzip"]), ("grpc-go", grpc_go, [])):
        with serve(pki) as address:
            done = subprocess.run([tests / "interop-client", address, pki, str(servers.soak()["rpc_soak"]),
                                   str(servers.soak()["channel_soak"]), *more],
                                  capture_output=True, text=True, timeout=SECONDS, check=False)
        lines = done.stdout.splitlines()
        good = sum(line.startswith("ok ") for line in lines)
        bad = sum(line.startswith("FAIL") for line in lines)
        skipped = sum(line.startswith("skip ") for line in lines)
        if done.returncode not in (0, 1) or not good:
            bad += 1
        (servers.LOGS / f"client-{name.replace(' ', '-')}.log").write_text(done.stdout + done.stderr, "utf-8")
        for line in [line for line in lines if line.startswith("FAIL")] + done.stderr.splitlines():
            print(f"client, {name}: {line}")
        print(f"client, {name}: {good} passed, {bad} failed, {skipped} skipped", flush=True)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


@contextlib.contextmanager
def own(_pki):
    with servers.interop_server("client-interop-server") as (words, _):
        yield f"127.0.0.1:{words[1]}"


@contextlib.contextmanager
def grpc_go(pki):
    """It says nothing on standard output when it is ready, and takes no port of the kernel's choice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = pathlib.Path(os.environ["DEPS_INTEROP_GO"]).with_name("server")
    log_path = servers.LOGS / "client-grpc-go-server.log"
    with open(log_path, "wb") as log, subprocess.Popen(
            [program, f"--port={port}", "--use_tls", f"--tls_cert_file={pki}/tenant-service.pem",
             f"--tls_key_file={pki}/tenant-service.key"], stdout=log, stderr=log) as process:
        try:
            for _ in range(300):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None:
                    raise SystemExit(f"grpc-go's server did not start: see {log_path}")
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            servers.process_end(process)


if __name__ == "__main__":
    sys.exit(main())
