"""tenantctl as operators and scripts meet it: what it prints where, and the status it ends with."""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
import yaml

from support import Service, create, get, wait_until
from tenantctl import CONFLICT, CTL, DONE, FORBIDDEN, NO_ANSWER, NOT_FOUND, REFUSED, USAGE, Ctl

def rows(text):
    """A table of names and values; several rows may have one name."""
    return dict(line.split(None, 1) for line in text.splitlines() if len(line.split(None, 1)) == 2)


# --- tenants -----------------------------------------------------------------------------------------------


def test_a_tenants_life(ctl, service, unique):
    slug = unique("life")
    made = ctl.json("tenant", "create", "--slug", slug, "--display-name", "Life", "--home-region", "eu",
                    "--label", "env=prod", "--plan", "plan_pro", "--addon", "sso", "--theme", "colour=#123456",
                    "--mfa-required", "--allowed-locale", "en", "--allowed-locale", "de")
    tenant = made["tenantId"]
    assert made["labels"] == {"env": "prod"} and made["plan"] == {"planId": "plan_pro", "addons": ["sso"]}
    assert made["settings"]["brandingTheme"] == {"colour": "#123456"} and made["settings"]["mfaRequired"]
    assert made["settings"]["allowedLocales"] == ["de", "en"]
    changed = ctl.json("tenant", "update", tenant, "--display-name", "Second", "--mfa-required=false",
                       "--clear", "labels", "--etag", made["etag"])
    assert changed["displayName"] == "Second" and "labels" not in changed and "mfaRequired" not in changed["settings"]
    assert changed["plan"] == made["plan"]
    assert ctl.json("tenant", "suspend", tenant, "--reason", "unpaid")["status"] == "TENANT_STATUS_SUSPENDED"
    assert ctl.json("tenant", "reactivate", tenant)["status"] == "TENANT_STATUS_ACTIVE"
    assert ctl.json("tenant", "close", tenant, "--yes")["status"] == "TENANT_STATUS_CLOSED"
    assert get(service, tenant).status == 4
    by_slug = ctl.json("tenant", "lookup", slug)
    assert by_slug == ctl.json("tenant", "get", tenant)


def test_forms_say_the_same(ctl, unique):
    made = ctl.json("tenant", "create", "--slug", unique("form"), "--display-name", "null", "--home-region", "eu",
                    "--label", "number=0123", "--label", "truth=yes", "--label", "odd=a: b # c")
    read = yaml.safe_load(ctl("tenant", "get", made["tenantId"], "-o", "yaml").stdout)
    assert read == made
    table = rows(ctl("tenant", "get", made["tenantId"], "-otable").stdout)
    assert table["Tenant"] == made["tenantId"] and table["Etag"] == made["etag"] and table["Name"] == "null"
    form = ctl.env(TENANTCTL_OUTPUT="yaml")
    assert yaml.safe_load(ctl("tenant", "get", made["tenantId"], env=form).stdout) == made


def test_validate_only_stores_nothing(ctl, unique):
    slug = unique("dry")
    done = ctl("tenant", "create", "--slug", slug, "--display-name", "Dry", "--home-region", "eu", "--validate-only")
    assert rows(done.stdout)["Validated"] == "nothing was stored"
    ctl("tenant", "lookup", slug, status=NOT_FOUND)


# --- lists ---------------------------------------------------------------------------------------------------


