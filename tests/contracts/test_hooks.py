"""States and messages by HTTP: the requests are those of Pact's own verifier, so that one server serves both."""
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pact
import pytest

import batch
from program import findings, run, verify


class Server:
    """Answers POST; `states`: {name: (status, body)}; `messages`: {description: (bytes, metadata)}."""

    def __init__(self, states=None, messages=None):
        self.states, self.messages, self.seen = states or {}, messages or {}, []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                server.seen.append((self.path, body))
                if self.path.startswith("/states"):
                    status, data = server.states.get(body["state"], (200, b""))
                    headers = {"content-type": "application/json"}
                else:
                    data, metadata = server.messages[body["description"]]
                    status, headers = 200, {"content-type": "application/json", "Pact-Message-Metadata":
                                            base64.b64encode(json.dumps(metadata).encode()).decode()}
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    made = []

    def make(**options):
        made.append(Server(**options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


@pytest.fixture
def contract(tmp_path):
    message = batch.json_message("an order", {"id": 1, "to": "x"}, {"$.id": {"matchers": [{"match": "integer"}]}},
                                 metadata={"kind": "order", "contentType": "application/json"})
    message["providerStates"] = [{"name": "a customer", "params": {"name": "Ann"}}, {"name": "stock"}]
    (tmp_path / "pact.json").write_text(json.dumps(batch.pact([message])))
    return tmp_path / "pact.json"


ORDER = {"an order": (b'{"id": 7, "to": "x", "more": true}', {"kind": "order"})}


def test_by_http(server, contract):
    one = server(states={"a customer": (200, b'{"id": 5}')}, messages=ORDER)
    report = verify(contract, "--provider-state-url", one.url + "/states", "--message-url", one.url + "/messages", "--teardown")
    assert findings(report) == {}
    setups = [body for path, body in one.seen if path == "/states" and body["action"] == "setup"]
    assert [(body["state"], body["params"]) for body in setups] == [("a customer", {"name": "Ann"}), ("stock", {})]
    assert len([body for _, body in one.seen if body.get("action") == "teardown"]) == 2
    (message,) = [body for path, body in one.seen if path == "/messages"]
    assert message == {"description": "an order", "values": {"id": 5}, "providerStates": [
        {"name": "a customer", "params": {"name": "Ann"}}, {"name": "stock"}]}


def test_one_server_serves_both_verifiers(server, contract):
    ours, theirs = server(messages=ORDER), server(messages=ORDER)
    assert findings(verify(contract, "--provider-state-url", ours.url + "/states",
                           "--message-url", ours.url + "/messages", "--teardown")) == {}
    verifier = pact.Verifier("provider").add_transport(protocol="message", scheme="http", port=theirs.port, path="/messages")
    verifier.state_handler(theirs.url + "/states", teardown=True, body=True)
    verifier.add_source(str(contract)).verify()

    def said(one):
        """What both say; ours names the consumer and the states' values, too."""
        return [(path, {key: value for key, value in body.items() if key not in ("consumer", "values")})
                for path, body in one.seen]
    assert said(ours) == said(theirs)


@pytest.mark.parametrize("body, metadata", [
    (b'{"id": "seven", "to": "x"}', {"kind": "order"}), (b'{"id": 7}', {"kind": "order"}),
    (b'{"id": 7, "to": "x"}', {"kind": "invoice"}), (b'{"id": 7, "to": "x"}', {})])
def test_both_refuse_the_same(server, contract, body, metadata):
    one = server(messages={"an order": (body, metadata)})
    assert findings(verify(contract, "--provider-state-url", one.url + "/states", "--message-url", one.url + "/m")) != {}
    verifier = pact.Verifier("provider").add_transport(protocol="message", scheme="http", port=one.port, path="/m")
    verifier.state_handler(one.url + "/states", teardown=False, body=True)
    with pytest.raises(RuntimeError):
        verifier.add_source(str(contract)).verify()


def test_a_state_that_fails(server, contract):
    one = server(states={"stock": (500, b"no")}, messages=ORDER)
    found = findings(verify(contract, "--provider-state-url", one.url + "/states", "--message-url", one.url + "/m"))
    assert found == {"an order": 'the state "stock": HTTP status 500'}


def test_nobody_answers(contract):
    found = findings(verify(contract, "--provider-state-url", "http://127.0.0.1:1/s", "--message-url", "http://127.0.0.1:1/m"))
    assert 'the state "a customer"' in found["an order"] and "127.0.0.1:1" in found["an order"]


def test_match_judges_a_file(contract, tmp_path):
    (tmp_path / "good").write_bytes(ORDER["an order"][0])
    (tmp_path / "bad").write_bytes(b'{"id": 1.5}')
    good = run("match", "--interaction", "an order", "--metadata", '{"kind": "order"}', contract, tmp_path / "good")
    assert (good.returncode, good.stderr) == (0, "") and "ok       an order" in good.stdout
    bad = run("match", "--interaction", "an order", contract, tmp_path / "bad")
    assert bad.returncode == 1
    for text in ("body $.id", "body $.to", "metadata kind", "(nothing)"):
        assert text in bad.stdout
    assert run("match", "--interaction", "another", contract, tmp_path / "good").returncode == 2
