"""The five tools over plain HTTP: POST a JSON object of arguments; get the envelope, with its error_code as status."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from todo_mcp.calls.bearer import authenticate_alone
from todo_mcp.calls.call import Call, clean_client
from todo_mcp.calls.owners import owner_of_call, owner_of_token
from todo_mcp.calls.perform import perform_for
from todo_mcp.core.arguments import is_empty, named_user
from todo_mcp.core.errors import InvalidArguments, TodoError, Unauthenticated, UnknownTool
from todo_mcp.core.operations import REGISTRY
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.transports.http.checked_request import checked_request
from todo_mcp.transports.http.refusals import EnvelopeResponse, refuse, refuse_with


class ToolEndpoint:
    """The endpoint at /api/tools/<tool>."""

    def __init__(self, gate: DatabaseGate) -> None:
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._call(Request(scope, receive))
        except (Unauthenticated, TodoError) as error:
            response = refuse_with(scope, error)
        await response(scope, receive, send)

    async def _call(self, request: Request) -> Response:
        checked = checked_request(request.scope)
        arguments = {} if not checked.has_body or is_empty(checked.message) else checked.message
        operation = REGISTRY.get(request.path_params["tool"])
        if operation is None or request.method != "POST" or not isinstance(arguments, dict):
            await self._gate.on_loop(lambda: authenticate_alone(checked.token), owner=owner_of_token(checked.token))
            return _refuse_malformed(request, has_tool=operation is not None)
        call = Call(
            operation=operation,
            arguments=arguments,
            transport="http",
            client=clean_client(request.headers.get("user-agent", "")),
            request_id=checked.request_id,
        )
        owner = await owner_of_call(self._gate, checked.token, lambda: named_user(arguments))
        envelope, error = await self._gate.on_loop(lambda: perform_for(call, checked.token), owner=owner)
        return refuse_with(request.scope, error, is_counted=True) if error else EnvelopeResponse(envelope)


def _refuse_malformed(request: Request, *, has_tool: bool) -> Response:
    if not has_tool:
        raise UnknownTool(REGISTRY)
    if request.method != "POST":
        response = refuse(request.scope, 405, "POST a JSON object of arguments.", name="method_not_allowed")
        response.headers["Allow"] = "POST"
        return response
    raise InvalidArguments({"body": "must be a JSON object of arguments"})
