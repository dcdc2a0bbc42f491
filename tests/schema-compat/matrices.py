"""Every pair of types, and every pair of defaults, as two proto files with one field a line: the lines of the findings tell which
pairs are compatible."""
import itertools

SCALARS = ["int32", "int64", "uint32", "uint64", "bool", "sint32", "sint64", "string", "bytes", "fixed32", "sfixed32", "fixed64", "sfixed64",
           "double", "float"]
TYPES = SCALARS + ["Kind", "Other.Kind", "Less.Kind", "Third", "Note", "Other.Note"]
LABELS = ["", "optional ", "repeated ", "map<string, string> "]
COMMON = """
enum Kind { KIND_NONE = 0; KIND_ONE = 1; }
message Other { enum Kind { KIND_NONE = 0; KIND_ONE = 1; KIND_TWO = 2; } message Note {} }
message Less { enum Kind { KIND_NONE = 0; } }
enum Third { THIRD_NONE = 0; THIRD_ONE = 1; }
message Note {}
"""
DEFAULTS = {
    "int32": ["0", "4", "-4"], "uint64": ["0", "4", "18446744073709551615"], "sint64": ["-9223372036854775808", "9223372036854775807"],
    "double": ["0", "0.1", "4", "inf", "-inf", "nan", "18446744073709551615"], "float": ["0.1", "4", "inf", "nan"],
    "bool": ["true", "false"], "string": ['""', '"a"', '"\\n"', '"\\\\n"'],
    "bytes": ['""', '"a"', '"\\001"', '"\\n"', '"\\012"', '"\\377\\x01"', '"y\\001"', '"\\"\\\'"'], "Kind": ["KIND_NONE", "KIND_ONE"],
}


def both(head, pairs):
    """Two files: line by line the left and the right of the pairs."""
    sides = []
    for side in (0, 1):
        lines = [f"  {pair[side].format(name=f'f{i}', number=i)}" for i, pair in enumerate(pairs, 1)]
        sides.append(f'syntax = "{head}";\npackage a.v1;{COMMON}message M {{\n' + "\n".join(lines) + "\n}\n")
    return sides


def type_pairs():
    return both("proto3", [tuple(f"{kind} {{name}} = {{number}};" for kind in pair) for pair in itertools.product(TYPES, TYPES)])


def label_pairs():
    def line(label, kind):
        return f"{label}{{name}} = {{number}};" if label.startswith("map") else f"{label}{kind} {{name}} = {{number}};"
    pairs = itertools.product(itertools.product(LABELS, ["string", "int64"]), repeat=2)
    return both("proto3", [(line(*old), line(*new)) for old, new in pairs])


def default_pairs():
    kinds = [f"optional {kind} {{name}} = {{number}}{value};" for kind, values in DEFAULTS.items()
             for value in [""] + [f" [default = {text}]" for text in values]]
    return both("proto2", list(itertools.product(kinds, kinds)))


MATRICES = {"types": type_pairs(), "labels": label_pairs(), "defaults": default_pairs()}
