"""What every request passes before anything else looks at it: size, host, origin, credentials, well-formed JSON.

The numbers are in docs/architecture.md; each refusal is HTTP's own status for it.
"""

import asyncio
import ipaddress
import logging
import re
import uuid
from collections.abc import Iterable

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_mcp.auth.jwt.tokens import looks_like_jwt, prepare_keys
from todo_mcp.auth.rate_limit import site_of
from todo_mcp.calls.bearer import authenticate_alone
from todo_mcp.core.errors import InternalError, InvalidArguments, TodoError, Unauthenticated
from todo_mcp.core.strict_json import BadJson, parse
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry.logs import describe
from todo_mcp.telemetry.logs import request_id as current_request_id
from todo_mcp.transports.http.exchange import (
    PARSE_ERROR,
    Exchange,
    address_of,
    exchange_of,
    is_mcp,
    open_exchange,
    refuse,
    refuse_with,
)
from todo_mcp.transports.http.large_bodies import CALLS_ROOM, FORMS_ROOM, SMALL_MAX, LargeBodies
from todo_mcp.transports.http.paths import one_spelling

logger = logging.getLogger(__name__)

BODY_SECONDS = 10.0
INTROSPECTION = "/oauth/introspect"  # its caller may have a JWT
PROBES = frozenset({"/readyz", "/metrics"})  # asked from inside, by address or by a name of the operator's
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
MEDIA_TYPES_MAX = 2048  # bytes, of all of them
_MEDIA_TYPES = frozenset({b"content-type", b"accept"})
_EXTENDED = re.compile(rb"\*\d*[ \t]*=")  # a parameter in the form of RFC 2231, which no client needs here
_SPACE = " \t"  # HTTP's, not Unicode's
_DIGITS_MAX = 18
_NO_STORE, _NOSNIFF = (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")
_STATIC: str = settings.STATIC_URL
_REPLACED = frozenset({_NO_STORE[0], _NOSNIFF[0]})


class Refused(Exception):
    """The request ends here with this status."""

    def __init__(self, status: int, message: str, name: str = "invalid_request") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.name = name


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, gate: DatabaseGate) -> None:
        self._app = app
        self._gate = gate
        self._calls = LargeBodies(CALLS_ROOM, settings.GATE_SECONDS)
        self._forms = LargeBodies(FORMS_ROOM, settings.GATE_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _Headers(scope["headers"])
        sent_id = headers.one(b"x-request-id")
        exchange = open_exchange(scope, sent_id if _REQUEST_ID.fullmatch(sent_id) else uuid.uuid4().hex)
        reset = current_request_id.set(exchange.request_id)
        try:
            await self._guarded(scope, receive, _stamped(send, scope, exchange.request_id), headers, exchange)
        finally:
            current_request_id.reset(reset)

    async def _guarded(
        self, scope: Scope, receive: Receive, send: Send, headers: "_Headers", exchange: Exchange
    ) -> None:
        try:
            _check_sender(scope, headers)
            takes_calls = _takes_calls(scope["path"])
            body = _Body(receive, headers, _body_max(scope["path"]))
            is_whole = await body.read(SMALL_MAX)
            if takes_calls:
                exchange.token = _bearer_token(headers)
                if looks_like_jwt(exchange.token):
                    await prepare_keys(exchange.token)
            elif scope["path"] == INTROSPECTION:
                await prepare_keys(headers.one(b"authorization").partition(" ")[2].strip())
            if not is_whole:
                await (self._serve_large if takes_calls else self._serve_form)(body, scope, receive, send)
                return
            if takes_calls and scope["method"] == "POST" and body.content.strip():
                exchange.take(parse(body.content), body.content)
        except Refused as refused:
            await refuse(scope, refused.status, refused.message, name=refused.name)(scope, receive, send)
        except BadJson as bad:
            exchange.malformed = str(bad)
            await self._finished(self._malformed, scope, receive, send)
        except (Unauthenticated, TodoError) as error:
            await refuse_with(scope, error)(scope, receive, send)
        except Exception as error:
            await self._tell_defect(error, scope, receive, send)
        else:
            await self._finished(self._app, scope, _replay(body.content, receive), send)

    async def _serve_large(self, body: "_Body", scope: Scope, receive: Receive, send: Send) -> None:
        """Read a large body for those alone whose token is good, and hold room for it until it is answered."""
        exchange = exchange_of(scope)
        principal = await self._gate.on_loop(lambda: authenticate_alone(exchange.token))
        owner = f"service {principal.token_name}" if principal.user_id is None else f"user {principal.user_id}"
        async with self._calls.room(body.expected, owner):
            await body.read(body.maximum)
            if scope["method"] == "POST" and body.content.strip():
                exchange.take(await self._calls.parse(body.content), body.content)
            await self._finished(self._app, scope, _replay(body.content, receive), send)

    async def _serve_form(self, body: "_Body", scope: Scope, receive: Receive, send: Send) -> None:
        """Read a large form, which anyone may send, within the room that all forms share."""
        async with self._forms.room(body.expected, site_of(address_of(scope))):
            await body.read(body.maximum)
            await self._finished(self._app, scope, _replay(body.content, receive), send)

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
            await self._tell_defect(error, scope, receive, None if begun else send)

    async def _tell_defect(self, error: Exception, scope: Scope, receive: Receive, send: Send | None) -> None:
        logger.error("defect", extra={"path": scope["path"], **describe(error)})
        if send is not None:
            await refuse_with(scope, InternalError(exchange_of(scope).request_id))(scope, receive, send)

    def close(self) -> None:
        """End what was begun for large bodies."""
        self._calls.close()
        self._forms.close()


class _Headers:
    """The raw headers; ASGI gives their names in lower case."""

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self._raw = list(raw)

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._raw if key == name]

    def one(self, name: bytes) -> str:
        return next(iter(self.all(name)), "")

    def check_media_types(self) -> None:
        """Raises Refused for media types that Django fails to read, or reads in quadratic time."""
        length = 0
        for name, value in self._raw:
            if name in _MEDIA_TYPES:
                length += len(value)
                if length > MEDIA_TYPES_MAX or (b"*" in value and _EXTENDED.search(value)):
                    raise Refused(400, "Accept or Content-Type is too long, or has a parameter that is not read here.")

    def size(self) -> int:
        return sum(len(key) + len(value) + 4 for key, value in self._raw)


