"""Random edits of descriptors.  An edit is a function of (random source, old files, new files): most change only the
new side; some first give the old side what the real protos do not have (proto2, extension ranges, reservations), on
both sides alike.  It returns what it did, or None where the dice fell on nothing to edit.

Every edit leaves both sides such that they would compile."""
import copy

from google.protobuf import descriptor_pb2 as pb
from google.protobuf import descriptor_pool

F = pb.FieldDescriptorProto
SCALARS = [F.TYPE_INT32, F.TYPE_INT64, F.TYPE_UINT32, F.TYPE_UINT64, F.TYPE_BOOL, F.TYPE_SINT32, F.TYPE_SINT64, F.TYPE_STRING,
           F.TYPE_BYTES, F.TYPE_FIXED32, F.TYPE_SFIXED32, F.TYPE_FIXED64, F.TYPE_SFIXED64, F.TYPE_DOUBLE, F.TYPE_FLOAT]
WIDE = [F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_SINT64, F.TYPE_FIXED64, F.TYPE_SFIXED64]
PACKABLE = set(SCALARS) - {F.TYPE_STRING, F.TYPE_BYTES}


class Side:
    """One FileDescriptorSet with what edits look for."""

    def __init__(self, image):
        self.image = image

    def files(self):
        return [file for file in self.image.file if not file.package.startswith("google.")]

    def file(self, name):
        return next((file for file in self.image.file if file.name == name), None)

    def messages(self):
        found = []

        def walk(prefix, message, file):
            name = f"{prefix}.{message.name}"
            if not message.options.map_entry:
                found.append((name, message, file))
            for nested in message.nested_type:
                walk(name, nested, file)
        for file in self.files():
            for message in file.message_type:
                walk("." + file.package, message, file)
        return found

    def enums(self):
        found = [("." + file.package + "." + enum.name, enum, file) for file in self.files() for enum in file.enum_type]
        return found + [(f"{name}.{enum.name}", enum, file) for name, message, file in self.messages() for enum in message.enum_type]

    def message(self, name):
        return next((message for full, message, _ in self.messages() if full == name), None)

    def services(self):
        return [(file, service) for file in self.files() for service in file.service]


def json_name(name):
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def free_number(*messages):
    used = {field.number for message in messages for field in message.field}
    used |= {n for message in messages for r in message.reserved_range for n in range(r.start, min(r.end, r.start + 100))}
    used |= {n for message in messages for r in message.extension_range for n in range(r.start, min(r.end, r.start + 200))}
    return next(n for n in range(1, 10000) if n not in used)


def add_field(message, name, type_=F.TYPE_STRING, number=None, type_name=None, label=F.LABEL_OPTIONAL):
    field = message.field.add(name=name, json_name=json_name(name), number=number or free_number(message), type=type_, label=label)
    if type_name:
        field.type_name = type_name
    return field


def pick(rng, items):
    return rng.choice(items) if items else None


def pick_field(rng, side, wanted=lambda field, message, file: True):
    found = [(name, message, field, file) for name, message, file in side.messages() for field in message.field if wanted(field, message, file)]
    return pick(rng, found)


def plain(field, message, _file):
    return not field.HasField("oneof_index") and field.type in SCALARS


def single(field, message, file):
    return plain(field, message, file) and field.label == F.LABEL_OPTIONAL


def remove(items, wanted):
    for i, item in enumerate(items):
        if item is wanted or item == wanted:
            del items[i]
            return
    raise AssertionError("not there")


def both(old, new, full_name):
    return old.message(full_name), new.message(full_name)


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


# --- reservations and ranges

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


