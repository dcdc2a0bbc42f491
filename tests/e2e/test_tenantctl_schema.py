"""tenantctl schema: the registry that is built in, comparing schemas, the gate.  None of it needs a connection."""
import hashlib
import json
import shutil
import subprocess

import pytest
import yaml

from support import MODE, ROOT
from tenantctl import BROKEN, CTL, NOT_FOUND, REFUSED, USAGE

SCHEMAS = ROOT / "contracts/schemas"
UPDATED = next(row for row in json.loads((SCHEMAS / "index.json").read_text())["schemas"]
               if row["eventType"] == "tenant.org.updated" and row["current"])
TEXT = (SCHEMAS / UPDATED["file"]).read_text()


@pytest.fixture
def offline(ctl):
    """tenantctl without any setting."""
    env = ctl.env(connected=False)

    def run(*words, **kwargs):
        return ctl(*words, env=env, **kwargs)
    return run


def test_every_address_of_the_registry_is_shown(offline):
    for row in json.loads((SCHEMAS / "index.json").read_text())["schemas"]:
        shown = json.loads(offline("schema", "show", row["uri"], "-o", "json").stdout)
        assert shown["text"] == (SCHEMAS / row["file"]).read_text(), row["uri"]
        assert hashlib.sha256(shown["text"].encode()).hexdigest() in row["uri"]
        assert shown["message"] == row["message"] and shown["releases"] == row["releases"]
        assert shown["status"] == ("released" if row["current"] else "superseded")


def test_a_schema_has_many_names(offline):
    uri = UPDATED["uri"]
    digest = uri.partition("sha256-")[2]
    for name in ("tenant.org.updated", "tenant.org.updated.v1", "tenant.events.v1.OrgUpdated", uri, uri.partition("#")[0],
                 digest, digest[:7]):
        assert json.loads(offline("schema", "show", name, "-o", "json").stdout)["uri"] == uri, name
    shown = yaml.safe_load(offline("schema", "show", uri, "-o", "yaml").stdout)
    payload = next(one for one in shown["types"] if one["name"] == "tenant.events.v1.OrgUpdated")
    assert payload["fields"] == [{"number": 1, "name": "tenant", "type": "tenant.v1.Tenant", "repeated": False},
                                 {"number": 2, "name": "changed_fields", "type": "string", "repeated": True}]
    status = next(one for one in shown["types"] if one["name"] == "tenant.v1.TenantStatus")
    assert status["kind"] == "enum" and {"number": 4, "name": "TENANT_STATUS_CLOSED"} in status["values"]
    text = offline("schema", "show", uri).stdout
    assert "Event            tenant.org.updated.v1\n" in text and text.endswith("\n\n" + TEXT)


def test_the_list_has_released_ones_and_drafts(offline):
    everything = json.loads(offline("schema", "list", "-o", "json").stdout)
    drafts = json.loads(offline("schema", "list", "--status", "draft", "-o", "json").stdout)
    released = json.loads(offline("schema", "list", "--status", "released", "-o", "json").stdout)
    assert {row["eventType"] for row in released} >= {"tenant.org.provisioned", "tenant.org.updated", "tenant.org.closed"}
    assert {row["eventType"] for row in drafts} >= {"tenant.role.created", "tenant.membership.activated"}
    assert len(everything) >= len(drafts) + len(released)
    assert "tenant.role.created.v1" in offline("schema", "list").stdout
    assert json.loads(offline("schema", "show", "tenant.role.created", "-o", "json").stdout)["status"] == "draft"


@pytest.mark.parametrize("edit, status, lines", [
    (lambda text: text, 0, ["equal: the same schema"]),
    (lambda text: text.replace("2 repeated string changed_fields\n", "2 repeated string changed_fields\n3 string why\n"), 0,
     [" + tenant.events.v1.OrgUpdated 3 string why", "compatible: "]),
    (lambda text: text.replace("4 TENANT_STATUS_CLOSED\n", "4 TENANT_STATUS_CLOSED\n5 TENANT_STATUS_FROZEN\n"), 0,
     [" + tenant.v1.TenantStatus 5 TENANT_STATUS_FROZEN"]),
    (lambda text: text + "message tenant.v1.Zone\n1 string name\n", 0, [" + tenant.v1.Zone"]),
    (lambda text: text.replace("2 string slug\n", ""), REFUSED, ["!- tenant.v1.Tenant 2 string slug", "breaking: "]),
    (lambda text: text.replace("2 string slug\n", "2 bytes slug\n"), REFUSED, ["!~ tenant.v1.Tenant 2 string slug → bytes slug"]),
    (lambda text: text.replace("2 string slug\n", "2 repeated string slug\n"), REFUSED, ["!~ tenant.v1.Tenant 2 "]),
    (lambda text: text.replace("2 string slug\n", "2 string short_name\n"), REFUSED, ["string slug → string short_name"]),
    (lambda text: text.replace("2 string slug\n", "40 string slug\n"), REFUSED, ["!- tenant.v1.Tenant 2", "!+ tenant.v1.Tenant 40"]),
    (lambda text: text.replace("4 TENANT_STATUS_CLOSED\n", ""), REFUSED, ["!- tenant.v1.TenantStatus 4 TENANT_STATUS_CLOSED"]),
    (lambda text: text.replace("4 TENANT_STATUS_CLOSED", "4 TENANT_STATUS_ENDED"), REFUSED, ["!- tenant.v1.TenantStatus 4",
                                                                                           " + tenant.v1.TenantStatus 4"]),
])
def test_differences_are_told_and_judged(offline, tmp_path, edit, status, lines):
    other = tmp_path / "other.txt"
    other.write_text(edit(TEXT))
    text = offline("schema", "diff", "tenant.org.updated", other, status=status).stdout
    assert all(line in text for line in lines), text
    told = json.loads(offline("schema", "diff", UPDATED["uri"], other, "-o", "json", status=status).stdout)
    assert told["equal"] == (not told["changes"]) and told["compatible"] == (status == 0)
    assert any(change["breaking"] for change in told["changes"]) == (status != 0)


