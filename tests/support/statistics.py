"""Helpers for the tests of statistics."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.recorder import Recorder


def rows() -> list[dict[str, Any]]:
    """The stored statistics, sorted."""
    return [{**row} for row in CallStatistics.objects.order_by("tool", "outcome", "transport").values()]


def count(recorder: Recorder, calls: int = 1, **changes: Any) -> None:
    """Record ``calls`` equal calls."""
    call: dict[str, Any] = {"tool": "add_task", "outcome": "success", "transport": "mcp", "seconds": 0.001} | changes
    for _ in range(calls):
        recorder.record(**call)


@contextmanager
def another_session(sql: str) -> Iterator[None]:
    """Run the SQL in another session, whose transaction stays open inside the context."""
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(sql)
        yield