def test_lists_page_by_page_and_whole(ctl, service, unique):
    mark = unique("mark")
    slugs = [create(service, unique("list"), labels={"mark": mark}).slug for _ in range(7)]
    which = ("tenant", "list", "--filter", f'labels.mark = "{mark}"', "--order-by", "create_time")
    seen, token = [], []
    for size in (3, 3, 1):
        page = ctl.json(*which, "--page-size", 3, *token)
        assert len(page["tenants"]) == size
        seen += [t["slug"] for t in page["tenants"]]
        token = ["--page-token", page.get("nextPageToken", "")]
    assert seen == slugs and "nextPageToken" not in page
    whole = ctl.json(*which, "--page-size", 2, "--all")
    assert [t["slug"] for t in whole["tenants"]] == slugs and list(whole) == ["tenants"]
    part = ctl(*which, "--page-size", 2)
    assert part.stdout.splitlines()[0].split() == ["TENANT", "SLUG", "STATUS", "TYPE", "PLAN", "NAME"]
    assert len(part.stdout.splitlines()) == 3 and "more: --page-token " in part.stderr
    assert [line.split()[1] for line in ctl(*which).stdout.splitlines()[1:]] == slugs


def test_a_wrong_filter_is_explained(ctl):
    done = ctl("tenant", "list", "--filter", "colour = 3", status=REFUSED)
    assert "INVALID_ARGUMENT" in done.stderr and "filter: character" in done.stderr and done.stdout == ""


# --- refusals --------------------------------------------------------------------------------------------------


def test_refusals_say_what_to_do_and_end_with_their_status(ctl, service, stack, unique, tmp_path):
    tenant = create(service, unique("ref"))
    cases = [
        (CONFLICT, ["tenant", "create", "--slug", tenant.slug, "--display-name", "X", "--home-region", "eu"],
         "SLUG_TAKEN", "Choose another slug"),
        (CONFLICT, ["tenant", "update", tenant.tenant_id, "--display-name", "X", "--etag", '"99"'],
         "VERSION_CONFLICT", "Read the tenant again"),
        (NOT_FOUND, ["tenant", "lookup", unique("no")], "TENANT_NOT_FOUND", ""),
        (REFUSED, ["tenant", "get", "tnt_x"], "tenant_id", "Crockford"),
        (REFUSED, ["tenant", "create", "--slug", "A B", "--display-name", "", "--home-region", "eu"],
         "tenant.slug: ", "tenant.display_name: "),
        (REFUSED, ["tenant", "reactivate", ctl.json("tenant", "close", create(service, unique("ref")).tenant_id,
                                                    "--yes")["tenantId"]], "INVALID_STATUS_TRANSITION", ""),
        (NOT_FOUND, ["health", "--service", "no.such.Service"], "SERVICE_UNKNOWN", ""),
    ]
    for status, words, first, second in cases:
        done = ctl(*words, status=status)
        assert done.stderr.startswith("tenantctl: ") and first in done.stderr and second in done.stderr, done.stderr
        assert re.search(r"^  request: req_[0-9A-Z]{26}$", done.stderr, re.M) and done.stdout == ""
    stranger = Ctl(stack, service.address, tmp_path, "stranger")
    assert "CALLER_NOT_ALLOWED" in stranger("tenant", "list", status=FORBIDDEN).stderr
    assert stranger("health").stdout == "SERVING\n"


def test_closing_asks(ctl, service, unique):
    tenant = create(service, unique("close")).tenant_id
    assert "cannot be undone: add --yes" in ctl("tenant", "close", tenant, status=USAGE).stderr
    for typed, status in (("no", REFUSED), (tenant, DONE)):
        master, slave = pty.openpty()
        os.write(master, (typed + "\n").encode())
        done = ctl("tenant", "close", tenant, status=status, stdin=slave)
        assert "Type its id to go on" in done.stderr
        os.close(master)
        os.close(slave)
        assert (get(service, tenant).status == 4) == (status == DONE)


# --- writes that may be repeated ---------------------------------------------------------------------------------


def test_the_same_key_is_the_same_write(ctl, unique):
    words = ["tenant", "create", "--slug", unique("key"), "--display-name", "K", "--home-region", "eu",
             "--idempotency-key", unique("k")]
    first, second = rows(ctl(*words).stdout), rows(ctl(*words).stdout)
    assert "Replayed" not in first and "Replayed" in second
    assert {k: v for k, v in second.items() if k != "Replayed"} == first
    words[5] = "Other"
    assert "IDEMPOTENCY_REPLAY_MISMATCH" in ctl(*words, status=REFUSED).stderr


