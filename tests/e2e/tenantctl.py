"""tenantctl for the tests: one service's, with a home of its own."""
import json
import os
import pathlib
import subprocess

from support import MODE, ROOT

CTL = ROOT / "build" / MODE / "tenantctl"
DONE, REFUSED, USAGE, NO_ANSWER, NOT_FOUND, CONFLICT, FORBIDDEN, BROKEN = range(8)


def lines(text):
    """A JSON document a line."""
    return [json.loads(line) for line in text.splitlines()]


class Ctl:
    """tenantctl against one service, with a home of its own."""

    def __init__(self, stack, address, home, identity="admin"):
        self.connection = {
            "ADDRESS": address, "CA_FILE": stack.pki / "ca.pem", "CERT_FILE": stack.pki / f"{identity}.pem",
            "KEY_FILE": stack.pki / f"{identity}.key", "NATS_URL": stack.env["STACK_NATS_URL"],
            "NATS_SEED_FILE": pathlib.Path(stack.env["STACK_NATS_CREDS"]) / "admin.nk",
        }
        self.home = pathlib.Path(home)

    def env(self, connected=True, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("TENANTCTL_", "XDG_", "NO_COLOR"))}
        if connected:
            env.update({f"TENANTCTL_{k}": str(v) for k, v in self.connection.items()})
        return {**env, "HOME": str(self.home), **more}

    def __call__(self, *words, status=DONE, env=None, seconds=30, **kwargs):
        done = subprocess.run([CTL, *map(str, words)], capture_output=True, text=True, timeout=seconds,
                              env=env or self.env(), stdin=kwargs.pop("stdin", subprocess.DEVNULL), **kwargs)
        assert done.returncode == status, f"{words}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words, **kwargs):
        return json.loads(self(*words, "--output", "json", **kwargs).stdout)
