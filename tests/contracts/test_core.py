"""Held against Pact's own core: our files are read by it as we mean them, and it judges as we do."""
import base64
import json
import os

import pytest

import batch
import pactffi
import random_cases
from program import ROOT

PACTS = sorted((ROOT / "contracts/pacts").glob("*.json"))
CASES = int(os.environ.get("MATCHING_CASES", "2000"))


def matchers(rules):
    return {path: entry["matchers"] for path, entry in (rules or {}).items()}


def body(part):
    return base64.b64decode(part["contents"]["content"])


@pytest.mark.parametrize("path", PACTS, ids=lambda path: path.stem)
def test_the_core_reads_our_pacts_as_they_are_meant(path):
    document = json.loads(path.read_text())
    seen = pactffi.read(path.read_text())
    assert seen is not None and len(seen) == len(document["interactions"])
    for ours, theirs in zip(document["interactions"], seen):
        assert (theirs["kind"], theirs["description"]) == (ours["type"], ours["description"])
        assert theirs["states"] == [state["name"] for state in ours["providerStates"]]
        parts = [ours["request"], *ours["response"]] if "request" in ours else [ours]
        for mine, part in zip(parts, theirs["parts"], strict=True):
            assert part["contents"] == body(mine)
            assert part["metadata"] == mine["metadata"]
            assert part["rules"]["metadata"] == matchers(mine.get("matchingRules", {}).get("metadata"))
            assert {pactffi.plain(rule) for rule in part["rules"]["body"]} == {
                pactffi.plain(rule) for rule in matchers(mine.get("matchingRules", {}).get("body"))}
            for rule, theirs_rule in part["rules"]["body"].items():
                mine_rule = next(entry["matchers"] for text, entry in mine["matchingRules"]["body"].items()
                                 if pactffi.plain(text) == pactffi.plain(rule))
                assert [one["match"] for one in theirs_rule] == [one["match"] for one in mine_rule]


@pytest.mark.parametrize("path", PACTS, ids=lambda path: path.stem)
def test_the_core_accepts_every_example_under_its_own_rule(path):
    """Where a rule stands for a value, the example must fit it: a mock server gives examples to the consumer."""
    import messages
    image = ROOT / "contracts/released/0.2.0.binpb"
    schema = messages.Schema(image, [file.name for file in messages.files_of(image)])
    judge, count = pactffi.Judge(), 0
    for one in json.loads(path.read_text())["interactions"]:
        embedded = one["pluginConfiguration"].get("contract-verify", {}).get("embedded", {})
        for part in [one["request"], *one["response"]] if "request" in one else [one]:
            name = part["contents"]["contentType"].split("message=.")[1]
            example = schema.plain(name, body(part), {key: value[1:] for key, value in embedded.items()})
            rules = (part.get("matchingRules") or {}).get("body", {})
            assert judge.mismatches(example, rules, example) == [], one["description"]
            count += len(rules)
    assert count > 20


def test_random_cases_are_judged_as_the_core_does(tmp_path):
    maker, judge = random_cases.Maker(seed=int(os.environ.get("SEED", "1"))), pactffi.Judge()
    cases = [maker.case() for _ in range(CASES)]
    ours = batch.judge_json(tmp_path, cases)
    fits, differ = 0, []
    for (expected, rules, actual), (verdict, mismatches, error) in zip(cases, ours):
        theirs = judge.mismatches(expected, rules, actual)
        fits += theirs == []
        if (theirs == []) != (verdict == "passed"):
            differ.append((expected, rules, actual, verdict, mismatches or error, theirs))
    assert differ == [], f"{len(differ)} differ; the first: {differ[0]}"
    assert CASES * 0.2 < fits < CASES * 0.9, f"{fits} of {CASES} fit: the cases say little"


@pytest.mark.stack
def test_the_core_verifies_real_events_by_our_contract(service, tmp_path):
    """Without its Protobuf plugin, which no registry has, the core cannot unpack events: it gets them, and the contract, as
    JSON whose paths are the rules'.  It must find them good, and find what is changed."""
    import pact

    import messages
    import provider
    image = ROOT / "contracts/released/0.2.0.binpb"
    schema = messages.Schema(image, [file.name for file in messages.files_of(image)])
    document = json.loads((ROOT / "contracts/pacts/sync-service-tenant-service.json").read_text())
    ours = provider.Provider({**os.environ, "SERVICE_ADDR": service.address})
    events, actual = [], {}
    for one in document["interactions"]:
        if one["type"] != "Asynchronous/Messages":
            continue
        embedded = {key: name[1:] for key, name in one["pluginConfiguration"].pop("contract-verify")["embedded"].items()}
        name = one["contents"]["contentType"].split("message=.")[1]
        one["contents"] = {"content": schema.plain(name, body(one), embedded), "contentType": "application/json", "encoded": False}
        one["metadata"]["contentType"] = "application/json"
        del one["pluginConfiguration"], one["generators"], one["matchingRules"]["body"]["$.payload"]
        events.append(one)
        values = ours.answer({"action": "setup", "state": one["providerStates"][0]["name"], "params": {}})
        found = ours.event(values)
        actual[one["description"]] = {"contents": json.dumps(schema.plain(name, found.body, embedded)).encode(),
                                      "content_type": "application/json", "metadata": found.headers}
    ours.reader.close()
    del document["metadata"]["plugins"]

    def verified(interactions, given):
        (tmp_path / "pact.json").write_text(json.dumps({**document, "interactions": interactions}))
        pact.Verifier("tenant-service").message_handler(given).state_handler(
            lambda *arguments, **named: None, teardown=False).add_source(str(tmp_path / "pact.json")).verify()
    verified(events, actual)
    changes = ((b'"data_residency": "eu"', b'"data_residency": "us"'), (b'"event_type": "tenant.', b'"event_type": "tenants.'))
    for number, one in enumerate(events):
        event = actual[one["description"]]
        broken = event["contents"].replace(*changes[number % 2])
        assert broken != event["contents"]
        with pytest.raises(RuntimeError):
            verified([one], {one["description"]: {**event, "contents": broken}})