def test_a_write_shows_the_token_that_reads_take(ctl, service, unique):
    tenant = create(service, unique("tok")).tenant_id
    token = rows(ctl("tenant", "update", tenant, "--display-name", "Now").stdout)["Token"]
    assert ctl.json("tenant", "get", tenant, "--at-least", token)["displayName"] == "Now"
    assert "x-consistency-token" in ctl("tenant", "get", tenant, "--at-least", "nonsense", status=REFUSED).stderr
    told = ctl("tenant", "get", tenant, "--verbose").stderr
    assert "x-source: " in told and "x-request-id: req_" in told
    told = ctl("tenant", "update", tenant, "--display-name", "Then", "-v").stderr
    assert f"x-consistency-token: " in told and "idempotency-key: opr_" in told


class Shutter:
    """A port in front of the service that refuses, or ends connections, before it lets them through."""

    def __init__(self, address, refusals=0, cut_after=None):
        host, port = address.rsplit(":", 1)
        self.target, self.refusals, self.cut_after = (host, int(port)), refusals, cut_after
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            if self.accepted <= self.refusals and self.cut_after is None:
                client.close()
                continue
            threading.Thread(target=self._carry, args=(client, self.accepted), daemon=True).start()

    def _carry(self, client, number):
        server = socket.create_connection(self.target)
        answered = 0
        while True:
            ready, _, _ = select.select([client, server], [], [], 20)
            for end, other in ((client, server), (server, client)):
                if end not in ready:
                    continue
                try:
                    data = end.recv(65536)
                except ConnectionResetError:
                    data = b""
                if end is server:
                    answered += len(data)
                    if self.cut_after is not None and number <= self.refusals and answered > self.cut_after:
                        client.close()  # the service has answered, nobody will know
                        server.close()
                        return
                if not data:
                    client.close()
                    server.close()
                    return
                other.sendall(data)
            if not ready:
                return

    def close(self):
        self.listener.close()


def test_a_lost_connection_is_tried_again(ctl, service):
    shutter = Shutter(service.address, refusals=2)
    env = ctl.env(TENANTCTL_ADDRESS=shutter.address)
    assert ctl("health", env=env).stdout == "SERVING\n"
    assert shutter.accepted == 3
    shutter.accepted = 0
    done = ctl("health", "--no-retry", env=env, status=NO_ANSWER)
    assert shutter.accepted == 1 and f"no answer from {shutter.address}" in done.stderr
    shutter.close()


def test_a_write_whose_answer_was_lost_is_done_once(ctl, service, unique):
    """The handshake is about 2,500 bytes from the server; what is cut off behind it is the answer."""
    slug = unique("lost")
    shutter = Shutter(service.address, refusals=1, cut_after=4000)
    made = None
    for cut in range(2000, 6000, 250):  # somewhere in there lies the answer's end
        shutter.accepted, shutter.cut_after = 0, cut
        words = ["tenant", "create", "--slug", f"{slug}-{cut}", "--display-name", "L", "--home-region", "eu"]
        made = ctl.json(*words, env=ctl.env(TENANTCTL_ADDRESS=shutter.address))
        again = ctl.json("tenant", "lookup", f"{slug}-{cut}")
        assert again["tenantId"] == made["tenantId"] and again["etag"] == '"1"'
    shutter.close()


def test_nobody_there_ends_soon_and_names_the_key(ctl, unique):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = ctl.env(TENANTCTL_ADDRESS=f"127.0.0.1:{silent.getsockname()[1]}")
        done = ctl("health", "--timeout", "300ms", env=env, status=NO_ANSWER, seconds=10)
        assert "no answer from" in done.stderr and "--timeout" in done.stderr
    env = ctl.env(TENANTCTL_ADDRESS="127.0.0.1:1")
    done = ctl("tenant", "create", "--slug", unique("n"), "--timeout", "500ms", env=env, status=NO_ANSWER, seconds=10)
    assert "127.0.0.1:1" in done.stderr


