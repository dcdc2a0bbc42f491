"""A Pact broker as far as verifiers and publishers talk to one; keeps what it was asked."""
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Broker:
    """`pacts`: {consumer: (document, pending)}; `token`: what must come as bearer; `failures`: how many answers are 503
    first; `old`: knows no pacts for verification."""

    def __init__(self, pacts=None, provider="shop", token=None, failures=0, old=False):
        self.pacts, self.provider, self.token = pacts or {}, provider, token
        self.failures, self.old = failures, old
        self.seen = []     # (method, path, authorization, body)
        broker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def answer(self):
                size = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(size)
                path = urllib.parse.unquote(self.path)
                auth = self.headers.get("authorization")
                broker.seen.append((self.command, path, auth, json.loads(body) if body else None))
                status, document = broker.answer(self.command, path, auth, json.loads(body) if body else None)
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-type", "application/hal+json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def requests(self, method=None):
        return [(m, path, body) for m, path, _, body in self.seen if method in (None, m)]

    def answer(self, method, path, auth, body):
        if self.failures > 0:
            self.failures -= 1
            return 503, {"error": {"message": "starting"}}
        if self.token is not None and auth != f"Bearer {self.token}":
            return 401, {"error": {"message": "Authentication is required"}}
        if method == "GET" and path == "/":
            return 200, self.index()
        if method == "GET" and path == f"/pacts/provider/{self.provider}/for-verification":
            return 200, {"_links": {"self": {"href": self.url + urllib.parse.quote(path)}}}
        if method == "POST" and path == f"/pacts/provider/{self.provider}/for-verification":
            return 200, self.for_verification(body)
        if method == "GET" and path == f"/pacts/provider/{self.provider}/latest":
            return 200, {"_links": {"pb:pacts": [{"href": self.pact_url(name), "name": name} for name in self.pacts]}}
        if method == "GET" and path.startswith("/pact/"):
            return 200, self.pact(path.split("/")[2])
        if method == "GET" and path == f"/pacticipants/{self.provider}":
            return 200, {"_links": {
                "self": {"href": self.url + path},
                "pb:version-tag": {"href": f"{self.url}/versions/{{version}}/tags/{{tag}}", "templated": True},
                "pb:branch-version": {"href": f"{self.url}/branches/{{branch}}/versions/{{version}}", "templated": True}}}
        if method == "PUT" and path.startswith(("/versions/", "/branches/")):
            return 201, {}
        if method == "POST" and path.endswith("/verification-results"):
            missing = [key for key in ("success", "providerApplicationVersion") if key not in body]
            return (400, {"errors": {key: ["can't be blank"] for key in missing}}) if missing else (201, body)
        if method == "POST" and path == "/contracts/publish":
            return 200, {"notices": [{"type": "success", "text": f"{len(body['contracts'])} of {body['pacticipantName']}"}]}
        return 404, {"error": {"message": f"no {method} {path}"}}

    def index(self):
        provider = f"{self.url}/pacts/provider/{{provider}}"
        links = {"pb:latest-provider-pacts": {"href": f"{provider}/latest", "templated": True},
                 "pb:publish-contracts": {"href": "/contracts/publish"}}
        if not self.old:
            links["pb:provider-pacts-for-verification"] = {"href": f"{provider}/for-verification", "templated": True}
        return {"_links": links}

    def for_verification(self, body):
        out = []
        for name, (_, pending) in self.pacts.items():
            if not pending or body.get("includePendingStatus"):
                out.append({"shortDescription": "latest", "verificationProperties": {"pending": pending, "notices": []},
                            "_links": {"self": {"href": self.pact_url(name), "name": f"Pact of {name}"}}})
        return {"_embedded": {"pacts": out}, "_links": {"self": {"href": self.url}}}

    def pact_url(self, name):
        return f"{self.url}/pact/{name}"

    def pact(self, name):
        document = json.loads(json.dumps(self.pacts[name][0]))
        for i, interaction in enumerate(document["interactions"]):
            interaction["_id"] = f"{name}-{i}"
        document["_links"] = {
            "self": {"href": self.pact_url(name)},
            "pb:provider": {"href": f"{self.url}/pacticipants/{self.provider}"},
            "pb:publish-verification-results": {"href": f"{self.url}/pact/{name}/verification-results"}}
        return document
