"""Generated messages through the driver and through Python's json_format; see run.

    compare.py --types DESCRIPTORS                         the C names of all messages
    compare.py DESCRIPTORS DRIVER MESSAGES SEED            the comparison"""
import difflib
import json
import random
import re
import struct
import subprocess
import sys

from google.protobuf import (descriptor_pb2, descriptor_pool, json_format, message_factory)

from tables import ACCEPTED, REFUSED

OURS = ('tenant.v1.', 'tenant.events.v1.', 'google.rpc.', 'fixture.json.v1.')
IN_ANY = ('fixture.json.v1.Leaf', 'fixture.json.v1.Maps', 'fixture.json.v1.WellKnown', 'google.protobuf.Duration',
          'google.protobuf.Timestamp', 'google.protobuf.Int64Value', 'google.protobuf.Struct',
          'google.protobuf.Value', 'google.protobuf.Any', 'google.rpc.ErrorInfo', 'google.rpc.BadRequest',
          'tenant.v1.Tenant')
TEXTS = ['', 'a', 'Ünïcødé', '\U0001f600 \u2028 \x7f', '"quoted\\"', '\t\n\r\b\f\x01\x1f', '</script>', 'null', '0',
         'x' * 70, '\ufffd\uffff\u0800\u07ff']
# -0.0 stands in the tables: protobuf-c packs it only inside lists.
FLOATS = [0.0, 1.0, -1.5, 0.1, 1e300, 1e-300, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308,
          1e21, 123456789012345680.0, 2.0 ** 53 + 2, 1 / 3, float('inf'), float('-inf'), float('nan')]
SINGLES = [0.0, 1.0, -1.5, 0.1, 3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45, 16777216.0,
           1e10, 1 / 3, float('inf'), float('-inf'), float('nan')]


def c_name(full_name):
    """protobuf-c's FullNameToLower()."""
    return re.sub(r'(?<=[^A-Z.])(?=[A-Z])', '_', full_name).lower().replace('.', '__')


