"""The result of ``RequestChecks`` for an HTTP request. The ASGI scope carries it to the code that answers."""

import re
from typing import Any, NamedTuple

from starlette.types import Scope

_KEY = "todo_mcp.checked_request"
_SURROGATE = re.compile("[\ud800-\udfff]")


class CheckedRequest(NamedTuple):
    """The request's id, its bearer token and its JSON body.

    ``message`` is the value of the body; ``has_body`` tells an empty body from ``null``. ``has_escapes`` says that the
    body contains ``\\u``: only such an escape can write a lone surrogate.
    """

    request_id: str
    token: str = ""
    message: Any = None
    has_body: bool = False
    has_escapes: bool = False

    def with_body(self, message: Any, body: bytes) -> "CheckedRequest":
        return CheckedRequest(self.request_id, self.token, message, has_body=True, has_escapes=b"\\u" in body)

    @property
    def rpc_id(self) -> str | int | None:
        """The JSON-RPC id; None if there is none, or none that JSON can send back unchanged."""
        rpc_id = self.message.get("id") if isinstance(self.message, dict) else None
        if isinstance(rpc_id, str) and not _SURROGATE.search(rpc_id):
            return rpc_id
        return rpc_id if type(rpc_id) is int else None


def put_request(scope: Scope, request: CheckedRequest) -> None:
    """Store the request in the scope."""
    scope[_KEY] = request


def checked_request(scope: Scope) -> CheckedRequest:
    """The request of this scope, which has passed ``RequestChecks``."""
    request: CheckedRequest = scope[_KEY]
    return request


def address_of(scope: Scope) -> str:
    """The caller's address; empty if the server does not know it."""
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""
