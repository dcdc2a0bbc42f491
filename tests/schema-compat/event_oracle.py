"""What the rules that are ours must find, computed from their words a second time and in another way: the set EVENT is held
against this as the others are against buf."""
from google.protobuf import descriptor_pb2 as pb

from sides import Side

F = pb.FieldDescriptorProto


def all_messages(image):
    """Full name → (message, file), map entries too."""
    found = {}

    def walk(prefix, message, file):
        name = f"{prefix}.{message.name}" if prefix else message.name
        found[name] = (message, file)
        for nested in message.nested_type:
            walk(name, nested, file)
    for file in image.file:
        for message in file.message_type:
            walk(file.package, message, file)
    return found


def below(name, prefixes):
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def carried(image, packages, envelopes):
    """Names of all messages and enums that the events hold, however deep."""
    messages = all_messages(image)
    enums = {full[1:] for full, _, _ in Side(image).enums()}
    seen = set()
    todo = [name for name in [*messages, *enums] if below(name, packages) or below(name, envelopes)]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in messages:
            todo += [field.type_name[1:] for field in messages[name][0].field if field.type_name]
    return seen


def reserved_numbers(message):
    return {number for span in message.reserved_range for number in range(span.start, span.end)}


def plain(field):
    copy = F.FromString(field.SerializeToString())
    copy.options.ClearField("deprecated")
    if not copy.options.ListFields():
        copy.ClearField("options")
    return copy


def real_oneof(message, field):
    return field.HasField("oneof_index") and not field.proto3_optional


def message_breaches(name, old, new, is_envelope):
    before = {field.number: field for field in old.field}
    names = {field.name: field.number for field in old.field}
    for field in new.field:
        was = before.get(field.number)
        if field.number in reserved_numbers(old) or was is not None and (was.name, was.type) != (field.name, field.type):
            yield "EVENT_FIELD_NUMBER_NO_REUSE", name
        if field.name in old.reserved_name or names.get(field.name, field.number) != field.number:
            yield "EVENT_FIELD_NAME_NO_REUSE", name
        late = was is None and (field.label == F.LABEL_REQUIRED or real_oneof(new, field) or field.number < max(before, default=0))
        if is_envelope and late:
            yield "EVENT_ENVELOPE_ADDITIVE", name
    after = {field.number: field for field in new.field}
    for number, field in before.items():
        if is_envelope and (number not in after or plain(field) != plain(after[number])):
            yield "EVENT_ENVELOPE_ADDITIVE", name


def expected(old, new, packages, envelopes):
    """{(rule, subject)}"""
    found = set()
    before, after = all_messages(old), all_messages(new)
    for name in carried(old, packages, envelopes):
        if name.startswith("google.protobuf."):
            continue
        if name in before and name in after:
            found.update(message_breaches(name, before[name][0], after[name][0], below(name, envelopes)))
    old_enums = {full[1:]: enum for full, enum, _ in Side(old).enums()}
    new_enums = {full[1:]: enum for full, enum, _ in Side(new).enums()}
    values = lambda enum: {(value.name, value.number) for value in enum.value}
    for name in carried(old, packages, envelopes) & set(old_enums) & set(new_enums):
        if values(old_enums[name]) - values(new_enums[name]):
            found.add(("EVENT_ENUM_NO_NARROW", name))
    for name, (_, file) in before.items():
        top = "." not in name[len(file.package) + 1:]
        if top and below(name, packages) and name not in after:
            found.add(("EVENT_PAYLOAD_DUAL_PUBLISH", name))
    return found