def test_addresses_of_newer_versions_come_from_a_registry(offline, tmp_path):
    text = TEXT.replace("2 repeated string changed_fields\n", "2 repeated string changed_fields\n3 string why\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    uri = f"schemas://tenant-service/org/updated/v1#sha256-{digest}"
    assert "--registry" in offline("schema", "show", uri, status=NOT_FOUND).stderr
    place = tmp_path / f"org/updated/v1/{digest}.txt"
    assert "No such file" in offline("schema", "show", uri, "--registry", tmp_path, status=NOT_FOUND).stderr
    place.parent.mkdir(parents=True)
    place.write_text(text)
    assert json.loads(offline("schema", "show", uri, "--registry", tmp_path, "-o", "json").stdout)["uri"] == uri
    assert "compatible" in offline("schema", "diff", UPDATED["uri"], uri, "--registry", tmp_path).stdout
    place.write_text(text + "9 TENANT_TYPE_OTHER\n")
    assert "it was edited" in offline("schema", "show", uri, "--registry", tmp_path, status=BROKEN).stderr
    for wrong in ("schemas://tenant-service/org/updated/v1#sha256-12", "schemas://tenant-service/../../x#sha256-" + 64 * "a"):
        assert "no schema is called" in offline("schema", "show", wrong, "--registry", tmp_path, status=NOT_FOUND).stderr


@pytest.mark.parametrize("text, line", [("", 1), ("message x", 1), ("1 string a\n", 1), ("message x\n1 string\n", 2), ("message x\n1 a b c\n", 2),
                                        ("message x y\n", 1), ("enum x\n99999999999 A\n", 2), ("enum x\nA 1\n", 2),
                                        ("message x\n1 repeated string\n", 2)])
def test_texts_that_are_no_schemas_are_refused_with_their_line(offline, tmp_path, text, line):
    (tmp_path / "x.txt").write_text(text)
    assert f"x.txt:{line}: expected the text of a schema" in offline("schema", "show", tmp_path / "x.txt", status=USAGE).stderr


def test_arguments_are_counted(offline):
    assert "NEW is missing" in offline("schema", "diff", "tenant.org.updated", status=USAGE).stderr
    assert "OLD is missing" in offline("schema", "diff", status=USAGE).stderr
    assert 'unexpected argument "c"' in offline("schema", "diff", "a", "b", "c", status=USAGE).stderr
    assert 'no schema and no file is called "nonsense"' in offline("schema", "show", "nonsense", status=NOT_FOUND).stderr


def test_lint_is_the_gate(offline, tmp_path):
    assert "compatible with" in offline("schema", "lint", cwd=ROOT).stdout
    assert "contracts/schema-gate.conf: No such file" in offline("schema", "lint", cwd=tmp_path, status=USAGE).stderr
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    proto = tmp_path / "proto/tenant/v1/tenants.proto"
    proto.write_text(proto.read_text().replace("string slug = 2;", "bytes slug = 2;"))
    text = offline("schema", "lint", cwd=tmp_path, status=REFUSED).stdout
    assert "FIELD_SAME_TYPE" in text and "    instead  " in text
    told = json.loads(offline("schema", "lint", "-o", "json", cwd=tmp_path, status=REFUSED).stdout)
    assert {"FIELD_SAME_TYPE"} <= {finding["rule"] for finding in told["findings"]}
    told = yaml.safe_load(offline("schema", "lint", "tenant/v1/tenants.proto", "-o", "yaml", cwd=tmp_path, status=REFUSED).stdout)
    assert told["findings"]
    proto.write_text("no proto")
    assert "do not compile" in offline("schema", "lint", "-o", "json", cwd=tmp_path, status=USAGE).stderr


def test_lint_without_the_gate_says_how_to_get_it(ctl, tmp_path):
    alone = tmp_path / "bin/tenantctl"
    alone.parent.mkdir()
    shutil.copy(CTL, alone)
    env = ctl.env(connected=False, PATH="/usr/bin:/bin")
    done = subprocess.run([alone, "schema", "lint"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == BROKEN and "make install-schema-compat" in done.stderr, done
    env["SCHEMA_COMPAT"] = str(ROOT / "build" / MODE / "schema-compat")
    done = subprocess.run([alone, "schema", "lint"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "compatible" in done.stdout, done
