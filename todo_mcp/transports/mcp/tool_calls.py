"""Calls of tools over MCP: which messages are calls, and the outcome of a call."""

from typing import NamedTuple

from starlette.types import Scope

from todo_mcp.calls.call import Call
from todo_mcp.calls.owners import owner_of_call
from todo_mcp.calls.perform import perform_for
from todo_mcp.core.arguments import named_user
from todo_mcp.core.envelope import failure, to_json
from todo_mcp.core.errors import Busy, KeysUnavailable, ScopeMissing, TodoError, Unauthenticated
from todo_mcp.core.operations import REGISTRY
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.transports.http.checked_request import CheckedRequest
from todo_mcp.transports.http.refusals import count_refusal
from todo_mcp.transports.mcp.call_shapes import Sender
from todo_mcp.transports.mcp.client_names import client_named_in


class Outcome(NamedTuple):
    """The outcome of a tool call: the JSON of its envelope, or a refusal that HTTP reports.

    ``is_counted`` says that the tool's calls include this one. ``fits_others`` says that the SDK's answer to it can be
    the frame of other calls.
    """

    answer: bytes = b""
    is_error: bool = False
    refusal: Unauthenticated | TodoError | None = None
    is_counted: bool = True
    fits_others: bool = True


def is_tool_call(request: CheckedRequest) -> bool:
    """Whether the message calls one of the tools and can be answered."""
    message = request.message
    if request.rpc_id is None or message.get("method") != "tools/call" or message.get("jsonrpc") != "2.0":
        return False
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    return isinstance(name, str) and name in REGISTRY


async def perform_tool_call(gate: DatabaseGate, request: CheckedRequest, sender: Sender, scope: Scope) -> Outcome:
    """Do the call of a message for which ``is_tool_call`` is true."""
    params = request.message["params"]
    call = Call(
        operation=REGISTRY[params["name"]],
        arguments=params.get("arguments") or {},
        transport="mcp",
        revision=sender.revision,
        client=sender.client or client_named_in(scope["headers"]),
        request_id=request.request_id,
    )
    try:
        owner = await owner_of_call(gate, request.token, lambda: named_user(call.arguments))
        envelope, error = await gate.on_loop(lambda: perform_for(call, request.token), owner=owner)
    except Unauthenticated as refusal:
        return Outcome(refusal=refusal, is_counted=False, fits_others=False)
    except Busy as busy:  # it contains no user data, whoever the caller is
        count_refusal(busy.code, "mcp")
        envelope, error = failure(busy), busy
    if isinstance(error, (ScopeMissing, KeysUnavailable)):
        return Outcome(refusal=error, fits_others=False)
    return Outcome(to_json(envelope), is_error=error is not None, fits_others=not isinstance(error, Busy))
