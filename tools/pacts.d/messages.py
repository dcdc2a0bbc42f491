"""Messages by descriptors: the files of a released image that a pact needs, and examples packed by them."""
import base64
import hashlib
from collections import namedtuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Types = namedtuple("Types", "input output")
SCALARS = {number: name[len("TYPE_"):].lower() for name, number in
           descriptor_pb2.FieldDescriptorProto.Type.items()}


def scalar_of(field, value):
    """The example may be a text that a rule of texts matches: "7" for a number."""
    if field.enum_type is not None:
        return field.enum_type.values_by_name[value].number
    kind = SCALARS[field.type]
    if kind == "bytes":
        return base64.b64decode(value)
    if kind in ("string", "bool"):
        return value
    return float(value) if kind in ("float", "double") else int(value)


def files_of(image):
    return descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes()).file


class Schema:
    """The named files of an image with all that they import."""

    def __init__(self, image, names):
        by_name = {file.name: file for file in files_of(image)}
        chosen = []

        def add(name):
            if name not in [file.name for file in chosen]:
                for imported in by_name[name].dependency:
                    add(imported)
                chosen.append(by_name[name])

        for name in names:
            add(name)
        files = descriptor_pb2.FileDescriptorSet()
        self.pool = descriptor_pool.DescriptorPool()
        for file in chosen:
            copy = files.file.add()
            copy.CopyFrom(file)
            copy.ClearField("source_code_info")
            self.pool.Add(copy)
        self.packed = files.SerializeToString(deterministic=True)
        self.key = hashlib.md5(self.packed).hexdigest()

    def method(self, service, method):
        found = self.pool.FindServiceByName(service).FindMethodByName(method)
        return Types(found.input_type.full_name, found.output_type.full_name)

    def new(self, name):
        return message_factory.GetMessageClass(self.pool.FindMessageTypeByName(name))()

    def pack(self, name, example, embedded):
        """`embedded`: fields of bytes whose example is a message of the type."""
        message = self.new(name)
        for key, value in example.items():
            if key in embedded:
                setattr(message, key, self.pack(embedded[key], value, {}))
            else:
                self.fill(message, key, value)
        return message.SerializeToString(deterministic=True)

    def fill(self, message, name, value):
        """Sets a field by its proto name: no field has a JSON form of its own here, as rules' paths have none."""
        field = message.DESCRIPTOR.fields_by_name.get(name)
        assert field is not None, f"{message.DESCRIPTOR.full_name} has no field {name}"
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            for key, item in value.items():
                if entry.message_type is None:
                    getattr(message, name)[key] = scalar_of(entry, item)
                else:
                    self.fill_message(getattr(message, name)[key], item)
        elif field.is_repeated:
            items = getattr(message, name)
            for item in value:
                if field.message_type is None:
                    items.append(scalar_of(field, item))
                else:
                    self.fill_message(items.add(), item)
        elif field.message_type is not None:
            getattr(message, name).SetInParent()
            self.fill_message(getattr(message, name), value)
        else:
            setattr(message, name, scalar_of(field, value))

    def fill_message(self, message, value):
        """An Any is written with its type under "@type" and its message's fields beside it, or as plain() gives it."""
        if message.DESCRIPTOR.full_name == "google.protobuf.Any" and isinstance(value.get("value"), dict):
            value = {"@type": value["type_url"], **value["value"]}
        if message.DESCRIPTOR.full_name == "google.protobuf.Any":
            fields = dict(value)
            message.type_url = fields.pop("@type")
            message.value = self.pack(message.type_url.rsplit("/", 1)[1], fields, {})
            return
        for key, item in value.items():
            self.fill(message, key, item)

    def plain(self, name, data, embedded):
        """A packed message as JSON whose paths are those of rules."""
        message = self.new(name)
        message.ParseFromString(data)
        out = self.plain_message(message)
        for key, type_name in embedded.items():
            if key in out:
                out[key] = self.plain(type_name, getattr(message, key), {})
        return out

    def plain_message(self, message):
        out = {}
        for field, value in message.ListFields():
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                entry = field.message_type.fields_by_name["value"]
                out[field.name] = {str(key): self.plain_value(entry, item) for key, item in value.items()}
            elif field.is_repeated:
                out[field.name] = [self.plain_value(field, item) for item in value]
            else:
                out[field.name] = self.plain_value(field, value)
        if message.DESCRIPTOR.full_name == "google.protobuf.Any" and message.type_url:
            out["value"] = self.plain(message.type_url.rsplit("/", 1)[1], message.value, {})
        return out

    def plain_value(self, field, value):
        if field.message_type is not None:
            return self.plain_message(value)
        if field.enum_type is not None:
            return field.enum_type.values_by_number[value].name
        return base64.b64encode(value).decode() if isinstance(value, bytes) else value

    def text(self, name):
        """The message as a proto has it, for people who read the pact."""
        message = self.pool.FindMessageTypeByName(name)
        lines = [f"message {message.name} {{"]
        for field in message.fields:
            lines.append(f"    {self.type_of(field)} {field.name} = {field.number};")
        return "\n".join([*lines, "}", ""])

    def type_of(self, field):
        named = field.message_type or field.enum_type
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name
            return f"map<{self.type_of(entry['key'])}, {self.type_of(entry['value'])}>"
        kind = f".{named.full_name}" if named is not None else SCALARS[field.type]
        return f"repeated {kind}" if field.is_repeated else kind
