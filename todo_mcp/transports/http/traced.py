"""A span for each request with OpenTelemetry's attributes, but without addresses, queries or text of callers."""

from django.urls import Resolver404, resolve
from opentelemetry import context as contexts
from opentelemetry.propagate import extract
from opentelemetry.trace import SpanKind, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_mcp.core.operations import REGISTRY
from todo_mcp.telemetry.tracing import tracer
from todo_mcp.transports.http.paths import canonical_path, is_mcp

_TOOLS = "/api/tools/"
_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


class Traced:
    """ASGI middleware around the whole application. It continues the trace that ``traceparent`` names.

    The MCP SDK makes the spans of /mcp. Their parent is named by the message, or else by the header.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        context = extract({name: headers[name] for name in ("traceparent", "tracestate") if name in headers})
        if is_mcp(scope["path"]):
            outer = contexts.attach(context)
            try:
                await self._app(scope, receive, send)
            finally:
                contexts.detach(outer)
            return
        await self._in_span(context, scope, receive, send)

    async def _in_span(self, context: contexts.Context, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        path = canonical_path(scope) or ""
        tool = path.removeprefix(_TOOLS) if path.startswith(_TOOLS) else ""
        route = _TOOLS + (tool if tool in REGISTRY else "{tool}") if tool else _route(path)
        attributes = {"http.request.method": method, "http.route": route}
        if tool in REGISTRY:
            attributes |= {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}
        with tracer.start_as_current_span(
            f"{method} {route}".strip(), context, SpanKind.SERVER, attributes, record_exception=False
        ) as span:

            async def watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    status = message["status"]
                    span.set_attribute("http.response.status_code", status)
                    if status >= (400 if tool else 500):  # for a tool, as over MCP: every error
                        span.set_attribute("error.type", str(status))
                        span.set_status(StatusCode.ERROR)
                await send(message)

            await self._app(scope, receive, watched)


def _route(path: str) -> str:
    """The URL pattern of a page, without the values in the path."""
    try:
        return f"/{resolve(path).route}"
    except Resolver404:
        return ""
