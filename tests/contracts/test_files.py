"""What is no pact, or asks for what cannot be judged, is refused before anything is asked: status 2 and the place."""
import base64
import copy
import json

import pytest

import batch
import compile as pacts
import shop
from program import run

SOURCE = """
consumer: consumer
provider: shop
image: {image}
protos: [shop/v1/shop.proto, google/rpc/status.proto, google/rpc/error_details.proto]
interactions:
- description: buy
  given: [a state]
  call: shop.v1.Shop/Buy
  request: {{metadata: {{k: v}}, message: {{item: !state [v, !type pen]}}}}
  response: {{message: {{number: !regex ['N.*', N1], sealed: AAEC}}}}
- description: watch
  call: shop.v1.Shop/Watch
  request: {{message: {{item: pen}}}}
  response: [{{message: {{number: N1}}}}, {{message: {{number: N2}}}}]
- description: printed
  message: shop.v1.Receipt
  embedded: {{sealed: shop.v1.Sealed}}
  contents: {{number: N1, sealed: {{secret: s}}}}
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "good.yaml").write_text(SOURCE.format(image=shop.image(folder)))
    return json.loads(pacts.compile_pact(folder / "good.yaml"))


def refusal(folder, document):
    path = folder / "pact.json"
    path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
    done = run("match", "--interaction", "buy", path, path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"contract-verify: {path}: ") and done.stderr.count("\n") == 1
    return done.stderr[len(f"contract-verify: {path}: "):-1]


@pytest.mark.parametrize("data, text", [
    (b"", "line 1, column 0: '[' or '{' expected near end of file"),
    (b"{", "line 1, column 1"),
    (b"[]", "is no pact: metadata.pactSpecification.version is missing"),
    (b'{"a": 1, "a": 2}', "duplicate object key"),
    (b'{"a": "\xff"}', "unable to decode byte 0xff"),
    (b'{"a":' * 80 + b"1" + b"}" * 80, "is nested deeper than 64"),
    (b'"' + b"[" * 80 + b'"', "'[' or '{' expected"),
    (b" " * (17 << 20), None),
])
def test_no_pact(tmp_path, data, text):
    if text is None:
        (tmp_path / "pact.json").write_bytes(data)
        done = run("match", "--interaction", "buy", tmp_path / "pact.json", tmp_path / "pact.json")
        assert done.returncode == 2 and "larger than 16777216 bytes" in done.stderr
    else:
        assert text in refusal(tmp_path, data)


def change(path, value):
    """A function that sets what stands at the path of keys; deletes it when the value is ...; """
    def apply(document):
        place = document
        for key in path[:-1]:
            place = place[key]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value(place[path[-1]]) if callable(value) else value
    return apply


BUY, WATCH, PRINTED = (("interactions", i) for i in range(3))
BODY = (*BUY, "response", 0, "matchingRules", "body")


def configuration(document):
    return document["metadata"]["plugins"][0]["configuration"]


def rule(**matcher):
    return {"$.number": {"combine": "AND", "matchers": [matcher]}}


CASES = [
    (change(("metadata", "pactSpecification", "version"), "3.0.0"), "is of specification version 3.0.0; only 4 is understood"),
    (change(("consumer", "name"), ...), "consumer.name is missing"),
    (change(("provider",), ...), "provider.name is missing"),
    (change(("interactions",), {}), '"interactions" must be an array'),
    (change((*BUY, "description"), ...), "interaction 0: has no description"),
    (change((*BUY, "type"), "Synchronous/HTTP"), 'interaction 0 "buy": type is "Synchronous/HTTP"'),
    (change((*BUY, "transport"), "http"), 'interaction 0 "buy": transport is "http"; only grpc is spoken'),
    (change((*BUY, "providerStates"), [{}]), "a provider state has no name"),
    (change((*BUY, "pluginConfiguration"), ...), "a call needs pluginConfiguration.protobuf"),
    (change((*BUY, "pluginConfiguration", "protobuf", "descriptorKey"), "other"), "the descriptors other are not in the pact"),
    (change((*BUY, "pluginConfiguration", "protobuf", "service"), "Buy"), '"service" must be SERVICE/METHOD'),
    (change((*BUY, "pluginConfiguration", "protobuf", "service"), ".shop.v1.Shop/Sell"), "the method .shop.v1.Shop/Sell is not in"),
    (change((*BUY, "request"), ...), "a request must be an object"),
    (change((*BUY, "response"), []), '"response" must be an array of at least one'),
    (change((*BUY, "response"), lambda old: old + old), "/shop.v1.Shop/Buy gives one response"),
    (change((*BUY, "pluginConfiguration", "contract-verify"), {"requests": [{}]}), "/shop.v1.Shop/Buy takes one request"),
    (change((*BUY, "pluginConfiguration", "contract-verify"), {"leftOpen": True}), "leftOpen is for methods that answer with a stream"),
    (change((*BUY, "response", 0, "metadata", "grpc-status"), "GONE"), "grpc-status is no status of gRPC"),
    (change((*WATCH, "response", 0, "metadata", "grpc-status"), "NOT_FOUND"), "only the last response can have a grpc-status"),
    (change((*BUY, "request", "contents", "content"), "/w=="), "the contents are no shop.v1.Order"),
    (change((*BUY, "request", "contents", "content"), "#"), "contents are not base 64"),
    (change((*BUY, "request", "contents", "content"), 7), "contents must be a string"),
    (change((*BUY, "request", "contents", "encoded"), "gzip"), 'contents are encoded as "gzip", not base64'),
    (change((*BUY, "request", "contents", "contentType"), "text/plain"), "a request's contents must be application/protobuf"),
    (change((*BUY, "request", "contents", "contentType"), ...), "contents have no contentType"),
    (change((*PRINTED, "contents"), ...), "a message needs contents"),
    (change((*PRINTED, "pluginConfiguration", "protobuf", "message"), ".shop.v1.Bill"), "the message .shop.v1.Bill is not in"),
    (change((*PRINTED, "pluginConfiguration", "contract-verify", "embedded", "sealed"), ".shop.v1.Box"), "the type .shop.v1.Box of sealed"),
    (change(BODY, []), "matching rules must be an object of paths"),
    (change(BODY, {"$.number": {"match": "type"}}), '"matchers" must be an array'),
    (change(BODY, {"$.number": {"combine": "XOR", "matchers": []}}), "combine must be AND or OR"),
    (change(BODY, rule(regex="a")), 'a rule has no "match"'),
    (change(BODY, rule(match="magic")), 'the rules of $.number: the rule "magic" is not known here'),
    (change(BODY, rule(match="contentType", value="image/png")), 'the rule "contentType" is not known here'),
    (change(BODY, rule(match="regex", regex="a(")), "the regular expression \"a(\": missing closing parenthesis at 2"),
    (change(BODY, rule(match="regex")), 'the rule "regex" needs a string "regex"'),
    (change(BODY, rule(match="include")), 'the rule "include" needs a string "value"'),
    (change(BODY, rule(match="type", min=-1)), '"min" must be a number from 0 on'),
    (change(BODY, rule(match="date", format="yyyy-QQ")), "'Q' of the date pattern \"yyyy-QQ\" is not understood"),
    (change(BODY, rule(match="date", format="yyyy'T")), "a quote that is not closed"),
    (change(BODY, rule(match="eachKey", rules=7)), '"rules" must be an array'),
    (change(BODY, rule(match="arrayContains")), '"variants" must be an array'),
    (change(BODY, {"/number": {"matchers": []}}), 'the path "/number" must begin with $'),
    (change(BODY, {"$number": {"matchers": []}}), "needs '.' or '[' between its steps"),
    (change(BODY, {"$.": {"matchers": []}}), "needs a name or * behind the dot"),
    (change(BODY, {"$.a[": {"matchers": []}}), "needs a number, * or a quoted name in brackets"),
    (change(BODY, {"$.a['b": {"matchers": []}}), "needs a name between its quotes"),
    (change(BODY, {"$.a[1": {"matchers": []}}), "has a bracket that is not closed"),
    (change(BODY, {"$" + ".a" * 80: {"matchers": []}}), "has too many steps"),
    (change((*BUY, "request", "generators", "body"), {"$.item": {"type": "Magic"}}), 'the generator "Magic" of $.item is not known'),
    (change((*BUY, "request", "generators", "body"), {"$.item": {"type": "ProviderState"}}), "the generator of $.item has no expression"),
    (change((*BUY, "request", "generators", "body"), {"$.item": {"type": "RandomInt", "min": 2, "max": 1}}), "RandomInt needs min <= max"),
    (change((*BUY, "request", "generators", "body"), {"$.item": {"type": "RandomString", "size": 0}}), "must be from 1 to 4096"),
    (lambda d: configuration(d).update({key: {"protoDescriptors": "#"} for key in configuration(d)}), "are not base 64"),
    (lambda d: configuration(d).update({key: {"protoDescriptors": "AAAA"} for key in configuration(d)}), "not a FileDescriptorSet"),
]


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: CASES[i][1][:40])
def test_bad_pact(tmp_path, good, i):
    apply, text = CASES[i]
    document = copy.deepcopy(good)
    apply(document)
    assert text in refusal(tmp_path, document)


def nested(depth):
    matcher = {"match": "type"}
    for _ in range(depth):
        matcher = {"match": "eachValue", "rules": [matcher]}
    return matcher


def test_rules_inside_of_rules_end(tmp_path):
    document = batch.pact([batch.json_message("buy", {"a": 1}, {"$.a": {"matchers": [nested(20)]}})])
    assert "rules are nested too deeply" in refusal(tmp_path, document)


def test_messages_inside_of_messages_end(tmp_path, good):
    """A barter of a barter of a …: Receipt has none of itself, so an Any holds the next."""
    inner = b""
    for _ in range(90):
        value = b"\x0a\x23type.googleapis.com/shop.v1.Receipt\x12" + varint(len(inner)) + inner
        inner = b"\xfa\x01" + varint(len(value)) + value
    document = copy.deepcopy(good)
    document["interactions"][0]["response"][0]["contents"]["content"] = base64.b64encode(inner).decode()
    assert "messages are nested too deeply" in refusal(tmp_path, document)


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def test_an_expression_that_takes_too_long_does_not_match(tmp_path):
    (result,) = batch.judge_json(tmp_path, [({"a": "x"}, {"$.a": {"matchers": [{"match": "regex", "regex": "(a+a+)+[bc]"}]}},
                                             {"a": "a" * 60})])
    assert result[0] == "failed" and "takes too long" in result[1][0]["description"]


@pytest.mark.parametrize("arguments, text", [
    ((), '"" is no command; see --help'),
    (("frobnicate",), '"frobnicate" is no command'),
    (("verify",), "name pacts, or --broker and --provider"),
    (("verify", "--colour", "x"), "there is no option --colour here"),
    (("verify", "--interaction", "x"), "there is no option --interaction here"),
    (("verify", "x", "--timeout"), "--timeout needs TIME"),
    (("verify", "x", "--timeout", "soon"), '--timeout: "soon" is no duration such as 500ms, 10s or 2m'),
    (("verify", "x", "--timeout", "0s"), "is no duration"),
    (("verify", "x", "--timeout", "1s", "--timeout", "2s"), "--timeout is given twice"),
    (("verify", "x", "--publish=yes"), "--publish takes no value"),
    (("verify", "x", "--publish"), "--publish needs pacts of a broker and --version-number"),
    (("verify", "x", "--provider", "y"), "--provider is for pacts of a broker"),
    (("verify", "x", "--format", "xml"), '--format: "xml" is not text or json'),
    (("verify", "x", "--address", "a:1"), "--address needs --pki, or --ca-file, --cert-file and --key-file"),
    (("verify", "x", "--message-url", "a", "--message-command", "b"), "exclude each other"),
    (("verify", "x", "--provider-state-url", "a", "--provider-state-command", "b"), "exclude each other"),
    (("verify", "no-such-file"), "no-such-file: No such file or directory"),
    (("verify", "--broker", "http://127.0.0.1:1", "--provider", "p", "--publish", "--version-number", "1", "--filter", "x"),
     "--publish is for whole pacts"),
])
def test_wrong_usage(arguments, text):
    done = run(*arguments)
    assert done.returncode == 2 and text in done.stderr


def test_a_folder_without_pacts(tmp_path):
    done = run("verify", tmp_path)
    assert done.returncode == 2 and "no *.json in it" in done.stderr


def test_help_names_every_option():
    text = run("verify", "--help").stdout + run("match", "--help").stdout + run("publish", "--help").stdout
    for option in ("--address", "--pki", "--provider-state-command", "--message-url", "--teardown", "--junit", "--interaction",
                   "--broker-token", "--selector", "--include-pending", "--version-number", "--tag", "PACT_BROKER_BASE_URL"):
        assert option in text
    assert "exit status: 0" in run("--help").stdout and run("--version").stdout.startswith("contract-verify ")
