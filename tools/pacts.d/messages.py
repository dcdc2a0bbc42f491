"""Messages by descriptors: the files of a released image that a pact needs, and examples packed by them."""
import base64
import hashlib
from collections import namedtuple

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

Types = namedtuple("Types", "input output")
SCALARS = {number: name[len("TYPE_"):].lower() for name, number in
           descriptor_pb2.FieldDescriptorProto.Type.items()}


class Schema:
    """The named files of an image with all that they import."""

    def __init__(self, image, names):
        everything = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
        by_name = {file.name: file for file in everything.file}
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
        example = dict(example)
        for path, type_name in embedded.items():
            if path in example:
                inner = self.pack(type_name, example[path], {})
                example[path] = base64.b64encode(inner).decode()
        message = json_format.ParseDict(example, self.new(name), descriptor_pool=self.pool)
        return message.SerializeToString(deterministic=True)

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
