"""For every rule an edit that breaks it and an edit of the same place that does not.

A side is the text of a.proto behind the usual head, or {name: whole text}.  Where `bad` must break other rules too,
only the case's own is switched on, so that each rule is seen by itself."""

HEAD = 'syntax = "proto3";\npackage a.v1;\n'
HEAD2 = 'syntax = "proto2";\npackage a.v1;\n'


def files(side):
    if isinstance(side, dict):
        return side
    return {"a.proto": side if side.startswith("syntax") else HEAD + side}


def option(name, before, after):
    return (f"FILE_SAME_{name.upper()}", f"option {name} = {before};\nmessage M {{}}\n",
            f"option {name} = {after};\nmessage M {{}}\n", f"option {name} = {before};\nmessage M {{ int32 x = 1; }}\n")


FIELDS = "message M {\n  string name = 1;\n  int64 count = 2;\n}\n"
ENUM = "enum E {\n  E_NONE = 0;\n  E_ONE = 1;\n}\n"
CALL = "message A {}\nmessage B {}\nservice S {\n  rpc Get(A) returns (B);\n}\n"
EXTENDED = HEAD2 + "message M {\n  extensions 100 to 200;\n}\n"
EXTENSION = EXTENDED + "extend M {\n  optional string note = 100;\n}\n"
ONEOF = "message M {\n  oneof kind {\n    string a = 1;\n    string b = 2;\n  }\n  string c = 3;\n}\n"
RESERVED = "message M {\n  reserved 5, 7 to 9;\n  reserved \"gone\";\n  string name = 1;\n}\n"

