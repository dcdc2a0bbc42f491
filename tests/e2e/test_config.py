"""The configuration of a real process: what is wrong is named, what holds is shown, and secrets stay secret."""
import os
import re

import pytest
import yaml

from configured import PASSWORD, passwords, reload, run
from support import create, get


# --- what is wrong is named --------------------------------------------------------------------------------------

BAD = {
    "unknown key": ("server:\n  prot: 1\n", 2, "key server.prot: expected a known key, got this one; did you mean"),
    "unknown section": ("servers:\n  port: 1\n", 1, "key servers: expected a known key"),
    "no number": ("server:\n  workers: many\n", 2, "key server.workers: expected a number from 0 to 256"),
    "out of range": ("nats:\n  replicas: 6\n", 2, "key nats.replicas: expected a number from 1 to 5"),
    "no unit": ("redis:\n  op_timeout: 5\n", 2, "key redis.op_timeout: expected a duration from 1ms to 10s"),
    "wrong unit": ("limits:\n  header_bytes: 16KB\n", 2, "key limits.header_bytes: expected a size from 1KiB"),
    "no choice": ("log:\n  level: loud\n", 2, "key log.level: expected debug, info, warn or error"),
    "no URL": ("database:\n  url: mysql://h/d\n", 2, "key database.url: expected a URL with a host"),
    "no URI": ("identities:\n  admin: me\n", 2, "key identities.admin: expected a URI"),
    "no address": ("server:\n  address: localhost\n", 2, "key server.address: expected a numeric IP address"),
    "no ratio": ("telemetry:\n  trace_ratio: 1.5\n", 2, "key telemetry.trace_ratio: expected a ratio from 0 to 1"),
    "plaintext": ("telemetry:\n  otlp_endpoint: http://c:4317\n", 2, "expected a URL with a host that begins with https://"),
    "no boolean": ("relay:\n  enabled: maybe\n", 2, "key relay.enabled: expected true or false"),
    "a list": ("region: [eu]\n", 1, "key region: expected one value, got a list"),
    "a section": ("region:\n  eu: 1\n", 1, "key region: expected one value, got a section"),
    "a value": ("server: 1\n", 1, "key server: expected a section of keys, got a value"),
    "twice": ("region: eu\nregion: eu\n", 2, "key region: expected once, got it again after line 1"),
    "an alias": ("region: &r eu\nenvironment: *r\n", 2, "key environment: expected one value, got an alias"),
    "no YAML": ("region: eu\nserver: }\n", 2, "expected YAML, got"),
    "two documents": ("region: eu\n---\nregion: us\n", 2, "expected one document"),
    "two keys": ("limits:\n  deadline_default: 40s\n", 2, "key limits.deadline_default: expected at most limits."),
    "epochs": ("cache:\n  max_age: 9ms\n  epoch_interval: 9ms\n", 3, "expected less than cache.max_age (9ms)"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_what_is_wrong_is_named_by_file_line_key_and_expectation(settings, case):
    text, line, expected = BAD[case]
    settings.path.write_text(text)
    done = run(settings, "check-config")
    assert done.returncode == 2 and done.stdout == ""
    assert f"tenant-service: {settings.path}:{line}: " in done.stderr and expected in done.stderr
    for command in ("serve", "relay", "migrate"):
        again = run(settings, command)
        assert again.returncode == 2, command
        if case not in ("two keys", "epochs"):  # rules between keys come when each by itself is right
            assert expected in again.stderr, command


def test_all_mistakes_are_told_at_once(settings):
    settings.path.write_text("region: mars\nserver:\n  port: -1\nnonsense: 1\n")
    done = run(settings, "check-config", env={"TENANT_NATS_REPLICAS": "9"})
    assert [line.split(": key ")[0].rsplit(":", 1)[-1].strip() for line in done.stderr.splitlines()] == \
        ["4", "1", "3", "TENANT_NATS_REPLICAS"]


def test_what_a_command_needs_must_be_there(settings):
    settings.path.write_text("environment: test\n")
    assert run(settings, "check-config").returncode == 0
    done = run(settings, "serve")
    assert done.returncode == 2
    for key in ("region", "tls.cert_file", "tls.key_file", "tls.ca_file", "database.url", "nats.url"):
        assert f"key {key}: expected " in done.stderr or key == "nats.url", key
    assert "got nothing; set it here or as TENANT_DATABASE_URL or DATABASE_URL" in done.stderr


def test_files_that_cannot_be_used_end_the_start(settings, tmp_path):
    done = run(settings, "serve", env={"TENANT_TLS_CERT_FILE": str(tmp_path / "none.pem")})
    assert done.returncode == 1 and f"certificate {tmp_path}/none.pem: No such file" in done.stderr
    (tmp_path / "keys").write_text("k1:00\n")
    done = run(settings, "serve", env={"TENANT_TOKENS_KEYS_FILE": str(tmp_path / "keys")})
    assert done.returncode == 2 and "line 1: after the id must stand 64 hexadecimal digits" in done.stderr
    settings.path.unlink()
    done = run(settings, "serve")
    assert done.returncode == 2 and f"{settings.path}: expected a readable file, got: No such file" in done.stderr


# --- what holds is shown -----------------------------------------------------------------------------------------

def test_print_shows_every_value_with_its_origin_as_yaml(settings):
    settings.set("limits", "idle", "90s")
    done = run(settings, "check-config", "--print",
               env={"TENANT_LOG_LEVEL": "warn", "OTEL_SERVICE_NAME": "tenants", "REGION": "us"})
    assert done.returncode == 0
    shown = yaml.safe_load(done.stdout)
    assert shown["limits"]["idle"] == "90s" and shown["log"]["level"] == "warn" and shown["region"] == "us"
    assert shown["telemetry"]["service_name"] == "tenants" and shown["limits"]["header_bytes"] == "16KiB"
    origins = dict(re.findall(r"^ *([a-z0-9_-]+): .*  # (.*)$", done.stdout, re.M))
    assert origins["idle"] == f"{settings.path}:{settings.line_of('idle')}"
    assert origins["level"] == "variable TENANT_LOG_LEVEL" and origins["region"] == "variable REGION"
    assert origins["service_name"] == "variable OTEL_SERVICE_NAME" and origins["header_bytes"] == "default"
    leaves = sum(len(v) if isinstance(v, dict) else 1 for v in shown.values())
    assert leaves == len(re.findall(r"  # (?:default|variable [A-Z_]+|/\S+:\d+)$", done.stdout, re.M))
    table = run(settings, "check-config", "--schema", file=False).stdout
    assert leaves == len(re.findall(r"^\| `", table, re.M)), "the table has every key"


def test_what_is_printed_is_a_configuration(settings):
    first = run(settings, "check-config", "--print").stdout
    settings.path.write_text(first)
    second = run(settings, "check-config", "--print")
    assert second.returncode == 0 and yaml.safe_load(second.stdout) == yaml.safe_load(first)


def test_the_stronger_of_two_names_wins_and_the_other_is_told(settings):
    env = {"TENANT_DATABASE_URL": "postgresql://a@one/d", "DATABASE_URL": f"postgresql://a:{PASSWORD}@two/d"}
    done = run(settings, "check-config", "--print", env=env)
    assert yaml.safe_load(done.stdout)["database"]["url"] == "postgresql://a@one/d"
    assert "DATABASE_URL: another value than TENANT_DATABASE_URL, which wins; ignored" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    del env["TENANT_DATABASE_URL"]
    done = run(settings, "check-config", "--print", env=env)
    assert yaml.safe_load(done.stdout)["database"]["url"] == "postgresql://a:****@two/d"
    assert "  # variable DATABASE_URL\n" in done.stdout and done.stderr == ""


# --- secrets -----------------------------------------------------------------------------------------------------

URLS = [("database", "url"), ("database", "relay_url"), ("database", "platform_url"), ("database", "migrate_url"),
        ("redis", "url"), ("nats", "url")]


def move_to_files(settings):
    for section, key in URLS:
        path = settings.folder / f"{section}-{key}"
        path.write_text(settings.values[section].pop(key) + "\n")
        path.chmod(0o644)  # as Kubernetes mounts secrets
        settings.set(section, f"{key}_file", str(path))


def test_a_service_lives_on_secrets_from_files(settings, unique, eventually):
    secrets = passwords(settings.path.read_text())
    assert len(secrets) >= 5
    move_to_files(settings)
    assert not passwords(settings.path.read_text())
    service = settings.service()
    tenant = create(service, unique())
    assert get(service, tenant.tenant_id).slug == tenant.slug
    eventually(lambda: service.metric("tenant_dependency_up", dependency="nats") == 1)
    eventually(lambda: service.metric("tenant_dependency_up", dependency="redis") == 1)
    assert service.stop() == 0
    printed = run(settings, "check-config", "--print").stdout
    assert '  # url: "postgresql://tenant_app:****@' in printed
    assert f"  # content of {settings.folder}/database-url\n" in printed
    assert not [s for s in secrets if s in printed]


@pytest.mark.parametrize("trouble,expected", [
    ("missing", "No such file or directory"), ("writable", "one that everybody may write (chmod o-w)"),
    ("empty", "an empty one"), ("large", "more than 8192 bytes"), ("folder", "something that is no regular file"),
    ("pipe", "something that is no regular file")])
def test_a_secret_file_that_will_not_do_ends_the_start(settings, trouble, expected):
    path = settings.folder / "secret"
    settings.values["database"].pop("url")
    settings.set("database", "url_file", str(path))
    if trouble == "folder":
        path.mkdir()
    elif trouble == "pipe":
        os.mkfifo(path)
    elif trouble != "missing":
        path.write_text({"writable": f"postgresql://a:{PASSWORD}@h/d", "empty": "\n", "large": "x" * 9000}[trouble])
        path.chmod(0o666 if trouble == "writable" else 0o600)
    done = run(settings, "serve")
    place = f"{settings.path}:{settings.line_of('url_file')}: key database.url_file: expected a readable file, got: "
    assert done.returncode == 2 and f"{place}{path}: {expected}\n" in done.stderr
    assert PASSWORD not in done.stderr


def test_a_value_and_a_file_for_it_are_refused_by_both_names(settings):
    (settings.folder / "secret").write_text(f"redis://:{PASSWORD}@h:1\n")
    done = run(settings, "serve", env={"TENANT_REDIS_URL_FILE": str(settings.folder / "secret")})
    assert done.returncode == 2
    assert "TENANT_REDIS_URL_FILE: key redis.url_file: expected either this or redis.url, got both (the other at " \
        f"{settings.path}:{settings.line_of('url: rediss')})" in done.stderr


def test_secrets_are_in_no_output_of_a_process(settings, stack, unique, eventually):
    """Not at start, not in calls, not at a reload that fails, not when logins are refused."""
    secrets = passwords(settings.path.read_text())
    secrets |= {open(settings.values["tokens"]["keys_file"], encoding="ascii").read().split(":")[1].strip()}
    secrets |= {open(settings.values["nats"]["seed_file"], encoding="ascii").read().strip()}
    settings.set("log", "level", "debug")
    service = settings.service()
    create(service, unique())
    settings.set("redis", "url", f"http://:{PASSWORD}@h:1")
    reload(service, "failure")
    shown = service.metrics() + service.http("/health/ready")[1]
    assert service.stop() == 0
    shown += service.log_path.read_text()
    assert "key redis.url: expected a URL" in shown
    settings.set("redis", "url", "")
    url = settings.values["database"]["url"]
    settings.set("database", "url", url.replace(next(iter(passwords(url))), PASSWORD))
    done = run(settings, "serve")
    assert done.returncode != 0 and "database" in done.stderr
    shown += done.stdout + done.stderr
    assert not [s for s in secrets | {PASSWORD} if s in shown]
