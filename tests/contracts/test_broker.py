"""Pacts from a broker, results to it: held against what Pact's own verifier says to the same broker."""
import base64
import json
import sys
import xml.etree.ElementTree as tree

import pact
import pytest

import batch
from fake_broker import Broker
from program import findings, run, verify


def document(consumer="web", *descriptions, expected=1):
    return {**batch.pact([batch.json_message(name, {"a": expected}, {}) for name in descriptions or ["one", "two"]]),
            "consumer": {"name": consumer}, "provider": {"name": "shop"}}


@pytest.fixture
def broker():
    made = []

    def make(pacts=None, **options):
        made.append(Broker(pacts, **options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


@pytest.fixture
def messages(tmp_path):
    """The command of a program that answers every message with {"a": 1}."""
    data = base64.b64encode(b'{"a": 1}').decode()
    (tmp_path / "messages.py").write_text(
        f"import sys\nfor line in sys.stdin:\n    print('{{\"contents\": \"{data}\"}}', flush=True)\n")
    return f"exec '{sys.executable}' '{tmp_path}/messages.py'"


def test_results_of_a_brokers_pacts_are_published(broker, messages):
    one = broker({"web": (document("web"), False), "app": (document("app", "three", expected=2), False)}, token="t0ken")
    report = verify("--broker", one.url, "--broker-token", "t0ken", "--provider", "shop", "--message-command", messages,
                    "--publish", "--version-number", "1.2.3", "--branch", "feature/x y", "--tag", "a", "--tag", "b",
                    "--build-url", "http://ci/7", "--selector", '{"mainBranch": true}', "--selector", '{"deployed": true}')
    assert findings(report) == {"three": [("body", "$.a", "2", "1")]}
    assert ("POST", "/pacts/provider/shop/for-verification", {
        "includePendingStatus": False, "providerVersionBranch": "feature/x y", "providerVersionTags": ["a", "b"],
        "consumerVersionSelectors": [{"mainBranch": True}, {"deployed": True}]}) in one.requests()
    assert {path for _, path, _ in one.requests("PUT")} == {
        "/branches/feature/x y/versions/1.2.3", "/versions/1.2.3/tags/a", "/versions/1.2.3/tags/b"}
    said = {path: body for _, path, body in one.requests("POST") if path.endswith("verification-results")}
    assert said["/pact/web/verification-results"] == {
        "success": True, "providerApplicationVersion": "1.2.3", "buildUrl": "http://ci/7",
        "verifiedBy": {"implementation": "contract-verify", "version": said["/pact/web/verification-results"]["verifiedBy"]["version"]},
        "testResults": [{"interactionId": "web-0", "interactionDescription": "one", "success": True},
                        {"interactionId": "web-1", "interactionDescription": "two", "success": True}]}
    (failed,) = said["/pact/app/verification-results"]["testResults"]
    assert not said["/pact/app/verification-results"]["success"] and not failed["success"]
    (mismatch,) = failed["mismatches"]
    assert (mismatch["attribute"], mismatch["identifier"]) == ("body", "$.a") and "1 is not 2" in mismatch["description"]
    assert {auth for _, _, auth, _ in one.seen} == {"Bearer t0ken"}


def test_what_is_published_is_what_pacts_own_verifier_publishes(broker, messages):
    """The same broker, asked by both: the same places, and no member of theirs is missing in ours."""
    ours, theirs = (broker({"web": (document("web", "one"), False), "app": (document("app", "three", expected=2), False)})
                    for _ in range(2))
    verify("--broker", ours.url, "--provider", "shop", "--message-command", messages, "--publish",
           "--version-number", "1.2.3", "--branch", "main", "--tag", "a", "--build-url", "http://ci/7")
    verifier = pact.Verifier("shop").message_handler({
        name: {"contents": b'{"a": 1}', "content_type": "application/json", "metadata": {}} for name in ("one", "three")})
    source = verifier.broker_source(theirs.url, selector=True)
    source.provider_branch("main")
    source.build()
    verifier.set_publish_options("1.2.3", "http://ci/7", "main", ["a"])
    with pytest.raises(RuntimeError):
        verifier.verify()

    def said(one):
        return {(method, path) for method, path, _ in one.requests() if method != "GET"}
    assert said(ours) == said(theirs)
    bodies = [{path: body for _, path, body in one.requests("POST") if path.endswith("results")} for one in (ours, theirs)]
    for path, body in bodies[1].items():
        del body["verifiedBy"]["clientLanguage"]  # the wrapper around their verifier
        assert shape(body) <= shape(bodies[0][path]), path
        assert body["success"] == bodies[0][path]["success"]


def shape(value, path=""):
    """The paths of all members; results by what they are of."""
    if isinstance(value, dict):
        return set().union({path}, *(shape(item, f"{path}.{key}") for key, item in value.items()))
    if isinstance(value, list):
        return set().union({path}, *(shape(item, path + "[]") for item in value))
    return {path}


def test_a_pending_pact_does_not_fail_the_run(broker, messages, tmp_path):
    one = broker({"web": (document("web"), False), "app": (document("app", "three", expected=2), True)})
    report = verify("--broker", one.url, "--provider", "shop", "--message-command", messages, "--include-pending",
                    "--publish", "--version-number", "1", "--junit", tmp_path / "junit.xml")
    assert (report["passed"], report["failed"], report["pending"], report["success"]) == (2, 0, 1, True)
    said = {path: body["success"] for _, path, body in one.requests("POST") if path.endswith("results")}
    assert said == {"/pact/web/verification-results": True, "/pact/app/verification-results": False}
    suites = tree.parse(tmp_path / "junit.xml").getroot().findall("testsuite")
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in suites] == [
        ("web - shop", "2", "0", "0"), ("app - shop", "1", "0", "1")]
    done = verify("--broker", one.url, "--provider", "shop", "--message-command", messages)
    assert (done["passed"], done["pending"]) == (2, 0)


def test_junit_tells_what_failed(tmp_path, messages):
    path = tmp_path / "pact.json"
    path.write_text(json.dumps(document("web", 'a <b> & "c"', "fine \u00e4", expected={"x": "<&>"})))
    verify(path, "--message-command", messages, "--junit", tmp_path / "junit.xml")
    cases = tree.parse(tmp_path / "junit.xml").getroot().find("testsuite").findall("testcase")
    assert [case.get("name") for case in cases] == ['a <b> & "c"', "fine \u00e4"]
    assert "body $.a: expected" in cases[0].find("failure").text


def test_an_old_broker(broker, messages):
    one = broker({"web": (document("web"), False)}, old=True)
    assert verify("--broker", one.url, "--provider", "shop", "--message-command", messages)["passed"] == 2
    done = run("verify", "--broker", one.url, "--provider", "shop", "--message-command", messages, "--include-pending")
    assert done.returncode == 2 and "too old" in done.stderr


def test_a_broker_that_is_starting(broker, messages):
    one = broker({"web": (document("web"), False)}, failures=2)
    assert verify("--broker", one.url, "--provider", "shop", "--message-command", messages)["passed"] == 2


@pytest.mark.parametrize("options, arguments, text", [
    ({"token": "right"}, ["--broker-token", "wrong"], "HTTP status 401: {\"message\":\"Authentication is required\"}"),
    ({"failures": 99}, [], "HTTP status 503"),
    ({"provider": "other"}, [], "HTTP status 404"),
    ({}, ["--selector", "nonsense"], "--selector: nonsense is no JSON object"),
    ({}, [], "has no pact of shop"),
])
def test_a_broker_that_refuses(broker, messages, options, arguments, text):
    done = run("verify", "--broker", broker(**options).url, "--provider", "shop", "--message-command", messages, *arguments)
    assert done.returncode == 2 and text in done.stderr, done.stderr


def test_a_token_stays_with_its_broker(broker, messages):
    """A link may lead to another host: that one must not see what we tell the broker."""
    elsewhere = broker({"web": (document("web"), False)})
    one = broker({"web": (document("web"), False)}, token="t0ken")
    one.pact_url = elsewhere.pact_url
    verify("--broker", one.url, "--broker-token", "t0ken", "--provider", "shop", "--message-command", messages)
    assert [auth for _, _, auth, _ in elsewhere.seen] == [None]


def test_results_that_the_broker_does_not_take_fail_the_run(broker, messages):
    one = broker({"web": (document("web"), False)})
    usual = one.answer
    one.answer = lambda method, path, auth, body: (400, {"errors": {"buildUrl": ["is no URL"]}}) \
        if path.endswith("results") else usual(method, path, auth, body)
    done = run("verify", "--broker", one.url, "--provider", "shop", "--message-command", messages, "--publish",
               "--version-number", "1")
    assert done.returncode == 2 and "is no URL" in done.stderr


def test_a_consumers_pacts_are_published(broker, tmp_path):
    one = broker(token="t")
    for name in ("shop", "bank"):
        made = {**document("web"), "provider": {"name": name}}
        (tmp_path / f"{name}.json").write_text(json.dumps(made))
    done = run("publish", "--broker", one.url, "--broker-token", "t", "--version-number", "7", "--branch", "main", "--tag", "x",
               tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 of web\n2 published\n"
    (_, path, body), = one.requests("POST")
    assert path == "/contracts/publish"
    assert {key: body[key] for key in ("pacticipantName", "pacticipantVersionNumber", "branch", "tags")} == {
        "pacticipantName": "web", "pacticipantVersionNumber": "7", "branch": "main", "tags": ["x"]}
    assert [(c["consumerName"], c["providerName"], c["specification"], c["contentType"]) for c in body["contracts"]] == [
        ("web", "bank", "pact", "application/json"), ("web", "shop", "pact", "application/json")]
    assert json.loads(base64.b64decode(body["contracts"][0]["content"]))["provider"] == {"name": "bank"}


def test_nothing_is_published_when_a_pact_is_bad(broker, tmp_path):
    one = broker()
    (tmp_path / "a.json").write_text(json.dumps(document("web")))
    (tmp_path / "b.json").write_text("{}")
    done = run("publish", "--broker", one.url, "--version-number", "7", tmp_path)
    assert done.returncode == 2 and "b.json: is no pact" in done.stderr and one.seen == []
    (tmp_path / "b.json").write_text(json.dumps(document("app")))
    done = run("publish", "--broker", one.url, "--version-number", "7", tmp_path)
    assert done.returncode == 2 and "a version is of one" in done.stderr and one.seen == []
