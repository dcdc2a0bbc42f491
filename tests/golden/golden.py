"""See run.  golden.py FOLDER, which holds all.binpb and the driver."""
import base64
import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from google.protobuf import json_format, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/protojson"))
from compare import Driver, load  # noqa: E402

GOLDEN = ROOT / "contracts/golden"
results = []


def report(name, ok, detail=""):
    results.append(bool(ok))
    if not ok:
        print(f"FAIL  {name}\n      {str(detail)[:1500]}")


class Python:
    """The published implementation; also the judge of what two encodings have in common."""

    def __init__(self, pool):
        self.pool = pool

    def cls(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))

    def read(self, name, data, text):
        message = self.cls(name).FromString(data)
        value = json.loads(json_format.MessageToJson(message, descriptor_pool=self.pool))
        back = json_format.Parse(text, self.cls(name)(), descriptor_pool=self.pool).SerializeToString()
        return value, message.SerializeToString(), back

    def canonical(self, name, data, unknown=True):
        """Equal for encodings of equal messages.  An Any's bytes are a message of their own."""
        message = self.cls(name).FromString(data)
        if not unknown:
            message.DiscardUnknownFields()
        for one in every_any(message):
            if one.type_url:
                one.value = self.canonical(one.TypeName(), one.value, unknown)
        return message.SerializeToString(deterministic=True)


def every_any(message):
    if message.DESCRIPTOR.full_name == "google.protobuf.Any":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            below = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
        else:
            below = value if field.is_repeated else [value]
        for inner in below:
            yield from every_any(inner)


