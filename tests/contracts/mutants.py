"""Changes one expectation of a pact at a time: a contract whose change nobody notices says nothing."""
import base64
import copy
import json

import messages
from program import ROOT

IMAGE = ROOT / "contracts/released/0.2.0.binpb"
NEVER = {"combine": "AND", "matchers": [{"match": "regex", "regex": "never, never"}]}
MANY = {"combine": "AND", "matchers": [{"match": "type", "min": 1000}]}
NOTHING = ({"match": "null"}, {"match": "type", "max": 0})
SOME = {"combine": "AND", "matchers": [{"match": "notEmpty"}]}


def of_pact(path):
    """(document, [(interaction, path of what was changed)]) with descriptions of their own."""
    document = json.loads(path.read_text())
    schema = messages.Schema(IMAGE, [file.name for file in messages.files_of(IMAGE)])
    out = []
    for one in document["interactions"]:
        parts = one["response"] if "response" in one else [one]
        for i, part in enumerate(parts):
            for where, change in changes(schema, one, part):
                mutant = copy.deepcopy(one)
                mutant["description"] = f"{one['description']}: {where} of {i}"
                change(mutant["response"][i] if "response" in mutant else mutant)
                out.append((mutant, where))
    return document, out


def changes(schema, interaction, part):
    rules = part.get("matchingRules", {})
    for kind in ("body", "metadata"):
        for where, entry in rules.get(kind, {}).items():
            first = entry["matchers"][0]
            other = MANY if "min" in first else SOME if first in NOTHING else NEVER
            yield where, lambda p, kind=kind, where=where, other=other: p["matchingRules"][kind].__setitem__(where, other)
        for where in part.get("generators", {}).get(kind, {}):
            yield where, lambda p, kind=kind, where=where: p["generators"][kind][where].__setitem__(
                "expression", "another value than ${tenant_id}")
    for key in part["metadata"]:
        if key != "contentType" and key not in rules.get("metadata", {}):
            other = "DATA_LOSS" if key == "grpc-status" else "something else"
            yield key, lambda p, key=key, other=other: p["metadata"].__setitem__(key, other)
    data = base64.b64decode(part["contents"]["content"])
    if not data:
        return
    name = part["contents"]["contentType"].split("message=.")[1]
    embedded = {key: value[1:] for key, value in
                interaction["pluginConfiguration"].get("contract-verify", {}).get("embedded", {}).items()}
    plain = schema.plain(name, data, embedded)
    for steps in leaves(plain):
        # false is what proto3 cannot write: an example that is it would expect nothing
        if is_covered(steps, rules.get("body", {}), embedded) or value_at(plain, steps) is True:
            continue

        def change(p, steps=steps):
            changed = copy.deepcopy(plain)
            place = changed
            for step in steps[:-1]:
                place = place[step]
            place[steps[-1]] = another(place[steps[-1]])
            p["contents"]["content"] = base64.b64encode(schema.pack(name, changed, embedded)).decode()
        yield ".".join(["$", *map(str, steps)]), change


def value_at(value, steps):
    for step in steps:
        value = value[step]
    return value


def leaves(value, steps=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield steps
        return
    for key, item in items:
        yield from leaves(item, (*steps, key))


def is_covered(steps, rules, embedded):
    """A rule of the place or of one above it; an embedded message is not below the rule of its bytes."""
    for text in rules:
        rule = text.replace("['", ".").replace("']", "").replace("[*]", ".*").split(".")[1:]
        if len(rule) <= len(steps) and not (len(rule) == 1 and rule[0] in embedded and len(steps) > 1):
            if all(mine in ("*", str(theirs)) for mine, theirs in zip(rule, steps)):
                return True
    return False


def another(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if value.startswith("TENANT_STATUS_"):
        return "TENANT_STATUS_ACTIVE" if value != "TENANT_STATUS_ACTIVE" else "TENANT_STATUS_CLOSED"
    if value.startswith("TENANT_TYPE_"):
        return "TENANT_TYPE_HYBRID"
    if value == "SERVING":
        return "NOT_SERVING"
    return value + "x"