# (rule, released, breaking, compatible)
CASES = [
    ("ENUM_NO_DELETE", ENUM, "message M {}\n", ENUM + "message M {}\n"),
    ("ENUM_SAME_JSON_FORMAT", ENUM, HEAD2 + ENUM, ENUM + "enum F { F_NONE = 0; }\n"),
    ("ENUM_SAME_TYPE", ENUM, HEAD2 + ENUM, ENUM.replace("}", "  E_TWO = 2;\n}")),
    ("ENUM_VALUE_NO_DELETE", ENUM, ENUM.replace("  E_ONE = 1;\n", "  reserved 1;\n  reserved \"E_ONE\";\n"),
     ENUM.replace("= 1;", "= 1 [deprecated = true];")),
    ("ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED", ENUM, ENUM.replace("E_ONE = 1", "reserved 1"),
     ENUM.replace("E_ONE = 1", 'reserved "E_ONE"')),
    ("ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED", ENUM, ENUM.replace("E_ONE = 1", 'reserved "E_ONE"'),
     ENUM.replace("E_ONE = 1", "reserved 1")),
    ("ENUM_VALUE_SAME_NAME", ENUM, ENUM.replace("E_ONE", "E_FIRST"),
     ENUM.replace("{", "{\n  option allow_alias = true;").replace("}", "  E_FIRST = 1;\n}")),
    ("EXTENSION_MESSAGE_NO_DELETE", EXTENDED, EXTENDED.replace("to 200", "to 199"), EXTENDED.replace("to 200", "to 201")),
    ("EXTENSION_NO_DELETE", EXTENSION, EXTENDED, EXTENSION.replace("100;\n}", "100;\n  optional string more = 101;\n}")),
    ("FIELD_NO_DELETE", FIELDS, FIELDS.replace("int64 count = 2", 'reserved 2; reserved "count"'),
     FIELDS.replace("= 2;", "= 2 [deprecated = true];")),
    ("FIELD_NO_DELETE_UNLESS_NAME_RESERVED", FIELDS, FIELDS.replace("int64 count = 2", "reserved 2"),
     FIELDS.replace("int64 count = 2", 'reserved "count"')),
    ("FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED", FIELDS, FIELDS.replace("int64 count = 2", 'reserved "count"'),
     FIELDS.replace("int64 count = 2", "reserved 2")),
    ("FIELD_SAME_CARDINALITY", FIELDS, FIELDS.replace("int64", "optional int64"), FIELDS.replace("}", "  optional int64 n = 3;\n}")),
    ("FIELD_SAME_CPP_STRING_TYPE", FIELDS, FIELDS.replace("= 1;", "= 1 [ctype = CORD];"), FIELDS.replace("= 1;", "= 1 [ctype = STRING];")),
    ("FIELD_SAME_DEFAULT", HEAD2 + "message M {\n  optional int32 n = 1 [default = 4];\n}\n",
     HEAD2 + "message M {\n  optional int32 n = 1 [default = 5];\n}\n",
     HEAD2 + "message M {\n  optional int32 n = 1 [default = 0x4];\n}\n"),
    ("FIELD_SAME_JAVA_UTF8_VALIDATION", HEAD2 + "message M {\n  optional string s = 1;\n}\n",
     HEAD2 + "option java_string_check_utf8 = true;\nmessage M {\n  optional string s = 1;\n}\n",
     HEAD2 + "option java_string_check_utf8 = false;\nmessage M {\n  optional string s = 1;\n}\n"),
    ("FIELD_SAME_JSON_NAME", FIELDS, FIELDS.replace("= 1;", '= 1 [json_name = "label"];'), FIELDS.replace("= 1;", '= 1 [json_name = "name"];')),
    ("FIELD_SAME_JSTYPE", FIELDS, FIELDS.replace("= 2;", "= 2 [jstype = JS_STRING];"), FIELDS.replace("= 2;", "= 2 [jstype = JS_NORMAL];")),
    ("FIELD_SAME_NAME", FIELDS, FIELDS.replace("name", "label"), FIELDS.replace("}", "  string label = 3;\n}")),
    ("FIELD_SAME_ONEOF", ONEOF, ONEOF.replace("  }\n  string c = 3;\n", "    string c = 3;\n  }\n"), ONEOF.replace("  }\n", "    string d = 4;\n  }\n", 1)),
    ("FIELD_SAME_TYPE", FIELDS, FIELDS.replace("int64", "uint64"), FIELDS.replace("}", "  uint64 n = 3;\n}")),
    ("FIELD_SAME_UTF8_VALIDATION", HEAD + "message M {\n  string s = 1;\n}\n", HEAD2 + "message M {\n  optional string s = 1;\n}\n",
     HEAD + "message M {\n  string s = 1;\n  bytes b = 2;\n}\n"),
    ("FIELD_WIRE_COMPATIBLE_CARDINALITY", FIELDS, FIELDS.replace("int64", "repeated int64"), FIELDS.replace("int64", "optional int64")),
    ("FIELD_WIRE_COMPATIBLE_TYPE", FIELDS, FIELDS.replace("int64", "sint64"), FIELDS.replace("int64", "bool")),
    ("FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY",
     "message P {\n  string key = 1;\n  string value = 2;\n}\nmessage M {\n  map<string, string> m = 1;\n}\n",
     "message P {\n  string key = 1;\n  string value = 2;\n}\nmessage M {\n  repeated P m = 1;\n}\n",
     "message P {\n  string key = 1;\n  string value = 2;\n}\nmessage M {\n  map<string, string> m = 1;\n  repeated P p = 2;\n}\n"),
    ("FIELD_WIRE_JSON_COMPATIBLE_TYPE", FIELDS, FIELDS.replace("int64", "int32"), FIELDS.replace("int64", "uint64")),
    ("FILE_NO_DELETE", {"a.proto": HEAD + FIELDS, "b.proto": HEAD + ENUM}, {"a.proto": HEAD + FIELDS + ENUM},
     {"a.proto": HEAD + FIELDS, "b.proto": HEAD + ENUM, "c.proto": HEAD + "message N {}\n"}),
    option("cc_enable_arenas", "false", "true"),
    option("cc_generic_services", "false", "true"),
    option("csharp_namespace", '"A"', '"B"'),
    option("go_package", '"a.example/a"', '"a.example/b"'),
    option("java_generic_services", "false", "true"),
    option("java_multiple_files", "false", "true"),
    option("java_outer_classname", '"A"', '"B"'),
    option("java_package", '"a"', '"b"'),
    option("objc_class_prefix", '"AAA"', '"BBB"'),
    option("optimize_for", "SPEED", "CODE_SIZE"),
    ("FILE_SAME_PACKAGE", FIELDS, "syntax = \"proto3\";\npackage a.v2;\n" + FIELDS, FIELDS + ENUM),
    option("php_class_prefix", '"A"', '"B"'),
    option("php_metadata_namespace", '"A"', '"B"'),
    option("php_namespace", '"A"', '"B"'),
    option("py_generic_services", "false", "true"),
    option("ruby_package", '"A"', '"B"'),
    option("swift_prefix", '"A"', '"B"'),
    ("FILE_SAME_SYNTAX", HEAD + ENUM, HEAD2 + ENUM, HEAD + ENUM + "message M {}\n"),
    ("MESSAGE_NO_DELETE", FIELDS + "message N {}\n", FIELDS, FIELDS + "message N {}\nmessage O {}\n"),
    ("MESSAGE_NO_REMOVE_STANDARD_DESCRIPTOR_ACCESSOR", FIELDS,
     FIELDS.replace("{", "{\n  option no_standard_descriptor_accessor = true;"),
     FIELDS.replace("{", "{\n  option no_standard_descriptor_accessor = false;")),
    ("MESSAGE_SAME_JSON_FORMAT", "message M {}\n", HEAD2 + "message M {}\n", "message M {\n  string s = 1;\n}\n"),
    ("MESSAGE_SAME_REQUIRED_FIELDS", HEAD2 + "message M {\n  optional string s = 1;\n}\n",
     HEAD2 + "message M {\n  optional string s = 1;\n  required string t = 2;\n}\n",
     HEAD2 + "message M {\n  optional string s = 1;\n  optional string t = 2;\n}\n"),
    ("ONEOF_NO_DELETE", ONEOF, ONEOF.replace("oneof kind", "oneof sort"), ONEOF + "message N {\n  oneof other {\n    string x = 1;\n  }\n}\n"),
    ("PACKAGE_ENUM_NO_DELETE", ENUM + FIELDS, FIELDS, {"a.proto": HEAD + FIELDS, "b.proto": HEAD + ENUM}),
    ("PACKAGE_EXTENSION_NO_DELETE", EXTENSION, EXTENDED,
     {"a.proto": EXTENDED, "b.proto": HEAD2 + 'import "a.proto";\nextend M {\n  optional string note = 100;\n}\n'}),
    ("PACKAGE_MESSAGE_NO_DELETE", FIELDS + "message N {}\n", FIELDS, {"a.proto": HEAD + FIELDS, "b.proto": HEAD + "message N {}\n"}),
    ("PACKAGE_NO_DELETE", {"a.proto": HEAD + FIELDS, "b.proto": 'syntax = "proto3";\npackage b.v1;\nmessage N {}\n'}, {"a.proto": HEAD + FIELDS},
     {"a.proto": HEAD + FIELDS, "c.proto": 'syntax = "proto3";\npackage b.v1;\nmessage N {}\n'}),
    ("PACKAGE_SERVICE_NO_DELETE", CALL, "message A {}\nmessage B {}\n",
     {"a.proto": HEAD + "message A {}\nmessage B {}\n", "b.proto": HEAD + 'import "a.proto";\nservice S {\n  rpc Get(A) returns (B);\n}\n'}),
    ("RESERVED_ENUM_NO_DELETE", ENUM.replace("}", "  reserved 5 to 9;\n}"), ENUM.replace("}", "  reserved 5 to 8;\n}"),
     ENUM.replace("}", "  reserved 5 to 6, 7 to 9, 20 to max;\n}")),
    ("RESERVED_MESSAGE_NO_DELETE", RESERVED, RESERVED.replace('  reserved "gone";\n', ""), RESERVED.replace("7 to 9", "6 to 12")),
    ("RPC_NO_DELETE", CALL, CALL.replace("  rpc Get(A) returns (B);\n", ""), CALL.replace("(B);", "(B) {\n    option deprecated = true;\n  }")),
    ("RPC_SAME_CLIENT_STREAMING", CALL, CALL.replace("(A)", "(stream A)"), CALL.replace("}\n", "}\nmessage C {}\n", 1)),
    ("RPC_SAME_IDEMPOTENCY_LEVEL", CALL.replace("(B);", "(B) {\n    option idempotency_level = NO_SIDE_EFFECTS;\n  }"),
     CALL, CALL.replace("(B);", "(B) {\n    option idempotency_level = NO_SIDE_EFFECTS;\n    option deprecated = true;\n  }")),
    ("RPC_SAME_REQUEST_TYPE", CALL, CALL.replace("Get(A)", "Get(B)"), CALL.replace("message A {}", "message A {\n  string s = 1;\n}")),
    ("RPC_SAME_RESPONSE_TYPE", CALL, CALL.replace("returns (B)", "returns (A)"), CALL.replace("message B {}", "message B {\n  string s = 1;\n}")),
    ("RPC_SAME_SERVER_STREAMING", CALL, CALL.replace("returns (B)", "returns (stream B)"), CALL.replace("}\n", "}\nmessage C {}\n", 1)),
    ("SERVICE_NO_DELETE", CALL, "message A {}\nmessage B {}\n", CALL + "service T {\n  rpc Get(A) returns (B);\n}\n"),
]

