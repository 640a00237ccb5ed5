"""OpenTelemetry traces, if its standard variables name an exporter (docs/monitoring.md); else none of it runs.

The MCP SDK makes a span for each message, ``transports.http.traced`` for each other request, and ``statement`` for each
SQL statement in them.
"""

import asyncio
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

AT_END = 2.0  # seconds that a worker waits at most until the collector has its last spans
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OPERATION = re.compile(r"\s*(?:SELECT set_config\(.*?; )?(\w+)", re.DOTALL)  # pghistory's context may come first

tracer = trace.get_tracer("todo-mcp")


def is_configured() -> bool:
    """Whether the environment names an exporter of traces. OTLP over HTTP is the only one supported."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "").replace(" ", "")
    return "otlp" in exporters.split(",") or (not exporters and any(os.environ.get(name) for name in _ENDPOINTS))


@asynccontextmanager
async def exporting() -> AsyncIterator[None]:
    """Send the spans of this context, if an exporter is configured."""
    if not is_configured():
        yield
        return
    from todo_mcp.telemetry import span_export  # noqa: PLC0415 (5 MB that only traces need)

    provider = span_export.provider()
    trace.set_tracer_provider(provider)
    logging.setLogRecordFactory(_with_trace_id)
    try:
        yield
    finally:
        ending = threading.Thread(target=provider.shutdown, daemon=True)  # a collector may never answer
        ending.start()
        await asyncio.to_thread(ending.join, AT_END)


@contextmanager
def statement(sql: str, connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """A span around a statement, if its request is traced. ``sql`` has placeholders in place of values."""
    if not trace.get_current_span().is_recording():
        yield
        return
    verb = _OPERATION.match(sql)
    operation = verb[1].upper() if verb else "statement"
    attributes = {
        "db.system.name": "postgresql",
        "db.operation.name": operation,
        "db.query.text": sql,
        "db.namespace": connection.info.dbname,
        "server.address": connection.info.host,
    }
    with tracer.start_as_current_span(
        operation, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield
        except psycopg.Error as error:  # its message may quote a user's task
            span.set_attributes({"error.type": type(error).__name__, "db.response.status_code": error.sqlstate or ""})
            span.set_status(StatusCode.ERROR)
            raise


def _with_trace_id(*arguments: Any, **options: Any) -> logging.LogRecord:
    record = logging.LogRecord(*arguments, **options)
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        record.trace_id = trace.format_trace_id(context.trace_id)
    return record
