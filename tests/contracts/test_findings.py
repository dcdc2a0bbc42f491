"""Each way in which a provider can break a pact is told: what, where, what was expected and what came."""
import base64
import json
import sys
import time

import grpc
import pytest
import yaml

import shop
from program import findings, run, verify

BUY = """
- description: buy
  call: shop.v1.Shop/Buy
  request: {message: {item: pen, count: 2}}
  response:
    message: {number: !regex ['N[0-9]+', N1], price: 1.5, order: {item: pen}}
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    one = shop.Shop(tmp_path_factory.mktemp("shop"))
    yield one
    one.stop()


@pytest.fixture
def answer(provider):
    """Sets what Buy answers: fields of Receipt, or a function."""
    def set_answer(behaviour=None, **fields):
        provider.methods["Buy"] = behaviour or (lambda requests, context: [provider.new("Receipt", **fields)])
    provider.seen.clear()
    return set_answer


def only(report):
    """The findings of the one interaction."""
    (found,) = findings(report).values()
    return found


def test_nothing_is_wrong(provider, answer):
    answer(number="N7", price=1.5, order={"item": "pen", "count": 3}, weight=2.0)
    assert findings(provider.verify(BUY)) == {}


def test_wrong_field(provider, answer):
    answer(number="N7", price=1.25, order={"item": "pen"})
    assert only(provider.verify(BUY)) == [("body", "$.price", "1.5", "1.25")]


def test_missing_field_is_its_default(provider, answer):
    answer(number="N7", order={"item": "pen"})
    assert only(provider.verify(BUY)) == [("body", "$.price", "1.5", "0.0")]


def test_missing_message(provider, answer):
    answer(number="N7", price=1.5)
    assert only(provider.verify(BUY)) == [("body", "$.order", '{"item": "pen"}', "")]


def test_value_that_breaks_its_rule(provider, answer):
    answer(number="7", price=1.5, order={"item": "pen"})
    report = provider.verify(BUY)
    assert only(report) == [("body", "$.number", '"N1"', '"7"')]
    assert report["pacts"][0]["interactions"][0]["mismatches"][0]["rule"] == "regex N[0-9]+"


def test_all_findings_are_told_not_only_the_first(provider, answer):
    answer(number="7", order={"item": "cup"})
    assert [one[1] for one in only(provider.verify(BUY))] == ["$.price", "$.number", "$.order.item"]


def test_wrong_status(provider, answer):
    answer(lambda requests, context: context.abort(grpc.StatusCode.NOT_FOUND, "no such pen"))
    assert only(provider.verify(BUY)) == [("status", "grpc-status", "OK", "NOT_FOUND: no such pen")]


def test_success_where_an_error_is_expected(provider, answer):
    answer(number="N7")
    text = "\n- {description: x, call: shop.v1.Shop/Buy, request: {message: {}}, response: {status: NOT_FOUND}}\n"
    assert only(provider.verify(text)) == [("status", "grpc-status", "NOT_FOUND", "OK")]


ERROR = """
- description: buy
  call: shop.v1.Shop/Buy
  request: {message: {item: pen}}
  response:
    status: NOT_FOUND
    metadata: {grpc-message: !regex ['no .*', no pen]}
    details: {code: 5, details: !contains [{'@type': type.googleapis.com/google.rpc.ErrorInfo, reason: NO_PEN}]}
