"""Sends spans by OTLP over HTTP to the collector that OpenTelemetry's variables name; imported only if one is named."""

import re
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from todo_mcp import __version__
from todo_mcp.core.operations import REGISTRY

_METHODS = {"initialize", "ping", "server/discover", "tools/call", "tools/list"}
_METHODS |= {"notifications/initialized", "notifications/cancelled", "notifications/progress"}
_OTHER = "_OTHER"  # OpenTelemetry's word for an unknown value


def provider() -> TracerProvider:
    """A provider. The variables set sampling, batches, address and headers; the default service is todo-mcp."""
    resource = Resource.create({SERVICE_VERSION: __version__})
    if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
        resource = resource.merge(Resource({SERVICE_NAME: "todo-mcp"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(PrivateExporter(OTLPSpanExporter())))
    return provider


class PrivateExporter(SpanExporter):
    """Exports spans without text that a caller may have written: unknown names, and the messages of errors."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_without_texts(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _without_texts(span: ReadableSpan) -> ReadableSpan:
    name, attributes = span.name, dict(span.attributes or {})
    if "mcp.method.name" in attributes:  # a span of the MCP SDK
        method, tool = attributes["mcp.method.name"], attributes.get("gen_ai.tool.name", "")
        attributes["mcp.method.name"] = method = method if method in _METHODS else _OTHER
        if tool:
            attributes["gen_ai.tool.name"] = tool = tool if tool in REGISTRY else _OTHER
        name = f"{method} {tool}".strip()
        if not re.fullmatch("[0-9a-fA-F-]{1,36}", str(attributes.get("jsonrpc.request.id", ""))):  # a number or a UUID
            attributes.pop("jsonrpc.request.id", None)
    return ReadableSpan(
        name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
