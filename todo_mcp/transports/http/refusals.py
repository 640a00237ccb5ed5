"""The answers that refuse a request, in the form that the path's callers read.

That is JSON-RPC's form on /mcp, OAuth's form at the endpoints for OAuth clients, and the envelope elsewhere. A browser
that opens a page gets a page.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from todo_mcp.admin_kit.plain_pages import POLICY, error_page
from todo_mcp.auth.resource import challenge
from todo_mcp.core.envelope import Envelope, failure, to_json
from todo_mcp.core.errors import ScopeMissing, TodoError, Unauthenticated
from todo_mcp.statistics.recorder import recorder
from todo_mcp.telemetry.metrics import REFUSED
from todo_mcp.telemetry.refused_tokens import record_refusal
from todo_mcp.transports.http.checked_request import checked_request
from todo_mcp.transports.http.paths import canonical_path, is_for_programs, is_mcp, speaks_oauth, speaks_rpc
from todo_mcp.transports.http.request_body import INVALID_REQUEST
from todo_mcp.transports.http.request_headers import prefers_page

PARSE_ERROR = -32700  # JSON-RPC 2.0, section 5.1
METHOD_ADVICE = "This path does not allow that method; the header Allow lists those that it allows."
_NAMES = {400: "invalid_request", 429: "rate_limited", 500: "internal_error", 503: "busy"}
_OAUTH_NAMES = {  # RFC 6749, section 4.1.2.1
    "rate_limited": "temporarily_unavailable",
    "busy": "temporarily_unavailable",
    "internal_error": "server_error",
}


class EnvelopeResponse(JSONResponse):
    """A JSON response, compact, and safe for text that UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        return to_json(content)


class ErrorPage(HTMLResponse):
    """A page that says what happened, what to do, and the request's id."""

    def __init__(self, status: int, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        content = error_page(status, message)
        super().__init__(content, status, {**(headers or {}), "Content-Security-Policy": POLICY, "Vary": "Accept"})


def reads_pages(scope: Scope) -> bool:
    """Whether a person reads the answer, in a browser."""
    return not is_for_programs(scope["path"]) and prefers_page(Headers(scope=scope).get("accept", ""))


def refuse(
    scope: Scope, status: int, message: str, *, name: str = "invalid_request", code: int = INVALID_REQUEST
) -> Response:
    """Refuse a request that is no call of an operation."""
    return _response(scope, status, _envelope(status, name, message), {}, code)


def refuse_with(
    scope: Scope, error: Unauthenticated | TodoError, *, code: int = INVALID_REQUEST, is_counted: bool = False
) -> Response:
    """Refuse a caller.

    Args:
        is_counted: the call reached its operation, which has counted it.
    """
    if isinstance(error, Unauthenticated):
        record_refusal(error)
    return _response(scope, *refusal_parts(error), code, is_counted=is_counted)


def refusal_parts(error: Unauthenticated | TodoError) -> tuple[int, Envelope, dict[str, str]]:
    """Status, envelope and headers of an error. 401 and 403 carry the challenge of RFC 6750, section 3."""
    if isinstance(error, Unauthenticated):
        envelope = _envelope(401, "unauthenticated", "Send a valid token: Authorization: Bearer <token>.")
        return 401, envelope, {"WWW-Authenticate": challenge(error="invalid_token" if error.invalid_token else "")}
    headers = {}
    if isinstance(error, ScopeMissing):
        headers["WWW-Authenticate"] = challenge(error="insufficient_scope", scope=error.needed)
    if "retry_after" in error.details:
        headers["Retry-After"] = str(error.details["retry_after"])
    return error.code, failure(error), headers


def refusal_body(path: str, envelope: Envelope, code: int = INVALID_REQUEST, rpc_id: str | int | None = None) -> Any:
    """The body of a refusal at this path."""
    message, name = envelope["message"], envelope["data"]["error"]
    if speaks_rpc(path):
        return {"jsonrpc": "2.0", "id": rpc_id, "error": {"code": code, "message": message, "data": envelope}}
    if speaks_oauth(path):
        return {"error": _OAUTH_NAMES.get(name, name), "error_description": message}
    return envelope


def body_of_status(path: str, status: int) -> Any:
    """The body of a refusal of which only the status is known."""
    described = HTTPStatus(status)
    name = _NAMES.get(status, described.name.lower())
    advice = METHOD_ADVICE if status == 405 else f"{described.description or described.phrase}."
    return refusal_body(path, _envelope(status, name, advice))


def body_at_target(target: bytes, status: int, message: str) -> bytes:
    """The body of a refusal by the HTTP protocol. It knows at most the target of the request."""
    raw = target.partition(b"?")[0]
    if not raw.startswith(b"/"):  # an absolute target (RFC 9112, section 3.2.2)
        raw = b"/" + raw.partition(b"://")[2].partition(b"/")[2]
    path = canonical_path({"path": "", "raw_path": raw}) or ""
    return to_json(refusal_body(path, _envelope(status, _NAMES[400], message)))


def count_refusal(status: int, transport: str) -> None:
    """Count a request that reached no operation. The sender is not recorded: a stranger could write anything."""
    REFUSED.labels(status).inc()
    recorder.record(tool="", outcome=str(status), transport=transport)


def _envelope(status: int, name: str, message: str) -> Envelope:
    return {"status": "error", "data": {"error_code": status, "error": name}, "message": message}


def _response(
    scope: Scope, status: int, envelope: Envelope, headers: dict[str, str], code: int, *, is_counted: bool = False
) -> Response:
    path = scope["path"]
    if not is_counted:
        count_refusal(status, "mcp" if is_mcp(path) else "http")
    if reads_pages(scope):
        return ErrorPage(status, envelope["message"], headers)
    return EnvelopeResponse(refusal_body(path, envelope, code, checked_request(scope).rpc_id), status, headers)