"""


def abort(provider, code, message, reason):
    """Aborts with details, or without when there is no reason."""
    def behaviour(requests, context):
        if reason is not None:
            details = provider.schema.pack("google.rpc.Status", {"code": 5, "message": message, "details": [
                {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}]}, {})
            context.set_trailing_metadata((("grpc-status-details-bin", details),))
        context.abort(code, message)
    return behaviour


def test_an_error_as_expected(provider, answer):
    answer(abort(provider, grpc.StatusCode.NOT_FOUND, "no pens left", "NO_PEN"))
    assert findings(provider.verify(ERROR)) == {}


def test_wrong_error_message(provider, answer):
    answer(abort(provider, grpc.StatusCode.NOT_FOUND, "gone", "NO_PEN"))
    assert only(provider.verify(ERROR)) == [("metadata", "grpc-message", '"no pen"', '"gone"')]


def test_wrong_error_details(provider, answer):
    answer(abort(provider, grpc.StatusCode.NOT_FOUND, "no pens left", "NO_CUP"))
    assert [one[:2] for one in only(provider.verify(ERROR))] == [("body", "$.details")]


def test_missing_error_details(provider, answer):
    answer(abort(provider, grpc.StatusCode.NOT_FOUND, "no pens left", None))
    assert only(provider.verify(ERROR)) == [("body", "$", "grpc-status-details-bin", "")]


META = BUY.replace("response:\n", "response:\n    metadata: {x-shelf: !regex ['[a-z]', a], x-kind: pen}\n")


def with_metadata(provider, *pairs):
    def behaviour(requests, context):
        context.send_initial_metadata(pairs)
        return [provider.new("Receipt", number="N7", price=1.5, order={"item": "pen"})]
    return behaviour


def test_metadata_as_expected(provider, answer):
    answer(with_metadata(provider, ("x-shelf", "b"), ("x-kind", "pen"), ("x-more", "1")))
    assert findings(provider.verify(META)) == {}


def test_wrong_metadata(provider, answer):
    answer(with_metadata(provider, ("x-shelf", "b2"), ("x-kind", "cup")))
    assert only(provider.verify(META)) == [("metadata", "x-shelf", '"a"', '"b2"'), ("metadata", "x-kind", '"pen"', '"cup"')]


def test_missing_metadata(provider, answer):
    answer(with_metadata(provider, ("x-shelf", "b")))
    assert only(provider.verify(META)) == [("metadata", "x-kind", '"pen"', "")]


def test_metadata_that_are_bytes(provider, answer):
    answer(with_metadata(provider, ("x-shelf", "b"), ("x-kind", "pen"), ("x-seal-bin", b"\x00\xff\x10")))
    text = META.replace("{x-shelf", "{x-seal-bin: AP8Q, x-shelf").replace("request: {", "request: {metadata: {x-key-bin: AAE=}, ")
    assert findings(provider.verify(text)) == {}
    assert provider.seen[0][1]["x-key-bin"] == b"\x00\x01"
    assert only(provider.verify(text.replace("AP8Q", "AP8R"))) == [("metadata", "x-seal-bin", '"AP8R"', '"AP8Q"')]
    assert "x-key-bin are not base 64" in only(provider.verify(text.replace("AAE=", "'%'")))


def test_an_answer_that_is_no_message(provider, answer):
    answer(lambda requests, context: [b"\x08\x01\x72\xff"])
    assert only(provider.verify(BUY)) == "the answer is not a message"


def test_text_that_is_not_utf8(provider, answer):
    answer(lambda requests, context: [b"\x72\x02\xff\xfe"])
    report = provider.verify(BUY)
    assert only(report)[0][:2] == ("body", "$")
    assert "number is not UTF-8" in report["pacts"][0]["interactions"][0]["mismatches"][0]["description"]


def test_no_answer_in_time(provider, answer):
    def behaviour(requests, context):
        time.sleep(1)
        return [provider.new("Receipt")]
    answer(behaviour)
    found = only(provider.verify(BUY, "--timeout", "200ms"))
    assert found[0][:2] == ("status", "grpc-status") and ("200 ms" in found[0][3] or "DEADLINE" in found[0][3])


def test_nobody_listens(provider, tmp_path):
    done = run("verify", provider.pact(BUY), "--address", "127.0.0.1:1", "--pki", provider.pki)
    assert done.returncode == 2 and "127.0.0.1:1 as consumer" in done.stderr


def test_request_and_metadata_are_sent_as_the_pact_says(provider):
    orders = []

    def behaviour(requests, context):
        orders.extend(requests)
        return [provider.new("Receipt")]
    provider.methods["Buy"] = behaviour
    text = """
- description: x
  call: shop.v1.Shop/Buy
  request: {metadata: {X-Kind: pen}, message: {item: pen, count: 2, notes: {7: seven, -1: minus}}}
  response: {message: {}}
