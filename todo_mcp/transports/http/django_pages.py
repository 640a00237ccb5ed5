"""Django's own pages under ASGI: a thread of the gate handles each request synchronously, from start to end.

Django's ASGI handler would use a thread, and so a database connection, for every request, without the gate. This one
goes through the gate: connections stay within the limit, and a flood of pages cannot exhaust PostgreSQL.
"""

import re
import time
from functools import partial
from io import BytesIO
from urllib.parse import parse_qsl

from django.conf import settings
from django.core import signals
from django.core.exceptions import SuspiciousFileOperation
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpResponseBase
from django.urls import set_script_prefix
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from todo_mcp.admin_kit.static_files import find_static
from todo_mcp.auth.account.slots import RequestSource, request_source
from todo_mcp.auth.rate_limit import site_of
from todo_mcp.calls.owners import owner_of_call, owner_of_site
from todo_mcp.core.arguments import named_user
from todo_mcp.core.errors import Busy, Unauthenticated
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.places import Owner
from todo_mcp.telemetry.metrics import PAGES
from todo_mcp.transports.http.checked_request import address_of, checked_request
from todo_mcp.transports.http.paths import is_rest, speaks_oauth, speaks_rpc
from todo_mcp.transports.http.refusals import EnvelopeResponse, ErrorPage, body_of_status, reads_pages, refuse_with

PAGE_SECONDS = 30  # a page may make many statements, such as an action on many rows
_JSON = "application/json"
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")  # a query holds these bytes percent-encoded (RFC 3986, section 2.1)
CACHE_FOREVER = "public, max-age=31536000, immutable"  # a name with the digest of its content
CACHE_SHORTLY = "public, max-age=3600"
# Computed from the content, or decided by transports/browsers.py: the library lets every page read the metadata.
_REPLACED = frozenset({b"content-length", b"access-control-allow-origin"})


class _Request(ASGIRequest):
    """A form is UTF-8, whatever its Content-Type says (WHATWG URL, 5.1). Django's error pages fail with others."""

    @property
    def encoding(self) -> str:
        return "utf-8"

    @encoding.setter
    def encoding(self, value: str) -> None:
        pass


class DjangoApp(BaseHandler):
    """An ASGI application for the paths in Django's URLs."""

    def __init__(self, gate: DatabaseGate) -> None:
        super().__init__()
        self._gate = gate
        self.load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body", b"")  # RequestChecks has read the whole body
        started = time.perf_counter()
        kind = "rest" if is_rest(scope["path"]) else "page"
        try:
            owner = await self._owner(scope)
            work = partial(self._respond, scope, body)
            response = await self._gate.in_thread(work, owner=owner, patience=PAGE_SECONDS)
        except Unauthenticated as refusal:
            response = refuse_with(scope, refusal)
        except Busy as busy:
            response = refuse_with(scope, busy)
            if kind == "page" and not speaks_oauth(scope["path"]) and not reads_pages(scope):
                headers = {"Retry-After": response.headers["Retry-After"]}
                response = PlainTextResponse(busy.message, busy.code, headers=headers)
        PAGES.labels(kind, response.status_code).observe(time.perf_counter() - started)
        await response(scope, receive, send)

    async def _owner(self, scope: Scope) -> Owner:
        checked = checked_request(scope)
        if not checked.token:
            return owner_of_site(site_of(address_of(scope)))
        return await owner_of_call(self._gate, checked.token, lambda: _named_user(scope))

    def _respond(self, scope: Scope, body: bytes) -> Response:
        request_source.set(RequestSource(site_of(address_of(scope)), is_known=False))
        set_script_prefix(scope.get("root_path", ""))
        signals.request_started.send(sender=self.__class__, scope=scope)
        query = _BEYOND_ASCII.sub(lambda match: b"%%%02X" % match[0][0], scope["query_string"])
        response = self.get_response(_Request({**scope, "query_string": query}, BytesIO(body)))
        try:
            return _with_reason(scope, _to_starlette(response))
        finally:
            response.close()  # sends request_finished


def _named_user(scope: Scope) -> str | None:
    """The user whom a REST request names, in its body or its query."""
    message = checked_request(scope).message
    named = message.get("user_id") if isinstance(message, dict) else None
    return named_user({"user_id": named or dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("user_id")})


def _to_starlette(page: HttpResponseBase) -> Response:
    content = b"".join(bytes(part) for part in page)
    response = Response(content, page.status_code)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in page.items()]
    cookies = [(b"set-cookie", morsel.OutputString().encode("latin-1")) for morsel in page.cookies.values()]
    length = [(b"content-length", str(len(content)).encode())] if page.status_code != 204 else []  # RFC 9110, 8.6
    response.raw_headers = [pair for pair in headers if pair[0] not in _REPLACED] + cookies + length
    return response


def _with_reason(scope: Scope, response: Response) -> Response:
    """Django refuses some requests with an empty body, or with a page where a program expects JSON. Replace these."""
    path, status = scope["path"], response.status_code
    is_for_api = is_rest(path) or speaks_oauth(path) or speaks_rpc(path)
    is_explained = response.body and not (is_for_api and _JSON not in response.headers.get("content-type", ""))
    if status < 400 or is_explained:
        return response
    explained = ErrorPage(status) if reads_pages(scope) else EnvelopeResponse(body_of_status(path, status), status)
    replaced = {b"content-type", b"content-length", *(name for name, _ in explained.raw_headers)}
    kept = [pair for pair in response.raw_headers if pair[0] not in replaced]
    explained.raw_headers += kept
    return explained


async def static_file(request: Request) -> Response:
    """A static file of an installed app, compressed if the browser accepts gzip."""
    try:  # in a thread, because the first request of a file reads and compresses it
        file, is_current = await run_in_threadpool(find_static, request.path_params["path"])
    except (FileNotFoundError, SuspiciousFileOperation):
        return PlainTextResponse("Not found", 404)
    headers = {"Cache-Control": CACHE_FOREVER if is_current else CACHE_SHORTLY}
    if file.compressed is not None:
        headers["Vary"] = "Accept-Encoding"
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(file.compressed, media_type=file.media_type, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


STATIC_PATH = f"{settings.STATIC_URL}{{path:path}}"