def reserved_enum(rng, old, new):
    """Beyond the values of every enum that there is: flags are some hundreds."""
    names = {full for full, _, _ in old.enums()} & {full for full, _, _ in new.enums()}
    name = rng.choice(sorted(names))
    before = next(e for full, e, _ in old.enums() if full == name)
    after = next(e for full, e, _ in new.enums() if full == name)
    for enum in (before, after):
        enum.reserved_range.add(start=50500, end=50509)
        enum.reserved_name.append("GIVEN_UP")
    how = rng.choice(["name", "range", "shrink", "split", "grow"])
    if how == "name":
        after.reserved_name.remove("GIVEN_UP")
    elif how == "range":
        del after.reserved_range[-1]
    elif how == "shrink":
        after.reserved_range[-1].start = 50501
    elif how == "split":
        after.reserved_range[-1].end = 50503
        after.reserved_range.add(start=50504, end=50509)
    else:
        after.reserved_range[-1].end = 50600
    return f"{name}: reserved, {how}"


# --- enums

def pick_enum(rng, side):
    return rng.choice([(full, enum) for full, enum, _ in side.enums() if len(enum.value) > 2])


def default_users(side, full):
    return [f for _, m, _ in side.messages() for f in m.field if f.type_name == full and f.default_value]


def enum_value_delete(rng, old, new):
    full, enum = pick_enum(rng, new)
    if default_users(new, full):
        return None
    value = enum.value[rng.randrange(1, len(enum.value))]
    number, name = value.number, value.name
    remove(enum.value, value)
    how = rng.choice(["", "number", "name", "number and name"])
    if "number" in how:
        enum.reserved_range.add(start=number, end=number)
    if "name" in how:
        enum.reserved_name.append(name)
    return f"{full}: deleted {name}, reserved {how or 'nothing'}"


def enum_value_rename(rng, old, new):
    full, enum = pick_enum(rng, new)
    if default_users(new, full):
        return None
    value = rng.choice(enum.value)
    value.name += "_RENAMED"
    return f"{full}: renamed {value.name}"


def enum_value_add(rng, old, new):
    full, enum = pick_enum(rng, new)
    enum.value.add(name=enum.value[0].name + "_ADDED", number=max(v.number for v in enum.value) + 1)
    return f"{full}: added a value"


def enum_alias(rng, old, new):
    full, enum = pick_enum(rng, new)
    before = next((e for f, e, _ in old.enums() if f == full), None)
    if before is None:
        return None
    gone = rng.random() < 0.5
    for side in ([before, enum] if gone else [enum]):
        side.options.allow_alias = True
        side.value.add(name=side.value[1].name + "_ALIAS", number=side.value[1].number)
    if gone:
        which = rng.choice([-1, 1])
        if which == 1 and default_users(new, full):
            return None
        del enum.value[which]
        if len({v.number for v in enum.value}) == len(enum.value):
            enum.options.ClearField("allow_alias")
    return f"{full}: alias {'lost' if gone else 'added'}"


def enum_value_number(rng, old, new):
    full, enum = pick_enum(rng, new)
    value = enum.value[rng.randrange(1, len(enum.value))]
    value.number = max(v.number for v in enum.value) + 7
    return f"{full}.{value.name}: number {value.number}"


# --- services

def pick_method(rng, side):
    file, service = rng.choice(side.services())
    return file, service, (rng.choice(service.method) if service.method else None)


def rpc_delete(rng, old, new):
    _, service, method = pick_method(rng, new)
    if method is None:
        return None
    if rng.random() < 0.5:
        method.name += "Renamed"
    else:
        remove(service.method, method)
    return f"{service.name}: a method less"


def rpc_change(rng, old, new):
    file, service, method = pick_method(rng, new)
    if method is None:
        return None
    how = rng.choice(["input", "output", "client", "server", "level", "deprecated"])
    if how == "input":
        method.input_type = rng.choice([m.input_type for m in service.method] + [m.output_type for m in service.method])
    elif how == "output":
        method.output_type = rng.choice([m.input_type for m in service.method] + [m.output_type for m in service.method])
    elif how == "client":
        method.client_streaming = not method.client_streaming
    elif how == "server":
        method.server_streaming = not method.server_streaming
    elif how == "level":
        method.options.idempotency_level = rng.choice([0, 1, 2])
    else:
        method.options.deprecated = True
    return f"{service.name}.{method.name}: {how}"


