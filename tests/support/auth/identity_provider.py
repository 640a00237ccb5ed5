"""A company's identity provider: it signs people in, and exchanges ID tokens for identity assertions (RFC 8693)."""

import contextlib
import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

import jwt

from tests.support.auth.id_jags import TYP
from tests.support.auth.issuers import RSA, jwk, signed

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@dataclass
class IdentityProvider:
    """``clients`` maps a client's id here to its id at our authorization server. ``people`` may sign in."""

    url: str
    audience: str
    clients: dict[str, str] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)
    issued: int = 0

    def sign_in(self, person: str, client_id: str) -> str:
        """The ID token that the client gets when the person signs in."""
        assert person in self.people
        now = int(time.time())
        claims = {"iss": self.url, "aud": client_id, "sub": person, "iat": now, "exp": now + 3600, "nonce": "n"}
        return signed(claims, headers={"kid": "1"})

    def exchange(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Section 4.3 of the draft: check the ID token and the company's policy, and issue the assertion."""
        client_id = form.get("client_id", "")
        expected = {"grant_type": EXCHANGE, "requested_token_type": ID_JAG, "subject_token_type": ID_TOKEN}
        if {name: form.get(name) for name in expected} != expected:
            return 400, {"error": "invalid_request"}
        person = jwt.decode(form["subject_token"], RSA.public_key(), ["RS256"], audience=client_id)["sub"]
        if person not in self.people or client_id not in self.clients:
            return 400, {"error": "invalid_grant", "error_description": "The policy forbids it."}
        if form.get("audience") != self.audience:
            return 400, {"error": "invalid_target"}
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": person,
            "aud": form["audience"],
            "resource": form["resource"],
            "client_id": self.clients[client_id],
            "scope": form.get("scope", "tasks:read tasks:write"),
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 300,
        }
        self.issued += 1
        token = signed(claims, headers={"typ": TYP, "kid": "1"})
        return 200, {"issued_token_type": ID_JAG, "access_token": token, "token_type": "N_A", "expires_in": 300}


def _handler(provider: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(200, {"keys": [jwk(kid="1")]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._send(*provider.exchange(dict(parse_qsl(body))))

        def _send(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def identity_provider(audience: str = "") -> Iterator[IdentityProvider]:
    provider = IdentityProvider("", audience)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    provider.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
