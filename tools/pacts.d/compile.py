"""Compiles readable pacts (contracts/pacts/*.yaml) into Pact V4 files, as the Pact Protobuf plugin lays them out.

    compile.py            writes NAME.json beside each NAME.yaml of contracts/pacts
    compile.py --check    status 1 and a diff when a committed file is another
    compile.py FILE...    writes the JSON of these to standard output

What may stand in the YAML is told in docs/contracts.md, "The pacts of this tree".
"""
import base64
import difflib
import hashlib
import json
import pathlib
import sys

import yaml

import messages
import shapes

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACTS = ROOT / "contracts/pacts"
PLUGIN = {"name": "protobuf", "version": "0.6.5"}


def interaction_of(pact, source):
    """One interaction; `source` is its YAML."""
    out = {
        "description": source["description"],
        "key": hashlib.sha256(f"{pact['consumer']}\0{source['description']}".encode()).hexdigest()[:16],
        "pending": False,
        "providerStates": [state_of(state) for state in source.get("given", [])],
    }
    if source.get("note"):
        out["comments"] = {"text": [source["note"]]}
    return call_of(pact, source, out) if "call" in source else message_of(pact, source, out)


def state_of(source):
    if isinstance(source, str):
        return {"name": source}
    (name, params), = source.items()
    return {"name": name, "params": params}


def call_of(pact, source, out):
    schema = pact["schema"]
    service, method = source["call"].split("/")
    types = schema.method(service, method)
    extension = {}
    requests = [part_of(schema, types.input, one, "message") for one in as_list(source["request"])]
    if len(requests) > 1:
        extension["requests"] = requests[1:]
    for name in ("inTurn", "leftOpen"):
        if source.get(name):
            extension[name] = True
    responses = []
    for one in as_list(source["response"]):
        failed = one.get("status", "OK") != "OK"
        responses.append(part_of(schema, "google.rpc.Status" if failed else types.output, one,
                                 "details" if failed else "message"))
    out["transport"] = "grpc"
    out["type"] = "Synchronous/Messages"
    out["request"] = requests[0]
    out["response"] = responses
    named = [types.input] + [types.output] * any("message" in one for one in as_list(source["response"]))
    finish(pact, out, {"service": f".{service}/{method}"}, extension, named)
    return out


def message_of(pact, source, out):
    schema = pact["schema"]
    embedded = source.get("embedded", {})
    part = part_of(schema, source["message"], source, "contents", embedded)
    out.update(part)
    out["type"] = "Asynchronous/Messages"
    extension = {"embedded": {path: "." + name for path, name in embedded.items()}} if embedded else {}
    finish(pact, out, {"message": "." + source["message"]}, extension, [source["message"], *embedded.values()])
    return out


def finish(pact, out, protobuf, extension, names):
    out["pluginConfiguration"] = {"protobuf": {"descriptorKey": pact["schema"].key, **protobuf}}
    if extension:
        out["pluginConfiguration"]["contract-verify"] = extension
    markup = "".join(f"```protobuf\n{pact['schema'].text(name)}```\n" for name in dict.fromkeys(names))
    out["interactionMarkup"] = {"markup": markup, "markupType": "COMMON_MARK"}


def as_list(value):
    return value if isinstance(value, list) else [value]


def part_of(schema, type_name, source, body, embedded=None):
    """contents, metadata, matchingRules and generators of one message; its fields stand in source[body]."""
    part, found, data = {}, shapes.Found(), b""
    content_type = f"application/protobuf;message=.{type_name}"
    if source.get(body) is not None:
        example = shapes.take(source[body], ["$"], found.body)
        for path in embedded or ():  # for verifiers to which it is bytes and no more
            found.body.rule(["$", path], {"match": "notEmpty"})
        data = schema.pack(type_name, example, embedded or {})
    part["contents"] = {"content": base64.b64encode(data).decode(), "contentType": content_type,
                        "contentTypeHint": "BINARY", "encoded": "base64"}
    metadata = {"contentType": content_type}
    if source.get("status", "OK") != "OK":
        metadata["grpc-status"] = source["status"]
    for key, value in source.get("metadata", {}).items():
        metadata[key] = shapes.take(value, ["$", key], found.metadata)
    part["metadata"] = metadata
    part.update(found.json())
    return part


def compile_pact(path):
    source = yaml.load(path.read_text(), Loader=shapes.Loader)
    schema = messages.Schema(ROOT / source["image"], source["protos"])
    pact = {"consumer": source["consumer"], "provider": source["provider"], "schema": schema}
    interactions = [interaction_of(pact, one) for one in source["interactions"]]
    names = [one["description"] for one in interactions]
    assert len(set(names)) == len(names), f"{path}: a description stands there twice"
    document = {
        "consumer": {"name": pact["consumer"]},
        "provider": {"name": pact["provider"]},
        "interactions": interactions,
        "metadata": {
            "pactSpecification": {"version": "4.0"},
            "plugins": [{**PLUGIN, "configuration": {schema.key: {
                "protoDescriptors": base64.b64encode(schema.packed).decode(),
                "protoFile": f"// {', '.join(source['protos'])}, as released in {source['image']}\n"}}}],
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def check(path, text):
    target = path.with_suffix(".json")
    old = target.read_text() if target.exists() else ""
    if old == text:
        return True
    diff = difflib.unified_diff(old.splitlines(), text.splitlines(), str(target), "tools/pacts", lineterm="")
    print("\n".join(line[:160] for line in list(diff)[:40]))
    print(f"{target.relative_to(ROOT)}: is not what its source says; run tools/pacts")
    return False


def main():
    arguments = sys.argv[1:]
    if arguments and arguments[0] != "--check":
        for name in arguments:
            sys.stdout.write(compile_pact(pathlib.Path(name).resolve()))
        return 0
    fine = True
    for path in sorted(PACTS.glob("*.yaml")):
        text = compile_pact(path)
        if arguments:
            fine = check(path, text) and fine
        else:
            path.with_suffix(".json").write_text(text)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
