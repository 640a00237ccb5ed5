"""The answers that refuse a request: JSON-RPC's form on /mcp, the envelope elsewhere."""

from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from todo_mcp.auth.resource import challenge
from todo_mcp.core.envelope import Envelope, failure, to_json
from todo_mcp.core.errors import ScopeMissing, TodoError, Unauthenticated
from todo_mcp.statistics.recorder import recorder
from todo_mcp.telemetry.metrics import REFUSED
from todo_mcp.telemetry.refused_tokens import record_refusal
from todo_mcp.transports.http.checked_request import checked_request
from todo_mcp.transports.http.paths import is_mcp

INVALID_REQUEST, PARSE_ERROR = -32600, -32700  # JSON-RPC 2.0, section 5.1


class EnvelopeResponse(JSONResponse):
    """A JSON response, compact, and safe for text that UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        return to_json(content)


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


def count_refusal(status: int, transport: str) -> None:
    """Count a request that reached no operation. The sender is not recorded: a stranger could write anything."""
    REFUSED.labels(status).inc()
    recorder.record(tool="", outcome=str(status), transport=transport)


def _envelope(status: int, name: str, message: str) -> Envelope:
    return {"status": "error", "data": {"error_code": status, "error": name}, "message": message}


def _response(
    scope: Scope, status: int, envelope: Envelope, headers: dict[str, str], code: int, *, is_counted: bool = False
) -> Response:
    is_rpc = is_mcp(scope["path"])
    if not is_counted:
        count_refusal(status, "mcp" if is_rpc else "http")
    if not is_rpc:
        return EnvelopeResponse(envelope, status, headers)
    error = {"code": code, "message": envelope["message"], "data": envelope}
    return EnvelopeResponse({"jsonrpc": "2.0", "id": checked_request(scope).rpc_id, "error": error}, status, headers)
