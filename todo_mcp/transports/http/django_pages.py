"""Django's own pages under ASGI: each request is handled, synchronously and whole, in a database thread.

Django's ASGI handler would make a thread, and so a database connection, for every request, past the gate. This one
uses the same threads as the tools: connections stay within the limit, and a flood of pages cannot starve PostgreSQL.
"""

import mimetypes
import re
import time
from functools import cache
from io import BytesIO
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles import finders
from django.core import signals
from django.core.exceptions import SuspiciousFileOperation
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpResponseBase
from django.urls import set_script_prefix
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from todo_mcp.auth.account.slots import RequestSource, request_source
from todo_mcp.auth.rate_limit import site_of
from todo_mcp.core.errors import Busy
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry.metrics import PAGES
from todo_mcp.transports.http.checked_request import address_of
from todo_mcp.transports.http.refusals import refuse_with

PAGE_SECONDS = 30  # a page may make many statements, such as an action on many rows
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")  # bytes that a query holds percent-encoded (RFC 3986, 2.1)
STATIC_SECONDS = 3600  # how long a browser keeps the admin's style sheets and scripts


class _Request(ASGIRequest):
    """A form is UTF-8, whatever its Content-Type says (WHATWG URL, 5.1). Django's error pages fail over others."""

    @property
    def encoding(self) -> str:
        return "utf-8"

    @encoding.setter
    def encoding(self, value: str) -> None:
        pass


class DjangoApp(BaseHandler):
    """An ASGI application for what Django's URLs name."""

    def __init__(self, gate: DatabaseGate) -> None:
        super().__init__()
        self._gate = gate
        self.load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body", b"")  # the guard has read it whole
        began = time.perf_counter()
        kind = "rest" if scope["path"].startswith("/api/") else "page"
        try:
            response = await self._gate.in_thread(lambda: self._respond(scope, body), patience=PAGE_SECONDS)
        except Busy as busy:
            response = refuse_with(scope, busy)
            if kind == "page":  # a person reads it
                headers = {"Retry-After": response.headers["Retry-After"]}
                response = PlainTextResponse(busy.message, busy.code, headers=headers)
        PAGES.labels(kind, response.status_code).observe(time.perf_counter() - began)
        await response(scope, receive, send)

    def _respond(self, scope: Scope, body: bytes) -> Response:
        request_source.set(RequestSource(site_of(address_of(scope)), is_known=False))
        set_script_prefix(scope.get("root_path", ""))
        signals.request_started.send(sender=self.__class__, scope=scope)
        query = _BEYOND_ASCII.sub(lambda found: b"%%%02X" % found[0][0], scope["query_string"])
        answered = self.get_response(_Request({**scope, "query_string": query}, BytesIO(body)))
        try:
            return _to_starlette(answered)
        finally:
            answered.close()  # sends request_finished


def _to_starlette(answered: HttpResponseBase) -> Response:
    content = b"".join(bytes(part) for part in answered)
    response = Response(content, answered.status_code)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answered.items()]
    cookies = [(b"set-cookie", morsel.OutputString().encode("latin-1")) for morsel in answered.cookies.values()]
    length = [(b"content-length", str(len(content)).encode())] if answered.status_code != 204 else []  # RFC 9110, 8.6
    response.raw_headers = [pair for pair in headers if pair[0] != b"content-length"] + cookies + length
    return response


async def static_file(request: Request) -> Response:
    """A static file of an installed app, found as `collectstatic` would; no copy, no step to forget."""
    try:
        found = finders.find(request.path_params["path"])
    except SuspiciousFileOperation:
        found = None
    if not isinstance(found, str) or not Path(found).is_file():
        return PlainTextResponse("Not found", 404)
    kept = {"Cache-Control": f"public, max-age={STATIC_SECONDS}"}
    return Response(_content(found), media_type=mimetypes.guess_type(found)[0], headers=kept)


@cache
def _content(file: str) -> bytes:
    """Kept, so that however many clients read slowly hold one copy and no open file; all files come to 15 MB."""
    return Path(file).read_bytes()


STATIC_PATH = f"{settings.STATIC_URL}{{path:path}}"
