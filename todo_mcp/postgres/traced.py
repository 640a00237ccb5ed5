"""A connection and a cursor that make each statement a span of its trace (``telemetry.tracing``)."""

from functools import cache
from typing import Any

import psycopg

from todo_mcp.postgres.connection import Connection
from todo_mcp.telemetry.tracing import statement


class _Traced(psycopg.Cursor[Any]):
    def execute(self, query: Any, params: Any = None, **options: Any) -> "_Traced":
        with statement(query if isinstance(query, str) else "", self.connection):  # a composed query may contain values
            return super().execute(query, params, **options)


@cache
def traced(cursor: type["psycopg.Cursor[Any]"]) -> type["psycopg.Cursor[Any]"]:
    """A subclass of this cursor class, with spans."""
    return type(f"Traced{cursor.__name__}", (_Traced, cursor), {})


class TracedConnection(Connection):
    bare_cursor_class = traced(psycopg.Cursor)

    def commit(self) -> None:
        with statement("COMMIT", self):
            super().commit()

    def rollback(self) -> None:
        with statement("ROLLBACK", self):
            super().rollback()
