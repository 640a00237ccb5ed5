"""What every request passes before anything else looks at it: size, host, origin, credentials, well-formed JSON.

The numbers are in docs/architecture.md; each refusal is HTTP's own status for it.
"""

import asyncio
import logging
import re
import uuid
from collections.abc import Iterable

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_mcp.core.errors import InternalError, InvalidArguments, TodoError, Unauthenticated
from todo_mcp.logs import describe
from todo_mcp.logs import request_id as current_request_id
from todo_mcp.transports.calls import authenticate_alone
from todo_mcp.transports.database_gate import DatabaseGate
from todo_mcp.transports.exchange import PARSE_ERROR, Exchange, exchange_of, is_mcp, open_exchange, refuse, refuse_with
from todo_mcp.transports.json_body import BadJson, parse

logger = logging.getLogger(__name__)

BODY_SECONDS = 10.0
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})  # asked by address, from inside
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SPACE = " \t"  # HTTP's, not Unicode's
_DIGITS_MAX = 18


class Refused(Exception):
    """The request ends here with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, gate: DatabaseGate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        sent_id = headers.one(b"x-request-id")
        exchange = open_exchange(scope, sent_id if _REQUEST_ID.fullmatch(sent_id) else uuid.uuid4().hex)
        reset = current_request_id.set(exchange.request_id)
        try:
            await self._guarded(scope, receive, _with_request_id(send, exchange.request_id), headers, exchange)
        finally:
            current_request_id.reset(reset)

    async def _guarded(
        self, scope: Scope, receive: Receive, send: Send, headers: "_Headers", exchange: Exchange
    ) -> None:
        try:
            if scope["path"] not in PROBES:
                _check_sender(scope["path"], headers)
            body = await _read(receive, headers, _body_max(scope["path"]))
            if _takes_calls(scope["path"]):
                exchange.token = _bearer_token(headers)
                if scope["method"] == "POST" and body.strip():
                    exchange.message, exchange.has_body, exchange.has_escapes = parse(body), True, b"\\u" in body
        except Refused as refused:
            await refuse(scope, refused.status, refused.message)(scope, receive, send)
        except BadJson as bad:
            exchange.malformed = str(bad)
            await self._finished(self._malformed, scope, receive, send)
        except Unauthenticated as error:
            await refuse_with(scope, error)(scope, receive, send)
        else:
            await self._finished(self._app, scope, _replay(body, receive), send)

    async def _malformed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is wrong with a body is told to those whose token is good; others hear of the token alone."""
        exchange = exchange_of(scope)
        try:
            await self._gate.on_loop(lambda: authenticate_alone(exchange.token))
            response = refuse_with(scope, InvalidArguments({"body": exchange.malformed}), code=PARSE_ERROR)
        except (Unauthenticated, TodoError) as error:
            response = refuse_with(scope, error)
        await response(scope, receive, send)

    async def _finished(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; a defect of ours becomes a 500 that says nothing but the request's id."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await app(scope, receive, watched)
        except Exception as error:
            logger.error("defect", extra={"path": scope["path"], **describe(error)})
            if not begun:
                await refuse_with(scope, InternalError(exchange_of(scope).request_id))(scope, receive, send)


class _Headers:
    """The raw headers; ASGI gives their names in lower case."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._raw if key == name]

    def one(self, name: bytes) -> str:
        return next(iter(self.all(name)), "")

    def size(self) -> int:
        return sum(len(key) + len(value) + 4 for key, value in self._raw)


def _check_sender(path: str, headers: _Headers) -> None:
    """Against DNS rebinding and foreign pages: the Host must be ours, an Origin too. MCP asks for both."""
    if headers.size() > settings.HEADERS_MAX:
        raise Refused(431, f"The headers are larger than {settings.HEADERS_MAX} bytes.")
    hosts = headers.all(b"host")
    domain, _port = split_domain_port(hosts[0]) if len(hosts) == 1 else ("", "")
    if not domain or not validate_host(domain, settings.ALLOWED_HOSTS):
        raise Refused(421, "This server does not answer for that Host. Its operator can add it to ALLOWED_HOSTS.")
    origin = headers.one(b"origin")
    if origin and _takes_calls(path) and not _is_own(origin, hosts[0]):
        raise Refused(403, "Calls from pages of that Origin are not taken.")


def _is_own(origin: str, host: str) -> bool:
    """Whether an Origin is the public address, or the very host (checked before) that the request is sent to."""
    return origin == settings.PUBLIC_URL or (not settings.PRODUCTION and origin.partition("://")[2] == host)


def _takes_calls(path: str) -> bool:
    return is_mcp(path) or path.startswith("/api/tools/") or _is_conversation(path)


def _is_conversation(path: str) -> bool:
    return path == "/api/conversations" or path.startswith("/api/conversations/")


def _body_max(path: str) -> int:
    """In bytes."""
    maximum: int = settings.CONVERSATION_BODY_MAX if _is_conversation(path) else settings.BODY_MAX
    return maximum


def _bearer_token(headers: _Headers) -> str:
    """The token of the one Authorization header (RFC 6750 section 2.1); never from the body or the query."""
    sent = headers.all(b"authorization")
    if len(sent) > 1:
        raise Refused(400, "There is more than one Authorization header.")
    scheme, _, token = (sent[0] if sent else "").strip(_SPACE).partition(" ")
    if not scheme:
        raise Unauthenticated(invalid_token=False)
    if scheme.lower() != "bearer" or not token.strip(_SPACE):
        raise Unauthenticated
    return token.strip(_SPACE)


async def _read(receive: Receive, headers: _Headers, maximum: int) -> bytes:
    """The whole body: at most ``maximum`` bytes, within 10 seconds."""
    too_large = Refused(413, f"The body is larger than {maximum} bytes.")
    declared = headers.one(b"content-length")  # what is no number is the HTTP server's to refuse
    if declared.isascii() and declared.isdigit() and (len(declared) > _DIGITS_MAX or int(declared) > maximum):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Refused(400, "The body ended early.")
                body += message.get("body", b"")
                if len(body) > maximum:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise Refused(408, f"The body did not arrive within {BODY_SECONDS:g} s.") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body that was read, then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _with_request_id(send: Send, request_id: str) -> Send:
    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
        await send(message)

    return stamped
