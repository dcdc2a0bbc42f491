"""The two sides of an edit: a FileDescriptorSet each, with what edits look for in it."""
from google.protobuf import descriptor_pb2 as pb

F = pb.FieldDescriptorProto
SCALARS = [F.TYPE_INT32, F.TYPE_INT64, F.TYPE_UINT32, F.TYPE_UINT64, F.TYPE_BOOL, F.TYPE_SINT32, F.TYPE_SINT64, F.TYPE_STRING,
           F.TYPE_BYTES, F.TYPE_FIXED32, F.TYPE_SFIXED32, F.TYPE_FIXED64, F.TYPE_SFIXED64, F.TYPE_DOUBLE, F.TYPE_FLOAT]
WIDE = [F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_SINT64, F.TYPE_FIXED64, F.TYPE_SFIXED64]


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
