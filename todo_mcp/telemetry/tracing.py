"""OpenTelemetry traces, if its standard variables name an exporter (docs/monitoring.md); else none of it runs.

The MCP SDK makes a span for each message, ``transports.http.traced`` for each other request, and ``statement`` for each
SQL statement in them.
"""

import asyncio
import logging
import os
import queue
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from logging.handlers import QueueHandler
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

AT_END = 2.0  # seconds that a worker waits at most until the collector has its last spans
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OPERATION = re.compile(r"\s*(?:SELECT set_config\(.*?; )?(\w+)", re.DOTALL)  # pghistory's context may come first

tracer = trace.get_tracer("todo-mcp")


def is_configured() -> bool:
    """Whether the environment names an exporter of traces. OTLP over HTTP is the only one supported."""
    if _variable("OTEL_SDK_DISABLED") == "true":
        return False
    exporters = _variable("OTEL_TRACES_EXPORTER")
    return "otlp" in exporters.split(",") or (not exporters and any(map(_variable, _ENDPOINTS)))


def check() -> None:
    """Try the variables as a worker will use them.

    Raises:
        ImproperlyConfigured: the SDK refuses one of them.
    """
    problem = _problem() if is_configured() else ""
    if not problem:
        return
    names = [name for name in sorted(os.environ) if name.startswith("OTEL_")]
    name = next((name for name in names if not _problem(without=name)), " or ".join(names))
    reason = "" if "HEADERS" in name else f" ({problem.rstrip('.')})"  # headers may contain a password
    raise ImproperlyConfigured(
        f"{name} has a value that OpenTelemetry refuses{reason}; set it to another, like OTEL_BSP_SCHEDULE_DELAY=5000."
    )


def _problem(without: str = "") -> str:
    """What the SDK reports if it is set up by the environment without one of its variables. "" if it is content."""
    value = os.environ.pop(without, None)
    sdk, errors = logging.getLogger("opentelemetry"), queue.SimpleQueue[logging.LogRecord]()
    handler = QueueHandler(errors)
    handler.setLevel(logging.ERROR)
    sdk.addHandler(handler)
    sdk.propagate = False
    try:
        from todo_mcp.telemetry import span_export  # noqa: PLC0415 (5 MB that only traces need; it reads variables too)

        span_export.provider().shutdown()
    except Exception as error:  # the SDK's parsers raise whatever they meet
        return str(error) or type(error).__name__
    finally:
        sdk.removeHandler(handler)
        sdk.propagate = True
        if value is not None:
            os.environ[without] = value
    return "" if errors.empty() else errors.get().getMessage().splitlines()[0]


def _variable(name: str) -> str:
    """The value of a variable that is a word or a list of words, in lower case and without blanks."""
    return "".join(os.environ.get(name, "").lower().split())


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
