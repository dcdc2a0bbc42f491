"""Edits around messages: enums, services, types, files and their options."""
import copy

from google.protobuf import descriptor_pb2 as pb

from sides import F, remove

# --- enums

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


# --- messages, files, packages

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


def comment_only(rng, old, new):
    file = rng.choice(new.files())
    file.options.deprecated = True
    return f"{file.name}: deprecated"
