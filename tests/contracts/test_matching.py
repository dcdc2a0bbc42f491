"""Matching rules, case by case, as the Pact specification has them; each is held against Pact's own core, too."""
import pytest

import batch
import pactffi


def rules(**paths):
    """rules(a=[matcher]): the rules of $.a."""
    return {"$" + ("" if name == "root" else "." + name.replace("__", ".")): {"combine": "AND", "matchers": matchers}
            for name, matchers in paths.items()}


def at(path, *matchers, combine="AND"):
    return {path: {"combine": combine, "matchers": list(matchers)}}


def match(kind, **more):
    return {"match": kind, **more}


EQ, TYPE, INT, DEC, NUM = (match(k) for k in ("equality", "type", "integer", "decimal", "number"))
A = "$.a"

# (name, expected, rules, actual, fits)
CASES = [
    ("the same text", "x", {}, "x", True),
    ("another text", "x", {}, "y", False),
    ("texts differ in case", "x", {}, "X", False),
    ("the same number", {"a": 1}, {}, {"a": 1}, True),
    ("an integer is not a decimal", {"a": 1}, {}, {"a": 1.0}, False),
    ("a number is not a text", {"a": 1}, {}, {"a": "1"}, False),
    ("true is not 'true'", {"a": True}, {}, {"a": "true"}, False),
    ("null is null", {"a": None}, {}, {"a": None}, True),
    ("null is not nothing", {"a": None}, {}, {}, False),
    ("null is not zero", {"a": None}, {}, {"a": 0}, False),
    ("a key more is fine", {"a": 1}, {}, {"a": 1, "b": 2}, True),
    ("a key less is not", {"a": 1, "b": 2}, {}, {"a": 1}, False),
    ("the order of keys does not count", {"a": 1, "b": 2}, {}, {"b": 2, "a": 1}, True),
    ("an empty object takes any", {"a": {}}, {}, {"a": {"b": 1}}, True),
    ("an object is no list", {"a": {}}, {}, {"a": []}, False),
    ("a list is no object", {"a": [1]}, {}, {"a": {"0": 1}}, False),
    ("the same list", [1, 2], {}, [1, 2], True),
    ("a list in another order", [1, 2], {}, [2, 1], False),
    ("an element more", [1], {}, [1, 2], False),
    ("an element less", [1, 2], {}, [1], False),
    ("an empty list is empty", {"a": []}, {}, {"a": [1]}, False),
    ("deep down", {"a": [{"b": {"c": [1]}}]}, {}, {"a": [{"b": {"c": [2]}}]}, False),

    ("type of a text", {"a": "x"}, at(A, TYPE), {"a": "y"}, True),
    ("type of a text, a number came", {"a": "x"}, at(A, TYPE), {"a": 1}, False),
    ("type of an integer, a decimal came", {"a": 1}, at(A, TYPE), {"a": 1.5}, True),
    ("type of a bool", {"a": True}, at(A, TYPE), {"a": False}, True),
    ("type of a bool, null came", {"a": True}, at(A, TYPE), {"a": None}, False),
    ("type of null", {"a": None}, at(A, TYPE), {"a": None}, True),
    ("type goes down", {"a": {"b": [1, {"c": "x"}]}}, at(A, TYPE), {"a": {"b": [7, {"c": "y"}]}}, True),
    ("type goes down and finds", {"a": {"b": [1, {"c": "x"}]}}, at(A, TYPE), {"a": {"b": [7, {"c": 8}]}}, False),
    ("type of a list: the first stands for all", {"a": ["x"]}, at(A, TYPE), {"a": ["y", "z"]}, True),
    ("type of a list: one is another", {"a": ["x"]}, at(A, TYPE), {"a": ["y", 1]}, False),
    ("type of an object still wants its keys", {"a": {"b": 1}}, at(A, TYPE), {"a": {"c": 1}}, False),
    ("type at the root", {"a": 1}, at("$", TYPE), {"a": 2}, True),

    ("at least one", {"a": [1]}, at(A, match("type", min=1)), {"a": [5, 6]}, True),
    ("at least one, none came", {"a": [1]}, at(A, match("type", min=1)), {"a": []}, False),
    ("at least two, one came", {"a": [1, 1]}, at(A, match("type", min=2)), {"a": [5]}, False),
    ("at most two", {"a": [1]}, at(A, match("type", max=2)), {"a": [5, 6]}, True),
    ("at most two, three came", {"a": [1]}, at(A, match("type", max=2)), {"a": [5, 6, 7]}, False),
    ("between one and two", {"a": [1]}, at(A, match("type", min=1, max=2)), {"a": [5, 6]}, True),
    ("a size is of its own list", {"a": [[1]]}, at(A, match("type", min=1, max=2)), {"a": [[1, 2, 3]]}, True),
    ("equality stops a type from above", {"a": {"b": 1}}, {**at("$", TYPE), **at("$.a.b", EQ)}, {"a": {"b": 2}}, False),

    ("a regex is for the whole text", {"a": "x"}, at(A, match("regex", regex="b+")), {"a": "abbc"}, False),
    ("a regex for the whole text", {"a": "x"}, at(A, match("regex", regex=".*b+.*")), {"a": "abbc"}, True),
    ("an anchored regex", {"a": "x"}, at(A, match("regex", regex="^\\d{3}$")), {"a": "1234"}, False),
    ("a regex goes on when its first alternative is too short", {"a": "x"}, at(A, match("regex", regex="a|ab")), {"a": "ab"}, True),
    ("a regex of a number", {"a": 1}, at(A, match("regex", regex="^\\d+$")), {"a": 42}, True),
    ("a regex with letters of all scripts", {"a": "x"}, at(A, match("regex", regex="^ä.ü$")), {"a": "äöü"}, True),
    ("a regex goes down", {"a": ["1"]}, at(A, match("regex", regex="^\\d$")), {"a": ["2", "3"]}, True),
    ("a regex goes down and finds", {"a": ["1"]}, at(A, match("regex", regex="^\\d$")), {"a": ["2", "x"]}, False),
    ("includes", {"a": "x"}, at(A, match("include", value="bc")), {"a": "abcd"}, True),
    ("does not include", {"a": "x"}, at(A, match("include", value="bc")), {"a": "acbd"}, False),
    ("a number includes", {"a": 1}, at(A, match("include", value="2")), {"a": 123}, True),

    ("an integer", {"a": 1}, at(A, INT), {"a": -7}, True),
    ("an integer, a decimal came", {"a": 1}, at(A, INT), {"a": 7.5}, False),
    ("an integer, a text came", {"a": 1}, at(A, INT), {"a": "7"}, False),
    ("a decimal", {"a": 1.5}, at(A, DEC), {"a": 2.25}, True),
    ("a decimal, an integer came", {"a": 1.5}, at(A, DEC), {"a": 2}, False),
    ("a number", {"a": 1}, at(A, NUM), {"a": 2.5}, True),
    ("a number, null came", {"a": 1}, at(A, NUM), {"a": None}, False),
    ("a bool", {"a": True}, at(A, match("boolean")), {"a": False}, True),
    ("a bool as a text", {"a": True}, at(A, match("boolean")), {"a": "false"}, True),
    ("a bool, a number came", {"a": True}, at(A, match("boolean")), {"a": 1}, False),
    ("null is wanted", {"a": None}, at(A, match("null")), {"a": None}, True),
    ("null is wanted, a text came", {"a": None}, at(A, match("null")), {"a": ""}, False),
    ("not empty: text", {"a": "x"}, at(A, match("notEmpty")), {"a": "y"}, True),
    ("not empty: empty text", {"a": "x"}, at(A, match("notEmpty")), {"a": ""}, False),
    ("not empty: list", {"a": [1]}, at(A, match("notEmpty")), {"a": []}, False),
    ("not empty: null", {"a": "x"}, at(A, match("notEmpty")), {"a": None}, False),
    ("not empty: zero is something", {"a": 1}, at(A, match("notEmpty")), {"a": 0}, True),
    ("semver", {"a": "1.0.0"}, at(A, match("semver")), {"a": "12.3.4-rc.1+build.5"}, True),
    ("semver with two numbers", {"a": "1.0.0"}, at(A, match("semver")), {"a": "1.0"}, False),
    ("semver with a leading zero", {"a": "1.0.0"}, at(A, match("semver")), {"a": "1.02.0"}, False),
    ("semver with an empty part", {"a": "1.0.0"}, at(A, match("semver")), {"a": "1.0.0-"}, False),

    ("date", {"a": "2026-01-02"}, at(A, match("date", format="yyyy-MM-dd")), {"a": "2025-12-31"}, True),
    ("date in another form", {"a": "2026-01-02"}, at(A, match("date", format="yyyy-MM-dd")), {"a": "31.12.2025"}, False),
    ("date, month 13", {"a": "2026-01-02"}, at(A, match("date", format="yyyy-MM-dd")), {"a": "2025-13-01"}, False),
    ("date, a day that its month has not", {"a": "2026-01-02"}, at(A, match("date", format="yyyy-MM-dd")),
     {"a": "2026-02-30"}, False),
    ("date, a day of a leap year", {"a": "2026-01-02"}, at(A, match("date", format="yyyy-MM-dd")), {"a": "2028-02-29"}, True),
    ("date and more", {"a": "2026-01-02"}, at(A, match("date", format="yyyy-MM-dd")), {"a": "2025-12-31Z"}, False),
    ("date without a form", {"a": "2026-01-02"}, at(A, match("date")), {"a": "2025-12-31"}, True),
    ("date with a name", {"a": "2 Jan 2026"}, at(A, match("date", format="d MMM yyyy")), {"a": "31 Dec 2025"}, True),
    ("time", {"a": "10:00:00"}, at(A, match("time", format="HH:mm:ss")), {"a": "23:59:59"}, True),
    ("time, hour 24", {"a": "10:00:00"}, at(A, match("time", format="HH:mm:ss")), {"a": "24:00:00"}, False),
    ("moment", {"a": "2026-01-02T10:00:00Z"}, at(A, match("timestamp", format="yyyy-MM-dd'T'HH:mm:ssX")),
     {"a": "2026-11-30T01:02:03Z"}, True),
    ("moment with an offset", {"a": "x"}, at(A, match("datetime", format="yyyy-MM-dd'T'HH:mm:ssXXX")),
     {"a": "2026-11-30T01:02:03+02:00"}, True),
    ("moment with parts of a second", {"a": "x"}, at(A, match("datetime", format="yyyy-MM-dd'T'HH:mm:ss.SSSX")),
     {"a": "2026-11-30T01:02:03.456Z"}, True),
    ("moment without its T", {"a": "x"}, at(A, match("datetime", format="yyyy-MM-dd'T'HH:mm:ssX")),
     {"a": "2026-11-30 01:02:03Z"}, False),

    ("each value", {"a": {"x": 1}}, at(A, match("eachValue", rules=[INT])), {"a": {"y": 2, "z": 3}}, True),
    ("each value, one is another", {"a": {"x": 1}}, at(A, match("eachValue", rules=[INT])), {"a": {"y": 2, "z": "3"}}, False),
    ("each value of a list", {"a": ["1"]}, at(A, match("eachValue", rules=[match("regex", regex="^\\d$")])),
     {"a": ["2", "3"]}, True),
    ("each value of a list, one is another", {"a": ["1"]}, at(A, match("eachValue", rules=[match("regex", regex="^\\d$")])),
     {"a": ["2", "ab"]}, False),
    ("each key", {"a": {"x": 1}}, at(A, match("eachKey", rules=[match("regex", regex="^[a-z]$")])), {"a": {"x": 1, "y": 9}}, True),
    ("each key, one is another", {"a": {"x": 1}}, at(A, match("eachKey", rules=[match("regex", regex="^[a-z]$")])),
     {"a": {"x": 1, "YY": 9}}, False),
    ("each key need not be the example's", {"a": {"x": 1}}, at(A, match("eachKey", rules=[match("regex", regex="^[a-z]$")])),
     {"a": {"y": 9}}, True),
    ("each key and value", {"a": {"x": 1}},
     at(A, match("eachKey", rules=[match("regex", regex="^[a-z]$")]), match("eachValue", rules=[INT])), {"a": {"y": "2"}}, False),
    ("values: any keys", {"a": {"x": 1}}, {**at(A, match("values")), **at("$.a.*", INT)}, {"a": {"y": 2}}, True),
    ("values: any keys, one is another", {"a": {"x": 1}}, {**at(A, match("values")), **at("$.a.*", INT)}, {"a": {"y": "2"}}, False),
    ("each value says nothing below what it reaches", {"a": {"x": {"b": 1}}}, at(A, match("eachValue", rules=[TYPE])),
     {"a": {"y": {"b": 2}}}, True),

    ("contains", {"a": [1, 2]}, at(A, match("arrayContains", variants=[{"index": 0, "rules": at("$", EQ)},
                                                                       {"index": 1, "rules": at("$", EQ)}])),
     {"a": [3, 2, 1]}, True),
    ("contains, one is not there", {"a": [1, 2]}, at(A, match("arrayContains", variants=[
        {"index": 0, "rules": at("$", EQ)}, {"index": 1, "rules": at("$", EQ)}])), {"a": [3, 2]}, False),
    ("contains by rules", {"a": [{"k": "x", "v": 1}]}, at(A, match("arrayContains", variants=[
        {"index": 0, "rules": {**at("$.k", EQ), **at("$.v", INT)}}])), {"a": [{"k": "y", "v": 1}, {"k": "x", "v": 7}]}, True),
    ("contains by rules, the wrong one", {"a": [{"k": "x", "v": 1}]}, at(A, match("arrayContains", variants=[
        {"index": 0, "rules": {**at("$.k", EQ), **at("$.v", INT)}}])), {"a": [{"k": "y", "v": 1}, {"k": "x", "v": "7"}]}, False),

    ("both rules", {"a": "ab"}, at(A, match("include", value="a"), match("include", value="b")), {"a": "ba"}, True),
    ("both rules, one does not hold", {"a": "ab"}, at(A, match("include", value="a"), match("include", value="b")), {"a": "bb"}, False),
    ("one of two rules", {"a": "ab"}, at(A, match("include", value="a"), match("include", value="b"), combine="OR"), {"a": "bb"}, True),
    ("neither of two rules", {"a": "ab"}, at(A, match("include", value="a"), match("include", value="b"), combine="OR"), {"a": "c"}, False),

    ("the exact path goes before the star", {"a": {"b": 1}}, {**at("$.a.*", TYPE), **at("$.a.b", EQ)}, {"a": {"b": 2}}, False),
    ("a longer path goes before a shorter", {"a": {"b": {"c": 1}}}, {**at("$.a", EQ), **at("$.a.b.c", TYPE)}, {"a": {"b": {"c": 2}}}, False),
    ("a star is for one step", {"a": {"b": {"c": 1}}}, at("$.*.c", TYPE), {"a": {"b": {"c": 2}}}, False),
    ("elements by [*]", {"a": [{"b": 1}]}, at("$.a[*].b", TYPE), {"a": [{"b": 2}]}, True),
    ("elements by [*] do not lengthen a list", {"a": [{"b": 1}]}, at("$.a[*].b", TYPE), {"a": [{"b": 2}, {"b": 3}]}, False),
    ("one element by its index", {"a": [1, 2]}, at("$.a[1]", TYPE), {"a": [1, 7]}, True),
    ("the other element stays", {"a": [1, 2]}, at("$.a[1]", TYPE), {"a": [7, 7]}, False),
    ("a quoted name", {"a b": 1}, at("$['a b']", TYPE), {"a b": 2}, True),
    ("a rule of what is not there", {"a": 1}, at("$.b", INT), {"a": 1, "b": "x"}, True),
]

