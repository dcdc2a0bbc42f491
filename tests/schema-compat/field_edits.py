"""Edits of what messages hold: fields, oneofs, reservations."""
from google.protobuf import descriptor_pb2 as pb

from sides import F, SCALARS, WIDE, add_field, both, free_number, json_name, pick_field, plain, remove, single

# --- fields

def field_delete(rng, old, new):
    found = pick_field(rng, new, plain)
    if not found:
        return None
    name, message, field, _ = found
    number, label = field.number, field.name
    remove(message.field, field)
    how = rng.choice(["", "number", "name", "number and name"])
    if "number" in how:
        message.reserved_range.add(start=number, end=number + 1)
    if "name" in how:
        message.reserved_name.append(label)
    return f"{name}: deleted {label}, reserved {how or 'nothing'}"


def field_rename(rng, old, new):
    name, message, field, _ = pick_field(rng, new)
    before = field.name
    field.name = before + rng.choice(["_x", "_renamed"])
    for entry in message.nested_type:
        if entry.options.map_entry and field.type_name == f"{name}.{entry.name}":
            # as protoc names it: "labels_x" → "LabelsXEntry"
            entry.name = "".join(part[:1].upper() + part[1:] for part in field.name.split("_")) + "Entry"
            field.type_name = f"{name}.{entry.name}"
    if rng.random() < 0.7:
        field.json_name = json_name(field.name)
    return f"{name}: renamed {before}"


def field_json_name(rng, old, new):
    name, message, field, _ = pick_field(rng, new)
    field.json_name = rng.choice([field.json_name, "j" + field.json_name])
    return f"{name}.{field.name}: JSON name {field.json_name}"


def field_type(rng, old, new):
    found = pick_field(rng, new, plain)
    name, message, field, _ = found
    # neither repeated nor single fields here have options that a type could forbid
    field.options.ClearField("jstype")
    field.options.ClearField("ctype")
    field.type = rng.choice(SCALARS)
    return f"{name}.{field.name}: type {field.type}"


def field_number(rng, old, new):
    name, message, field, _ = pick_field(rng, new, plain)
    field.number = free_number(message, old.message(name) or message)
    return f"{name}.{field.name}: number {field.number}"


def field_repeated(rng, old, new):
    name, message, field, _ = pick_field(rng, new, plain)
    field.label = F.LABEL_OPTIONAL if field.label == F.LABEL_REPEATED else F.LABEL_REPEATED
    return f"{name}.{field.name}: label {field.label}"


def field_optional(rng, old, new):
    found = pick_field(rng, new, lambda f, m, file: single(f, m, file) and file.syntax == "proto3")
    name, message, field, _ = found
    message.oneof_decl.add(name="_" + field.name)
    field.oneof_index = len(message.oneof_decl) - 1
    field.proto3_optional = True
    return f"{name}.{field.name}: optional"


def field_optional_no_more(rng, old, new):
    found = pick_field(rng, old, lambda f, m, file: single(f, m, file) and file.syntax == "proto3")
    name, message, field, _ = found
    message.oneof_decl.add(name="_" + field.name)
    field.oneof_index = len(message.oneof_decl) - 1
    field.proto3_optional = True
    return f"{name}.{field.name}: no longer optional"


def field_add(rng, old, new):
    name, message, _ = rng.choice(new.messages())
    field = add_field(message, "added_field", rng.choice(SCALARS), free_number(message, old.message(name) or message))
    if rng.random() < 0.3:
        field.label = F.LABEL_REPEATED
    return f"{name}: added {field.number}"


def field_jstype(rng, old, new):
    found = pick_field(rng, new, lambda f, m, file: single(f, m, file) and f.type in WIDE)
    if not found:
        name, message, _ = rng.choice(old.messages())
        number = free_number(message, new.message(name))
        for side in both(old, new, name):
            add_field(side, "wide_field", rng.choice(WIDE), number)
        field = new.message(name).field[-1]
    else:
        name, message, field, _ = found
    field.options.jstype = rng.choice([pb.FieldOptions.JS_STRING, pb.FieldOptions.JS_NUMBER, pb.FieldOptions.JS_NORMAL])
    return f"{name}.{field.name}: jstype"


def field_ctype(rng, old, new):
    found = pick_field(rng, new, lambda f, m, file: f.type in (F.TYPE_STRING, F.TYPE_BYTES))
    name, message, field, _ = found
    if rng.random() < 0.3:
        for before in old.message(name).field if old.message(name) else []:
            if before.number == field.number and before.type in (F.TYPE_STRING, F.TYPE_BYTES):
                before.options.ctype = pb.FieldOptions.STRING_PIECE
    field.options.ctype = rng.choice([pb.FieldOptions.CORD, pb.FieldOptions.STRING_PIECE, pb.FieldOptions.STRING])
    return f"{name}.{field.name}: ctype {field.options.ctype}"


def field_message_type(rng, old, new):
    wanted = [(n, m, f) for n, m, file in new.messages() for f in m.field if f.type == F.TYPE_MESSAGE and not f.type_name.endswith("Entry")]
    name, message, field = rng.choice(wanted)
    field.type_name = rng.choice([".google.protobuf.Timestamp", ".google.protobuf.Duration", field.type_name])
    for file in new.files():
        if any(item is message for _, item, holder in new.messages() if holder is file):
            need = {".google.protobuf.Timestamp": "google/protobuf/timestamp.proto", ".google.protobuf.Duration": "google/protobuf/duration.proto"}
            needed = need.get(field.type_name)
            if needed and needed not in file.dependency:
                file.dependency.append(needed)
    return f"{name}.{field.name}: {field.type_name}"


