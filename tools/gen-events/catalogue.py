"""The event types that the protos declare with the option tenant.options.v1.event, checked.

Errors name file, line and column, as protoc's do."""
import hashlib
import re

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "tenant.events.v1"
ENVELOPE = PACKAGE + ".EventEnvelope"
EXTENSION = "tenant.options.v1.event"
RETENTION = {"operational": "30 days in the stream, 13 months in the archive"}
# What cannot be typed is no contract; what nests without end cannot be read by protobuf-c safely.
UNTYPED = {"google.protobuf." + name for name in ("Any", "Struct", "Value", "ListValue")}
SCALARS = {kind: descriptor_pb2.FieldDescriptorProto.Type.Name(kind)[5:].lower()
           for kind in descriptor_pb2.FieldDescriptorProto.Type.values()}
MESSAGE, ENUM = (descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, descriptor_pb2.FieldDescriptorProto.TYPE_ENUM)
REPEATED = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED


def gate_drafts(root):
    """The names that contracts/schema-gate.conf calls drafts."""
    lines = (root / "contracts/schema-gate.conf").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith("draft ")]


def is_listed(names, name):
    """The name itself, or what it stands in."""
    return any(name == one or name.startswith(one + ".") for one in names)


def payload_name(name, version):
    """tenant.org_unit.moved and 1: OrgUnitMoved."""
    camel = "".join(part.capitalize() for part in re.split("[._]", name.removeprefix("tenant.")))
    return camel + (f"V{version}" if version > 1 else "")


class Type:
    """A message or an enum, with where it stands."""

    def __init__(self, file, path, proto, name, is_enum):
        self.file, self.path, self.proto, self.name, self.is_enum = file, path, proto, name, is_enum

    def __lt__(self, other):
        return self.name < other.name


class Event:
    def __init__(self, type_, option):
        self.type = type_
        self.name, self.version, self.draft = option.name, option.version, option.draft
        self.retention, self.summary = option.retention_class, option.summary
        self.residency = option.DESCRIPTOR.fields_by_name["residency"].enum_type.values_by_number[option.residency].name
        self.text = self.digest = None

    @property
    def subject(self):
        return f"{self.name}.v{self.version}"

    @property
    def symbol(self):
        """Of the constant in gen/events.h: tenant.org.provisioned.v1 is event_org_provisioned_v1."""
        return "event_" + self.subject.removeprefix("tenant.").replace(".", "_")

    @property
    def path(self):
        """In schema addresses and in contracts/schemas: org/provisioned/v1."""
        return self.subject.removeprefix("tenant.").replace(".", "/")

    @property
    def uri(self):
        return f"schemas://tenant-service/{self.path}#sha256-{self.digest}"


class Types:
    """All messages and enums of a descriptor set."""

    def __init__(self, bytes_):
        self.set = descriptor_pb2.FileDescriptorSet.FromString(bytes_)
        self.types = {}
        for file in self.set.file:
            self.gather(file, file, (), file.package)

    def gather(self, file, around, path, prefix):
        messages, enums = ((around.message_type, around.enum_type) if not path else
                           (around.nested_type, around.enum_type))
        for i, proto in enumerate(messages):
            place = path + (3 if path else 4, i)
            type_ = Type(file, place, proto, f"{prefix}.{proto.name}", False)
            self.types[type_.name] = type_
            self.gather(file, proto, place, type_.name)
        for i, proto in enumerate(enums):
            place = path + (4 if path else 5, i)
            self.types[f"{prefix}.{proto.name}"] = Type(file, place, proto, f"{prefix}.{proto.name}", True)

    def closure(self, type_):
        """The type and all that it refers to, sorted by name."""
        found, todo = set(), [type_]
        while todo:
            one = todo.pop()
            if one in found:
                continue
            found.add(one)
            if not one.is_enum:
                todo += [self.types[field.type_name[1:]] for field in one.proto.field if field.type_name]
        return sorted(found)

    def schema_text(self, payload):
        """The text whose SHA-256 stands in schema_uri: docs/events-wire.md."""
        lines = []
        for type_ in self.closure(payload):
            lines.append(("enum " if type_.is_enum else "message ") + type_.name)
            if type_.is_enum:
                lines += [f"{value.number} {value.name}" for value in sorted(type_.proto.value, key=lambda v: v.number)]
                continue
            for field in sorted(type_.proto.field, key=lambda f: f.number):
                kind = field.type_name[1:] if field.type in (MESSAGE, ENUM) else SCALARS[field.type]
                lines.append(f"{field.number} {'repeated ' if field.label == REPEATED else ''}{kind} {field.name}")
        return "".join(line + "\n" for line in lines)


