"""The checks that every request passes first: size, host, origin, credentials, well-formed JSON.

docs/architecture.md has the numbers. Each refusal has the HTTP status for its reason.
"""

import logging
import re

from django.conf import settings
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_mcp.auth.jwt.decoding import looks_like_jwt
from todo_mcp.auth.jwt.tokens import prepare_keys
from todo_mcp.auth.rate_limit import site_of
from todo_mcp.calls.bearer import authenticate_alone
from todo_mcp.calls.owners import owner_of_token
from todo_mcp.core.errors import InternalError, InvalidArguments, TodoError, Unauthenticated
from todo_mcp.core.request_ids import new_request_id
from todo_mcp.core.strict_json import BadJson, parse
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry import logs
from todo_mcp.telemetry.logs import describe_error
from todo_mcp.transports.browsers import Browsers
from todo_mcp.transports.http.checked_request import CheckedRequest, address_of, checked_request, put_request
from todo_mcp.transports.http.large_bodies import CALLS_ROOM, FORMS_ROOM, SMALL_MAX, LargeBodies
from todo_mcp.transports.http.paths import is_conversation, path_in_logs, takes_calls
from todo_mcp.transports.http.refusals import PARSE_ERROR, refuse, refuse_with
from todo_mcp.transports.http.request_body import Refused, RequestBody
from todo_mcp.transports.http.request_headers import RequestHeaders, check_sender

logger = logging.getLogger(__name__)

INTROSPECTION = "/oauth/introspect"  # its caller may have a JWT
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_NO_STORE, _NOSNIFF = (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")
_REPLACED = frozenset({_NO_STORE[0], _NOSNIFF[0]})


class RequestChecks:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, gate: DatabaseGate) -> None:
        self._app = app
        self._gate = gate
        self._browsers = Browsers()
        self._calls = LargeBodies(CALLS_ROOM, settings.GATE_SECONDS)
        self._forms = LargeBodies(FORMS_ROOM, settings.GATE_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = RequestHeaders(scope["headers"])
        own_id = headers.one(b"x-request-id")
        request_id = own_id if _REQUEST_ID.fullmatch(own_id) else new_request_id()
        put_request(scope, CheckedRequest(request_id))
        outer = logs.request_id.set(request_id)
        try:
            send = self._browsers.readable(scope, _stamped(send, scope, request_id))
            await self._check(scope, receive, send, headers)
        finally:
            logs.request_id.reset(outer)

    async def _check(self, scope: Scope, receive: Receive, send: Send, headers: RequestHeaders) -> None:
        try:
            check_sender(scope, headers)
            if preflight := self._browsers.preflight(scope):
                await preflight(scope, receive, send)
                return
            is_call = takes_calls(scope["path"])
            body = RequestBody(receive, headers.one(b"content-length"), _body_max(scope["path"], is_call=is_call))
            is_small = await body.read(SMALL_MAX)
            if is_call:
                await self._take_token(scope, headers)
            elif scope["path"] == INTROSPECTION:
                await prepare_keys(headers.one(b"authorization").partition(" ")[2].strip())
            if not is_small:
                await (self._serve_large if is_call else self._serve_form)(body, scope, send)
                return
            if is_call and _has_message(scope, body):
                _put_message(scope, parse(body.content), body)
        except Refused as refused:
            response = refuse(scope, refused.status, refused.message, name=refused.name, code=refused.code)
            await response(scope, receive, send)
        except BadJson as bad:
            await self._serve(self._refuse_json(str(bad)), scope, receive, send)
        except (Unauthenticated, TodoError) as error:
            await refuse_with(scope, error)(scope, receive, send)
        except Exception as error:
            await self._answer_defect(error, scope, receive, send)
        else:
            await self._serve(self._app, scope, body.replay(), send)

    async def _take_token(self, scope: Scope, headers: RequestHeaders) -> None:
        token = headers.bearer_token()
        put_request(scope, CheckedRequest(checked_request(scope).request_id, token))
        if looks_like_jwt(token):
            await prepare_keys(token)

    async def _serve_large(self, body: RequestBody, scope: Scope, send: Send) -> None:
        """Read a large body only for a valid token, and hold room for it until the request is answered."""
        token = checked_request(scope).token
        principal = await self._gate.on_loop(lambda: authenticate_alone(token), owner=owner_of_token(token))
        owner = f"service {principal.token_name}" if principal.user_id is None else f"user {principal.user_id}"
        async with self._calls.room(body.expected, owner):
            await body.read(body.maximum)
            if _has_message(scope, body):
                _put_message(scope, await self._calls.parse(body.content), body)
            await self._serve(self._app, scope, body.replay(), send)

    async def _serve_form(self, body: RequestBody, scope: Scope, send: Send) -> None:
        """Read a large form, which a stranger may send, within the room that all forms share."""
        async with self._forms.room(body.expected, site_of(address_of(scope))):
            await body.read(body.maximum)
            await self._serve(self._app, scope, body.replay(), send)

    def _refuse_json(self, reason: str) -> ASGIApp:
        """Say what is wrong with the body only to a caller with a valid token."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            token = checked_request(scope).token
            try:
                await self._gate.on_loop(lambda: authenticate_alone(token), owner=owner_of_token(token))
                response = refuse_with(scope, InvalidArguments({"body": reason}), code=PARSE_ERROR)
            except (Unauthenticated, TodoError) as error:
                response = refuse_with(scope, error)
            await response(scope, receive, send)

        return answer

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application. A defect becomes a 500 that contains only the request's id."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await app(scope, receive, watched)
        except Exception as error:
            await self._answer_defect(error, scope, receive, None if has_begun else send)

    async def _answer_defect(self, error: Exception, scope: Scope, receive: Receive, send: Send | None) -> None:
        logger.error("defect", extra={"path": path_in_logs(scope["path"]), **describe_error(error)})
        if send is not None:
            await refuse_with(scope, InternalError(checked_request(scope).request_id))(scope, receive, send)

    def close(self) -> None:
        """End the threads that parse large bodies."""
        self._calls.close()
        self._forms.close()


def _body_max(path: str, *, is_call: bool) -> int:
    """Bytes."""
    maximum: int = settings.BODY_MAX if is_call else settings.PAGE_BODY_MAX
    if is_conversation(path):
        maximum = settings.CONVERSATION_BODY_MAX
    return maximum


def _has_message(scope: Scope, body: RequestBody) -> bool:
    has_body = scope["method"] == "POST" or (is_conversation(scope["path"]) and scope["method"] in ("PUT", "PATCH"))
    return has_body and bool(body.content.strip())


def _put_message(scope: Scope, message: object, body: RequestBody) -> None:
    put_request(scope, checked_request(scope).with_body(message, body.content))


def _stamped(send: Send, scope: Scope, request_id: str) -> Send:
    """A send that adds the request's id, and headers against caching and against guessing the content type.

    Only static files may be cached. They are the same for everybody.
    """
    stamp = (b"x-request-id", request_id.encode())

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", [])
            if message["status"] == 200 and scope["path"].startswith(settings.STATIC_URL):
                message["headers"] = [*headers, _NOSNIFF, stamp]
            else:
                others = [pair for pair in headers if pair[0] not in _REPLACED]
                message["headers"] = [*others, _NOSNIFF, _NO_STORE, stamp]
        await send(message)

    return stamped
