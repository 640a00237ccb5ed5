"""On a large database, list_tasks reads by index and no more than needed: each filter and each pair, in each order."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from django.db import connection, transaction

from tasks.lists import statement
from tests.postgres.large_database import BUSY, STRANGER, USER, token
from tests.postgres.plans import complaints
from tests.postgres.test_query_plans import work_of
from todo_mcp.auth.authentication import authenticate
from todo_mcp.core.operations import REGISTRY

__all__ = ["token"]

FILTERS: dict[str, list[Any]] = {
    "status": ["all", "pending", "completed", "deleted"],
    "due": ["overdue", "none", "any", "today", "this month"],
    "completed_on": ["this month"],
    "created_on": ["this month"],
    "tag": ["work"],
    "priority": ["none", "high"],
}
SORTS = ["newest", "due", "priority", "updated"]
ALONE = [{name: value} for name, values in FILTERS.items() for value in values]
PAIRS = [one | other for one, other in combinations(ALONE, 2) if not one.keys() & other.keys()]
# Filters that are served by an index in this order. The others may read more rows than they return.
SERVED = [
    *[({"status": status}, sort) for status in ("all", "pending", "completed") for sort in ("newest", "priority")],
    ({"status": "deleted"}, "newest"),
    *[({"due": due}, sort) for due in ("overdue", "any", "today", "this month") for sort in ("newest", "due")],
    *[({"tag": "work", "status": status}, "newest") for status in ("all", "pending", "completed")],
    *[({"priority": "high"}, sort) for sort in ("newest", "priority")],
    *[({"completed_on": "..today"}, sort) for sort in ("newest", "due", "priority")],
    *[({"created_on": "this month"}, sort) for sort in SORTS],
]


@pytest.fixture
def low_bounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Read at most 1,000 rows, so that a bound that is missing is noticed. Returns what a call may read then."""
    monkeypatch.setattr(statement, "READ_MAX", 1_000)
    monkeypatch.setattr(statement, "TOTAL_MAX", 200)
    statement.statement.cache_clear()
    yield 2 * 1_000 + 2 * 200  # for the page and for the total; and what a filter selects by its index
    statement.statement.cache_clear()


@pytest.mark.parametrize(("arguments", "sort"), SERVED, ids=str)
def test_a_filter_with_an_index_reads_no_more_than_a_page_and_the_total(
    token: str, arguments: dict[str, Any], sort: str
) -> None:
    authenticate(token)  # so that the worker remembers it
    for user, recalled in ((BUSY, ""), (USER, ""), (STRANGER, ""), (USER, token)):
        work = work_of(REGISTRY["list_tasks"], {**arguments, "sort": sort, "limit": 100}, user, token=recalled)
        # The entries of a filter are counted first; then their rows are read, if they are few.
        problems = complaints(work, 2 * (statement.TOTAL_MAX + 1) + 100, user_id=user)
        assert not problems, (user, problems)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("arguments", [{}, *ALONE, *PAIRS], ids=str)
def test_any_two_filters_read_by_index_and_within_the_bound(
    token: str, low_bounds: int, arguments: dict[str, Any], sort: str
) -> None:
    work = work_of(REGISTRY["list_tasks"], {**arguments, "sort": sort, "limit": 50}, BUSY)
    # A search has a bound of its own. It finds deleted tasks by their tag.
    searches = "tag" in arguments and (arguments.get("status") == "deleted" or sort == "updated")
    assert not complaints(work, 20_000 if searches else low_bounds, user_id=BUSY)


@pytest.mark.parametrize(
    ("index", "arguments"),
    [
        ("tasks_newest_all", {}),
        ("tasks_newest_by_state", {"status": "pending"}),
        ("tasks_trash", {"status": "deleted"}),
        ("tasks_due_on", {"due": "any", "sort": "due"}),
        ("tasks_due_at", {"due": "any", "sort": "due"}),
        ("tasks_priority", {"priority": "high"}),
        ("tasks_done", {"completed_on": "this month"}),
        ("task_events_of_call", {"sort": "updated"}),
        ("task_events_of_task", {"sort": "updated"}),
    ],
)
def test_a_missing_index_is_noticed(token: str, index: str, arguments: dict[str, Any]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {index}")
        problems = complaints(work_of(REGISTRY["list_tasks"], arguments, BUSY), user_id=BUSY)
        transaction.set_rollback(True)
    assert problems