class Catalogue(Types):
    """events: sorted by subject.  errors: lines, empty when all is well."""

    def __init__(self, bytes_, drafts):
        super().__init__(bytes_)
        self.drafts = drafts
        self.errors = []
        self.comments = {}  # (file name, path) → location
        for file in self.set.file:
            for location in file.source_code_info.location:
                self.comments[file.name, tuple(location.path)] = location
        self.events = sorted(self.read_events(), key=lambda event: (event.name, event.version))
        self.check_once()
        self.check_documented()
        self.check_drafts()
        for event in self.events:
            self.check_payload(event)
            event.text = self.schema_text(event.type)
            event.digest = hashlib.sha256(event.text.encode()).hexdigest()

    def make_classes(self):
        """Full name → Python class, of all messages."""
        self.pool = descriptor_pool.DescriptorPool()
        for file in self.set.file:
            self.pool.Add(file)
        factory = message_factory.MessageFactory(self.pool)
        factory.GetMessages([file.name for file in self.set.file])  # registers the extension
        self.classes = {name: factory.GetPrototype(self.pool.FindMessageTypeByName(name))
                        for name, type_ in self.types.items()
                        if not type_.is_enum and not type_.proto.options.map_entry}

    def read_events(self):
        self.make_classes()
        extension = self.pool.FindExtensionByName(EXTENSION)
        options = self.classes["google.protobuf.MessageOptions"]
        for type_ in sorted(self.types.values()):
            if type_.is_enum:
                continue
            own = options.FromString(type_.proto.options.SerializeToString())
            if own.HasExtension(extension):
                event = Event(type_, own.Extensions[extension])
                if self.check_option(event):
                    yield event

    # --- what must be true ---

    def complain(self, type_, path, rule):
        location = self.comments.get((type_.file.name, tuple(path)))
        line, column = (location.span[0] + 1, location.span[1] + 1) if location else (1, 1)
        self.errors.append(f"{type_.file.name}:{line}:{column}: {type_.proto.name}{rule}")

    def check_option(self, event):
        before = len(self.errors)

        def wrong(rule):
            self.complain(event.type, event.type.path, rule)

        if re.fullmatch(r"tenant(\.[a-z][a-z0-9_]*){2}", event.name) is None:
            wrong(f': event name "{event.name}" is not tenant.<aggregate>.<event> in lower case')
        elif event.type.name != f"{PACKAGE}.{payload_name(event.name, event.version)}":
            wrong(f": the payload of {event.subject} is called {PACKAGE}.{payload_name(event.name, event.version)}")
        if not 1 <= event.version <= 9999:
            wrong(": event version is 1 to 9999")
        if event.retention not in RETENTION:
            wrong(f': retention_class "{event.retention}" is none of {" ".join(RETENTION)}')
        if event.residency.endswith("_UNSPECIFIED"):
            wrong(": residency is not set")
        if not event.summary or "\n" in event.summary or event.summary.endswith("."):
            wrong(": summary is one line without a full stop")
        return len(self.errors) == before

    def check_once(self):
        seen = {}
        for event in self.events:
            if event.subject in seen:
                self.complain(event.type, event.type.path, f": {event.subject} is {seen[event.subject]} already")
            seen[event.subject] = event.type.name

    def check_documented(self):
        """Everything in our package; other packages have their own ways."""
        for type_ in sorted(self.types.values()):
            if type_.file.package != PACKAGE or (not type_.is_enum and type_.proto.options.map_entry):
                continue
            if not self.comment(type_):
                self.complain(type_, type_.path, " has no comment")
            members = type_.proto.value if type_.is_enum else type_.proto.field
            for i, member in enumerate(members):
                if not self.comment(type_, i) and not member.name.endswith("_UNSPECIFIED"):
                    self.complain(type_, type_.path + (2, i), f".{member.name} has no comment")

    def check_drafts(self):
        """The gate goes by its configuration, the catalogue by the option: they must say the same."""
        types = {event.type.name: event for event in self.events}
        for event in self.events:
            if event.draft != (event.type.name in self.drafts):
                self.complain(event.type, event.type.path, ": draft in the option and a line `draft "
                              f"{event.type.name}` in contracts/schema-gate.conf go together")
        reached = {type_.name for event in self.events if event.draft for type_ in self.closure(event.type)}
        for name in self.drafts:
            if name.startswith(PACKAGE + ".") and name not in types and name not in reached:
                self.errors.append(f"contracts/schema-gate.conf: draft {name}: no draft event refers to it")

    def check_payload(self, event):
        for type_ in self.closure(event.type):
            if type_.name in UNTYPED:
                self.complain(event.type, event.type.path, f": carries {type_.name}, which has no schema")
            for i, field in enumerate([] if type_.is_enum else type_.proto.field):
                if field.proto3_optional:
                    self.complain(type_, type_.path + (2, i), f".{field.name}: proto3 optional is not supported")
                inner = self.types.get(field.type_name[1:])
                if inner is not None and type_ in self.closure(inner):
                    self.complain(type_, type_.path + (2, i), f".{field.name}: recursive messages are not allowed")

    # --- what others ask ---

    def comment(self, type_, member=None):
        """Of the type, or of its field or value with that index; "" for none."""
        path = type_.path if member is None else type_.path + (2, member)
        location = self.comments.get((type_.file.name, path))
        text = location and (location.leading_comments or location.trailing_comments) or ""
        return "\n".join(line.removeprefix(" ") for line in text.rstrip("\n").split("\n"))

    def released(self):
        return [event for event in self.events if not event.draft]