class JavaScript:
    def __init__(self, descriptors):
        self.process = subprocess.Popen(["node", ROOT / "tests/golden/golden.js", descriptors], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def read(self, name, data, text):
        self.process.stdin.write(json.dumps([name, base64.b64encode(data).decode(), text]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["json"], base64.b64decode(answer["bytes"]), base64.b64decode(answer["back"])


class Ours:
    """src/protojson and protobuf-c."""

    def __init__(self, driver):
        self.driver = Driver(driver)

    def ask(self, verb, name, data):
        answer, why = self.driver.bytes(verb, name, data)
        if answer is None:
            raise ValueError(f"{verb}: {why}")
        return answer

    def read(self, name, data, text):
        return (json.loads(self.ask("print", name, data)), self.ask("repack", name, data),
                self.ask("parse", name, text.encode()))


def samples():
    for path in sorted(GOLDEN.glob("*/*.binpb")):
        yield path.parent.name, path.stem, path.read_bytes(), path.with_suffix(".json").read_text(encoding="utf-8")


def readers(folder):
    files, pool = load(folder / "all.binpb")
    python = Python(pool)
    return python, {"python": python, "javascript": JavaScript(folder / "all.binpb"), "ours": Ours(folder / "driver")}


def check_samples(python, implementations):
    for name, sample, data, text in samples():
        for language, reader in implementations.items():
            label = f"{language} reads {name}/{sample}"
            try:
                value, again, back = reader.read(name, data, text)
            except Exception as error:  # every implementation has its own
                report(label, False, repr(error))
                continue
            report(label, value == json.loads(text), value)
            report(f"{label} and writes it again, unknown fields too",
                   python.canonical(name, again) == python.canonical(name, data), again.hex())
            report(f"{label} from its JSON",
                   python.canonical(name, back) == python.canonical(name, data, unknown=False), back.hex())


def check_envelope(python, ours):
    """What a relay, a dead-letter tool or an archive hands on keeps fields that it does not know, at every level."""
    name = "tenant.events.v1.EventEnvelope"
    data = (GOLDEN / name / "future.binpb").read_bytes()
    message = python.cls(name).FromString(data)
    kept = python.cls(name).FromString(ours.ask("repack", name, data))
    for one, other, part in ((message, kept, "envelope"), (message.actor, kept.actor, "actor"),
                             (message.source, kept.source, "source")):
        fields = [(field.field_number, field.wire_type, field.data) for field in UnknownFieldSet(one)]
        same = [(field.field_number, field.wire_type, field.data) for field in UnknownFieldSet(other)]
        report(f"the {part}'s unknown fields are kept", len(fields) == 4 and fields == same, same)
    position = python.cls(name)(incarnation=2, sequence=7, consistency_token="t").SerializeToString()
    merged = python.cls(name).FromString(data + position)
    report("what the relay appends to an envelope from the future merges",
           merged.sequence == 7 and len(UnknownFieldSet(merged)) == 4 and merged.event_id == message.event_id)


def check_parts(python, implementations):
    """"Parsers merge multiple instances of the same field": a nested message may come in parts.  protobuf-c 1.4 keeps
    texts and lists of the earlier part and loses its numbers, so the service refuses such requests (rpc/scan.c); when
    this fails for ours, the loss is mended."""
    name = "tenant.v1.GetTenantResponse"
    part = [python.cls("tenant.v1.Tenant")(slug="acme", type=2), python.cls("tenant.v1.Tenant")(etag="x")]
    data = b"".join(b"\x0a" + bytes([one.ByteSize()]) + one.SerializeToString() for one in part)
    whole = {"tenant": {"slug": "acme", "type": "TENANT_TYPE_PROVIDER", "etag": "x"}}
    lossy = {"tenant": {"slug": "acme", "etag": "x"}}
    for language, reader in implementations.items():
        value, _, _ = reader.read(name, data, json.dumps(whole))
        report(f"{language} merges a message in two parts", value == (lossy if language == "ours" else whole), value)


def check_that_it_bites(python, ours):
    """The checks on planted faults: an edited sample, an edit with its sum, a lost one, a new field, a changed name."""
    def planted(copy, label, expected):
        run = golden_check(copy)
        report(f"golden check sees {label}", run.returncode == 1 and expected in run.stdout, run.stdout + run.stderr)

    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_the_tree(folder)
        for label, expected, path, change in faults():
            with changed(copy / path, change):
                planted(copy, label, expected)
        run = golden_check(copy)
        report("golden check sees nothing when all faults are taken back", run.returncode == 0, run.stdout + run.stderr)
        with_history(copy)
        planted(copy, "an edit of sample and sum that git remembers", "once, and its message is released")
    name = "tenant.v1.Tenant"
    try:
        ours.ask("repack", name, b"\x0a\x05ab")
        report("a cut message is refused", False)
    except ValueError:
        report("a cut message is refused", True)


def copy_of_the_tree(folder):
    for part in ("proto", "contracts", "tools"):
        shutil.copytree(ROOT / part, pathlib.Path(folder, part))
    return pathlib.Path(folder)


def golden_check(copy):
    return subprocess.run([copy / "tools/golden", "check"], cwd=copy, capture_output=True, text=True)


def faults():
    """(what, what is said of it, the file, from its bytes to others: None for no file)."""
    sample = "contracts/golden/tenant.v1.GetTenantRequest/full.binpb"
    tenants = "proto/tenant/v1/tenants.proto"
    return (
        ("an edited sample", "full.binpb: was edited", sample, replaced(b"tnt_", b"ten_")),
        ("a deleted sample", "full.binpb: was deleted", sample, lambda data: None),
        ("a sample by hand", "is not in SHA256SUMS", sample.replace("full", "mine"), lambda data: b""),
        ("an edited JSON", "full.json: was edited", sample.replace("binpb", "json"), replaced(b"tnt_", b"ten_")),
        ("a renamed field", "does not decode to its JSON any more", tenants, replaced(b"string slug = 2", b"string slug_name = 2")),
        ("a field without a sample", "full-2: is missing", tenants,
         replaced(b"string slug = 2;", b"string slug = 2;\n  string more = 40;")),
        ("a new event without samples", "tenant.events.v1.OrgMade/full: is missing", "proto/tenant/events/v1/tenant_events.proto",
         replaced(b"// The first event of a tenant.", b"// A.\nmessage OrgMade {\n"
                  b'  option (tenant.options.v1.event) = {name: "tenant.org.made" version: 1 retention_class: "operational" '
                  b'residency: EVENT_RESIDENCY_HOME_REGION summary: "x"};\n  // B.\n  string b = 1;\n}\n\n'
                  b"// The first event of a tenant.")))


def replaced(old, new):
    def change(data):
        assert old in data, old
        return data.replace(old, new, 1)
    return change


@contextlib.contextmanager
def changed(path, change):
    """A file with other bytes, for a while."""
    def put(data):
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(data)
    kept = path.read_bytes() if path.exists() else None
    put(change(kept))
    try:
        yield
    finally:
        put(kept)


def with_history(copy):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@localhost", *arguments], cwd=copy, check=True,
                       capture_output=True)
    git("init", "-q")
    git("add", "contracts")
    git("commit", "-qm", "one")
    folder = copy / "contracts/golden/tenant.v1.GetTenantRequest"
    for path in folder.iterdir():
        path.unlink()
    sums = copy / "contracts/golden/SHA256SUMS"
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if "tenant.v1.GetTenantRequest/" not in line))
    samples_ = copy / "tools/gen-events/samples.py"
    samples_.write_text(samples_.read_text().replace("tnt_01M83K8NFVE008000000000000", "tnt_01M83K8NFVE008000000000001"))
    subprocess.run([copy / "tools/golden", "make"], cwd=copy, check=True, capture_output=True)
    git("commit", "-qam", "two")


def main():
    folder = pathlib.Path(sys.argv[1])
    python, implementations = readers(folder)
    run = subprocess.run([ROOT / "tools/golden", "check"], capture_output=True, text=True)
    report("nothing is missing, nothing was edited", run.returncode == 0, run.stdout + run.stderr)
    check_samples(python, implementations)
    check_envelope(python, implementations["ours"])
    check_parts(python, implementations)
    check_that_it_bites(python, implementations["ours"])
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


sys.exit(main())
