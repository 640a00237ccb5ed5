"""The first page: what this server is and how to connect. A person gets a page, a program gets JSON.

It is the same for everybody. So it is answered before a place at the gate or the database is needed.
"""

from http import HTTPStatus

from django.conf import settings
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from todo_mcp.admin_kit.plain_pages import POLICY, front_page
from todo_mcp.core.envelope import Envelope
from todo_mcp.transports.http.refusals import EnvelopeResponse, reads_pages, refuse

METHODS = ("GET", "HEAD")
_PATHS = {
    "mcp": "/mcp",
    "tool": "/api/tools/{name}",  # a template of RFC 6570
    "openapi": "/api/schema",
    "api_page": "/api/docs",
    "authorization_server": "/.well-known/oauth-authorization-server",
    "connected_apps": "/oauth/connections",
    "admin": "/admin/",
}


class FrontPage:
    """The endpoint at ``/``. An MCP client that calls it by mistake learns the address of ``/mcp``."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _answer(scope)(scope, receive, send)


def _answer(scope: Scope) -> Response:
    url = settings.PUBLIC_URL
    if scope["method"] not in METHODS:
        message = f"MCP clients call {url}/mcp. This path has only a page for people."
        response = refuse(scope, HTTPStatus.METHOD_NOT_ALLOWED, message, name="method_not_allowed")
        response.headers["Allow"] = ", ".join(METHODS)
        return response
    if reads_pages(scope):
        return HTMLResponse(front_page(url), headers={"Content-Security-Policy": POLICY, **_headers()})
    return EnvelopeResponse(_described(url), headers=_headers())


def _headers() -> dict[str, str]:
    """Django's SecurityMiddleware, which adds Strict-Transport-Security to other pages, does not see this one."""
    headers = {"Vary": "Accept"}
    if settings.SECURE_HSTS_SECONDS:
        headers["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
    return headers


def _described(url: str) -> Envelope:
    return {
        "status": "success",
        "data": {name: f"{url}{path}" for name, path in _PATHS.items()},
        "message": "This server keeps tasks. Assistants use them over MCP, other programs over HTTP.",
    }