def service_delete(rng, old, new):
    file, service = rng.choice(new.services())
    kept = copy.deepcopy(service)
    remove(file.service, service)
    moved = rng.random() < 0.4
    if moved:
        other = new.image.file.add(name=f"moved_{len(new.image.file)}.proto", package=file.package, syntax="proto3")
        other.dependency.append(file.name)
        other.dependency.extend(file.dependency)
        other.service.append(kept)
    return f"{kept.name}: {'moved' if moved else 'deleted'}"


def rpc_add(rng, old, new):
    _, service, method = pick_method(rng, new)
    if method is None:
        return None
    added = service.method.add()
    added.CopyFrom(method)
    added.name = method.name + "Again"
    if any(m.name == added.name for m in service.method[:-1]):
        return None
    return f"{service.name}: added {added.name}"


# --- messages, enums, files, packages

def payload(rng, old, new):
    """An event's payload goes, with or without a successor."""
    name = "tenant/events/v1/tenant_events.proto"
    before, after = old.file(name), new.file(name)
    label = f"Made{len(before.message_type)}"
    before.message_type.add(name=label)
    how = rng.choice(["kept", "deleted", "succeeded", "dual"])
    if how == "kept":
        after.message_type.add(name=label)
    if how == "dual":
        before.message_type.add(name=label + "V2")
    if how in ("dual", "succeeded"):
        after.message_type.add(name=label + "V2")
    return f"payload {label} {how}"


def type_delete(rng, old, new):
    """A fresh message or enum that the new side has not, or has in another file."""
    file = rng.choice([f for f in old.files() if new.file(f.name) is not None and new.file(f.name).package == f.package])
    kind = rng.choice(["message", "enum", "nested message", "nested enum"])
    how = rng.choice(["deleted", "moved", "kept"])
    message = pb.DescriptorProto(name="Fresh")
    message.field.add(name="x", json_name="x", number=1, type=F.TYPE_STRING, label=F.LABEL_OPTIONAL)
    enum = pb.EnumDescriptorProto(name="FreshKind")
    enum.value.add(name="FRESH_KIND_NONE", number=0)
    if any(m.name == "Fresh" for m in file.message_type) or any(e.name == "FreshKind" for e in file.enum_type):
        return None
    if any(full.endswith(".Fresh") and full.startswith("." + file.package) for full, _, _ in old.messages() + new.messages()):
        return None
    now = new.file(file.name)
    if kind == "message":
        file.message_type.append(message)
        target = now.message_type
        item = message
    elif kind == "enum":
        file.enum_type.append(enum)
        target = now.enum_type
        item = enum
    else:
        outer = [m for m in file.message_type if any(n.name == m.name for n in now.message_type)]
        if not outer:
            return None
        holder = rng.choice(outer)
        after = next(n for n in now.message_type if n.name == holder.name)
        item = message if "message" in kind else enum
        (holder.nested_type if "message" in kind else holder.enum_type).append(item)
        target = after.nested_type if "message" in kind else after.enum_type
    if how == "kept":
        target.append(item)
    elif how == "moved" and "nested" not in kind:
        other = new.image.file.add(name=f"moved_{len(new.image.file)}.proto", package=file.package, syntax=file.syntax)
        (other.message_type if kind == "message" else other.enum_type).append(item)
    return f"{file.name}: {kind} {how}"


def file_delete(rng, old, new):
    """A fresh file, deleted, renamed or kept."""
    package = rng.choice(["tenant.v1", "fresh.v1"])
    name = f"fresh_{len(old.image.file)}.proto"
    file = pb.FileDescriptorProto(name=name, package=package, syntax="proto3")
    file.message_type.add(name=f"Lone{len(old.image.file)}")
    file.enum_type.add(name=f"LoneKind{len(old.image.file)}").value.add(name=f"LONE_{len(old.image.file)}", number=0)
    file.service.add(name=f"LoneService{len(old.image.file)}")
    old.image.file.append(file)
    how = rng.choice(["deleted", "renamed", "kept"])
    if how != "deleted":
        new.image.file.append(file)
    if how == "renamed":
        new.image.file[-1].name = "other_" + name
    return f"{name} in {package}: {how}"