# --- watching --------------------------------------------------------------------------------------------------


def watch(ctl, *words, env=None):
    return subprocess.Popen([CTL, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            env=env or ctl.env(), stdin=subprocess.DEVNULL)


def test_watch_shows_changes_and_ends_cleanly(ctl, service, unique):
    tenant = create(service, unique("watch")).tenant_id
    process = watch(ctl, "tenant", "get", tenant, "--watch", "--interval", "100ms", "-o", "json")
    names = [json.loads(process.stdout.readline())["displayName"]]
    for name in ("Two", "Three"):
        ctl("tenant", "update", tenant, "--display-name", name)
        names.append(json.loads(process.stdout.readline())["displayName"])
    process.send_signal(signal.SIGINT)
    rest, told = process.communicate(timeout=10)
    assert names[1:] == ["Two", "Three"] and rest == "" and told == "" and process.returncode == 0


def test_watch_goes_on_while_the_service_is_away(ctl, stack, tmp_path):
    first = Service(stack)
    port = first.address.rsplit(":", 1)[1]
    process = watch(ctl, "health", "--watch", "--interval", "100ms", "--timeout", "300ms",
                    env=ctl.env(TENANTCTL_ADDRESS=first.address))
    assert process.stdout.readline() == "SERVING\n"
    first.stop()
    assert process.stderr.readline().startswith("tenantctl: ")  # refused, or nobody there
    second = Service(stack, SERVER_PORT=port)
    wait_until(lambda: ctl("health", env=ctl.env(TENANTCTL_ADDRESS=second.address)).stdout == "SERVING\n")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 0 and second.stop() == 0


# --- events --------------------------------------------------------------------------------------------------------


def test_events_are_decoded_filtered_and_followed(ctl, service, unique):
    tenant = create(service, unique("ev")).tenant_id
    ctl("tenant", "suspend", tenant, "--reason", "unpaid")
    tail = ["events", "tail", "--tenant", tenant]

    def events(*words):
        return [json.loads(line) for line in ctl(*tail, "-o", "json", *words).stdout.splitlines()]

    both = wait_until(lambda: (seen := events("--since", "1h")) and len(seen) == 2 and seen)
    assert [e["eventType"] for e in both] == ["tenant.org.provisioned", "tenant.org.suspended"]
    assert both[1]["payload"]["reason"] == "unpaid" and both[1]["payload"]["previousStatus"] == "TENANT_STATUS_TRIAL"
    assert both[1]["payload"]["tenant"]["tenantId"] == tenant and both[1]["sequence"] == 2
    ctl("tenant", "get", tenant, "--at-least", both[1]["consistencyToken"])
    assert [e["sequence"] for e in events("--type", "tenant.org.suspended")] == [2]
    assert [e["sequence"] for e in events("-n", "1")] == [2]
    assert [e["sequence"] for e in events("--since", both[1]["occurredAt"])] == [2]
    assert events("--since", "2999-01-01T00:00:00Z") == []
    assert "was TENANT_STATUS_TRIAL: unpaid" in ctl(*tail).stdout
    documents = list(yaml.safe_load_all(ctl(*tail, "-o", "yaml").stdout))
    assert [d["sequence"] for d in documents] == [1, 2]
    process = watch(ctl, "events", "tail", "--tenant", tenant, "--follow", "-o", "json")
    for _ in range(2):
        process.stdout.readline()
    ctl("tenant", "update", tenant, "--display-name", "Followed")
    followed = json.loads(process.stdout.readline())
    assert followed["sequence"] == 3 and followed["payload"]["changedFields"] == ["display_name"]
    blocked = [
        int(re.search(r"SigBlk:\s+(\w+)", status.read_text())[1], 16)
        for status in pathlib.Path(f"/proc/{process.pid}/task").glob("*/status")
        if status.parent.name != str(process.pid)
    ]
    assert blocked and all(mask & 1 << (signal.SIGINT - 1) for mask in blocked), "a thread that dies of ^C"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 0


# --- settings ---------------------------------------------------------------------------------------------------------


def test_contexts(ctl, stack):
    bare = ctl.env(connected=False)
    connection = {k.lower(): str(v) for k, v in ctl.connection.items()}
    flags = [word for k, v in connection.items() for word in (f"--{k.replace('_', '-')}", v)]
    assert "--address is not set" in ctl("health", env=bare, status=USAGE).stderr
    assert "no contexts" in ctl("context", "list", env=bare).stderr
    ctl("context", "set", "dev", *flags, env=bare)
    ctl("context", "set", "away", *flags[2:], "--address", "127.0.0.1:1", env=bare)
    file = ctl.home / ".config/tenantctl/config.yaml"
    kept = yaml.safe_load(file.read_text())
    assert kept["current_context"] == "dev" and kept["contexts"]["dev"] == connection
    assert file.stat().st_mode & 0o777 == 0o600
    assert ctl("health", env=bare).stdout == "SERVING\n"
    assert "127.0.0.1:1" in ctl("health", "--context", "away", "--timeout", "200ms", env=bare, status=NO_ANSWER).stderr
    other = {**bare, "TENANTCTL_CONTEXT": "away"}
    assert "127.0.0.1:1" in ctl("health", "--timeout", "200ms", env=other, status=NO_ANSWER).stderr
    other["TENANTCTL_ADDRESS"] = ctl.connection["ADDRESS"]  # the environment wins over the context
    assert ctl("health", env=other).stdout == "SERVING\n"
    ctl("health", "--address", "127.0.0.1:1", "--timeout", "200ms", env=other, status=NO_ANSWER)  # and flags over both
    shown = json.loads(ctl("context", "show", "-o", "json", env=other).stdout)
    assert shown["context"] == "away" and shown["address"] == ctl.connection["ADDRESS"]
    ctl("context", "use", "away", env=bare)
    listed = yaml.safe_load(ctl("context", "list", "-o", "yaml", env=bare).stdout)
    assert [(c["name"], c["current"]) for c in listed] == [("dev", False), ("away", True)]
    assert ctl("context", "list", "--names", env=bare).stdout == "dev\naway\n"
    ctl("context", "set", "away", "--nats-url", "", env=bare)
    assert "nats_url" not in yaml.safe_load(file.read_text())["contexts"]["away"]
    ctl("context", "delete", "away", env=bare)
    assert "current_context" not in yaml.safe_load(file.read_text())
    for words in (["context", "use", "away"], ["context", "delete", "away"], ["health", "--context", "away"]):
        assert 'there is no context "away"' in ctl(*words, env=bare, status=NOT_FOUND).stderr


def test_broken_configuration_files_name_their_line(ctl):
    file = ctl.home / "config.yaml"
    for text, expected in (
            ("address: a\ncolour: red\n", ':2: unknown key "colour"'),
            ("contexts:\n  a:\n    address: [x]\n", ":3: expected `name: value`"),
            ("contexts:\n  a: {}\n  a: {}\n", ':3: context "a" stands twice'),
            ("contexts: [a]\n", ":1: contexts: expected names"),
            ("current_context: b\n", 'there is no context "b"'),
            ("- a\n", ":1: expected `name: value` lines"),
            ("a: [\n", ":2: "),
            ("current_context: [a]\n", ":1: current_context: expected a name")):
        file.write_text(text)
        done = ctl("context", "list", "--config", file, status=USAGE)
        assert f"{file}:" in done.stderr and expected in done.stderr, done.stderr
    assert "No such file" in ctl("health", "--config", ctl.home / "none.yaml", status=USAGE).stderr


def test_wrong_command_lines(ctl):
    for words, expected in (
            ([], "usage: tenantctl COMMAND"),
            (["tenant"], "usage: tenantctl tenant COMMAND"),
            (["tenat", "get"], 'did you mean "tenant"?'),
            (["tenant", "lst"], 'did you mean "tenant list"?'),
            (["tenant", "frobnicate"], "see tenantctl tenant --help"),
            (["tenant", "get"], "TENANT_ID is missing"),
            (["tenant", "get", "a", "b"], 'unexpected argument "b"'),
            (["tenant", "get", "a", "--ouput", "json"], "did you mean --output?"),
            (["tenant", "get", "a", "--slug", "x"], "is not a flag of this command"),
            (["tenant", "get", "a", "--output"], "--output needs a value"),
            (["tenant", "get", "a", "--output", "xml"], "expected one of: table json yaml"),
            (["tenant", "get", "a", "--watch=maybe"], "is a switch"),
            (["tenant", "get", "a", "--timeout", "5"], "expected a time such as"),
            (["tenant", "list", "--page-size", "0"], "expected a number from 1 to 1000"),
            (["tenant", "list", "--filter", "a", "--filter", "b"], "--filter was given twice"),
            (["tenant", "update", "a"], "nothing to update"),
            (["tenant", "create", "--label", "x"], "expected KEY=VALUE"),
            (["tenant", "create", "--type", "cat"], "expected org, provider, individual or hybrid"),
            (["events", "tail", "--since", "soon"], "expected a time such as 30m"),
            (["completion", "fish"], "expected one of: bash zsh")):
        done = ctl(*words, status=USAGE)
        assert expected in done.stderr and done.stdout == "", (words, done.stderr)
    assert "TENANTCTL_OUTPUT" in ctl("health", env=ctl.env(TENANTCTL_OUTPUT="xml"), status=USAGE).stderr


# --- what it says about itself ----------------------------------------------------------------------------------------


def commands(ctl):
    """Every command as its words, from the program's own help."""
    section = ctl("--help").stdout.split("\ncommands\n")[1].split("\n\n")[0]
    return [[word for word in line.split("  ")[1].split() if word.islower()] for line in section.splitlines()]


def test_help_at_every_level(ctl):
    assert len(commands(ctl)) >= 18
    for words in commands(ctl):
        text = ctl(*words, "--help").stdout
        assert text.startswith("usage: tenantctl " + " ".join(words)) and "--output" in text
        assert text == ctl("help", *words).stdout == ctl(*words, "-h").stdout
        assert max(map(len, text.splitlines())) <= 120
    assert ctl("--version").stdout == ctl("version").stdout
    assert re.fullmatch(r"tenantctl \d+\.\d+\.\d+\n", ctl("version").stdout)
    for group in ("tenant", "events", "dlq", "schema", "context"):
        assert f"usage: tenantctl {group} COMMAND" in ctl(group, "--help").stdout


def test_man_pages_are_sound_and_complete(ctl):
    ctl("man", ctl.home / "man")
    pages = sorted(path.name for path in (ctl.home / "man").iterdir())
    assert pages == sorted(["tenantctl.1"] + [f"tenantctl-{'-'.join(words)}.1" for words in commands(ctl)])
    groff = shutil.which("groff")
    for page in pages:
        text = (ctl.home / "man" / page).read_text()
        assert text.startswith(".\\\"") and ".SH NAME" in text and ".SH SYNOPSIS" in text
        if groff:
            done = subprocess.run([groff, "-man", "-Tutf8", "-ww", ctl.home / "man" / page], capture_output=True,
                                  text=True, check=True)
            assert done.stderr == "", (page, done.stderr)
    main = (ctl.home / "man/tenantctl.1").read_text()
    assert ".SH EXIT STATUS" in main and ".SH ENVIRONMENT" in main and ".SH FILES" in main


def complete(ctl, line, env=None):
    """What bash would offer behind `line`."""
    script = ('source <("$1" completion bash)\nCOMP_LINE=$2\nread -ra COMP_WORDS <<<"$2"\n'
              '[[ $2 == *" " ]] && COMP_WORDS+=("")\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n'
              'COMP_WORDS[0]=$1\n_tenantctl\nprintf "%s\\n" "${COMPREPLY[@]}"\n')
    done = subprocess.run(["bash", "-c", script, "bash", CTL, line], capture_output=True, text=True, check=True,
                          env=env or ctl.env(), cwd=ctl.home)
    assert done.stderr == "", done.stderr
    return done.stdout.split()


def test_completion_knows_commands_flags_and_values(ctl):
    assert complete(ctl, "tenantctl te") == ["tenant"]
    assert set(complete(ctl, "tenantctl tenant ")) == {"create", "get", "lookup", "list", "update", "suspend",
                                                       "reactivate", "close"}
    assert complete(ctl, "tenantctl tenant cre") == ["create"]
    assert complete(ctl, "tenantctl --output json tenant cl") == ["close"]
    assert complete(ctl, "tenantctl tenant create --sl") == ["--slug"]
    assert "--filter" not in complete(ctl, "tenantctl tenant get --")
    assert complete(ctl, "tenantctl tenant get x --output ") == ["table", "json", "yaml"]
    assert complete(ctl, "tenantctl tenant get x -o y") == ["yaml"]
    assert complete(ctl, "tenantctl tenant create --home-region e") == ["eu"]
    assert complete(ctl, "tenantctl completion ") == ["bash", "zsh"]
    assert complete(ctl, "tenantctl frob ") == []
    (ctl.home / "my.pem").write_text("")
    assert complete(ctl, "tenantctl health --ca-file m") == ["my.pem"]
    ctl("context", "set", "dev", "--address", "a:1")
    ctl("context", "set", "prod", "--address", "b:1")
    assert complete(ctl, "tenantctl context use ") == ["dev", "prod"]
    assert complete(ctl, "tenantctl health --context p") == ["prod"]


def test_completion_scripts_parse(ctl):
    for shell in ("bash", "zsh"):
        script = ctl("completion", shell).stdout
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=script, text=True, check=True)
        assert "__complete" in script


