"""Pages of other origins: which requests they may send, and which answers they may read (CORS, in the Fetch standard).

Only the origins in BROWSER_ORIGINS get these headers, and only on paths that take a token or are public. No page that
uses cookies is among them, and no answer allows credentials.
"""

from functools import partial

from django.conf import settings
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from todo_mcp.transports.http.refusals import refuse

PREFLIGHT_SECONDS = 7200  # how long a browser may remember a preflight; Chromium allows no more
READABLE = ("Allow", "MCP-Protocol-Version", "Mcp-Session-Id", "Retry-After", "WWW-Authenticate", "X-Request-ID")
_ENDPOINTS = frozenset({"/mcp", "/oauth/token", "/oauth/register", "/oauth/revoke"})
_TREES = ("/api/", "/.well-known/")  # also where nothing is: a client that looks for metadata must see the 404


async def _no_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotImplementedError  # RequestChecks calls the application


class Browsers:
    """Uses the parts of Starlette's middleware, because RequestChecks must check the Host before it answers."""

    def __init__(self) -> None:
        self._origins = frozenset(settings.BROWSER_ORIGINS)
        self._cors = CORSMiddleware(
            _no_app,
            allow_origins=self._origins,
            allow_methods=["*"],  # the answer to a wrong method says which one is right
            allow_headers=["*"],  # clients add their own: Mcp-Param-…, traces
            allow_private_network=True,  # a listed page may call a server on the person's own computer
            expose_headers=READABLE,
            max_age=PREFLIGHT_SECONDS,
        )

    def readable(self, scope: Scope, send: Send) -> Send:
        """A send that lets the page read the answer. It is the same send for a preflight, and for all other senders."""
        if not self._origins or _is_preflight(scope) or not self._accepts(scope):
            return send
        return partial(self._cors.send, send=send, request_headers=Headers(scope=scope))

    def preflight(self, scope: Scope) -> Response | None:
        """The answer to a preflight of a listed origin, which carries no token. None for any other request."""
        if not _is_preflight(scope) or not self._accepts(scope):
            return None
        response = self._cors.preflight_response(Headers(scope=scope))
        if response.status_code != 200:
            return refuse(scope, 400, f"A page may use {', '.join(self._cors.allow_methods)}.")
        return response

    def _accepts(self, scope: Scope) -> bool:
        path = scope["path"]
        is_open = path.rstrip("/") in _ENDPOINTS or f"{path}/".startswith(_TREES)
        return is_open and Headers(scope=scope).get("origin") in self._origins


def _is_preflight(scope: Scope) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in Headers(scope=scope)
