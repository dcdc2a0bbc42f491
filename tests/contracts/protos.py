"""The protos of this tree for Python, compiled once for each content."""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["tenant/v1/tenants.proto", "tenant/options/v1/options.proto", "tenant/events/v1/envelope.proto",
         "tenant/events/v1/tenant_events.proto", "billing/events/v1/subscription_events.proto"]


def compiled():
    """The folder to put on the path."""
    digest = hashlib.sha256(" ".join(NAMES).encode())
    for path in sorted((ROOT / "proto").rglob("*.proto")):
        digest.update(path.read_bytes())
    target = ROOT / "build/contracts/python" / digest.hexdigest()[:16]
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = tempfile.mkdtemp(dir=target.parent)
        subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT}/proto", f"--python_out={fresh}",
                        f"--grpc_python_out={fresh}", *NAMES], check=True)
        try:
            os.rename(fresh, target)
        except OSError:
            pass  # another run was faster
    return target
