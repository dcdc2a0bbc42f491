"""See run."""
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import yaml
from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "contracts/schemas"
results = []


def report(name, ok, detail=""):
    results.append(bool(ok))
    if not ok:
        print(f"FAIL  {name}\n      {str(detail)[:2000]}")


# --- partitions ---

def partitions():
    spec = importlib.util.spec_from_file_location("partition", ROOT / "contracts/partition.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vectors = json.loads((ROOT / "contracts/partition-vectors.json").read_text())["vectors"]
    wrong = [one for one in vectors if module.partition(one["tenant_id"]) != int(one["partition"]) or
             module.stream(one["tenant_id"]) != one["stream"] or
             module.subject("tenant.org.updated.v1", one["tenant_id"]) != "tenant.org.updated.v1." + one["partition"]]
    report("partition.py agrees with the vectors", len(vectors) >= 60 and not wrong, wrong)
    right = vectors[-1]["tenant_id"]
    for text in ("", "tnt_", "ten_" + 26 * "0", "tnt_" + 25 * "0", "tnt_" + 25 * "0" + "é", "tnt_" + right[4:].lower(),
                 right + "\n", *(right[:29] + digit for digit in "ILOU*"), "tnt_8" + right[5:]):
        try:
            report(f"partition.py refuses {text!r}", module.partition(text) is None)
        except ValueError:
            report(f"partition.py refuses {text!r}", True)
    run = subprocess.run(["node", ROOT / "tests/catalogue/partition_vectors.js"], capture_output=True, text=True)
    report("partition.js agrees with the vectors", run.stdout == f"{len(vectors)} of {len(vectors)}\n", run.stdout + run.stderr)


# --- AsyncAPI ---

class Parser:
    def __init__(self):
        self.process = subprocess.Popen(["node", ROOT / "tests/catalogue/asyncapi.js"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def look(self, path):
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def asyncapi():
    path = ROOT / "contracts/asyncapi.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    released = {event["eventType"] + f".v{event['eventVersion']}" for event in index() if event["current"]}
    parser = Parser()
    seen = parser.look(path)
    report("AsyncAPI's parser accepts the document", seen["valid"], seen["errors"])
    subjects = {address.removesuffix(".{partition}") for address in seen.get("channels", []) if address.startswith("tenant.")}
    report("each released event has a channel, and nothing else has", subjects == released, subjects ^ released)
    envelope = [one["payload"] for one in seen.get("messages", []) if one["name"] == "OrgUpdated"]
    report("the payload is the envelope, read as protobuf", envelope and
           {"event_id", "tenant_id", "payload", "consistency_token"} <= set(envelope[0]), envelope)
    for name, old, new in (("a channel whose message is not there", "#/components/messages/OrgClosed", "#/components/messages/OrgEnded"),
                           ("a partition that is no text", "'08'", "8"), ("no version", "  version:", "  x-version:"),
                           ("a payload that is no protobuf", "      message OrgClosed {", "      massage OrgClosed {")):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as broken:
            text = path.read_text(encoding="utf-8")
            assert old in text, old
            broken.write(text.replace(old, new, 1))
            broken.flush()
            report(f"AsyncAPI's parser refuses {name}", not parser.look(broken.name)["valid"])
    schemas(document)
    letters(document)
    examples(document)


def schemas(document):
    """Each bundled proto is, for protoc, what the tree's message is."""
    tree = descriptors(["-I", ROOT / "proto"], *(str(path.relative_to(ROOT / "proto")) for path in
                                                (ROOT / "proto/tenant").rglob("*.proto")))
    for name, schema in document["components"]["schemas"].items():
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "bundle.proto").write_text(schema["schema"], encoding="utf-8")
            bundled = descriptors(["-I", folder], "bundle.proto")
        root = f"tenant.events.v1.{name}"
        report(f"{name}: the document's proto says what the tree's does", shape(bundled, root) == shape(tree, root),
               f"{shape(bundled, root)}\n{shape(tree, root)}")


def descriptors(path, *files):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "set")
        subprocess.run(["protoc", *path, "-I/usr/include", "--include_imports", f"--descriptor_set_out={out}", *files], check=True)
        found = {}
        for file in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
            gather(found, file.package, file.message_type, file.enum_type)
        return found


def gather(found, prefix, messages, enums):
    for proto in list(messages) + list(enums):
        found[f"{prefix}.{proto.name}"] = proto
    for proto in messages:
        gather(found, f"{prefix}.{proto.name}", proto.nested_type, proto.enum_type)


def shape(types, name):
    """A type and all below it as plain values, without the packages' names."""
    proto = types[name]
    if isinstance(proto, descriptor_pb2.EnumDescriptorProto):
        return [(value.number, value.name) for value in proto.value]
    return [(field.number, field.name, field.type, field.label, field.oneof_index if field.HasField("oneof_index") else None,
             shape(types, field.type_name[1:]) if field.type_name else None) for field in proto.field]


def letters(document):
    """The headers of dead letters are those of the one C file that knows them."""
    text = (ROOT / "src/events/dead_letter.h").read_text()
    names = set(re.findall(r'#define HEADER_DLQ_\w+ "([\w-]+)"', text))
    listed = document["components"]["messages"]["DeadLetter"]["headers"]["properties"]
    report("the dead letters' headers are those of dead_letter.h", names and
           names == {name for name in listed if name.startswith("Dlq-")}, names)
    own = set(re.findall(r'#define HEADER_\w+ "((?:Nats-Msg-Id|Event-Type|Tenant-\w+|traceparent))"',
                         "".join(path.read_text() for path in (ROOT / "src/events").glob("*.h"))))
    report("the events' headers are the relay's", own == set(document["components"]["messages"]["OrgUpdated"]["headers"]["properties"]), own)


def examples(document):
    for name, message in document["components"]["messages"].items():
        for example in message.get("examples", []):
            headers, payload = example["headers"], example["payload"]
            for header, rule in message["headers"]["properties"].items():
                fits = header in headers and re.search(rule.get("pattern", ""), headers[header]) and \
                    rule.get("const", headers[header]) == headers[header]
                report(f"{name}: the example's {header} fits its rule", fits, headers.get(header))
            report(f"{name}: the example's headers repeat the envelope", headers["Nats-Msg-Id"] == payload["eventId"] and
                   headers["Event-Type"] == f"{payload['eventType']}.v{payload['eventVersion']}" and
                   payload["schemaUri"] == message["x-payload"]["schemaUri"], payload)


# --- docs/events.md ---

# The states that an event shows: the one before, if it says so, and its own.
STATES = {
    "org.provisioned": ("TRIAL",), "org.suspended": ("ACTIVE", "SUSPENDED"), "org.reactivated": ("SUSPENDED", "ACTIVE"),
    "org.closed": ("SUSPENDED", "CLOSED"), "membership.invited": ("INVITED",), "membership.activated": ("ACTIVE",),
    "membership.suspended": ("SUSPENDED",), "membership.reactivated": ("ACTIVE",), "membership.removed": ("SUSPENDED", "REMOVED"),
}


def page():
    text = (ROOT / "docs/events.md").read_text(encoding="utf-8")
    anchors = {re.sub(r"[^\w-]", "", heading.lower()) for heading in re.findall(r"^#+ (.*)$", text, re.M)}
    missing = set(re.findall(r"\]\(#([^)]*)\)", text)) - anchors
    report("every link of docs/events.md leads somewhere", not missing, missing)
    gone = [name for name in re.findall(r"\]\(([^#)]*)\)", text) if not (ROOT / "docs" / name.partition("#")[0]).exists()]
    report("every file that it links is there", not gone, gone)
    for event in index():
        if event["current"]:
            report(f"docs/events.md has {event['uri'][:50]}…", event["uri"] in text)
    for family in ("org", "role", "membership", "invitation", "org_unit", "dynamic_group", "data_residency", "feature_flag", "sso"):
        report(f"docs/events.md has the family tenant.{family}", f"\n## tenant.{family}\n" in text)
    for subject in ("role.created", "membership.activated", "dynamic_group.evaluated", "data_residency.changed", "org.provisioned"):
        report(f"docs/events.md has tenant.{subject}.v1, which the platform names", f"\n### tenant.{subject}.v1\n" in text)
    for subject, states in STATES.items():
        example = json.loads(text.partition(f"\n### tenant.{subject}.v1\n")[2].partition("```json\n")[2].partition("```")[0])
        whole = example.get("tenant") or example.get("membership")
        shown = tuple(state.split("_STATUS_")[1] for state in (example.get("previousStatus"), whole["status"]) if state)
        report(f"the example of tenant.{subject}.v1 shows what it is about", shown == states, shown)


# --- the registry ---

def index():
    return json.loads((SCHEMAS / "index.json").read_text())["schemas"]


def registry():
    files = {str(path.relative_to(SCHEMAS)): path for path in SCHEMAS.rglob("*.txt")}
    report("the index names every file, and every file is in it", {row["file"] for row in index()} == set(files), set(files))
    for row in index():
        data = files[row["file"]].read_bytes()
        address = re.fullmatch(r"schemas://tenant-service/(\w+)/(\w+)/v(\d+)#sha256-([0-9a-f]{64})", row["uri"])
        report(f"{row['uri'][:50]}… is the hash of its text", address and hashlib.sha256(data).hexdigest() == address[4] and
               row["file"] == f"{address[1]}/{address[2]}/v{address[3]}/{address[4]}.txt" and
               f"message {row['message']}\n".encode() in data, row)
    addresses = {row["uri"] for row in index()}
    for path in sorted((ROOT / "contracts/golden/tenant.events.v1.EventEnvelope").glob("full*.json")):
        report(f"the golden {path.stem} envelope's schema can be looked up", json.loads(path.read_text())["schemaUri"] in addresses)


def copy_of_the_tree(folder):
    copy = pathlib.Path(folder)
    for part in ("proto", "contracts", "gen", "docs", "tools"):
        shutil.copytree(ROOT / part, copy / part)
    shutil.copy(ROOT / "VERSION", copy)
    (copy / "build").mkdir()
    os.symlink(ROOT / "build/host", copy / "build/host")
    return copy


def generate(copy, *arguments):
    return subprocess.run(["tools/gen", *arguments], cwd=copy, capture_output=True, text=True)


def registry_grows():
    """An additive change of a payload gets a new address; the old one stays, whoever deletes or edits it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_the_tree(folder)
        before = {path.relative_to(copy) for path in (copy / "contracts/schemas").rglob("*.txt")}
        proto = copy / "proto/tenant/events/v1/tenant_events.proto"
        proto.write_text(proto.read_text().replace("  repeated string changed_fields = 2;", "  repeated string changed_fields = 2;\n"
                                                   "  // Why.\n  string why = 3;"))
        run = generate(copy)
        report("a payload gets a field", run.returncode == 0, run.stderr)
        after = {path.relative_to(copy) for path in (copy / "contracts/schemas").rglob("*.txt")}
        report("the old schema stays beside the new one", before < after and len(after) == len(before) + 1, after - before)
        rows = [row for row in json.loads((copy / "contracts/schemas/index.json").read_text())["schemas"]
                if row["eventType"] == "tenant.org.updated"]
        report("the new one is the current one, the old one the released one", [row["current"] for row in rows] == [True, False] and
               [row["releases"] for row in rows] == [[], ["0.1.0", "0.2.0"]], rows)
        old = copy / "contracts/schemas" / rows[1]["file"]
        kept = old.read_text()
        old.unlink()
        report("a deleted schema of a release is drift", generate(copy, "--check").returncode == 1)
        run = generate(copy)
        report("a deleted schema of a release comes back", run.returncode == 0 and old.read_text() == kept, run.stderr)
        old.write_text(kept + "4 string more\n")
        run = generate(copy, "--check")
        report("an edited schema is refused", run.returncode == 1 and "a schema never changes" in run.stderr, run.stderr)


def main():
    (ROOT / "build/host").mkdir(parents=True, exist_ok=True)  # where the copy's generator builds its plugin, or finds it
    partitions()
    asyncapi()
    page()
    registry()
    registry_grows()
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


sys.exit(main())