def on_a_terminal(ctl, *words, **env):
    """Standard output and error as a terminal gets them."""
    master, slave = pty.openpty()
    process = subprocess.Popen([CTL, *words], stdout=slave, stderr=slave, stdin=subprocess.DEVNULL,
                               env={**ctl.env(**env), "TERM": env.get("TERM", "xterm")})
    os.close(slave)
    text = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        text += part
    os.close(master)
    process.wait(10)
    return text.decode()


def test_colour_only_on_terminals(ctl, service, unique):
    tenant = create(service, unique("colour")).tenant_id
    assert "\033[36mTENANT_STATUS_TRIAL\033[0m" in on_a_terminal(ctl, "tenant", "get", tenant)
    assert "\033[31mtenantctl:\033[0m" in on_a_terminal(ctl, "tenant", "get", "x")
    assert "\033" not in ctl("tenant", "get", tenant).stdout
    assert "\033" not in on_a_terminal(ctl, "tenant", "get", tenant, NO_COLOR="1")
    assert "\033" not in on_a_terminal(ctl, "tenant", "get", tenant, TERM="dumb")
    assert "\033" not in on_a_terminal(ctl, "tenant", "get", tenant, "--no-color")
    assert "tenants" in on_a_terminal(ctl, "tenant", "list", "--all", "--page-size", "1000")  # progress


def test_a_full_disk_is_no_success(ctl):
    with open("/dev/full", "w") as full:
        done = subprocess.run([CTL, "version"], stdout=full, stderr=subprocess.PIPE, text=True, env=ctl.env())
    assert done.returncode == USAGE and "could not be written" in done.stderr