"""
    provider.seen.clear()
    assert findings(provider.verify(text)) == {}
    assert orders == [provider.new("Order", item="pen", count=2, notes={7: "seven", -1: "minus"})]
    assert provider.seen[0][1]["x-kind"] == "pen" and "contenttype" not in provider.seen[0][1]


# --- states and generated values ----------------------------------------------------------------------------------------

STATE = """
- description: buy
  given: [there are pens: {count: 3}, the shop is open]
  call: shop.v1.Shop/Buy
  request: {message: {item: !state [item, !type pen], count: !state [count, !type 1]}}
  response: {message: {number: !state [number, !regex ['N[0-9]+', N1]]}}
"""

PROGRAM = """
import json, sys
for line in sys.stdin:
    question = json.loads(line)
    print(line.strip(), file=open(sys.argv[1], "a"))
    print(json.dumps({ANSWERS}.get(question["state"], {})), flush=True)
"""


def program(folder, answers):
    """The command of a program that answers states, and the file of what it was asked."""
    (folder / "states.py").write_text(PROGRAM.replace("{ANSWERS}", repr(answers)))
    (folder / "asked").write_text("")
    return f"exec '{sys.executable}' '{folder}/states.py' '{folder}/asked'", folder / "asked"


GIVEN = {"there are pens": {"item": "blue pen", "count": 5}, "the shop is open": {"number": "N77"}}


def test_values_of_states_are_sent_and_expected(provider, answer, tmp_path):
    orders = []

    def behaviour(requests, context):
        orders.extend(requests)
        return [provider.new("Receipt", number="N77")]
    answer(behaviour)
    command, asked = program(tmp_path, GIVEN)
    assert findings(provider.verify(STATE, "--provider-state-command", command, "--teardown")) == {}
    assert orders == [provider.new("Order", item="blue pen", count=5)]
    assert [json.loads(line) for line in asked.read_text().splitlines()] == [
        {"action": action, "consumer": "consumer", "state": state, "params": params}
        for action in ("setup", "teardown")
        for state, params in (("there are pens", {"count": 3}), ("the shop is open", {}))]


def test_another_value_than_the_states(provider, answer, tmp_path):
    answer(number="N78")  # which fits the rule
    command, _ = program(tmp_path, GIVEN)
    assert only(provider.verify(STATE, "--provider-state-command", command)) == [("body", "$.number", "N77", "N78")]


def test_a_state_fails(provider, answer, tmp_path):
    command, _ = program(tmp_path, {"there are pens": {"error": "no ink"}})
    assert only(provider.verify(STATE, "--provider-state-command", command)) == 'the state "there are pens": no ink'
    assert provider.seen == []


def test_states_before_one_that_fails_are_over_too(provider, tmp_path):
    command, asked = program(tmp_path, {**GIVEN, "the shop is open": {"error": "the key is lost"}})
    report = provider.verify(STATE, "--provider-state-command", command, "--teardown")
    assert only(report) == 'the state "the shop is open": the key is lost'
    assert [(one["action"], one["state"]) for one in map(json.loads, asked.read_text().splitlines())] == [
        ("setup", "there are pens"), ("setup", "the shop is open"), ("teardown", "there are pens")]


def test_a_state_without_a_value(provider, answer, tmp_path):
    command, _ = program(tmp_path, {"there are pens": {"item": "pen"}})
    assert 'gave no "count"' in only(provider.verify(STATE, "--provider-state-command", command))


def test_a_value_that_does_not_fit(provider, answer, tmp_path):
    command, _ = program(tmp_path, {**GIVEN, "there are pens": {"item": "pen", "count": "many"}})
    assert "is no number" in only(provider.verify(STATE, "--provider-state-command", command))


@pytest.mark.parametrize("command, text", [
    ("exit 0", "it has ended without an answer"),
    ("read line; echo nonsense", "the answer is no JSON object: nonsense"),
    ("read line; echo '[]'", "the answer is no JSON object"),
    ("read line; sleep 60", "it has not answered in time"),
    ("no-such-program", "it has ended without an answer"),
])
def test_a_program_that_does_not_do_its_part(provider, command, text):
    found = only(provider.verify(STATE, "--provider-state-command", command, "--hook-timeout", "300ms"))
    assert text in found


def test_nobody_brings_a_state_about(provider):
    assert "--provider-state-command or --provider-state-url" in only(provider.verify(STATE))


# --- streams ---------------------------------------------------------------------------------------------------------------

WATCH = """
- description: watch
  call: shop.v1.Shop/Watch
  request: {message: {item: pen}}
  response:
  - message: {number: N1}
  - message: {number: !regex ['N[0-9]', N2]}
