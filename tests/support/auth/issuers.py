"""Issuers of JWTs for the tests: keys, tokens of every kind, and a server that publishes a key set."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.support.caller import Caller

ISSUER = "https://login.example.com/"
AUDIENCE = "todo"
Configure = Callable[..., None]
SECRET = "a secret of the issuer, of more than 32 bytes"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
PEM = (
    RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)


def claims(**changes: Any) -> dict[str, Any]:
    """Valid claims about Alice. A claim of None is left out."""
    now = int(time.time())
    values = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600, **changes}
    return {name: value for name, value in values.items() if value is not None}


def signed(
    payload: dict[str, Any] | None = None,
    key: Any = RSA,
    algorithm: str = "RS256",
    headers: dict[str, Any] | None = None,
) -> str:
    return jwt.encode(payload if payload is not None else claims(), key, algorithm, headers)


def raw(header: str, payload: str, key: Any = RSA, algorithm: str = "RS256") -> str:
    """A token with exactly these JSON texts and a valid signature."""
    head, body = (base64.urlsafe_b64encode(text.encode()).rstrip(b"=") for text in (header, payload))
    algorithms = jwt.algorithms.get_default_algorithms()
    signer = algorithms[algorithm]
    signature = signer.sign(head + b"." + body, signer.prepare_key(key))
    return b".".join((head, body, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()


def issuer(**changes: Any) -> dict[str, Any]:
    """An entry of JWT_ISSUERS with a public key."""
    return {"issuer": ISSUER, "audience": AUDIENCE, "family": "RS", "public_key": PEM, **changes}


def jwk(key: Any = RSA, **changes: Any) -> dict[str, Any]:
    """The public half of a key, as a JSON Web Key."""
    algorithm = jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "use": "sig", **changes}


async def status(http: httpx2.AsyncClient, token: str, **arguments: Any) -> int:
    return (await Caller(http, token).post("list_tasks", **arguments)).status_code


class KeyServer:
    """Publishes ``keys``. ``status`` and ``body`` replace the answer. A ``slow`` server sends spaces without end."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.status = 200
        self.body: bytes | None = None
        self.asked = 0
        self.url = ""
        self.slow = False
        self.closing = threading.Event()

    def answer(self) -> bytes:
        self.asked += 1
        return self.body if self.body is not None else json.dumps({"keys": self.keys}).encode()


def _handler(answers: KeyServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.answer()
            self.send_response(answers.status)
            self.send_header("Content-Length", str(1_000_000 if answers.slow else len(body)))
            if answers.status in (301, 302, 307):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            if not answers.slow:
                self.wfile.write(body)
                return
            with contextlib.suppress(OSError):
                while not answers.closing.wait(0.05):
                    self.wfile.write(b" ")

        def log_message(self, *args: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def key_server() -> Iterator[KeyServer]:
    answers = KeyServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answers))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    answers.url = f"http://127.0.0.1:{server.server_port}/keys"
    try:
        yield answers
    finally:
        answers.closing.set()
        server.shutdown()
        server.server_close()
