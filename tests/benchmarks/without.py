"""The server without one of its special mechanisms: ``python -m tests.benchmarks.without NAME serve``.

It patches the mechanism away and then runs ``manage.py``, so production code needs no switch.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todo_mcp.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402 (needs django.setup)
from django.db import DEFAULT_DB_ALIAS, connections  # noqa: E402
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: E402

from todo_mcp.calls import perform  # noqa: E402
from todo_mcp.command_line import main  # noqa: E402
from todo_mcp.postgres import base  # noqa: E402
from todo_mcp.postgres.connection import Connection  # noqa: E402
from todo_mcp.postgres.gate import DatabaseGate  # noqa: E402
from todo_mcp.postgres.statements import Statement  # noqa: E402
from todo_mcp.process import http_protocol, server  # noqa: E402
from todo_mcp.statistics.recorder import Recorder  # noqa: E402
from todo_mcp.telemetry import logs  # noqa: E402
from todo_mcp.transports.mcp.call_shapes import CallShape  # noqa: E402

_STANDARD = frozenset(vars(logging.makeLogRecord({})))  # the attributes of every log record
_KEY = "hour, tool, outcome, client, revision, transport"
_INSERT = (
    "INSERT INTO {table} ({key}, calls, milliseconds_total, milliseconds_max, slowest_request_id)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
)
ROW_PER_CALL = _INSERT.format(table="call_rows", key=_KEY)  # a table without indexes, which the benchmark creates
UPDATE_PER_CALL = _INSERT.format(table="call_statistics", key=_KEY) + (
    f" ON CONFLICT ({_KEY}) DO UPDATE SET calls = call_statistics.calls + 1,"
    " milliseconds_total = call_statistics.milliseconds_total + EXCLUDED.milliseconds_total,"
    " milliseconds_max = GREATEST(call_statistics.milliseconds_max, EXCLUDED.milliseconds_max)"
)


class _WritingRecorder(Recorder):
    """Writes the count of each call at once, in one prepared statement on the connection of the call."""

    def __init__(self, sql: str) -> None:
        super().__init__()
        self._sql = sql

    def record(self, **call: Any) -> None:
        super().record(**call)
        connection: Any = connections[DEFAULT_DB_ALIAS].connection
        for key, count in self.take().items():
            values = (*key, count.calls, count.milliseconds_total, count.milliseconds_max, count.slowest_request_id)
            connection.bare_cursor.execute(self._sql, values)


def _plain_line(self: logging.Formatter, record: logging.LogRecord) -> str:
    """A JSON line as a short formatter writes it."""
    fields = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
        "level": record.levelname,
        "logger": record.name,
        "message": record.getMessage(),
        "request_id": logs.request_id.get(),
    }
    fields |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return json.dumps(fields, default=str)


def _replace(owner: Any, name: str, value: object) -> None:
    """Replace an attribute that exists. It fails after a rename, instead of measuring an unchanged server."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__} has no {name}; it was renamed, so adapt {__file__}.")
    setattr(owner, name, value)


def nothing() -> None:
    """Change nothing: this variant measures the noise."""


def greenlets() -> None:
    """Tool calls run in threads, as Django's pages do."""
    _replace(DatabaseGate, "on_loop", DatabaseGate.in_thread)


def compiled_statements() -> None:
    """Django compiles each statement anew, and PostgreSQL plans it anew."""
    compiled = Statement._sql

    def compile_anew(self: Statement, condition: Any) -> Any:
        self._compiled.clear()
        return compiled(self, condition)

    _replace(Statement, "_sql", compile_anew)
    settings.DATABASES[DEFAULT_DB_ALIAS]["OPTIONS"]["prepare_threshold"] = None


def token_condition() -> None:
    """Each call looks its token up first, in a statement of its own."""
    _replace(perform, "recall_principal", lambda token, *, target: None)


def call_shapes() -> None:
    """The SDK sees every call."""
    _replace(CallShape, "of", lambda headers, message: None)


def log_formatter() -> None:
    """The standard library formats log lines, and looks up the file, thread and process of each record."""
    _replace(logs.Formatter, "format", _plain_line)
    _replace(logs, "install", nothing)


def statement_spans() -> None:
    """Plain connections and cursors, which make no spans. It matters only if traces are exported."""
    _replace(base, "TracedConnection", Connection)
    _replace(base, "traced", lambda cursor: cursor)


def counts_by_row() -> None:
    """Each call inserts a row for the statistics."""
    _replace(perform, "recorder", _WritingRecorder(ROW_PER_CALL))


def counts_by_update() -> None:
    """Each call adds itself to the row of its hour."""
    _replace(perform, "recorder", _WritingRecorder(UPDATE_PER_CALL))


def frozen_heap() -> None:
    """The garbage collector as Python starts it."""
    _replace(server, "gc", SimpleNamespace(collect=nothing, freeze=nothing, set_threshold=lambda *counts: None))


def http() -> None:
    """uvicorn's own HTTP/1.1."""
    _replace(server, "HttpProtocol", HttpToolsProtocol)
    _replace(http_protocol, "install", nothing)


def lazy_pages() -> None:
    """Load the code of Django's pages at the start, as Django's admin and its system checks do."""
    import_module(settings.ROOT_URLCONF)


VARIANTS: dict[str, Callable[[], None]] = {
    patch.__name__: patch
    for patch in (
        nothing,
        greenlets,
        compiled_statements,
        token_condition,
        call_shapes,
        log_formatter,
        statement_spans,
        counts_by_row,
        counts_by_update,
        frozen_heap,
        http,
        lazy_pages,
    )
}


if __name__ == "__main__":
    name = sys.argv.pop(1)
    VARIANTS[name]()
    sys.argv[0] = "manage.py"
    main()