"""


@pytest.mark.parametrize("numbers, found", [
    (["N1", "N2"], None),
    (["N1", "N9"], None),
    (["N1"], [("body", "$", "2 messages", "1")]),
    (["N1", "N2", "N3"], [("body", "$", "2 messages", "at least 3")]),
    (["N1", "x"], [("body", "$.number of message 1", '"N2"', '"x"')]),
    (["N2", "N1"], [("body", "$.number of message 0", '"N1"', '"N2"')]),
])
def test_a_stream_of_answers(provider, numbers, found):
    provider.methods["Watch"] = lambda requests, context: [provider.new("Receipt", number=one) for one in numbers]
    report = findings(provider.verify(WATCH))
    assert report == ({} if found is None else {"watch": found})


def test_a_stream_that_ends_with_an_error(provider):
    def behaviour(requests, context):
        yield provider.new("Receipt", number="N1")
        context.abort(grpc.StatusCode.DATA_LOSS, "ink")
    provider.methods["Watch"] = behaviour
    assert only(provider.verify(WATCH)) == [("status", "grpc-status", "OK", "DATA_LOSS: ink")]


def test_a_stream_that_is_left_open(provider):
    def behaviour(requests, context):
        yield provider.new("Receipt", number="N1")
        yield provider.new("Receipt", number="N2")
        while context.is_active():
            time.sleep(0.01)
    provider.methods["Watch"] = behaviour
    assert findings(provider.verify(WATCH.replace("  request:", "  leftOpen: true\n  request:"))) == {}
    found = only(provider.verify(WATCH, "--timeout", "300ms"))
    assert found[0][:2] == ("status", "grpc-status")


def test_a_stream_that_ends_but_should_go_on(provider):
    provider.methods["Watch"] = lambda requests, context: [provider.new("Receipt", number="N1")]
    found = only(provider.verify(WATCH.replace("  request:", "  leftOpen: true\n  request:")))
    assert found == [("status", "grpc-status", "a call that goes on", "OK")]


UPLOAD = """
- description: upload
  call: shop.v1.Shop/Upload
  request:
  - message: {count: 1}
  - message: {count: 2}
  response: {message: {small: 3}}
"""


def test_a_stream_of_requests(provider):
    provider.methods["Upload"] = lambda requests, context: [provider.new("Receipt", small=sum(one.count for one in requests))]
    assert findings(provider.verify(UPLOAD)) == {}
    assert only(provider.verify(UPLOAD.replace("small: 3", "small: 4"))) == [("body", "$.small", "4", "3")]


CHAT = """
- description: chat
  call: shop.v1.Shop/Chat
  inTurn: true
  request:
  - message: {item: a}
  - message: {item: b}
  response:
  - message: {number: A}
  - message: {number: B}
