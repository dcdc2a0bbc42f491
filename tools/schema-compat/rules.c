/* The table of rules; see rules.h.  `schema-compat rules` prints it. */
#include "rules.h"

#include <assert.h>
#include <string.h>

#define ROW(rule, sets, what, why, instead) [RULE_##rule] = {#rule, sets, what, why, instead}

static const struct rule_text rule_texts[RULE_COUNT] = {
    ROW(ENUM_NO_DELETE, SET_FILE | SET_CSR, "an enum stays in its file",
        "Programs that name it, or import it from this file, no longer compile.",
        "Leave it, marked `option deprecated = true`. To move it, make the new one "
        "beside it and let new fields use that."),
    ROW(ENUM_SAME_JSON_FORMAT, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_CSR | SET_EVENT,
        "an enum keeps its JSON form",
        "A proto2 enum promises no JSON: readers of the JSON form may refuse what a proto3 "
        "enum wrote.",
        "Keep the syntax of the file; put new enums into a new file."),
    ROW(ENUM_SAME_TYPE, SET_FILE | SET_PACKAGE | SET_EVENT, "an enum stays open or closed",
        "A closed enum (proto2) drops numbers that it does not know into unknown fields, an "
        "open one (proto3) shows them: readers compiled before see other values, and "
        "`switch` statements miss or gain cases.",
        "Keep the syntax of the file; make a new enum in a new file and a new field that "
        "uses it."),
    ROW(ENUM_VALUE_NO_DELETE, SET_FILE | SET_PACKAGE | SET_CSR | SET_EVENT, "an enum value stays",
        "Programs that name the value no longer compile, and what was stored or is still "
        "sent with its number loses its meaning.",
        "Keep it, marked `[deprecated = true]`, and stop writing it."),
    ROW(ENUM_VALUE_NO_DELETE_UNLESS_NAME_RESERVED, SET_WIRE_JSON | SET_CSR,
        "a deleted enum value leaves its name reserved",
        "Readers of JSON written before meet a name that later may stand for something else.",
        "Add `reserved \"NAME\";` to the enum, or keep the value, marked `[deprecated = "
        "true]`."),
    ROW(ENUM_VALUE_NO_DELETE_UNLESS_NUMBER_RESERVED, SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a deleted enum value leaves its number reserved",
        "The number still arrives from old writers and from storage; used again it would "
        "silently mean something else.",
        "Add `reserved NUMBER;` to the enum, or keep the value, marked `[deprecated = "
        "true]`."),
    ROW(ENUM_VALUE_SAME_NAME, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_CSR | SET_EVENT,
        "an enum value keeps its name",
        "Programs that use the old name no longer compile, and JSON carries the name: old "
        "readers refuse the new one.",
        "Keep the name. With `option allow_alias = true` a second name for the same "
        "number can stand beside it."),
    ROW(EXTENSION_MESSAGE_NO_DELETE, SET_FILE | SET_PACKAGE | SET_CSR | SET_EVENT,
        "an extension range stays",
        "Extensions that other files declare in this range no longer compile.",
        "Keep the range; add another one beside it."),
    ROW(EXTENSION_NO_DELETE, SET_FILE, "an extension stays in its file",
        "Programs that read it by name no longer compile; options that use it become unknown "
        "fields.",
        "Leave it, marked `[deprecated = true]`."),
    ROW(FIELD_NO_DELETE, SET_FILE | SET_PACKAGE | SET_CSR | SET_EVENT, "a field stays",
        "Programs that set or read it no longer compile; old writers still send it and its "
        "content is dropped without a word.",
        "Keep it, marked `[deprecated = true]`, and stop reading it once no writer sends "
        "it."),
    ROW(FIELD_NO_DELETE_UNLESS_NAME_RESERVED, SET_WIRE_JSON | SET_CSR,
        "a deleted field leaves its name reserved",
        "Old writers still send JSON with this name; used again it would be read as "
        "something else.",
        "Add `reserved \"NAME\";` to the message, or keep the field, marked `[deprecated "
        "= true]`."),
    ROW(FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED, SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a deleted field leaves its number reserved",
        "Old writers and stored bytes still carry the number; used again it would be read as "
        "something else, or break the parser.",
        "Add `reserved NUMBER;` to the message, or keep the field, marked `[deprecated = "
        "true]`."),
    ROW(FIELD_SAME_CARDINALITY, SET_FILE | SET_PACKAGE | SET_EVENT,
        "a field stays single, optional, required, repeated or a map",
        "The accessors of generated code change (has_x, lists, maps): callers no longer "
        "compile. Between single and repeated, old readers keep only the last element.",
        "Add a new field under a new number, fill both while readers move, mark the old "
        "one deprecated."),
    ROW(FIELD_SAME_CPP_STRING_TYPE, SET_FILE | SET_PACKAGE, "a field keeps its C++ string type",
        "C++ accessors take and return another type (ctype): callers no longer compile.",
        "Leave the option as it is; add a new field if C++ needs another type."),
    ROW(FIELD_SAME_DEFAULT, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR | SET_EVENT,
        "a field keeps its default",
        "A field that was not sent is read as another value by new readers than its writer "
        "meant.",
        "Keep the default, and write the wanted value out."),
    ROW(FIELD_SAME_JAVA_UTF8_VALIDATION, SET_FILE | SET_PACKAGE,
        "a string keeps its check for UTF-8 in Java",
        "Java readers begin to refuse, or to let through, strings that are not UTF-8.",
        "Leave java_string_check_utf8 as it is; use `bytes` in a new field for what is "
        "not text."),
    ROW(FIELD_SAME_JSON_NAME, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_CSR | SET_EVENT,
        "a field keeps its JSON name",
        "JSON from old writers is read without this field, and old readers refuse or ignore "
        "the new name.",
        "Keep the name, or keep the old one by `[json_name = \"...\"]`."),
    ROW(FIELD_SAME_JSTYPE, SET_FILE | SET_PACKAGE, "a field keeps its JavaScript type",
        "JavaScript gets a string where it had a number, or the reverse.",
        "Leave the option as it is; add a new field with the wanted jstype."),
    ROW(FIELD_SAME_NAME, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_CSR | SET_EVENT,
        "a field keeps its name",
        "Programs that use the old name no longer compile; JSON and field masks carry the "
        "name, so old and new sides misunderstand each other. Under the same number it may "
        "even be another field.",
        "Keep the name. For another meaning add a new field under a new number."),
    ROW(FIELD_SAME_ONEOF, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR | SET_EVENT,
        "a field stays in its oneof, or outside",
        "A reader clears the other members of a oneof: what old writers send together, new "
        "readers see as the last one only.",
        "Add a new field under a new number in the place that is wanted; mark the old "
        "one deprecated."),
    ROW(FIELD_SAME_TYPE, SET_FILE | SET_PACKAGE | SET_CSR | SET_EVENT, "a field keeps its type",
        "Generated accessors change type: callers no longer compile. Where the encoding "
        "differs, old bytes cannot be read at all.",
        "Add a new field of the new type under a new number, fill both while readers "
        "move, mark the old one deprecated."),
    ROW(FIELD_SAME_UTF8_VALIDATION, SET_FILE | SET_PACKAGE | SET_EVENT,
        "a string keeps its check for UTF-8",
        "Strings that are not UTF-8 pass on one side and end the parse on the other.",
        "Keep the syntax of the file; use `bytes` in a new field for what is not text."),
    ROW(FIELD_WIRE_COMPATIBLE_CARDINALITY, SET_WIRE, "a field stays single or repeated on the wire",
        "Old readers keep the last of several elements, or wait for a required field that no "
        "longer comes.",
        "Add a new field under a new number."),
    ROW(FIELD_WIRE_COMPATIBLE_TYPE, SET_WIRE, "a field keeps an encoding that both sides read",
        "Old readers misread the bytes or fail on them: the encodings of the two types "
        "differ.",
        "Add a new field of the new type under a new number, fill both while readers "
        "move."),
    ROW(FIELD_WIRE_JSON_COMPATIBLE_CARDINALITY, SET_WIRE_JSON | SET_CSR,
        "a field stays single, list or map in bytes and JSON",
        "JSON has a value where a list or an object was, and readers refuse it.",
        "Add a new field under a new number."),
    ROW(FIELD_WIRE_JSON_COMPATIBLE_TYPE, SET_WIRE_JSON | SET_CSR,
        "a field keeps a form that both sides read in bytes and JSON",
        "The bytes or the JSON of one type are refused or misread as the other: 64-bit "
        "numbers are strings in JSON, 32-bit ones are not.",
        "Add a new field of the new type under a new number, fill both while readers "
        "move."),
    ROW(FILE_NO_DELETE, SET_FILE | SET_CSR, "a file stays",
        "Files that import it no longer compile, and so does every program that uses what "
        "was in it.",
        "Leave the file with its deprecated content; a file that moved can stay behind "
        "with `import public` of the new one."),
    ROW(FILE_SAME_CC_ENABLE_ARENAS, SET_FILE | SET_PACKAGE,
        "a file keeps the option cc_enable_arenas",
        "C++: code that allocates the messages on an arena no longer compiles or leaks.",
        "Leave `cc_enable_arenas` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_CC_GENERIC_SERVICES, SET_FILE | SET_PACKAGE,
        "a file keeps the option cc_generic_services",
        "C++: the abstract service classes that implementations derive from appear or "
        "disappear.",
        "Leave `cc_generic_services` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_CSHARP_NAMESPACE, SET_FILE | SET_PACKAGE,
        "a file keeps the option csharp_namespace",
        "C#: every using directive and type name of the generated code changes.",
        "Leave `csharp_namespace` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_GO_PACKAGE, SET_FILE | SET_PACKAGE, "a file keeps the option go_package",
        "Go: every import path or package name of the generated code changes.",
        "Leave `go_package` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_JAVA_GENERIC_SERVICES, SET_FILE | SET_PACKAGE,
        "a file keeps the option java_generic_services",
        "Java: the abstract service classes that implementations derive from appear or "
        "disappear.",
        "Leave `java_generic_services` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_JAVA_MULTIPLE_FILES, SET_FILE | SET_PACKAGE,
        "a file keeps the option java_multiple_files",
        "Java: classes move into or out of the outer class: every import of them changes.",
        "Leave `java_multiple_files` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_JAVA_OUTER_CLASSNAME, SET_FILE | SET_PACKAGE,
        "a file keeps the option java_outer_classname",
        "Java: every reference through the outer class changes.",
        "Leave `java_outer_classname` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_JAVA_PACKAGE, SET_FILE | SET_PACKAGE, "a file keeps the option java_package",
        "Java: every import of the generated code changes.",
        "Leave `java_package` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_OBJC_CLASS_PREFIX, SET_FILE | SET_PACKAGE,
        "a file keeps the option objc_class_prefix", "Objective-C: every class gets another name.",
        "Leave `objc_class_prefix` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_OPTIMIZE_FOR, SET_FILE | SET_PACKAGE, "a file keeps the option optimize_for",
        "C++ and Java: generated code gains or loses the methods that the full runtime has; "
        "with LITE_RUNTIME there is no reflection.",
        "Leave `optimize_for` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_PACKAGE, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a file keeps its package",
        "Every type and service gets another name: RPC paths, Any type URLs and generated "
        "names all change.",
        "Make a new package (…v2) in a new file and serve both."),
    ROW(FILE_SAME_PHP_CLASS_PREFIX, SET_FILE | SET_PACKAGE,
        "a file keeps the option php_class_prefix", "PHP: every class gets another name.",
        "Leave `php_class_prefix` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_PHP_METADATA_NAMESPACE, SET_FILE | SET_PACKAGE,
        "a file keeps the option php_metadata_namespace", "PHP: the metadata classes move.",
        "Leave `php_metadata_namespace` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_PHP_NAMESPACE, SET_FILE | SET_PACKAGE, "a file keeps the option php_namespace",
        "PHP: every use statement of the generated code changes.",
        "Leave `php_namespace` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_PY_GENERIC_SERVICES, SET_FILE | SET_PACKAGE,
        "a file keeps the option py_generic_services",
        "Python: the abstract service classes that implementations derive from appear or "
        "disappear.",
        "Leave `py_generic_services` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_RUBY_PACKAGE, SET_FILE | SET_PACKAGE, "a file keeps the option ruby_package",
        "Ruby: every module path of the generated code changes.",
        "Leave `ruby_package` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_SWIFT_PREFIX, SET_FILE | SET_PACKAGE, "a file keeps the option swift_prefix",
        "Swift: every type gets another name.",
        "Leave `swift_prefix` as it was; a new value belongs into a new file."),
    ROW(FILE_SAME_SYNTAX, SET_FILE | SET_PACKAGE | SET_CSR, "a file keeps its syntax",
        "Presence, defaults, open enums and generated accessors all follow the syntax.",
        "Keep it; new files may use the newer one."),
    ROW(MESSAGE_NO_DELETE, SET_FILE | SET_CSR, "a message stays in its file",
        "Programs that name it, or import it from this file, no longer compile; stored "
        "messages of the type cannot be read.",
        "Leave it, marked `option deprecated = true`."),
    ROW(MESSAGE_NO_REMOVE_STANDARD_DESCRIPTOR_ACCESSOR, SET_FILE | SET_PACKAGE | SET_CSR,
        "a message keeps its standard descriptor accessor",
        "C++ and Java code that calls descriptor() no longer compiles.",
        "Leave no_standard_descriptor_accessor unset."),
    ROW(MESSAGE_SAME_JSON_FORMAT, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_CSR | SET_EVENT,
        "a message keeps its JSON form",
        "A proto2 message promises no JSON: clients of the JSON form may be refused.",
        "Keep the syntax of the file; put new messages into a new file."),
    ROW(MESSAGE_SAME_REQUIRED_FIELDS,
        SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR | SET_EVENT,
        "required fields neither come nor go",
        "A side that does not know of the field cannot send it, and a side that requires it "
        "refuses the whole message.",
        "Add it as optional and check it in code; keep a required field for ever."),
    ROW(ONEOF_NO_DELETE, SET_FILE | SET_PACKAGE | SET_CSR | SET_EVENT, "a oneof stays",
        "Programs that ask which member is set no longer compile.",
        "Leave the oneof; add new fields outside of it."),
    ROW(PACKAGE_ENUM_NO_DELETE, SET_PACKAGE | SET_EVENT, "an enum stays in its package",
        "Programs that name it no longer compile.",
        "Leave it, marked `option deprecated = true`. It may move to another file of the "
        "package."),
    ROW(PACKAGE_EXTENSION_NO_DELETE, SET_PACKAGE, "an extension stays in its package",
        "Programs that read it by name no longer compile; options that use it become unknown "
        "fields.",
        "Leave it, marked `[deprecated = true]`. It may move to another file of the "
        "package."),
    ROW(PACKAGE_MESSAGE_NO_DELETE, SET_PACKAGE | SET_EVENT, "a message stays in its package",
        "Programs that name it no longer compile; stored messages of the type cannot be "
        "read.",
        "Leave it, marked `option deprecated = true`. It may move to another file of the "
        "package."),
    ROW(PACKAGE_NO_DELETE, SET_PACKAGE | SET_EVENT, "a package stays",
        "Everything in it is gone: callers fail with UNIMPLEMENTED, programs no longer "
        "compile.",
        "Serve the old package beside the new one until nobody calls it, then take it "
        "out of the gate in a change of its own."),
    ROW(PACKAGE_SERVICE_NO_DELETE, SET_PACKAGE, "a service stays in its package",
        "Clients that call it are answered UNIMPLEMENTED.",
        "Leave it, marked `option deprecated = true`. It may move to another file of the "
        "package."),
    ROW(RESERVED_ENUM_NO_DELETE,
        SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR | SET_EVENT,
        "what an enum has reserved stays reserved",
        "A number or name that was given up on purpose can be used again, while old writers "
        "and storage still hold its first meaning.",
        "Put the reservation back; take the next free number."),
    ROW(RESERVED_MESSAGE_NO_DELETE,
        SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR | SET_EVENT,
        "what a message has reserved stays reserved",
        "A number or name that was given up on purpose can be used again, while old writers "
        "and storage still hold its first meaning.",
        "Put the reservation back; take the next free number."),
    ROW(RPC_NO_DELETE, SET_FILE | SET_PACKAGE, "a method stays",
        "Clients that call it are answered UNIMPLEMENTED.",
        "Leave it, marked `option deprecated = true`, answering as before, until its "
        "call counter stays at zero."),
    ROW(RPC_SAME_CLIENT_STREAMING, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a method keeps its kind of requests",
        "Generated stubs change form, and a client of one kind cannot talk to a server of "
        "the other.",
        "Add a new method beside it."),
    ROW(RPC_SAME_IDEMPOTENCY_LEVEL, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a method keeps its idempotency level",
        "Clients and proxies retry, cache or use GET on the strength of it; a weaker level "
        "makes their retries write twice.",
        "Add a new method with the other level."),
    ROW(RPC_SAME_REQUEST_TYPE, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a method keeps its request type",
        "Clients send bytes of the old type, which the server reads as the new one.",
        "Add fields to the request message, or add a new method."),
    ROW(RPC_SAME_RESPONSE_TYPE, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a method keeps its response type", "Clients read the answer as the old type.",
        "Add fields to the response message, or add a new method."),
    ROW(RPC_SAME_SERVER_STREAMING, SET_FILE | SET_PACKAGE | SET_WIRE_JSON | SET_WIRE | SET_CSR,
        "a method keeps its kind of answers",
        "Generated stubs change form, and a client of one kind cannot talk to a server of "
        "the other.",
        "Add a new method beside it."),
    ROW(SERVICE_NO_DELETE, SET_FILE, "a service stays in its file",
        "Programs that import it from this file no longer compile; when it is gone, clients "
        "are answered UNIMPLEMENTED.",
        "Leave it, marked `option deprecated = true`."),
    ROW(EVENT_DRAFT_NOT_REFERRED_TO, SET_EVENT, "nothing released refers to a draft",
        "A draft may change at will; through the reference it would change a released event "
        "that consumers have stored.",
        "Release the draft first (take it out of the drafts), or leave the field away "
        "until then."),
    ROW(EVENT_ENUM_NO_NARROW, SET_EVENT, "an enum that events use only grows",
        "Events with the lost value are stored and will be replayed: consumers meet a number "
        "without a meaning, and generated code that named it no longer compiles.",
        "Keep the value, marked `[deprecated = true]`; stop producing it."),
    ROW(EVENT_ENVELOPE_ADDITIVE, SET_EVENT, "the envelope only gets new fields",
        "Relays, archives and dead-letter tools of every service read this envelope, also "
        "those that nobody rebuilds.",
        "Leave what is there exactly as it is and add a new field under the next free "
        "number, outside any oneof, not required."),
    ROW(EVENT_FIELD_NAME_NO_REUSE, SET_EVENT,
        "a field name of an event is never given to another number",
        "Consumers of the JSON form and of archives read old events by name: the name would "
        "mean two things.",
        "Take another name."),
    ROW(EVENT_FIELD_NUMBER_NO_REUSE, SET_EVENT, "a field number of an event is never used again",
        "Events are stored for months and replayed: old bytes would be read as the new "
        "field, in silence.",
        "Take a number that no released image has used or reserved."),
    ROW(EVENT_PAYLOAD_DUAL_PUBLISH, SET_EVENT,
        "a payload version goes only after a release with its successor beside it",
        "Consumers of the old version get nothing from the moment it stops being published.",
        "Publish the successor (the same name in the package vN+1, or the name with "
        "V<N+1>) beside it for at least one release, then declare it with `retired`.")};

static const char *const set_names[] = {"FILE", "PACKAGE", "WIRE_JSON", "WIRE", "CSR", "EVENT"};
#define SET_COUNT (sizeof set_names / sizeof set_names[0])
static_assert(1U << (SET_COUNT - 1) == SET_EVENT, "every set has a name");

const struct rule_text *rule_text(enum rule rule)
{
    assert(rule < RULE_COUNT);
    return &rule_texts[rule];
}

enum rule rule_find(const char *name)
{
    enum rule rule = 0;
    while (rule < RULE_COUNT && strcmp(rule_texts[rule].name, name) != 0)
        rule++;
    return rule;
}

unsigned rule_set_find(const char *name)
{
    for (size_t i = 0; i < SET_COUNT; i++) {
        if (strcmp(set_names[i], name) == 0)
            return 1U << i;
    }
    return 0;
}

const char *rule_set_name(size_t index)
{
    return index < SET_COUNT ? set_names[index] : NULL;
}