def file_package(rng, old, new):
    name = f"fresh_{len(old.image.file)}.proto"
    file = pb.FileDescriptorProto(name=name, package="fresh.v1", syntax="proto3")
    file.message_type.add(name=f"Lone{len(old.image.file)}").field.add(name="x", json_name="x", number=1, type=F.TYPE_INT64, label=F.LABEL_OPTIONAL)
    old.image.file.append(file)
    new.image.file.append(file)
    new.image.file[-1].package = "fresh.v2"
    return f"{name}: package"


OPTIONS = {
    "cc_enable_arenas": [True, False], "cc_generic_services": [True, False], "csharp_namespace": ["A", "B"], "go_package": ["a.example/a", "a.example/b"],
    "java_generic_services": [True, False], "java_multiple_files": [True, False], "java_outer_classname": ["A", "B"], "java_package": ["a", "b"],
    "objc_class_prefix": ["AAA", "BBB"], "optimize_for": [1, 2], "php_class_prefix": ["A", "B"], "php_metadata_namespace": ["A", "B"],
    "php_namespace": ["A", "B"], "py_generic_services": [True, False], "ruby_package": ["A", "B"], "swift_prefix": ["A", "B"],
    "java_string_check_utf8": [True, False],
}


def file_options(rng, old, new):
    shared = [file for file in old.files() if new.file(file.name) is not None]
    file = rng.choice(shared)
    done = []
    for name in rng.sample(sorted(OPTIONS), 4):
        if rng.random() < 0.6:
            setattr(file.options, name, rng.choice(OPTIONS[name]))
        if rng.random() < 0.8:
            setattr(new.file(file.name).options, name, rng.choice(OPTIONS[name]))
        done.append(name)
    return f"{file.name}: options {', '.join(done)}"


def message_option(rng, old, new):
    name, message, _ = rng.choice(new.messages())
    message.options.no_standard_descriptor_accessor = rng.choice([True, True, False])
    return f"{name}: descriptor accessor"


# --- proto2, which none of the real protos is: some of them are translated

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


def comment_only(rng, old, new):
    file = rng.choice(new.files())
    file.options.deprecated = True
    return f"{file.name}: deprecated"


EDITS = [
    (field_delete, 6), (field_rename, 4), (field_json_name, 2), (field_type, 8), (field_number, 6), (field_repeated, 4), (field_optional, 2),
    (field_optional_no_more, 1), (field_add, 6), (field_jstype, 4), (field_ctype, 8), (field_message_type, 2), (field_enum_to_int, 2),
    (field_enum_to_other, 4), (field_map_to_list, 5), (oneof_move, 5), (oneof_delete, 3), (reserved, 6), (reserved_used, 5), (reserved_enum, 6), (enum_value_delete, 6),
    (enum_value_rename, 4), (enum_value_add, 3), (enum_alias, 3), (enum_value_number, 2), (rpc_delete, 4), (rpc_change, 32), (service_delete, 6),
    (rpc_add, 2), (type_delete, 18), (payload, 6), (file_delete, 9), (file_package, 6), (file_options, 54), (message_option, 5), (syntax, 12), (syntax_back, 2),
    (required, 8), (default, 7), (default_enum, 3), (extension_range, 7), (extension, 12), (utf8, 3), (comment_only, 3),
]


def stands(image):
    """Whether every name is there once and every type that is used."""
    pool = descriptor_pool.DescriptorPool()
    try:
        for file in image.file:
            pool.Add(file)
        for file in image.file:
            pool.FindFileByName(file.name)
    except (TypeError, KeyError):
        return False
    return True


def edit(rng, image):
    """(old image, new image, what was done).  Several edits can get into each other's way: then others are made."""
    functions, weights = zip(*EDITS)
    while True:
        old, new = Side(copy.deepcopy(image)), Side(copy.deepcopy(image))
        picked = rng.choices(functions, weights, k=rng.choice([1, 1, 1, 2, 3]))
        done = [told for told in (function(rng, old, new) for function in picked) if told]
        if done and stands(old.image) and stands(new.image):
            return old.image, new.image, done