"""


def test_streams_both_ways_in_turn(provider):
    def behaviour(requests, context):
        for one in requests:
            yield provider.new("Receipt", number=one.item.upper())
    provider.methods["Chat"] = behaviour
    assert findings(provider.verify(CHAT)) == {}
    assert only(provider.verify(CHAT.replace("number: B", "number: C"))) == [
        ("body", "$.number of message 1", '"C"', '"B"')]


# --- all types, both ways -------------------------------------------------------------------------------------------------------

EVERYTHING = """price: 1.5, weight: 0.25, small: -7, large: -9007199254740993, small_natural: 4294967295,
  large_natural: 18446744073709551615, small_signed: -8, large_signed: -9, small_fixed: 9, large_fixed: 10,
  small_signed_fixed: -11, large_signed_fixed: -12, paid: true, number: "N\\u00e4", stamp: AAEC, colour: COLOUR_BLUE,
  order: {item: pen, count: 1}, sizes: [1, -2, 3], names: [a, b], colours: [COLOUR_RED, COLOUR_BLUE],
  orders: [{item: x}, {count: 5}], stock: {a: 1, b: 2}, shelves: {s: {item: y}}, floors: {1: one, -2: two}, doors: {true: open},
  cash: 5, discount: 0, at: {seconds: 5, nanos: 6}, extra: {'@type': type.googleapis.com/shop.v1.Order, item: z}"""


def everything(provider):
    return yaml.safe_load("{" + EVERYTHING + "}")


def test_every_type_is_read(provider, answer):
    answer(**everything(provider))
    text = "\n- {description: x, call: shop.v1.Shop/Buy, request: {message: {}}, response: {message: {%s}}}\n" % EVERYTHING
    assert findings(provider.verify(text)) == {}


OTHER = {
    "price": ("1.75", "$.price"), "weight": ("0.5", "$.weight"), "small": ("-6", "$.small"),
    "large": ("-9007199254740992", "$.large"), "small_natural": ("1", "$.small_natural"),
    "large_natural": ("18446744073709551614", "$.large_natural"), "small_signed": ("8", "$.small_signed"),
    "large_signed": ("9", "$.large_signed"), "small_fixed": ("8", "$.small_fixed"), "large_fixed": ("8", "$.large_fixed"),
    "small_signed_fixed": ("11", "$.small_signed_fixed"), "large_signed_fixed": ("12", "$.large_signed_fixed"),
    "number": ("Na", "$.number"), "stamp": ("AAED", "$.stamp"), "colour": ("COLOUR_RED", "$.colour"),
    "order": ("{item: pen, count: 2}", "$.order.count"), "sizes": ("[1, -2, 4]", "$.sizes[2]"), "names": ("[a]", "$.names"),
    "colours": ("[COLOUR_RED, COLOUR_RED]", "$.colours[1]"), "orders": ("[{item: x}, {count: 6}]", "$.orders[1].count"),
    "stock": ("{a: 1, b: 3}", "$.stock.b"), "shelves": ("{s: {item: x}}", "$.shelves.s.item"),
    "floors": ("{1: one, -2: three}", "$.floors.-2"), "doors": ("{true: shut}", "$.doors.true"), "cash": ("6", "$.cash"),
    "discount": ("1", "$.discount"), "at": ("{seconds: 5, nanos: 7}", "$.at.nanos"),
    "extra": ("{'@type': type.googleapis.com/shop.v1.Order, item: y}", "$.extra.value.item"),
}


@pytest.mark.parametrize("name", OTHER)
def test_every_type_is_told_apart(provider, answer, name):
    answer(**everything(provider))
    other, path = OTHER[name]
    text = "\n- {description: x, call: shop.v1.Shop/Buy, request: {message: {}}, response: {message: {%s: %s}}}\n" % (name, other)
    assert [one[1] for one in only(provider.verify(text))] == [path]


def test_another_of_a_oneof(provider, answer):
    answer(card="visa")
    text = "\n- {description: x, call: shop.v1.Shop/Buy, request: {message: {}}, response: {message: {cash: 5}}}\n"
    assert only(provider.verify(text)) == [("body", "$.cash", "5", "")]


def test_an_optional_field_that_is_not_there_is_not_zero(provider, answer):
    answer(number="N1")
    text = "\n- {description: x, call: shop.v1.Shop/Buy, request: {message: {}}, response: {message: {discount: 0}}}\n"
    assert only(provider.verify(text)) == [("body", "$.discount", "0", "")]


def test_a_value_that_the_consumer_does_not_know(provider, answer):
    answer(lambda requests, context: [b"\x80\x01\x63\xfa\x3f\x01x"])  # colour 99, and field 1023
    text = "\n- {description: x, call: shop.v1.Shop/Buy, request: {message: {}}, response: {message: {colour: COLOUR_RED}}}\n"
    assert only(provider.verify(text)) == [("body", "$.colour", "COLOUR_RED", "99")]


def test_another_type_in_an_any(provider, answer):
    answer(extra={"@type": "type.googleapis.com/shop.v1.Sealed", "secret": "z"})
    text = ("\n- {description: x, call: shop.v1.Shop/Buy, request: {message: {}}, response: {message: "
            "{extra: {'@type': type.googleapis.com/shop.v1.Order, item: z}}}}\n")
    assert [one[1] for one in only(provider.verify(text))] == ["$.extra.type_url", "$.extra.value"]


def test_generated_values_reach_every_type_of_number(provider, tmp_path):
    orders = []

    def behaviour(requests, context):
        orders.extend(requests)
        return [provider.new("Receipt")]
    provider.methods["Buy"] = behaviour
    text = """
