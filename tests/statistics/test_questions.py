"""The questions that the statistics answer for operators, and how long statistics are kept."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from todo_mcp.statistics.models import CallStatistics
from todo_mcp.statistics.recorder import Count, Key
from todo_mcp.statistics.services import OLD_STATISTICS, add_counts, calls_by_tool, clients_seen, slowest_calls

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


def store(*rows: tuple[datetime, str, str, str, int, float, float]) -> None:
    """Store counts: hour, tool, outcome, client, calls, total and maximum milliseconds."""
    add_counts(
        {
            Key(hour, tool, outcome, client, "2026-07-28", "mcp"): Count(calls, total, most, f"{tool}-{most:g}")
            for hour, tool, outcome, client, calls, total, most in rows
        }
    )


@pytest.fixture(autouse=True)
def some_days() -> None:
    store(
        (NOW, "add_task", "success", "claude", 8, 40.0, 9.0),
        (NOW - DAY, "add_task", "success", "claude", 2, 60.0, 50.0),
        (NOW - DAY, "add_task", "invalid_arguments", "curl", 3, 3.0, 1.0),
        (NOW - DAY, "add_task", "busy", "curl", 1, 1000.0, 1000.0),
        (NOW, "list_tasks", "success", "claude", 5, 10.0, 4.0),
        (NOW, "", "401", "", 7, 0.0, 0.0),
        (NOW, "", "503", "", 1, 0.0, 0.0),
        (NOW - 20 * DAY, "list_tasks", "internal_error", "old", 4, 8000.0, 5000.0),
    )


def test_calls_by_tool_have_numbers_of_refusals_and_failures_and_milliseconds(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(1):
        tools = calls_by_tool(7)
    rows = [(t.tool, t.calls, t.refused, t.failed, t.milliseconds_mean, t.milliseconds_max) for t in tools]
    assert rows == [
        ("add_task", 14, 3, 1, 1103 / 14, 1000.0),
        ("", 8, 7, 1, 0.0, 0.0),
        ("list_tasks", 5, 0, 0, 2.0, 4.0),
    ]
    assert {t.tool: t.failed for t in calls_by_tool(30)} == {"add_task": 1, "": 1, "list_tasks": 4}


def test_the_slowest_calls_have_their_request_ids(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        slow = slowest_calls(7, 3)
    assert [(call.milliseconds, call.request_id) for call in slow] == [
        (1000.0, "add_task-1000"),
        (50.0, "add_task-50"),
        (9.0, "add_task-9"),
    ]
    assert slowest_calls(30, 1)[0].outcome == "internal_error"


def test_clients_have_the_hour_of_their_last_call(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        clients = clients_seen(7, 10)
    assert [(c.client, c.calls, c.last_hour) for c in clients] == [("claude", 15, NOW), ("curl", 4, NOW - DAY)]
    assert len(clients_seen(30, 2)) == 2


def test_without_calls_every_answer_is_empty() -> None:
    CallStatistics.objects.all().delete()
    assert (calls_by_tool(7), slowest_calls(7, 5), clients_seen(7, 5)) == ([], [], [])


def test_every_question_reads_its_days_by_index() -> None:
    add_counts(
        {
            Key(NOW - n * timedelta(hours=1), "add_task", "success", f"client {n % 50}", "", "mcp"): Count(1, 1.0, 1.0)
            for n in range(20_000)
        }
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE call_statistics")
    for question in (lambda: calls_by_tool(1), lambda: slowest_calls(1, 5), lambda: clients_seen(1, 5)):
        assert "call_statistics_key" in plan(question)


def plan(question: Callable[[], object]) -> str:
    """How PostgreSQL answers the one query of a question."""
    queries: list[tuple[str, Any]] = []

    def keep(execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        queries.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        question()
    ((sql, params),) = queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        return "\n".join(line for (line,) in cursor.fetchall())


def test_purge_removes_statistics_after_90_days() -> None:
    store(
        (NOW - 91 * DAY, "add_task", "success", "old", 1, 1.0, 1.0),
        (NOW - 89 * DAY, "add_task", "success", "old", 1, 1.0, 1.0),
    )
    before = CallStatistics.objects.count()
    assert OLD_STATISTICS.count() == 1
    assert sum(OLD_STATISTICS.run()) == 1
    assert CallStatistics.objects.count() == before - 1
