"""Holds schema-compat against buf: same verdict and same rules, on the fixtures of cases.py and on random edits of the
tree's own protos.  A difference passes only when KNOWN tells its reason; each reason's count is printed."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from google.protobuf import descriptor_pb2 as pb  # noqa: E402

from cases import CASES, files  # noqa: E402
from edits import edit  # noqa: E402
from event_oracle import expected  # noqa: E402
from matrices import COMMON, MATRICES  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
GATE = str(os.environ.get("SCHEMA_COMPAT") or ROOT / "build" / os.environ.get("MODE", "release") / "schema-compat")
BUF = os.environ["DEPS_BUF"]
# What a start of buf costs is most of this: it ends before a collection of its garbage pays, and calls nobody, so it need
# not read the system's 300 certificates.
BUF_ENV = {**os.environ, "GOGC": "off", "SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": "/nonexistent"}
SETS = ("FILE", "PACKAGE", "WIRE_JSON", "WIRE", "CSR")
EVERY_RULE = 20     # hits that a full run must reach
FULL_RUN = 1000     # edits that make a run a full one


# What random edits treat as events; channelz has the oneofs, enums and nesting that our few events lack.
EVENTS = ["tenant.events.v1", "grpc.channelz.v1"]
ENVELOPES = ["tenant.events.v1.EventEnvelope", "grpc.channelz.v1.ServerData", "tenant.v1.Tenant"]


def package_kinds(image, path, kind):
    """How many enums or extensions the package of the file at `path` has."""
    def count(holder):
        nested = getattr(holder, "message_type", None) or getattr(holder, "nested_type", [])
        return len(getattr(holder, kind)) + sum(count(message) for message in nested)
    sides = [pb.FileDescriptorSet.FromString(pathlib.Path(name).read_bytes()) for name in image]
    package = next(file.package for side in sides for file in side.file if file.name == path)
    return sum(count(file) for file in sides[1].file if file.package == package)


def known(rule, path, who, images):
    """The reason of a difference that is as it should be, or None."""
    kinds = {"PACKAGE_ENUM_NO_DELETE": "enum_type", "PACKAGE_EXTENSION_NO_DELETE": "extension"}
    if who == "schema-compat" and rule in kinds and path and package_kinds(images, path, kinds[rule]) == 0:
        return "buf overlooks the last of its kind in a package"
    return None


def our_rules():
    run = subprocess.run([GATE, "rules", "--format", "json"], capture_output=True, text=True, check=True)
    return {row["rule"]: row["sets"] for row in map(json.loads, run.stdout.splitlines())}


def buf_rules():
    run = subprocess.run([BUF, "config", "ls-breaking-rules", "--version", "v2", "--format", "json"], capture_output=True, text=True, check=True,
                         env=BUF_ENV)
    return {row["id"]: row["categories"] for row in map(json.loads, run.stdout.splitlines())}


def ask_gate(old, new, rules):
    run = subprocess.run([GATE, "check", "--against", old, "--image", new, "--rules", ",".join(rules), "--format", "json"],
                         capture_output=True, text=True)
    if run.returncode == 2:
        raise AssertionError(f"schema-compat: {run.stderr.strip()}")
    found = json.loads(run.stdout)["findings"]
    assert run.returncode == (1 if found else 0)
    return {(item["rule"], item["file"], item["line"]) for item in found}


def ask_buf(old, new, rules):
    config = json.dumps({"version": "v2", "breaking": {"use": sorted(rules)}})
    run = subprocess.run([BUF, "breaking", new, "--against", old, "--config", config, "--error-format", "json"],
                         capture_output=True, text=True, env=BUF_ENV)
    if run.returncode not in (0, 100):
        raise AssertionError(f"buf: {run.stderr.strip()}")
    found = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == (100 if found else 0)
    return {(item["type"], item.get("path", ""), item.get("start_line", 0)) for item in found}


# Where the two point at different lines, and why.
OTHER_LINES = {
    "FIELD_SAME_JAVA_UTF8_VALIDATION": "we point at the string, buf at the option of the file",
    "RPC_SAME_IDEMPOTENCY_LEVEL": "we point at the method that lost the option, buf at the first line",
}


def lines_differ(ours, theirs):
    """{(rule, file): who says what} of findings in the same file on other lines; images without positions have none."""
    differ = {}
    for rule, path, line in ours:
        there = {number for name, where, number in theirs if (name, where) == (rule, path)}
        if line > 0 and there and line not in there and rule not in OTHER_LINES:
            differ[rule, path] = f"line {line} here, {sorted(there)} in buf, where"
    return differ


def compare(old, new, rules):
    """(what both found, what only one did: {(rule, file): who}, the known reasons for that)."""
    ours, theirs = ask_gate(old, new, rules), ask_buf(old, new, rules)
    moved = lines_differ(ours, theirs)
    ours, theirs = {item[:2] for item in ours}, {item[:2] for item in theirs}
    # who deletes a whole file is told its old name by the one and nothing by the other
    gone = {rule for rule, path in ours if not path} | {rule for rule, path in theirs if not path}
    flat = lambda found: {(rule, "" if rule in gone else path) for rule, path in found}
    ours, theirs = flat(ours), flat(theirs)
    only = {**{item: "schema-compat" for item in ours - theirs}, **{item: "buf" for item in theirs - ours}, **moved}
    reasons = {item: known(*item, who, (old, new)) for item, who in only.items()}
    return ours & theirs, only, reasons


def compare_events(old, new, images):
    """(EVENT findings that are right, those that only one side has)."""
    names = [item for name in EVENTS for item in ("--events", name)] + [item for name in ENVELOPES for item in ("--envelope", name)]
    run = subprocess.run([GATE, "check", "--against", old, "--image", new, "--rules", "RPC_NO_DELETE", "--format", "json", *names],
                         capture_output=True, text=True)
    assert run.returncode in (0, 1), run.stderr
    ours = {(item["rule"], item["subject"]) for item in json.loads(run.stdout)["findings"] if item["rule"].startswith("EVENT_")}
    wanted = expected(*images, EVENTS, ENVELOPES)
    return ours & wanted, {**{item: "schema-compat" for item in ours - wanted}, **{item: "the oracle" for item in wanted - ours}}


class Totals:
    def __init__(self, rules):
        self.rules = rules
        self.hits = collections.Counter()
        self.event_hits = collections.Counter()
        self.known = collections.Counter()
        self.passed = self.failed = self.compatible = self.skipped = 0

    def count(self, name, common, only, reasons):
        self.hits.update({rule for rule, _ in common})
        self.compatible += not common and not only
        bad = []
        for (rule, path), who in only.items():
            reason = reasons[rule, path]
            if reason:
                self.known[f"{rule} only by {who}: {reason}"] += 1
            else:
                bad.append(f"{who if ' ' in who else 'only ' + who} reports {rule} in {path or 'a deleted file'}")
        self.passed += not bad
        self.failed += bool(bad)
        if bad:
            print(f"FAIL {name}: {'; '.join(bad)}")

    def count_events(self, name, common, only):
        self.event_hits.update({rule for rule, _ in common})
        self.passed += not only
        self.failed += bool(only)
        for (rule, subject), who in only.items():
            print(f"FAIL {name}: only {who} reports {rule} of {subject}")


def plant(folder, side, image):
    folder.mkdir()
    for name, text in files(side).items():
        (folder / name).write_text(text)
    subprocess.run(["protoc", f"-I{folder}", "--include_imports", "--include_source_info", f"--descriptor_set_out={image}",
                    *sorted(files(side))], check=True)


def fixtures(folder, totals, pool):
    def one(i):
        rule, old, bad, good = CASES[i]
        place = folder / f"case{i}"
        place.mkdir()
        for name, side in (("old", old), ("bad", bad), ("good", good)):
            plant(place / name, side, place / f"{name}.binpb")
        return [(f"{rule}, {name}", compare(place / "old.binpb", place / f"{name}.binpb", totals.rules)) for name in ("bad", "good")]
    for results in pool.map(one, range(len(CASES))):
        for name, result in results:
            totals.count(name, *result)


def matrices(folder, totals):
    """Every finding on its line: the lines are the pairs."""
    for name, sides in MATRICES.items():
        images = [folder / f"{name}{i}.binpb" for i in (0, 1)]
        for i, side in enumerate(sides):
            plant(folder / f"{name}{i}", side, images[i])
        ours, theirs = ask_gate(*images, totals.rules), ask_buf(*images, totals.rules)
        lines = sides[0].splitlines(), sides[1].splitlines()
        for rule, path, line in sorted(ours ^ theirs)[:10]:
            who = "schema-compat" if (rule, path, line) in ours else "buf"
            print(f"FAIL {name}: only {who} reports {rule}: {lines[0][line - 1].strip()} → {lines[1][line - 1].strip()}")
        print(f"{name}: {sides[0].count(';') - COMMON.count(';') - 2} pairs, {len(ours)} findings")
        totals.passed += ours == theirs
        totals.failed += ours != theirs


def real_image(folder):
    image = folder / "real.binpb"
    names = sorted(str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto"))
    subprocess.run(["protoc", f"-I{ROOT / 'proto'}", "--include_imports", f"--descriptor_set_out={image}", *names], check=True)
    real = pb.FileDescriptorSet.FromString(image.read_bytes())
    # values of our own options: an edit of their message could make them unreadable, which no compiler would let pass
    real.DiscardUnknownFields()
    return real


def random_edits(folder, totals, pool, options):
    image = real_image(folder)

    def one(i):
        rng = random.Random(f"{options.seed}/{i}")
        old, new, done = edit(rng, image)
        paths = [folder / f"{i}-{name}.binpb" for name in ("old", "new")]
        for path, side in zip(paths, (old, new)):
            path.write_bytes(side.SerializeToString(deterministic=True))
        try:
            result = compare(*paths, totals.rules), compare_events(*paths, (old, new))
        except AssertionError as error:
            return i, done, str(error)
        if not options.keep:
            for path in paths:
                path.unlink()
        return i, done, result
    for i, done, result in pool.map(one, range(options.edits)):
        name = f"edit {options.seed}/{i} ({'; '.join(done)})"
        if isinstance(result, str):
            totals.failed += 1
            print(f"FAIL {name}: {result}")
        else:
            totals.count(name, *result[0])
            totals.count_events(name, *result[1])


def same_sets(totals):
    ours, theirs = our_rules(), buf_rules()
    for rule, sets in theirs.items():
        mine = [name for name in ours.get(rule, []) if name in SETS]
        if sorted(mine) != sorted(sets):
            totals.failed += 1
            print(f"FAIL {rule}: in {mine} here, in {sets} there")
        else:
            totals.passed += 1
    return ours


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=100)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--keep", help="keep the images in this folder")
    options = parser.parse_args()
    totals = Totals(sorted(buf_rules()))
    same_sets(totals)
    with tempfile.TemporaryDirectory() as temporary, concurrent.futures.ThreadPoolExecutor(2) as pool:
        folder = pathlib.Path(options.keep or temporary)
        folder.mkdir(exist_ok=True)
        fixtures(pathlib.Path(temporary), totals, pool)
        matrices(pathlib.Path(temporary), totals)
        totals.hits.clear()
        totals.compatible = 0
        random_edits(folder, totals, pool, options)
    rare = {rule: totals.hits[rule] for rule in totals.rules if totals.hits[rule] < EVERY_RULE}
    # nothing random refers to a draft; the fixtures do
    event_rules = [rule for rule in our_rules() if rule.startswith("EVENT_") and rule != "EVENT_DRAFT_NOT_REFERRED_TO"]
    rare |= {rule: totals.event_hits[rule] for rule in event_rules if totals.event_hits[rule] < EVERY_RULE}
    if options.edits >= FULL_RUN and rare:
        totals.failed += 1
        print(f"FAIL rules hit fewer than {EVERY_RULE} times: {rare}")
    for reason, count in sorted(totals.known.items()):
        print(f"known difference, {count} times: {reason}")
    print("rarest:", ", ".join(f"{rule} {count}" for count, rule in sorted((totals.hits[rule], rule) for rule in totals.rules)[:8]))
    print("events, as the oracle has it:", ", ".join(f"{rule} {totals.event_hits[rule]}" for rule in event_rules))
    print(f"{len(CASES)} fixtures and {options.edits} edits, {totals.compatible} of these compatible; "
          f"rules agreed on {sum(totals.hits.values())} times, {len(totals.hits)} of {len(totals.rules)} rules, the rarest "
          f"{min(totals.hits[rule] for rule in totals.rules)} times")
    print(f"{totals.passed} passed, {totals.failed} failed")
    return 0 if totals.passed and not totals.failed else 1


if __name__ == "__main__":
    sys.exit(main())