- description: x
  given: [a number]
  call: shop.v1.Shop/Buy
  request: {message: {item: pen, count: !state [n, !type 1], notes: {7: a, -1: b}, sealed: AAEC}}
  response: {message: {}}
"""
    command, _ = program(tmp_path, {"a number": {"n": -2147483648}})
    assert findings(provider.verify(text, "--provider-state-command", command)) == {}
    assert orders == [provider.new("Order", item="pen", count=-2147483648, notes={7: "a", -1: "b"}, sealed="AAEC")]


# --- events ---------------------------------------------------------------------------------------------------------------------

EVENT = """
- description: a receipt was printed
  given: [a purchase]
  message: shop.v1.Receipt
  embedded: {sealed: shop.v1.Sealed}
  metadata: {Kind: receipt, Id: !regex ['[0-9]+', '1']}
  contents: {number: !state [number, !regex ['N[0-9]+', N1]], sealed: {secret: !type s, parts: !each {min: 1, of: !type p}}}
"""


@pytest.fixture
def event(provider, tmp_path):
    """Verifies the event, of which a program says that it was sent."""
    def judge(answer):
        (tmp_path / "provider.py").write_text(
            "import json, sys\nfor line in sys.stdin:\n"
            "    question = json.loads(line)\n"
            f"    answers = {{'setup': {{'number': 'N7'}}, 'message': {answer!r}}}\n"
            "    print(json.dumps(answers[question['action']]), flush=True)\n")
        command = f"exec '{sys.executable}' '{tmp_path}/provider.py'"
        return verify(provider.pact(EVENT), "--provider-state-command", command, "--message-command", command)
    return judge


def sent(provider, secret="x", number="N7", parts=("a", "b"), **metadata):
    data = provider.schema.pack("shop.v1.Receipt", {"number": number, "sealed": {"secret": secret, "parts": list(parts)}},
                                {"sealed": "shop.v1.Sealed"})
    return {"contents": base64.b64encode(data).decode(), "metadata": {"Kind": "receipt", "Id": "42", **metadata}}


def test_an_event_as_expected(provider, event):
    assert findings(event(sent(provider))) == {}


def test_wrong_field_inside_an_event(provider, event):
    assert only(event(sent(provider, number="N8"))) == [("body", "$.number", "N7", "N8")]
    assert only(event(sent(provider, parts=()))) == [("body", "$.sealed.parts", '["p"]', "[]")]


def test_wrong_metadata_of_an_event(provider, event):
    assert only(event(sent(provider, Kind="order", Id="x"))) == [
        ("metadata", "Kind", '"receipt"', '"order"'), ("metadata", "Id", '"1"', '"x"')]


def test_missing_event(provider, event):
    assert only(event({"error": "nothing within 10 s"})) == "nothing within 10 s"


def test_an_event_that_is_no_message(provider, event):
    found = only(event({"contents": "//8=", "metadata": {"Kind": "receipt", "Id": "1"}}))
    assert found[0][:2] == ("body", "$")


def test_nobody_gives_the_event(provider, tmp_path):
    command, _ = program(tmp_path, {"a purchase": {"number": "N7"}})
    found = only(verify(provider.pact(EVENT), "--provider-state-command", command))
    assert "--message-command or --message-url" in found
