"""A message with all that it refers to as one proto file, for tools that cannot follow imports."""
import re

import catalogue as events
from google.protobuf import descriptor_pb2

SCALARS = events.SCALARS


def bundle(catalogue, root):
    """Types of other packages lose their package: bytes and JSON are the same."""
    types = [type_ for type_ in catalogue.closure(root) if not type_.file.package.startswith("google.protobuf")
             and not (not type_.is_enum and type_.proto.options.map_entry)]
    names = {}
    for type_ in types:
        short = type_.name.removeprefix(type_.file.package + ".").replace(".", "_")
        assert short not in names.values(), f"two types are called {short}"
        names[type_.name] = short
    imports = sorted({type_.file.name for type_ in catalogue.closure(root)
                      if type_.file.package.startswith("google.protobuf")})
    lines = ['syntax = "proto3";', "", f"package {root.file.package};", ""]
    lines += [f'import "{name}";' for name in imports] + ([""] if imports else [])
    for type_ in sorted(types, key=lambda one: (one is not root, one.name)):
        lines += enum_lines(catalogue, type_, names) if type_.is_enum else message_lines(catalogue, type_, names)
        lines.append("")
    return "\n".join(lines)


def comment_lines(text, indent):
    return [f"{indent}// {line}".rstrip() for line in text.split("\n")] if text else []


def enum_lines(catalogue, type_, names):
    lines = comment_lines(catalogue.comment(type_), "") + [f"enum {names[type_.name]} {{"]
    for i, value in enumerate(type_.proto.value):
        lines += comment_lines(catalogue.comment(type_, i), "  ") + [f"  {value.name} = {value.number};"]
    return lines + ["}"]


def message_lines(catalogue, type_, names):
    lines = comment_lines(catalogue.comment(type_), "") + [f"message {names[type_.name]} {{"]
    inside = None
    for i, field in enumerate(type_.proto.field):
        oneof = field.oneof_index if field.HasField("oneof_index") else None
        if inside is not None and oneof != inside:
            lines.append("  }")
        if oneof is not None and oneof != inside:
            lines.append(f"  oneof {type_.proto.oneof_decl[oneof].name} {{")
        inside = oneof
        indent = "    " if oneof is not None else "  "
        lines += comment_lines(catalogue.comment(type_, i), indent)
        lines.append(f"{indent}{field_type(catalogue, field, names)} {field.name} = {field.number};")
    return lines + (["  }"] if inside is not None else []) + ["}"]


def field_type(catalogue, field, names):
    """As a proto spells it: "repeated string", "map<string, string>"."""
    if field.type not in (events.MESSAGE, events.ENUM):
        kind = SCALARS[field.type]
    else:
        type_ = catalogue.types[field.type_name[1:]]
        if not type_.is_enum and type_.proto.options.map_entry:
            key, value = type_.proto.field
            return f"map<{field_type(catalogue, key, names)}, {field_type(catalogue, value, names)}>"
        kind = names.get(type_.name, type_.name)
    repeated = field.label == descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
    return ("repeated " if repeated else "") + kind
