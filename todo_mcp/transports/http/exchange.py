"""One HTTP request on its way through the transports, and the answers that end it early."""

import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from todo_mcp.auth.principal import Principal
from todo_mcp.auth.resource import challenge
from todo_mcp.core.envelope import Envelope, failure, to_json
from todo_mcp.core.errors import ScopeMissing, TodoError, Unauthenticated
from todo_mcp.statistics.recorder import recorder
from todo_mcp.telemetry.metrics import REFUSED

_KEY = "todo_mcp.exchange"
_SURROGATE = re.compile("[\ud800-\udfff]")
INVALID_REQUEST, PARSE_ERROR = -32600, -32700  # JSON-RPC 2.0, section 5.1


class EnvelopeResponse(JSONResponse):
    """A JSON response, compact, and safe for text that cannot be encoded."""

    def render(self, content: Any) -> bytes:
        return to_json(content)


@dataclass
class Exchange:
    """What the guard knows of a request: handed to the endpoint in the ASGI scope.

    ``message`` is the body's JSON, or ``malformed`` says why it is none; ``has_body`` tells an empty body from
    ``null``, and ``has_escapes`` that it was written with ``\\u`` escapes, the only way to a lone surrogate.
    ``answer`` is what a tool leaves to be sent, ``failed`` whether it tells an error. ``refusal`` is set inside the
    SDK, where HTTP cannot be spoken; the endpoint then sends it in place of what the SDK made of it. ``revision`` and
    ``client`` are what the SDK read in a call. ``authenticated`` says that the token was looked up and is good;
    ``known`` that a tool was called with it; ``principal`` is whose it is, where none was. ``answered`` says that the
    answer has been sent.
    """

    request_id: str
    token: str = ""
    message: Any = None
    has_body: bool = False
    has_escapes: bool = False
    malformed: str = ""
    answer: bytes = b""
    failed: bool = False
    revision: str = ""
    client: str = ""
    refusal: Unauthenticated | TodoError | None = None
    authenticated: bool = False
    known: bool = False
    principal: Principal | None = None
    answered: bool = False

    def take(self, message: Any, body: bytes) -> None:
        """Keep what a body says."""
        self.message, self.has_body, self.has_escapes = message, True, b"\\u" in body

    @property
    def rpc_id(self) -> str | int | None:
        """The request's id, to be told back; None where there is none, or none that can be told back unchanged."""
        found = self.message.get("id") if isinstance(self.message, dict) else None
        if isinstance(found, str) and not _SURROGATE.search(found):
            return found
        return found if type(found) is int else None


def open_exchange(scope: Scope, request_id: str) -> Exchange:
    exchange = scope[_KEY] = Exchange(request_id)
    return exchange


def exchange_of(request: Request | Scope) -> Exchange:
    """The exchange of a request that came through the guard."""
    exchange: Exchange = (request.scope if isinstance(request, Request) else request)[_KEY]
    return exchange


def refuse(
    scope: Scope, status: int, message: str, *, name: str = "invalid_request", code: int = INVALID_REQUEST
) -> Response:
    """The answer to a request that is no call: JSON-RPC's form on /mcp, the envelope elsewhere."""
    return _answer(scope, status, _envelope(status, name, message), {}, code)


def refuse_with(
    scope: Scope, error: Unauthenticated | TodoError, *, code: int = INVALID_REQUEST, counted: bool = False
) -> Response:
    """The answer to a caller who may not go on, in the form of the path.

    Args:
        counted: the call came as far as its tool, which has counted it.
    """
    return _answer(scope, *refusal(error), code, counted=counted)


def refusal(error: Unauthenticated | TodoError) -> tuple[int, Envelope, dict[str, str]]:
    """Status, envelope and headers of an error: 401 and 403 carry the challenge of RFC 6750, section 3."""
    if isinstance(error, Unauthenticated):
        said = _envelope(401, "unauthenticated", "Send a valid token: Authorization: Bearer <token>.")
        return 401, said, {"WWW-Authenticate": challenge(error="invalid_token" if error.invalid_token else "")}
    headers = {}
    if isinstance(error, ScopeMissing):
        headers["WWW-Authenticate"] = challenge(error="insufficient_scope", scope=error.needed)
    if "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    return error.code, failure(error), headers


def _envelope(status: int, name: str, message: str) -> Envelope:
    return {"status": "error", "data": {"error_code": status, "error": name}, "message": message}


def count_refusal(status: int, transport: str) -> None:
    """Count a request refused before any tool. Who sent it is not noted: strangers could write what they like."""
    REFUSED.labels(status).inc()
    recorder.record(tool="", outcome=str(status), transport=transport)


def _answer(
    scope: Scope, status: int, envelope: Envelope, headers: dict[str, str], code: int, *, counted: bool = False
) -> Response:
    if not counted:
        count_refusal(status, "mcp" if is_mcp(scope["path"]) else "http")
    if not is_mcp(scope["path"]):
        return EnvelopeResponse(envelope, status, headers)
    exchange: Exchange | None = scope.get(_KEY)
    error = {"code": code, "message": envelope["message"], "data": envelope}
    body = {"jsonrpc": "2.0", "id": exchange.rpc_id if exchange else None, "error": error}
    return EnvelopeResponse(body, status, headers)


def address_of(scope: Scope) -> str:
    """The caller's address, or nothing where the server knows none."""
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""


def is_mcp(path: str) -> bool:
    return path in ("/mcp", "/mcp/")