# Where Pact's core says something else, and why ours does not.
DIFFERENT = {
    "an empty list with a rule of its size": (
        ({"a": []}, at(A, match("type", max=2)), {"a": [1, 2, 3]}), False,
        "the core looks at no rule when the example is empty: the consumer's limit would not be one"),
    "an empty list that must not be empty": (
        ({"a": []}, at(A, match("notEmpty")), {"a": []}), False, "the same"),
    "an offset of thirteen hours": (
        ({"a": "x"}, at(A, match("time", format="HH:mmXXX")), {"a": "10:00+13:00"}), True,
        "Tonga and Samoa have it; the core's offsets end at 11"),
    "keys of a map by a rule or another": (
        ({"a": {"x": 1}}, at(A, match("type"), match("notEmpty"), match("null"), combine="OR"), {"a": {"x": 2}}), True,
        "the core takes OR for AND where the value is an object"),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    cases = [(expected, given, actual) for _, expected, given, actual, _ in CASES]
    return batch.judge_json(tmp_path_factory.mktemp("cases"), cases)


@pytest.fixture(scope="module")
def core():
    return pactffi.Judge()


@pytest.mark.parametrize("i", range(len(CASES)), ids=lambda i: CASES[i][0])
def test_case(i, verdicts, core):
    _, expected, given, actual, fits = CASES[i]
    verdict, mismatches, error = verdicts[i]
    assert (verdict == "passed") == fits, (verdict, mismatches, error)
    assert (verdict == "failed") == bool(mismatches)
    theirs = core.mismatches(expected, given, actual)
    assert (theirs == []) == fits, f"Pact's core says otherwise: {theirs}"


@pytest.mark.parametrize("name", DIFFERENT)
def test_difference(name, tmp_path, core):
    (expected, given, actual), ours, _ = DIFFERENT[name]
    (verdict, mismatches, _), = batch.judge_json(tmp_path, [(expected, given, actual)])
    assert (verdict == "passed") == ours, mismatches
    assert (core.mismatches(expected, given, actual) == []) != ours, "the core agrees: no difference any more"
