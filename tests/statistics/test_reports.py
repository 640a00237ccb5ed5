"""What the reports count: calls of a time and of the time before, by column and by bar."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from tests.statistics.test_questions import plan
from todo_mcp.statistics.models import RefusedCall
from todo_mcp.statistics.recorder import Count, Key
from todo_mcp.statistics.reports import (
    CallFilter,
    active_clients,
    bars,
    calls,
    calls_of_users,
    lines,
    total,
    wrong_fields,
)
from todo_mcp.statistics.services import add_counts
from todo_mcp.statistics.spans import DAY, HOUR, span_at, span_of
from todo_mcp.statistics.tallies import Tally, tallies
from todo_mcp.users.models import User

NOW = datetime(2026, 11, 27, 14, 15, tzinfo=UTC)
TODAY = datetime(2026, 11, 27, tzinfo=UTC)
SPAN = span_of("today", NOW)
ALL = CallFilter()

pytestmark = pytest.mark.django_db


def count(hour: datetime, tool: str, outcome: str, client: str, number: int) -> None:
    add_counts({Key(hour, tool, outcome, client, "", "mcp"): Count(number, 1.0, 1.0)})


def keep(at: datetime, **changes: Any) -> RefusedCall:
    call: dict[str, Any] = {"user_id": "alice", "token_id": 7, "tool": "add_task", "outcome": "invalid_arguments"}
    call |= {"client": "curl", "transport": "mcp", "fields": ["due"], "request_id": "r"}
    return RefusedCall.objects.create(at=at, **call | changes)


@pytest.fixture(autouse=True)
def two_days() -> None:
    count(TODAY + 9 * HOUR, "add_task", "success", "claude", 80)
    count(TODAY + 9 * HOUR, "add_task", "invalid_arguments", "curl", 15)
    count(TODAY + 14 * HOUR, "list_tasks", "busy", "claude", 5)
    count(TODAY + 3 * HOUR, "", "401", "", 10)
    count(TODAY - DAY + 9 * HOUR, "add_task", "success", "claude", 40)
    count(TODAY - DAY + 14 * HOUR, "add_task", "task_not_found", "old", 20)  # a quarter of this hour is compared
    count(TODAY - DAY + 15 * HOUR, "add_task", "success", "late", 7)
    count(TODAY - 2 * DAY, "add_task", "success", "claude", 1000)


def test_the_total_has_today_and_yesterday_up_to_the_same_time(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(1):
        tally = total(calls(ALL), SPAN)
    assert tally == Tally("", calls=110, refused=25, failed=5, calls_before=45, errors_before=5)
    assert (tally.success, tally.errors, round(tally.share, 1), round(tally.share_before, 1)) == (80, 30, 27.3, 11.1)


def test_the_columns_come_with_most_errors_first(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        by_tool, by_client, by_outcome = tallies(calls(ALL), SPAN, ["tool", "client", "outcome"], 9).values()
    assert [(row.value, row.calls, row.errors, row.errors_before) for row in by_tool] == [
        ("add_task", 95, 15, 5),
        ("", 10, 10, 0),
        ("list_tasks", 5, 5, 0),
    ]
    assert [row.value for row in by_client] == ["curl", "", "claude", "old"]
    assert [(row.value, row.calls) for row in by_outcome] == [
        ("invalid_arguments", 15),
        ("401", 10),
        ("busy", 5),
        ("success", 80),
        ("task_not_found", 0),
    ]
    assert len(tallies(calls(ALL), SPAN, ["client"], 2)["client"]) == 2


def test_the_bars_are_hours_of_a_day_and_days_of_a_week() -> None:
    assert {start.hour: tally.calls for start, tally in bars(calls(ALL), SPAN).items()} == {3: 10, 9: 95, 14: 5}
    week = bars(calls(ALL), span_of("7d", NOW))
    assert {start: tally.calls for start, tally in week.items()} == {
        TODAY: 110,
        TODAY - DAY: 67,
        TODAY - 2 * DAY: 1000,
    }


@pytest.mark.parametrize(
    ("which", "number"),
    [
        (CallFilter(tool="add_task"), 95),
        (CallFilter(tool=""), 10),
        (CallFilter(client=""), 10),
        (CallFilter(client="claude", outcome="errors"), 5),
        (CallFilter(outcome="success"), 80),
        (CallFilter(outcome="refused"), 25),
        (CallFilter(outcome="failed"), 5),
        (CallFilter(outcome="invalid_arguments", tool="add_task", client="curl"), 15),
        (CallFilter(tool="' OR 1=1"), 0),
    ],
)
def test_filters_narrow_what_is_counted(which: CallFilter, number: int) -> None:
    assert total(calls(which), SPAN).calls == number


def test_one_hour_is_compared_with_the_same_hour_of_the_day_before() -> None:
    assert total(calls(ALL), span_at("2026-11-27T09", NOW)) == Tally("", 95, 15, 0, 40, 0)


def test_users_and_fields_come_from_the_kept_calls(alice: User, bob: User) -> None:
    keep(TODAY + 9 * HOUR, fields=["due", "repeat"])
    keep(TODAY + 10 * HOUR)
    keep(TODAY + 11 * HOUR, user_id="bob", fields=["title"], token_id=8, request_id="s")
    keep(TODAY - HOUR, fields=["due"])  # yesterday, later than now
    keep(TODAY - DAY, fields=["due"])
    fields = tallies(wrong_fields(ALL), SPAN, ["field"], 9)["field"]
    assert [(row.value, row.calls, row.calls_before) for row in fields] == [
        ("due", 2, 1),
        ("repeat", 1, 0),
        ("title", 1, 0),
    ]
    users = tallies(calls_of_users(ALL), SPAN, ["user_id"], 9)["user_id"]
    assert [(row.value, row.calls, row.calls_before) for row in users] == [("alice", 2, 1), ("bob", 1, 0)]
    for which, number in (
        (CallFilter(user="alice"), 2),
        (CallFilter(field="repeat"), 1),
        (CallFilter(token=8), 1),
        (CallFilter(request="s"), 1),
        (CallFilter(user="alice", outcome="success"), 0),
        (CallFilter(user="alice", outcome="errors", client="curl"), 2),
    ):
        assert which.is_of_kept and total(calls(which), SPAN).calls == number == lines(which, SPAN).count()


def test_the_lines_are_those_of_the_span_newest_first(alice: User) -> None:
    ids = [keep(TODAY + n * HOUR).pk for n in (0, 9, 9, 24)]
    assert [line.pk for line in lines(ALL, SPAN)] == [ids[2], ids[1], ids[0]]


def test_a_client_is_active_if_it_called_a_tool(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        assert active_clients(SPAN) == (2, 2)


def test_reports_read_only_the_time_that_they_compare() -> None:
    add_counts(
        {
            Key(TODAY - n * HOUR, "add_task", "success", f"client {n % 50}", "", "mcp"): Count(1, 1.0, 1.0)
            for n in range(20_000)
        }
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE call_statistics")
    for question in (lambda: tallies(calls(ALL), SPAN, ["tool"], 9), lambda: bars(calls(ALL), SPAN)):
        assert "call_statistics_key" in plan(question)