def load(path):
    files = descriptor_pb2.FileDescriptorSet.FromString(open(path, 'rb').read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return files, pool


def all_messages(files):
    def walk(prefix, message):
        if message.options.map_entry:
            return
        yield prefix + message.name
        for nested in message.nested_type:
            yield from walk(prefix + message.name + '.', nested)
    for file in files.file:
        for message in file.message_type:
            yield from walk(file.package + '.', message)


class Driver:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, verb, name, data):
        self.process.stdin.write(f'{verb} {name} {data.hex() or "-"}\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip('\n')
        if not answer:
            raise SystemExit(f'the driver died on {verb} {name} {data[:2000]!r}')
        word, _, rest = answer.partition(' ')
        return word == 'ok', rest

    def bytes(self, verb, name, data):
        """The answer's bytes, or None and why."""
        ok, rest = self.ask(verb, name, data)
        return (bytes.fromhex(rest), '') if ok else (None, rest)


class Maker:
    """Random messages, small and full of edges."""

    def __init__(self, seed, classes):
        self.random = random.Random(seed)
        self.classes = classes

    def fill(self, message, depth=0):
        name = message.DESCRIPTOR.full_name
        special = getattr(self, 'fill_' + name.rpartition('.')[2], None) if name.startswith('google.protobuf.') else None
        if special is not None:
            special(message, depth)
            return message
        dense = self.random.choice((0.2, 0.5, 1.0))
        for field in message.DESCRIPTOR.fields:
            if self.random.random() > dense or (depth > 3 and field.message_type is not None):
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                self.fill_map(getattr(message, field.name), field, depth)
            elif field.is_repeated:
                self.fill_list(getattr(message, field.name), field, depth)
            elif field.message_type is not None:
                inner = getattr(message, field.name)
                inner.SetInParent()
                self.fill(inner, depth + 1)
            else:
                setattr(message, field.name, self.scalar(field))
        return message

    def fill_list(self, items, field, depth):
        for _ in range(self.random.choice((1, 2, 5))):
            if field.message_type is not None:
                self.fill(items.add(), depth + 1)
            else:
                items.append(self.scalar(field))

    def fill_map(self, items, field, depth):
        key, value = (field.message_type.fields_by_name[n] for n in ('key', 'value'))
        for _ in range(self.random.choice((1, 2, 5))):
            if value.message_type is not None:
                inner = items[self.scalar(key)]
                inner.Clear()
                self.fill(inner, depth + 1)
            else:
                items[self.scalar(key)] = self.scalar(value)

    def scalar(self, field):
        r = self.random
        kind = field.type
        if kind in (field.TYPE_INT32, field.TYPE_SINT32, field.TYPE_SFIXED32):
            return r.choice((0, 1, -1, 2 ** 31 - 1, -2 ** 31, r.randint(-2 ** 31, 2 ** 31 - 1)))
        if kind in (field.TYPE_UINT32, field.TYPE_FIXED32):
            return r.choice((0, 1, 2 ** 32 - 1, r.randint(0, 2 ** 32 - 1)))
        if kind in (field.TYPE_INT64, field.TYPE_SINT64, field.TYPE_SFIXED64):
            return r.choice((0, 1, -1, 2 ** 63 - 1, -2 ** 63, 2 ** 53 + 1, r.randint(-2 ** 63, 2 ** 63 - 1)))
        if kind in (field.TYPE_UINT64, field.TYPE_FIXED64):
            return r.choice((0, 1, 2 ** 64 - 1, 2 ** 53 + 1, r.randint(0, 2 ** 64 - 1)))
        if kind == field.TYPE_BOOL:
            return r.random() < 0.5
        if kind == field.TYPE_ENUM:
            if field.enum_type.full_name == 'google.protobuf.NullValue':
                return 0
            return r.choice([v.number for v in field.enum_type.values] + [1000 + r.randint(0, 9)])
        if kind == field.TYPE_STRING:
            return r.choice(TEXTS)
        if kind == field.TYPE_BYTES:
            return r.randbytes(r.randint(0, 9))
        if kind == field.TYPE_FLOAT:
            return r.choice(SINGLES + [r.uniform(-1e6, 1e6), r.uniform(-1, 1) * 10.0 ** r.randint(-44, 38)])
        return r.choice(FLOATS + [r.uniform(-1e6, 1e6), r.uniform(-1, 1) * 10.0 ** r.randint(-320, 308)])

    def nanos(self):
        return self.random.choice((0, 1, 999999999, 500000000, 123000, 1000, self.random.randint(0, 999999999)))

    def fill_Timestamp(self, message, _):
        low, high = -62135596800, 253402300799
        message.seconds = self.random.choice((0, low, high, -1, 951782400, 4107542400, self.random.randint(low, high)))
        message.nanos = self.nanos()

    def fill_Duration(self, message, _):
        sign = self.random.choice((1, -1))
        message.seconds = sign * self.random.choice((0, 1, 315576000000, self.random.randint(0, 10 ** 9)))
        message.nanos = sign * self.nanos()

    def fill_FieldMask(self, message, _):
        message.paths.extend(self.random.sample(['a', 'display_name', 'settings.mfa_required', 'a_b_c.d1.e_f'],
                                                self.random.randint(0, 4)))

    def fill_Any(self, message, depth):
        if self.random.random() < 0.1:
            return
        inner = self.fill(self.classes[self.random.choice(IN_ANY)](), depth + 2)
        message.type_url = 'type.googleapis.com/' + inner.DESCRIPTOR.full_name
        message.value = inner.SerializeToString(deterministic=True)

    def fill_Struct(self, message, depth):
        for _ in range(self.random.randint(0, 3)):
            self.fill(message.fields[self.random.choice(TEXTS)], depth + 1)

    def fill_ListValue(self, message, depth):
        for _ in range(self.random.randint(0, 3)):
            self.fill(message.values.add(), depth + 1)

    def fill_Value(self, message, depth):
        kind = self.random.choice(('null', 'number', 'string', 'bool') + (('struct', 'list') if depth < 5 else ()))
        if kind == 'null':
            message.null_value = 0
        elif kind == 'number':
            message.number_value = self.random.choice([f for f in FLOATS if abs(f) < 1e309 and f == f])
        elif kind == 'string':
            message.string_value = self.random.choice(TEXTS)
        elif kind == 'bool':
            message.bool_value = self.random.random() < 0.5
        elif kind == 'struct':
            message.struct_value.SetInParent()
            self.fill(message.struct_value, depth + 1)
        else:
            message.list_value.SetInParent()
            self.fill(message.list_value, depth + 1)


def equal(a, b):
    """As JSON; a float's text may have more digits than it needs."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, float) and isinstance(b, float) and a != b:
        return max(abs(a), abs(b)) < 1e-37 and struct.pack('f', a) == struct.pack('f', b)
    return type(a) is type(b) and a == b or {type(a), type(b)} == {int, float} and a == b


class Comparison:
    def __init__(self, pool, classes, driver):
        self.pool, self.classes, self.driver = pool, classes, driver
        self.passed = self.failed = self.ignored = 0

    def check(self, ok, text):
        self.passed += bool(ok)
        self.failed += not ok
        if not ok and self.failed <= 20:
            print('FAIL', text[:3000])

    def to_json(self, message, **options):
        return json_format.MessageToJson(message, descriptor_pool=self.pool, **options)

    def same(self, a, b):
        """An Any's bytes may hold a map in another order."""
        return (a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True)
                or (b'type.googleapis.com' in a.SerializeToString()
                    and equal(json.loads(self.to_json(a)), json.loads(self.to_json(b)))))

    def printed(self, message, verb='print', **options):
        name = message.DESCRIPTOR.full_name
        theirs = self.to_json(message, **options)
        ours, why = self.driver.bytes(verb, name, message.SerializeToString())
        if ours is None:
            self.check(False, f'{verb} {name}: {why}\n  {theirs}')
            return
        same = equal(json.loads(ours), json.loads(theirs))
        self.check(same, f'{verb} {name}\n  ours   {ours.decode()}\n  theirs {theirs}')

    def parsed(self, message, **options):
        name = message.DESCRIPTOR.full_name
        text = self.to_json(message, **options)
        ours, why = self.driver.bytes('parse', name, text.encode())
        if ours is None:
            self.check(False, f'parse {name}: {why}\n  {text}')
            return
        same = self.same(type(message).FromString(ours), message)
        self.check(same, f'parse {name}\n' + self.difference(type(message).FromString(ours), message))

    def difference(self, a, b):
        a, b = (self.to_json(m, sort_keys=True).split('\n') for m in (a, b))
        return '\n'.join(difflib.unified_diff(a, b, lineterm='', n=1))

    def there_and_back(self, message):
        name = message.DESCRIPTOR.full_name
        ours, why = self.driver.bytes('print', name, message.SerializeToString())
        back, why = self.driver.bytes('parse', name, ours) if ours is not None else (None, why)
        self.check(back is not None and self.same(type(message).FromString(back), message),
                   f'there and back {name}: {why} {ours}')

    def damaged(self, message, maker):
        """What both accept must mean the same."""
        text = self.to_json(message, indent=None)
        at = maker.random.randrange(len(text))
        text = text[:at] + maker.random.choice(('', *'"{}[],:0189.eE+-n ', 'null', 'true', '""')) + text[at + 1:]
        self.both(message, text, maker.random.random() < 0.5)

    def with_unknown(self, message, maker):
        """Members and enum names that nobody knows, ignored by both."""
        text = self.to_json(message, indent=None)
        at = maker.random.choice([i for i, byte in enumerate(text) if byte == '{']) + 1
        comma = '' if text[at] == '}' else ', '
        text = text[:at] + '"zzz": [{"a": 1, "b": null}, "}"]' + comma + text[at:]
        accepted = self.both(message, text.replace('COLOUR_BLUE', 'COLOUR_NONE'), True)
        self.ignored += accepted

    def both(self, message, text, lenient):
        """True when both accept."""
        name = message.DESCRIPTOR.full_name
        ours, _ = self.driver.bytes('lenient' if lenient else 'parse', name, text.encode())
        try:
            theirs = json_format.Parse(text, self.classes[name](), descriptor_pool=self.pool,
                                       ignore_unknown_fields=lenient)
        except Exception:  # it leaks errors of many kinds
            theirs = None
        accepted = ours is not None and theirs is not None
        same = not accepted or self.same(self.classes[name].FromString(ours), theirs)
        self.check(same, f'by both {name}: {text}')
        return accepted


