"""A connection and a cursor that make each statement a span of its trace (``telemetry.tracing``) and a DEBUG line.

Neither contains a value: a statement that composes its values into its text is left out.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg

from todo_mcp.postgres.connection import Connection
from todo_mcp.postgres.wall import Walled
from todo_mcp.telemetry.tracing import is_configured, statement

logger = logging.getLogger(__name__)


def is_wanted() -> bool:
    """Whether a new connection should be traced or logged. Others have no cost."""
    return is_configured() or logger.isEnabledFor(logging.DEBUG)


@contextmanager
def _observed(sql: str, connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """A span and a DEBUG line around a statement. ``sql`` has placeholders in place of values."""
    started = time.perf_counter()
    state: str | None = ""
    try:
        with statement(sql, connection):
            yield
    except psycopg.Error as error:  # its message may quote a user's task
        state = error.sqlstate or type(error).__name__
        raise
    finally:
        milliseconds = round((time.perf_counter() - started) * 1000, 3)
        extra = {"sql": sql, "milliseconds": milliseconds} | ({"sqlstate": state} if state else {})
        logger.debug("statement", extra=extra)


class _Traced(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **options: Any) -> "_Traced":
        with _observed(query if isinstance(query, str) else "", self.connection):  # a composed query may contain values
            return super().execute(query, params, **options)


@cache
def traced(cursor: type["psycopg.Cursor[Any]"]) -> type["psycopg.Cursor[Any]"]:
    """A subclass of this cursor class, with spans and DEBUG lines."""
    return type(f"Traced{cursor.__name__}", (_Traced, cursor), {})


class TracedConnection(Connection):
    bare_cursor_class = traced(Walled)

    def commit(self) -> None:
        with _observed("COMMIT", self):
            super().commit()

    def rollback(self) -> None:
        with _observed("ROLLBACK", self):
            super().rollback()