ENVELOPE = "message Envelope {\n  string id = 1;\n  bytes payload = 3;\n}\n"
TWO_PACKAGES = {
    "a.proto": 'syntax = "proto3";\npackage a.v1;\nimport "b.proto";\nmessage Made {\n  b.v1.Kind kind = 1;\n}\n',
    "b.proto": 'syntax = "proto3";\npackage b.v1;\nenum Kind {\n  KIND_NONE = 0;\n  KIND_BIG = 1;\n}\n',
}


def edited(side, name, old, new):
    assert old in side[name]
    return {**side, name: side[name].replace(old, new)}


DRAFT = {"a.proto": HEAD + "message Made {\n  string id = 1;\n}\n",
         "d.proto": 'syntax = "proto3";\npackage a.draft;\nmessage Later {\n  string id = 1;\n}\n'}

# (rule, releases oldest first, breaking, compatible, options)
EVENT_CASES = [
    ("EVENT_ENUM_NO_NARROW", [TWO_PACKAGES], edited(TWO_PACKAGES, "b.proto", "  KIND_BIG = 1;\n", ""),
     edited(TWO_PACKAGES, "b.proto", "= 1;\n}", "= 1;\n  KIND_HUGE = 2;\n}"), ["--events", "a.v1"]),
    ("EVENT_ENVELOPE_ADDITIVE", [ENVELOPE], ENVELOPE.replace("= 1;", "= 1;\n  string late = 2;"),
     ENVELOPE.replace("= 3;", "= 3 [deprecated = true];\n  string late = 4;"), ["--envelope", "a.v1.Envelope"]),
    ("EVENT_ENVELOPE_ADDITIVE", [ENVELOPE], ENVELOPE.replace("= 3;", "= 3 [ctype = CORD];"),
     "message Other {}\n" + ENVELOPE, ["--envelope", "a.v1.Envelope"]),
    # deleted with a reservation, then used again: only the first release remembers
    ("EVENT_FIELD_NUMBER_NO_REUSE", [FIELDS, FIELDS.replace("  int64 count = 2;\n", "")],
     FIELDS.replace("int64 count", "int64 total"), FIELDS.replace("}", "  int64 total = 3;\n}"), ["--events", "a.v1"]),
    ("EVENT_FIELD_NUMBER_NO_REUSE", [RESERVED], RESERVED.replace("7 to 9", "8 to 9").replace("}", "  string x = 7;\n}"),
     RESERVED.replace("}", "  string x = 10;\n}"), ["--events", "a.v1"]),
    ("EVENT_FIELD_NAME_NO_REUSE", [FIELDS, FIELDS.replace("  int64 count = 2;\n", "")],
     FIELDS.replace("count = 2", "count = 3"), FIELDS.replace("count = 2", "count = 2; int64 sum = 3"), ["--events", "a.v1"]),
    ("EVENT_PAYLOAD_DUAL_PUBLISH", ["message Made {}\n", "message Made {}\nmessage Other {}\n"],
     "message MadeV2 {}\nmessage Other {}\n", "message Made {}\nmessage MadeV2 {}\nmessage Other {}\n",
     ["--events", "a.v1", "--retired", "a.v1.Made"]),
    ("EVENT_PAYLOAD_DUAL_PUBLISH", ["message Made {}\nmessage MadeV2 {}\nmessage Other {}\n"], "message MadeV2 {}\n",
     "message MadeV2 {}\nmessage Other {}\n", ["--events", "a.v1", "--retired", "a.v1.Made"]),
    ("EVENT_DRAFT_NOT_REFERRED_TO", [DRAFT["a.proto"]],
     DRAFT | {"a.proto": 'syntax = "proto3";\npackage a.v1;\nimport "d.proto";\nmessage Made {\n  string id = 1;\n  a.draft.Later later = 2;\n}\n'},
     DRAFT, ["--draft", "a.draft"]),
]
