"""Payloads to show: the golden ones of released events, made ones of drafts."""
import base64
import json

import catalogue as events
import samples
from google.protobuf import json_format


class Examples:
    def __init__(self, catalogue, golden):
        self.texts, self.errors, self.bytes = {}, [], {}  # subject → JSON text
        self.catalogue, self.golden = catalogue, golden
        made = samples.Samples(catalogue.classes)
        for event in catalogue.events:
            newest = newest_full(golden / event.type.name)
            if event.draft:
                message = made.full(event.type.name)
                self.texts[event.subject] = as_json(message, catalogue.pool)
            elif newest is None:
                self.errors.append(f"{golden}/{event.type.name}: no sample: run `tools/golden make`")
            else:
                self.texts[event.subject] = newest.with_suffix(".json").read_text(encoding="utf-8")
                self.bytes[event.subject] = newest.read_bytes()

    def envelope(self, subject):
        """The JSON value of an envelope around the example; None for a draft."""
        if subject not in self.bytes:
            return None
        event = next(event for event in self.catalogue.events if event.subject == subject)
        path = newest_full(self.golden / events.ENVELOPE).with_suffix(".json")
        value = json.loads(path.read_text(encoding="utf-8"))
        value.update(eventType=event.name, eventVersion=event.version, schemaUri=event.uri,
                     payload=base64.b64encode(self.bytes[subject]).decode())
        return value


def newest_full(folder):
    """full-3.binpb before full-2.binpb before full.binpb; None: there is none."""
    found = sorted(folder.glob("full*.binpb"), key=lambda path: int(path.stem.partition("-")[2] or 1))
    return found[-1] if found else None


def as_json(message, pool):
    value = in_order(message.DESCRIPTOR, json_format.MessageToDict(message, descriptor_pool=pool))
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def in_order(descriptor, value):
    """JSON with the entries of maps sorted: a serializer gives them in any order."""
    if descriptor.full_name.startswith("google.protobuf."):
        return value
    out = {}
    for name, inner in value.items():
        field = next((field for field in descriptor.fields if field.json_name == name), None)
        if field is None or field.message_type is None:
            out[name] = inner
        elif field.message_type.GetOptions().map_entry:
            below = field.message_type.fields_by_name["value"].message_type
            out[name] = {key: in_order(below, inner[key]) if below else inner[key] for key in sorted(inner)}
        elif isinstance(inner, list):
            out[name] = [in_order(field.message_type, one) for one in inner]
        else:
            out[name] = in_order(field.message_type, inner)
    return out