def _check_sender(scope: Scope, headers: _Headers) -> None:
    """Where the request goes, and against DNS rebinding and foreign pages: the Host must be ours, an Origin too."""
    path = one_spelling(scope)
    if path is None:
        raise Refused(404, "There is nothing at this path, spelled in this way.", "not_found")
    scope["path"] = path
    if path == "/healthz":  # says nothing about us
        return
    if headers.size() > settings.HEADERS_MAX:
        raise Refused(431, f"The headers are larger than {settings.HEADERS_MAX} bytes.")
    headers.check_media_types()
    hosts = headers.all(b"host")
    if not hosts and path in PROBES:  # HTTP/1.0, as some balancers speak it; a browser always sends one
        return
    if len(hosts) != 1:
        raise Refused(400, "The request must have one Host header.")  # RFC 9112, section 3.2
    domain, _port = split_domain_port(hosts[0])
    if not domain or not (validate_host(domain, settings.ALLOWED_HOSTS) or (path in PROBES and _may_probe(domain))):
        raise Refused(421, "This server does not answer for that Host. Its operator can add it to ALLOWED_HOSTS.")
    origin = headers.one(b"origin")
    if origin and _takes_calls(path) and not _is_own(origin, hosts[0]):
        raise Refused(403, "Calls from pages of that Origin are not taken.")


def _may_probe(domain: str) -> bool:
    """Whether a probe may name us so: by an address, which no foreign page can rebind, or as the operator says."""
    try:
        ipaddress.ip_address(domain.strip("[]"))
    except ValueError:
        return validate_host(domain, settings.PROBE_HOSTS)
    return True


def _is_own(origin: str, host: str) -> bool:
    """Whether an Origin is the public address, or the very host (checked before) that the request is sent to."""
    return origin == settings.PUBLIC_URL or (not settings.PRODUCTION and origin.partition("://")[2] == host)


def _takes_calls(path: str) -> bool:
    return is_mcp(path) or path == "/api/tools" or path.startswith("/api/tools/") or _is_conversation(path)


def _is_conversation(path: str) -> bool:
    return path == "/api/conversations" or path.startswith("/api/conversations/")


def _body_max(path: str) -> int:
    """In bytes."""
    maximum: int = settings.PAGE_BODY_MAX
    if _is_conversation(path):
        maximum = settings.CONVERSATION_BODY_MAX
    elif _takes_calls(path):
        maximum = settings.BODY_MAX
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


class _Body:
    """The body as it comes: at most ``maximum`` bytes, within 10 seconds once some of it is here.

    Raises:
        Refused: it is larger, too slow, or ends early.
    """

    def __init__(self, receive: Receive, headers: _Headers, maximum: int) -> None:
        self._receive = receive
        self._read = bytearray()
        self._is_whole = False
        self._seconds = BODY_SECONDS
        self.maximum = self.expected = maximum
        self.content = b""
        declared = headers.one(b"content-length")  # what is no number is the HTTP server's to refuse
        if declared.isascii() and declared.isdigit():
            if len(declared) > _DIGITS_MAX or int(declared) > maximum:
                raise self._too_large()
            self.expected = int(declared)

    async def read(self, limit: int) -> bool:
        """Read until the end, which is then in ``content``, or until it proves to be larger than ``limit``."""
        if limit < self.expected < self.maximum:
            return False
        if not self._read and not self._is_whole:
            self._take(await self._receive())  # mostly all of it, and the HTTP server limits the time
        if self._is_whole or len(self._read) > limit:
            return self._is_whole and len(self.content) <= limit
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._seconds):
                while not self._is_whole and len(self._read) <= limit:
                    self._take(await self._receive())
        except TimeoutError:
            raise Refused(408, f"The body did not arrive within {BODY_SECONDS:g} s.") from None
        self._seconds -= loop.time() - began
        return self._is_whole and len(self.content) <= limit

    def _take(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            raise Refused(400, "The body ended early.")
        self._read += message.get("body", b"")
        if len(self._read) > self.maximum:
            raise self._too_large()
        if not message.get("more_body"):
            self.content, self._read, self._is_whole = bytes(self._read), bytearray(), True

    def _too_large(self) -> Refused:
        return Refused(413, f"The body is larger than {self.maximum} bytes.")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body that was read, then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _stamped(send: Send, scope: Scope, request_id: str) -> Send:
    """A send that adds the request's id, and says that nobody may keep the answer or take it for another type.

    Only static files may be kept, which are the same for everybody.
    """

    stamp = (b"x-request-id", request_id.encode())

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            sent = message.get("headers", [])
            if message["status"] == 200 and scope["path"].startswith(_STATIC):
                message["headers"] = [*sent, _NOSNIFF, stamp]
            else:
                message["headers"] = [*[pair for pair in sent if pair[0] not in _REPLACED], _NOSNIFF, _NO_STORE, stamp]
        await send(message)

    return stamped
