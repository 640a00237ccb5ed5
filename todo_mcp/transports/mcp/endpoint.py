"""MCP over Streamable HTTP: the answer comes from a known frame, or else from the SDK."""

import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_mcp.auth.principal import Principal
from todo_mcp.calls.bearer import authenticate_alone
from todo_mcp.calls.owners import owner_of_token
from todo_mcp.core.arguments import is_empty
from todo_mcp.core.errors import TodoError, Unauthenticated
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry import tracing
from todo_mcp.transports.http.checked_request import CheckedRequest, checked_request
from todo_mcp.transports.http.refusals import PARSE_ERROR, refuse, refuse_with
from todo_mcp.transports.http.request_headers import may_hold_json
from todo_mcp.transports.mcp.call_shapes import CallShape, Frame, KnownShapes
from todo_mcp.transports.mcp.client_names import with_session_id
from todo_mcp.transports.mcp.sdk_server import SdkRun, SdkServer
from todo_mcp.transports.mcp.tool_calls import Outcome, is_tool_call, perform_tool_call


class McpEndpoint:
    """The ASGI application at /mcp. Its SDK's session manager must be running."""

    def __init__(self, gate: DatabaseGate) -> None:
        self._gate = gate
        self._shapes = KnownShapes()
        self._remembers = not tracing.is_configured()  # the SDK makes the spans, so it must see every call
        self.sdk = SdkServer(self._perform, makes_spans=not self._remembers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except (Unauthenticated, TodoError) as error:
            response = refuse_with(scope, error)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> ASGIApp:
        """The answer. A tool call checks the token together with its work; any other message is authenticated first."""
        request = checked_request(scope)
        is_call = is_tool_call(request) and may_hold_json(scope["headers"])
        if is_call and is_empty(request.message["params"].get("arguments")):
            request = _with_arguments(request)
        run = SdkRun(request)
        if not is_call:
            run.principal = await self._authenticate(request)
        if refusal := _refuse_malformed(scope, request):
            return refusal
        shape = CallShape.of(scope["headers"], request.message) if is_call and self._remembers else None
        frame = await self._known_frame(run, shape, scope) if shape else None
        if frame is None and not (run.outcome and run.outcome.refusal):
            frame = await self._frame_from_sdk(run, shape, scope, receive)
        if run.outcome and run.outcome.refusal:
            return refuse_with(scope, run.outcome.refusal, is_counted=run.outcome.is_counted)
        if frame is None:
            return _answer_nothing
        response = frame.fill(request.rpc_id, run.outcome.answer if run.outcome else b"")
        opens = request.message.get("method") == "initialize" and request.rpc_id is not None
        return with_session_id(response, request.message) if opens else response

    async def _known_frame(self, run: SdkRun, shape: CallShape, scope: Scope) -> Frame | None:
        """Do the call if its shape is known. None if the shape is unknown, or has no frame for this kind of result."""
        known_shape = self._shapes.get(shape)
        if known_shape is None:
            return None
        run.sender = known_shape.sender
        run.outcome = await self._perform(run, scope)
        return known_shape.frames.get(run.outcome.is_error)

    async def _frame_from_sdk(
        self, run: SdkRun, shape: CallShape | None, scope: Scope, receive: Receive
    ) -> Frame | None:
        """Send the shape to the SDK. If the SDK's answer quotes the shape, send the message itself instead.

        None if the SDK answers nothing, because the client has gone away.
        """
        if shape:
            frame = await self._ask_sdk(run, scope, _with_body(shape.message, receive))
            if frame is None:
                return None
            if not frame.quotes_slots():
                # Strangers get busy too, so it may complete a known shape, and adds none.
                fits = run.outcome and (run.outcome.fits_others or self._shapes.get(shape))
                if run.sender and run.outcome and fits and frame.is_whole():
                    self._shapes.add(shape, run.sender, is_error=run.outcome.is_error, frame=frame)
                return frame
        if shape or run.request.has_escapes:
            receive = _with_body(_readable(run.request.message), receive)
        return await self._ask_sdk(run, scope, receive)

    async def _ask_sdk(self, run: SdkRun, scope: Scope, receive: Receive) -> Frame | None:
        """The SDK's response, for a caller with a valid token: the SDK may answer without calling the tool."""
        frame = await self.sdk.answer(run, scope, receive)
        if frame and run.principal is None and run.outcome is None:
            run.principal = await self._authenticate(run.request)
        return frame

    async def _authenticate(self, request: CheckedRequest) -> Principal:
        owner = owner_of_token(request.token)
        return await self._gate.on_loop(lambda: authenticate_alone(request.token), owner=owner)

    async def _perform(self, run: SdkRun, scope: Scope) -> Outcome:
        assert run.sender is not None
        return await perform_tool_call(self._gate, run.request, run.sender, scope)


def _refuse_malformed(scope: Scope, request: CheckedRequest) -> ASGIApp | None:
    """The refusal of a request that is not one JSON-RPC message in a POST."""
    message = request.message
    if scope["method"] != "POST":
        response = refuse(scope, 405, "This server is stateless: POST every message.")
        response.headers["Allow"] = "POST"
        return response
    if not may_hold_json(scope["headers"]):
        return refuse(scope, 415, "Send Content-Type: application/json.", name="unsupported_media_type")
    if not request.has_body:
        return refuse(scope, 400, "The body is empty; send one JSON-RPC message.", code=PARSE_ERROR)
    if not isinstance(message, dict):
        return refuse(scope, 400, "The body must be one JSON-RPC message, an object; batches are not accepted.")
    if "id" in message and request.rpc_id is None:
        return refuse(scope, 400, "The request id must be a string or an integer.")
    if not isinstance(message.get("method", ""), str):
        return refuse(scope, 400, "The method must be a string.")
    if not isinstance(message.get("params", {}), dict | None):
        return refuse(scope, 400, "The params must be an object.")
    if message.get("jsonrpc") != "2.0":
        return refuse(scope, 400, 'The message must say "jsonrpc": "2.0".')
    return None


async def _answer_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """The client has gone away."""


def _with_body(body: bytes, receive: Receive) -> Receive:
    """A receive that gives this body in place of the request's."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replaced() -> Message:
        if pending:
            return pending.pop()
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return replaced


def _with_arguments(request: CheckedRequest) -> CheckedRequest:
    """The request of a call whose arguments are left out by an empty value, such as PHP's ``[]``."""
    params = {**request.message["params"], "arguments": {}}
    return request._replace(message={**request.message, "params": params}, has_escapes=True)


def _readable(message: object) -> bytes:
    """The message as the SDK can read it: a lone surrogate becomes U+FFFD.

    The tool's handler takes the arguments from the checked request, as the caller sent them, and refuses them by name.
    """
    text = json.dumps(message, ensure_ascii=False)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
