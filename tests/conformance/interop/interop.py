"""gRPC's interoperability cases: TestService on the product's transport, with foreign clients.

grpcio calls it over mutual TLS.  The clients of grpc-go and grpc-java have no option for a client certificate: they go
through haproxy.  Arguments are suites (grpcio grpc-go grpc-java), all without.
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import servers

HERE = pathlib.Path(__file__).resolve().parent
CASE_SECONDS = 120
SOAK_SECONDS = 600
COMMON = ("empty_unary large_unary client_streaming server_streaming ping_pong empty_stream custom_metadata "
          "status_code_and_message special_status_message unimplemented_method unimplemented_service "
          "cancel_after_begin cancel_after_first_response timeout_on_sleeping_server rpc_soak channel_soak").split()
COMPRESSED = ("client_compressed_unary server_compressed_unary client_compressed_streaming "
              "server_compressed_streaming").split()


def main(wanted):
    suites = {"grpcio": grpcio, "grpc-go": grpc_go, "grpc-java": grpc_java}
    passed = failed = 0
    with servers.interop_server("interop-server") as (words, process):
        address = f"127.0.0.1:{words[1]}"
        for name in wanted or suites:
            good, bad, skipped = suites[name](address)
            print(f"interop {name}: {good} passed, {bad} failed, {skipped} skipped", flush=True)
            passed, failed = passed + good, failed + bad
        if process.poll() is not None:
            print(f"interop: the server ended with status {process.returncode}")
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def grpcio(address):
    folder = servers.ROOT / "build/conformance/python"
    folder.mkdir(parents=True, exist_ok=True)
    proto = servers.ROOT / "tests/conformance/proto/grpc/testing/interop.proto"
    subprocess.run([os.environ["DEPS_PYTHON"], "-m", "grpc_tools.protoc", f"-I{proto.parent}", f"-I{servers.ROOT}/proto",
                    f"--python_out={folder}", f"--grpc_python_out={folder}", proto.name,
                    "tenant/options/v1/options.proto"], check=True)
    log_path = servers.LOGS / "interop-grpcio.log"
    with open(log_path, "w", encoding="utf-8") as log:
        subprocess.run([os.environ["DEPS_PYTHON"], HERE / "grpcio_cases.py", address, os.environ["STACK_PKI"], folder,
                        str(servers.soak()["rpc_soak"]), str(servers.soak()["channel_soak"])], stdout=log, stderr=log, check=False, timeout=SOAK_SECONDS)
    lines = log_path.read_text("utf-8").splitlines()
    for line in lines:
        if line.startswith("FAIL"):
            print(f"interop grpcio: {line}")
    bad = sum(line.startswith("FAIL") for line in lines)
    good = sum(line.startswith("ok ") for line in lines)
    return good, bad or (1 if not good else 0), 0


def grpc_go(address):
    return cases("grpc-go", address, os.environ["DEPS_INTEROP_GO"], COMMON)


def grpc_java(address):
    """It knows the cases with compression, which grpc-go's has not."""
    return cases("grpc-java", address, os.environ["DEPS_INTEROP_JAVA"], COMMON + COMPRESSED)


def cases(name, address, client, names):
    good = bad = skipped = 0
    with servers.proxy(address, f"interop-{name}", SOAK_SECONDS) as port:
        for case in names:
            status = run_case(name, client, port, case)
            good, bad, skipped = good + (status == 0), bad + (status not in (0, 77)), skipped + (status == 77)
    return good, bad, skipped


def run_case(name, client, port, case):
    command = [client, "--use_tls=false", "--server_host=127.0.0.1", f"--server_port={port}", f"--test_case={case}"]
    seconds = CASE_SECONDS
    if case in servers.soak():
        seconds = SOAK_SECONDS
        # no call may fail; how long the first one of a fresh JVM takes is no verdict on the server
        command += [f"--soak_iterations={servers.soak()[case]}", "--soak_max_failures=0", f"--soak_overall_timeout_seconds={seconds - 10}",
                    f"--soak_per_iteration_max_acceptable_latency_ms={seconds * 1000}"]
    log_path = servers.LOGS / f"interop-{name}-{case}.log"
    with open(log_path, "wb") as log:
        try:
            status = subprocess.run(command, stdout=log, stderr=log, check=False, timeout=seconds).returncode
        except subprocess.TimeoutExpired:
            status = -1
    if status not in (0, 77):
        print(f"interop {name}: FAIL {case}: see {log_path}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