def field_enum_to_int(rng, old, new):
    found = pick_field(rng, new, lambda f, m, file: f.type == F.TYPE_ENUM)
    name, message, field, _ = found
    field.type = rng.choice([F.TYPE_INT32, F.TYPE_UINT32, F.TYPE_STRING])
    field.ClearField("type_name")
    return f"{name}.{field.name}: enum to {field.type}"


def field_enum_to_other(rng, old, new):
    """To a nested enum of the same short name, with all values, one more, or one less; or of another name."""
    found = pick_field(rng, new, lambda f, m, file: f.type == F.TYPE_ENUM)
    name, message, field, _ = found
    enum = next(e for full, e, _ in new.enums() if full == field.type_name)
    if any(e.name == enum.name for e in message.enum_type):
        return None
    other = message.enum_type.add()
    other.CopyFrom(enum)
    how = rng.choice(["same", "more", "less", "renamed"])
    if how == "more":
        other.value.add(name="ONE_MORE", number=max(v.number for v in other.value) + 1)
    if how == "less" and len(other.value) > 1:
        del other.value[-1]
    if how == "renamed":
        other.name += "Other"
    field.type_name = f"{name}.{other.name}"
    return f"{name}.{field.name}: {how} enum {field.type_name}"


def field_map_to_list(rng, old, new):
    """A map becomes a list of messages of the same bytes."""
    found = pick_field(rng, new, lambda f, m, file: f.type == F.TYPE_MESSAGE and f.type_name.endswith("Entry"))
    if not found:
        return None
    name, message, field, _ = found
    entry = next(nested for nested in message.nested_type if field.type_name.endswith("." + nested.name))
    entry.options.ClearField("map_entry")
    if rng.random() < 0.5:
        entry.name = "Pair"
        field.type_name = f"{name}.Pair"
    return f"{name}.{field.name}: map to list"


# --- oneofs

def with_oneof(rng, old, new, prefix="choice"):
    """Two fresh fields in a oneof on both sides; the names of message and oneof."""
    shared = [name for name, _, _ in old.messages() if new.message(name) is not None]
    name = rng.choice(shared)
    number = free_number(*both(old, new, name))
    for message in both(old, new, name):
        if any(oneof.name == prefix for oneof in message.oneof_decl):
            return None
        # protoc wants the oneofs of `optional` fields behind the others
        message.oneof_decl.insert(0, pb.OneofDescriptorProto(name=prefix))
        for field in message.field:
            if field.HasField("oneof_index"):
                field.oneof_index += 1
        for i, letter in enumerate("ab"):
            add_field(message, f"{prefix}_{letter}", number=number + i if number + i == free_number(message) else free_number(message)).oneof_index = 0
    return name


def oneof_move(rng, old, new):
    name = with_oneof(rng, old, new)
    if not name:
        return None
    message = new.message(name)
    how = rng.choice(["out", "in", "rename", "other"])
    if how == "out":
        message.field[-1].ClearField("oneof_index")
    elif how == "in":
        old.message(name).field[-1].ClearField("oneof_index")
    elif how == "rename":
        message.oneof_decl[0].name = "selection"
    else:
        message.oneof_decl.insert(1, pb.OneofDescriptorProto(name="second"))
        for field in message.field:
            if field.HasField("oneof_index") and field.oneof_index >= 1:
                field.oneof_index += 1
        message.field[-1].oneof_index = 1
    return f"{name}: oneof {how}"


def oneof_delete(rng, old, new):
    name = with_oneof(rng, old, new)
    if not name:
        return None
    message = new.message(name)
    for field in message.field:
        if field.HasField("oneof_index"):
            if field.oneof_index == 0:
                field.ClearField("oneof_index")
            else:
                field.oneof_index -= 1
    del message.oneof_decl[0]
    return f"{name}: oneof deleted"


# --- reservations

def reserved(rng, old, new):
    shared = [name for name, _, _ in old.messages() if new.message(name) is not None]
    name = rng.choice(shared)
    before, after = both(old, new, name)
    for message in (before, after):
        message.reserved_range.add(start=5000, end=5010)
        message.reserved_range.add(start=5020, end=5021)
        message.reserved_name.append("given_up")
    how = rng.choice(["name", "range", "shrink", "split", "grow", "merge"])
    if how == "name":
        after.reserved_name.remove("given_up")
    elif how == "range":
        del after.reserved_range[-1]
    elif how == "shrink":
        after.reserved_range[-2].end = 5009
    elif how == "split":
        after.reserved_range[-2].end = 5005
        after.reserved_range.add(start=5005, end=5010)
    elif how == "grow":
        after.reserved_range[-2].end = 5015
    else:
        del after.reserved_range[-1]
        after.reserved_range[-1].end = 5030
    return f"{name}: reserved, {how}"


def reserved_used(rng, old, new):
    """A number or a name that was given up is taken again."""
    shared = [name for name, _, _ in old.messages() if new.message(name) is not None]
    name = rng.choice(shared)
    before, after = both(old, new, name)
    before.reserved_range.add(start=6000, end=6003)
    before.reserved_name.append("taken_again")
    how = rng.choice(["number", "name", "neither"])
    if how != "number":
        after.reserved_range.add(start=6000, end=6003)
    if how != "name":
        after.reserved_name.append("taken_again")
    add_field(after, "taken_again" if how == "name" else "fresh_field", number=6001 if how == "number" else 6005)
    return f"{name}: reserved {how} used"
