"""Edits of proto2, which none of the real protos is: some of them are translated.  And of extensions."""
from sides import F, SCALARS, add_field, both, free_number, json_name


def translate(file):
    """proto3 → proto2: presence becomes explicit, `optional` needs no oneof."""
    file.syntax = "proto2"

    def walk(message):
        for nested in message.nested_type:
            walk(nested)
        synthetic = {f.oneof_index for f in message.field if f.proto3_optional}
        kept = [i for i in range(len(message.oneof_decl)) if i not in synthetic]
        for field in message.field:
            if field.proto3_optional:
                field.ClearField("proto3_optional")
                field.ClearField("oneof_index")
            elif field.HasField("oneof_index"):
                field.oneof_index = kept.index(field.oneof_index)
        for i in sorted(synthetic, reverse=True):
            del message.oneof_decl[i]
    for message in file.message_type:
        walk(message)


def imported_enums(side, file):
    """A proto3 file may not use the enums of a proto2 one."""
    mine = {full for full, _, holder in side.enums() if holder.name == file.name}
    return any(field.type_name in mine for _, m, holder in side.messages() if holder.name != file.name for field in m.field)


def translatable(side):
    return [f for f in side.files() if f.syntax == "proto3" and not imported_enums(side, f)]


def syntax(rng, old, new):
    file = rng.choice(translatable(new))
    translate(file)
    return f"{file.name}: proto3 to proto2"


def syntax_back(rng, old, new):
    shared = [f for f in translatable(old) if new.file(f.name) is not None and new.file(f.name).syntax == "proto3"]
    if not shared:
        return None
    file = rng.choice(shared)
    translate(file)
    return f"{file.name}: proto2 to proto3"


def proto2_pair(rng, old, new):
    """A translated message on both sides: (name, old message, new message)."""
    names = []
    for file in old.files():
        after = new.file(file.name)
        if after is None:
            continue
        can = (file.syntax == "proto2" or not imported_enums(old, file)) and (after.syntax == "proto2" or not imported_enums(new, after))
        if can:
            names.append(file.name)
    if not names:
        return None
    chosen = rng.choice(names)
    for side in (old, new):
        if side.file(chosen).syntax == "proto3":
            translate(side.file(chosen))
    shared = [name for name, _, file in old.messages() if file.name == chosen and new.message(name) is not None]
    if not shared:
        return None
    name = rng.choice(shared)
    return (name, *both(old, new, name))


def required(rng, old, new):
    pair = proto2_pair(rng, old, new)
    if not pair:
        return None
    name, before, after = pair
    number = free_number(before, after)
    how = rng.choice(["added", "deleted", "kept", "loosened", "tightened"])
    if how != "added":
        add_field(before, "needed", number=number, label=F.LABEL_OPTIONAL if how == "tightened" else F.LABEL_REQUIRED)
    if how != "deleted":
        add_field(after, "needed", number=number, label=F.LABEL_OPTIONAL if how == "loosened" else F.LABEL_REQUIRED)
    return f"{name}: required {how}"


DEFAULTS = {
    F.TYPE_INT32: ["0", "4", "-4"], F.TYPE_UINT64: ["0", "4", "18446744073709551615"], F.TYPE_DOUBLE: ["0", "0.1", "inf", "nan", "1e+300"],
    F.TYPE_FLOAT: ["0", "0.1", "-inf", "nan"], F.TYPE_BOOL: ["true", "false"], F.TYPE_STRING: ["", "a", "b\"c"], F.TYPE_BYTES: ["", "a", "\\001\\377", "\\n"],
    F.TYPE_SINT64: ["0", "-9223372036854775808", "9223372036854775807"],
}


def default(rng, old, new):
    pair = proto2_pair(rng, old, new)
    if not pair:
        return None
    name, before, after = pair
    number = free_number(before, after)
    type_ = rng.choice(sorted(DEFAULTS))
    other = type_ if rng.random() < 0.7 else rng.choice(sorted(DEFAULTS))
    values = []
    for message, kind in ((before, type_), (after, other)):
        field = add_field(message, "preset", kind, number)
        value = rng.choice(DEFAULTS[kind] + [None])
        values.append(value)
        if value is not None:
            field.default_value = value
    return f"{name}: default {values}"


def default_enum(rng, old, new):
    pair = proto2_pair(rng, old, new)
    if not pair:
        return None
    name, before, after = pair
    number = free_number(before, after)
    values = []
    for message in (before, after):
        if any(e.name == "Preset" for e in message.enum_type):
            return None
        enum = message.enum_type.add(name="Preset")
        order = [("PRESET_A", 1), ("PRESET_B", 2)]
        if rng.random() < 0.3:
            order.reverse()
        for label, value in order:
            enum.value.add(name=label, number=value)
        field = add_field(message, "preset_kind", F.TYPE_ENUM, number, f"{name}.Preset")
        value = rng.choice([None, "PRESET_A", "PRESET_B"])
        values.append(value)
        if value:
            field.default_value = value
    return f"{name}: enum default {values}"


def extension_range(rng, old, new):
    pair = proto2_pair(rng, old, new)
    if not pair:
        return None
    name, before, after = pair
    if before.extension_range or after.extension_range:
        return None
    before.extension_range.add(start=7000, end=7100)
    ends = rng.choice([[(7000, 7100)], [(7000, 7099)], [(7000, 7050), (7050, 7100)], [], [(6900, 7200)], [(7001, 7100)]])
    for start, end in ends:
        after.extension_range.add(start=start, end=end)
    return f"{name}: extension ranges {ends}"


def extension(rng, old, new):
    """Options of our own, on methods, in a file that both sides have."""
    shared = [f for f in old.files() if "google/protobuf/descriptor.proto" in f.dependency and new.file(f.name) is not None and
              new.file(f.name).package == f.package]
    file = rng.choice(shared)
    after = new.file(file.name)
    number = 60000 + sum(len(f.extension) for f in old.image.file)
    name = f"mark_{number}"
    item = F(name=name, json_name=json_name(name), number=number, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL, extendee=".google.protobuf.MethodOptions")
    file.extension.append(item)
    how = rng.choice(["deleted", "kept", "renamed", "type", "moved", "repeated"])
    if how == "moved":
        other = new.image.file.add(name=f"moved_{len(new.image.file)}.proto", package=file.package, syntax="proto3",
                                   dependency=["google/protobuf/descriptor.proto"])
        other.extension.append(item)
    elif how != "deleted":
        after.extension.append(item)
    if how == "renamed":
        after.extension[-1].name = name + "_renamed"
        after.extension[-1].json_name = json_name(name + "_renamed")
    if how == "type":
        after.extension[-1].type = rng.choice(SCALARS)
    if how == "repeated":
        after.extension[-1].label = F.LABEL_REPEATED
    return f"{name}: extension {how}"


def utf8(rng, old, new):
    pair = proto2_pair(rng, old, new)
    if not pair:
        return None
    name, before, after = pair
    number = free_number(before, after)
    for message in (before, after):
        add_field(message, "checked", number=number)
    new_file = next(file for full, _, file in new.messages() if full == name)
    new_file.options.java_string_check_utf8 = rng.choice([True, False])
    return f"{name}: java_string_check_utf8 {new_file.options.java_string_check_utf8}"
