"""Pact's own core (the FFI of pact-python): reads pact files, and judges JSON by matching rules."""
import json

import pact_ffi
from pact_ffi import InteractionPart, MatchingRuleCategory, ffi, lib

CATEGORIES = {"body": MatchingRuleCategory.BODY, "metadata": MatchingRuleCategory.METADATA}


def read(text):
    """What the core sees in a pact file: [{kind, description, states, parts: [{contents, metadata, rules}]}]; None when
    it refuses the file.  By the C functions alone: pact-python's own objects free what they only borrow."""
    pact = lib.pactffi_parse_pact_json(text.encode())
    if pact == ffi.NULL:
        return None
    out = [interaction(one) for one in iterate(lib.pactffi_pact_model_interaction_iterator(pact),
                                               lib.pactffi_pact_interaction_iter_next)]
    lib.pactffi_pact_model_delete(pact)
    return out


def iterate(iterator, following):
    while iterator != ffi.NULL:
        one = following(iterator)
        if one == ffi.NULL:
            return
        yield one


def interaction(one):
    sync = lib.pactffi_pact_interaction_as_synchronous_message(one)
    if sync != ffi.NULL:
        count = lib.pactffi_sync_message_get_number_responses(sync)
        return {"kind": "Synchronous/Messages",
                "description": text_of(lib.pactffi_sync_message_get_description(sync)),
                "states": states(lib.pactffi_sync_message_get_provider_state_iter(sync)),
                "parts": [part(lib.pactffi_sync_message_get_request_contents(sync))] + [
                    part(lib.pactffi_sync_message_get_response_contents(sync, i)) for i in range(count)]}
    message = lib.pactffi_pact_interaction_as_asynchronous_message(one)
    return {"kind": "Asynchronous/Messages",
            "description": text_of(lib.pactffi_async_message_get_description(message)),
            "states": states(lib.pactffi_async_message_get_provider_state_iter(message)),
            "parts": [part(lib.pactffi_async_message_get_contents(message))]}


def states(iterator):
    return [text_of(lib.pactffi_provider_state_get_name(one))
            for one in iterate(iterator, lib.pactffi_provider_state_iter_next)]


def part(contents):
    size = lib.pactffi_message_contents_get_contents_length(contents)
    data = lib.pactffi_message_contents_get_contents_bin(contents)
    metadata = iterate(lib.pactffi_message_contents_get_metadata_iter(contents), lib.pactffi_message_metadata_iter_next)
    return {"contents": bytes(ffi.buffer(data, size)) if data != ffi.NULL and size > 0 else b"",
            "metadata": {text_of(pair.key): text_of(pair.value) for pair in metadata},
            "rules": {name: rules(contents, category) for name, category in CATEGORIES.items()}}


def rules(contents, category):
    """{path: [matcher]} as the core has understood them."""
    out = {}
    pairs = lib.pactffi_message_contents_get_matching_rule_iter(contents, category.value)
    for pair in iterate(pairs, lib.pactffi_matching_rules_iter_next):
        out.setdefault(text_of(pair.path), []).append(json.loads(text_of(lib.pactffi_matching_rule_to_json(pair.rule))))
    return out


def plain(path):
    """One spelling of a path: the core writes $['a'] for what we write $.a."""
    return path.replace("['", ".").replace("']", "").replace("[", ".").replace("]", "")


def text_of(ptr):
    return ffi.string(ptr).decode() if ptr != ffi.NULL else ""


class Judge:
    """Matches JSON as the core's verifier does."""

    def __init__(self):
        self.pact = pact_ffi.new_pact("consumer", "provider")
        pact_ffi.with_specification(self.pact, pact_ffi.PactSpecification.V4)
        self.count = 0

    def mismatches(self, expected, rules, actual):
        self.count += 1
        one = pact_ffi.new_sync_message_interaction(self.pact, f"case {self.count}")
        text = json.dumps(expected)
        pact_ffi.with_body(one, InteractionPart.REQUEST, "application/json", "{}")
        pact_ffi.with_body(one, InteractionPart.RESPONSE, "application/json", text)
        if rules:
            pact_ffi.with_matching_rules(one, InteractionPart.RESPONSE, json.dumps({"body": rules}))
        return pact_ffi.sync_message_match_response_contents(one, 0, "application/json", json.dumps(actual))
