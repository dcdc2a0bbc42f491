"""A service with a configuration file of the test's own, which the test changes while the service runs."""
import copy
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess

import yaml

from support import MODE, ROOT, Service, tls, wait_until

PROGRAM = ROOT / "build" / MODE / "tenant-service"
PASSWORD = "Zebra-crossing-7"  # a wrong one, or the next: no output may hold it


class Settings:
    """A configuration file of the test's own, begun as the stack's."""

    def __init__(self, stack, folder):
        self.stack = stack
        self.folder = folder
        self.path = folder / "config.yaml"
        self.started = []
        with open(stack.env["STACK_CONFIG"], encoding="utf-8") as file:
            self.values = yaml.safe_load(file)
        self.values["server"]["port"] = self.values["ops"]["port"] = 0
        self.save()

    def set(self, section, key, value):
        self.values.setdefault(section, {})[key] = value
        self.save()

    def unset(self, section, key):
        self.values[section].pop(key)
        self.save()

    def save(self):
        """As Kubernetes does it: whoever reads meanwhile sees the old file or the new one."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(self.values))
        fresh.chmod(0o600)
        fresh.rename(self.path)

    def line_of(self, text):
        for number, line in enumerate(self.path.read_text().splitlines(), 1):
            if text in line:
                return number
        raise AssertionError(f"{text!r} is not in the file")

    def service(self, **fields):
        stack = copy.copy(self.stack)
        stack.env = {**self.stack.env, "STACK_CONFIG": str(self.path)}
        service = Service(stack, **fields)
        self.started.append(service)
        return service


def run(settings, *command, env=(), file=True):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TENANT_")}
    clean.update(env)
    config = ("--config", str(settings.path)) if file else ()
    return subprocess.run([PROGRAM, *command, *config], env=clean, capture_output=True, text=True, timeout=60)


def log_lines(service):
    """Every line is JSON of its own, even while others are being written."""
    return [json.loads(line) for line in service.log_path.read_text().splitlines() if line.startswith("{")]


def events(service, name):
    return [line for line in log_lines(service) if line["event"] == name]


def reload(service, result="success"):
    """SIGHUP, and back when the process has counted it."""
    before = service.metric("tenant_config_reload_total", result=result)
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.metric("tenant_config_reload_total", result=result) > before)


def passwords(text):
    return set(re.findall(r"://[^:/@]*:([^@/]+)@", text))


def peer_certificate(service):
    """The certificate that a new connection sees, PEM."""
    context = tls(service.stack, "admin")
    host, port = service.address.rsplit(":", 1)
    with context.wrap_socket(socket.create_connection((host, int(port)), timeout=10),
                             server_hostname="localhost") as secured:
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))


def own_certificate(settings):
    """A copy of the stack's leaf that the test may renew."""
    for name in ("tenant-service.pem", "tenant-service.key"):
        shutil.copy(settings.stack.pki / name, settings.folder / name)
    settings.set("tls", "cert_file", str(settings.folder / "tenant-service.pem"))
    settings.set("tls", "key_file", str(settings.folder / "tenant-service.key"))


def renew_certificate(settings):
    subprocess.run([ROOT / "tools/pki", "identity", settings.folder, "tenant-service", "--ca", settings.stack.pki,
                    "--dns", "localhost", "--ip", "127.0.0.1"], check=True, capture_output=True)
