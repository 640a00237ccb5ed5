"""Lists of users with thousands of tasks: a search that stops early goes on with the next page."""

from datetime import timedelta
from typing import Any

import pytest

from tasks.lists.services import list_tasks
from tasks.models import Task
from tests.tasks.lists.conftest import NOW
from todo_mcp.users.models import User

COUNT = 2_100  # more than a search compares one by one, and more than a total


@pytest.fixture
def tasks(db: None, alice: User) -> list[Task]:
    return Task.objects.bulk_create(
        Task(
            user=alice,
            title=f"Task {number}",
            created_at=NOW - timedelta(minutes=number),
            priority=3 if number % 100 == 7 else 0,
            due_on=NOW.date() - timedelta(days=number % 3),
            tags=["Work"] if number % 2 else [],
        )
        for number in range(COUNT)
    )


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"query": "task"}, range(COUNT)),
        ({"tag": "work"}, range(1, COUNT, 2)),
        ({"query": "task", "priority": "high"}, range(7, COUNT, 100)),
        ({"tag": "work", "due": "2026-11-21", "status": "all"}, range(3, COUNT, 6)),
        ({"due": "2026-11-21"}, range(0, COUNT, 3)),
        ({"due": "2026-11-01..2026-11-21"}, range(COUNT)),
        ({"due": "any", "priority": "high", "query": "task"}, range(7, COUNT, 100)),
        ({"sort": "updated", "query": "task", "priority": "high"}, range(COUNT - 100 + 7, 0, -100)),
    ],
)
def test_the_pages_have_every_task_once_and_in_order(
    tasks: list[Task], arguments: dict[str, Any], wanted: range
) -> None:
    listed: list[int] = []
    cursor = None
    pages = 0
    while pages == 0 or cursor:
        page = list_tasks(user_id="alice", limit=100, cursor=cursor, detail="short", **arguments)
        assert (page.total_is_exact, page.total) in ((True, len(wanted)), (False, page.total))
        assert page.total <= min(len(wanted), 1000)
        listed += [task["task_id"] for task in page.tasks]
        cursor = page.next_cursor
        pages += 1
    assert listed == [tasks[number].pk for number in wanted]
