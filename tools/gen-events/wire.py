"""Protobuf's wire format, for samples that no serializer writes: unknown fields, odd orders."""
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
# Numbers that no schema of ours will ever use.
FROM_THE_FUTURE = ((536870001, VARINT, 150), (536870002, FIXED64, b"\x01\x02\x03\x04\x05\x06\x07\x08"),
                   (536870003, BYTES, b"from the future"), (536870004, FIXED32, b"\x0a\x0b\x0c\x0d"))
MESSAGE, STRING, ENUM = 11, 9, 14
SCALAR_WIRES = {1: FIXED64, 2: FIXED32, 6: FIXED64, 7: FIXED32, 9: BYTES, 12: BYTES, 15: FIXED32, 16: FIXED64}


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """(number, wire type, value) in order."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        wire = key & 7
        if wire == VARINT:
            value, at = read_varint(data, at)
        else:
            size = {FIXED64: 8, FIXED32: 4}.get(wire)
            if size is None:
                size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, wire, value


def join(items):
    out = b""
    for number, wire, value in items:
        out += varint(number << 3 | wire)
        if wire == VARINT:
            out += varint(value)
        else:
            out += (varint(len(value)) if wire == BYTES else b"") + value
    return out


def is_entry(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def with_unknown(descriptor, data):
    """Fields from the future in the message and in all messages below; not in those of google.protobuf, whose JSON
    is special, nor in map entries, where readers may drop them."""
    items = []
    for number, wire, value in fields(data):
        field = descriptor.fields_by_number[number]
        if field.message_type is not None and not is_entry(field) and \
                not field.message_type.full_name.startswith("google.protobuf."):
            value = with_unknown(field.message_type, value)
        items.append((number, wire, value))
    return join(items + list(FROM_THE_FUTURE))


def scattered(descriptor, data):
    """The same message as a careless writer may put it: fields backwards, older values before newer ones, packed lists
    unpacked.  Not with messages in two parts: protobuf-c loses numbers then, which tests/golden pins down."""
    older, items = [], []
    for number, wire, value in fields(data):
        field = descriptor.fields_by_number[number]
        if is_entry(field):
            items.append([(number, wire, join(reversed(list(fields(value)))))])
        elif field.label == field.LABEL_REPEATED:
            if field.message_type is None and field.type not in (STRING, 12) and wire == BYTES:
                items.append([(number, *one) for one in unpacked(field, value)])
            else:
                items.append([(number, wire, value)])
        elif field.message_type is not None:
            items.append([(number, wire, scattered(field.message_type, value))])
        else:
            old = b"older" if wire == BYTES else 1 if wire == VARINT else value
            older.append((number, wire, old))
            items.append([(number, wire, value)])
    ordered = []
    for group in sorted(range(len(items)), key=lambda i: (-items[i][0][0], i)):
        ordered += items[group]
    return join(older + ordered)


def unpacked(field, data):
    wire = SCALAR_WIRES.get(field.type, VARINT)
    at = 0
    while at < len(data):
        if wire == VARINT:
            value, at = read_varint(data, at)
        else:
            size = 8 if wire == FIXED64 else 4
            value, at = data[at:at + size], at + size
        yield wire, value
