"""What the tests of statistics share."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import connection

from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.recorder import Recorder


def rows() -> list[dict[str, Any]]:
    """What is stored."""
    return [{**row} for row in CallStatistics.objects.order_by("tool", "outcome", "transport").values()]


def count(recorder: Recorder, calls: int = 1, **changes: Any) -> None:
    """Count so many calls that are alike."""
    given: dict[str, Any] = {"tool": "add_task", "outcome": "success", "transport": "mcp", "seconds": 0.001} | changes
    for _ in range(calls):
        recorder.record(**given)


@contextmanager
def another_session(sql: str) -> Iterator[None]:
    """A transaction of somebody else, who has done this and does not come to an end within the context."""
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(sql)
        yield
