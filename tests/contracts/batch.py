"""Judges many messages in one run of contract-verify: a pact of asynchronous messages, and a program that answers each
with what was given for it."""
import base64
import json
import sys

from program import verify

TABLE = """
import json, sys
table = json.load(open(sys.argv[1]))
for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps(table[question["description"]] if question["action"] == "message" else {}), flush=True)
"""


def pact(interactions, plugins=()):
    return {"consumer": {"name": "consumer"}, "provider": {"name": "provider"}, "interactions": interactions,
            "metadata": {"pactSpecification": {"version": "4.0"}, "plugins": list(plugins)}}


def json_message(description, expected, rules, metadata=None, metadata_rules=None):
    out = {"type": "Asynchronous/Messages", "description": description,
           "contents": {"content": expected, "contentType": "application/json", "encoded": False},
           "matchingRules": {"body": rules or {}, "metadata": metadata_rules or {}}}
    return {**out, "metadata": metadata} if metadata else out


def judge(folder, interactions, given, plugins=()):
    """[(verdict, mismatches, error)] in the order of the interactions.  `given`: {description: (bytes, metadata)}."""
    (folder / "pact.json").write_text(json.dumps(pact(interactions, plugins)))
    (folder / "table.py").write_text(TABLE)
    table = {name: {"contents": base64.b64encode(data).decode(), "metadata": metadata or {}}
             for name, (data, metadata) in given.items()}
    (folder / "table.json").write_text(json.dumps(table))
    report = verify(folder / "pact.json", "--message-command",
                    f"exec '{sys.executable}' '{folder}/table.py' '{folder}/table.json'")
    return [(one["verdict"], one["mismatches"], one.get("error"))
            for one in report["pacts"][0]["interactions"]]


def judge_json(folder, cases):
    """`cases`: [(expected, rules, actual)]."""
    interactions = [json_message(f"case {i}", expected, rules) for i, (expected, rules, _) in enumerate(cases)]
    given = {f"case {i}": (json.dumps(actual).encode(), None) for i, (_, _, actual) in enumerate(cases)}
    return judge(folder, interactions, given)