def tables(comparison):
    """Texts by hand: what both accept, and what we refuse, with path and rule."""
    prefix = 'fixture.json.v1.'
    for name, text, canonical in ACCEPTED:
        full = name if '.' in name else prefix + name
        wire, why = comparison.driver.bytes('parse', full, text.encode())
        again, why = comparison.driver.bytes('print', full, wire) if wire is not None else (None, why)
        comparison.check(again is not None and again.decode() == canonical, f'{full} {text}: {why} {again}')
        try:
            theirs = json_format.Parse(canonical, comparison.classes[full](), descriptor_pool=comparison.pool)
        except json_format.ParseError as error:
            comparison.check(False, f'{full} {canonical}: refused by the other: {error}')
            continue
        comparison.check(wire is not None and comparison.same(comparison.classes[full].FromString(wire), theirs),
                         f'{full} {text}: not what {canonical} is')
    for name, text, expected in REFUSED:
        full = name if '.' in name else prefix + name
        data = text if isinstance(text, bytes) else text.encode()
        wire, why = comparison.driver.bytes('parse', full, data)
        comparison.check(wire is None and why == expected, f'{full} {text}: "{why}", not "{expected}"')


def main():
    files, pool = load(sys.argv[2] if sys.argv[1] == '--types' else sys.argv[1])
    names = sorted(set(all_messages(files)))
    if sys.argv[1] == '--types':
        for name in names:
            print(f'TYPE({c_name(name)})')
        return 0
    classes = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names}
    driver = Driver(sys.argv[2])
    comparison = Comparison(pool, classes, driver)
    maker = Maker(int(sys.argv[4]), classes)

    for name in names:
        fields = classes[name].DESCRIPTOR.fields
        maps = [f.name for f in sorted(fields, key=lambda f: f.number)
                if f.message_type is not None and f.message_type.GetOptions().map_entry]
        comparison.check(driver.ask('maps', name, b'') == (True, ' '.join(maps)), f'maps of {name}')
        for field in fields:
            default = re.sub('_+(.?)', lambda m: m.group(1).upper(), field.name)
            comparison.check(field.json_name == default, f'{field.full_name} has the json_name {field.json_name}')
    tables(comparison)
    ours = [n for n in names if n.startswith(OURS)]
    for i in range(int(sys.argv[3])):
        message = maker.fill(classes[ours[i % len(ours)]]())
        comparison.printed(message)
        comparison.printed(message, 'defaults', always_print_fields_with_no_presence=True)
        comparison.parsed(message)
        comparison.parsed(message, preserving_proto_field_name=True, use_integers_for_enums=True, indent=None)
        comparison.there_and_back(message)
        comparison.damaged(message, maker)
        comparison.with_unknown(message, maker)
    comparison.check(comparison.ignored > int(sys.argv[3]) // 2, f'unknown members ignored {comparison.ignored} times')
    driver.process.stdin.close()
    comparison.check(driver.process.wait() == 0, 'the driver ended badly')
    print(f'{comparison.passed} passed, {comparison.failed} failed')
    return 0 if comparison.failed == 0 and comparison.passed > 0 else 1


if __name__ == '__main__':
    sys.exit(main())
