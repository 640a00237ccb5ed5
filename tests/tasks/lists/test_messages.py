"""What the message of list_tasks says beside the numbers."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tasks.lists.services import list_tasks
from tests.support.factories import TaskFactory
from tests.tasks.lists.conftest import NOW
from todo_mcp.users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
TODAY = NOW.date()


def message(**arguments: Any) -> str:
    return list_tasks(user_id="alice", own_zone="UTC", **arguments).message()


@pytest.mark.parametrize(
    ("arguments", "states", "words"),
    [
        ({"due": "any"}, {"pending"}, "Pending tasks only"),
        ({"due": "any", "sort": "updated"}, {"pending"}, "Pending tasks only"),
        ({"completed_on": "2000-01-01.."}, {"completed"}, "Completed tasks only"),
        ({"due": "any", "completed_on": "2000-01-01.."}, {"completed"}, "Completed tasks only"),
        ({"sort": "updated"}, {"pending", "completed", "deleted"}, "Pending, completed and deleted tasks"),
        ({"sort": "updated", "query": "task"}, {"pending", "completed", "deleted"}, "deleted tasks"),
        ({"query": "task"}, {"pending", "completed"}, "Pending and completed tasks"),
        ({"priority": "none"}, {"pending", "completed"}, "Pending and completed tasks"),
        ({"created_on": "2000-01-01.."}, {"pending", "completed"}, "Pending and completed tasks"),
        ({"sort": "due"}, {"pending", "completed"}, "Pending and completed tasks"),
        ({}, {"pending", "completed"}, "Pending and completed tasks"),
    ],
)
def test_a_status_that_is_left_out_depends_on_the_filters_and_is_named(
    alice: User, arguments: dict[str, Any], states: set[str], words: str
) -> None:
    done = {"completed": True, "completed_at": NOW}
    TaskFactory.create(user=alice, title="Task pending", due_on=TODAY)
    TaskFactory.create(user=alice, title="Task completed", due_on=TODAY, **done)
    TaskFactory.create(user=alice, title="Task deleted", due_on=TODAY, deleted_at=NOW)
    answer = list_tasks(user_id="alice", own_zone="UTC", **arguments)
    assert {task["title"].split()[1] for task in answer.tasks} == states
    assert words in answer.message()
    assert "status was left out" in answer.message()
    assert "left out" not in message(**arguments, status="all")


@pytest.mark.parametrize(
    ("due", "status", "left_out"),
    [
        ("today", None, 3),
        ("today", "all", 3),
        ("today", "completed", 0),
        ("today", "deleted", 0),
        ("..today", None, 0),
        ("any", None, 0),
        ("overdue", None, 0),
        ("none", None, 0),
        ("tomorrow", None, 0),
        ("yesterday..tomorrow", None, 1),
        ("this week", None, 1),
        ("2026-11-19..2026-11-30", None, 0),
    ],
)
def test_a_filter_with_today_says_how_many_overdue_tasks_it_leaves_out(
    alice: User, due: str, status: str | None, left_out: int
) -> None:
    moments: list[dict[str, Any]] = [
        {"due_at": datetime(2026, 11, 20, 23, tzinfo=UTC)},
        {"due_at": NOW - timedelta(minutes=5)},
    ]
    days: list[dict[str, Any]] = [{"due_on": date(2026, 11, day)} for day in (19, 20, 21)]
    for fields in [*moments, *days, {}]:
        TaskFactory.create(user=alice, **fields)
    TaskFactory.create(user=alice, due_on=date(2026, 11, 1), completed=True, completed_at=NOW)
    if due == "this week":
        TaskFactory.create(user=alice, due_on=date(2026, 11, 15))
    told = message(due=due, status=status)
    assert f"{left_out} overdue task" in told if left_out else "overdue task" not in told


def test_overdue_tasks_that_another_filter_excludes_are_not_counted(alice: User) -> None:
    TaskFactory.create(user=alice, due_on=date(2026, 11, 1), priority=3)
    TaskFactory.create(user=alice, due_on=date(2026, 11, 1))
    assert "1 overdue task is not in this list" in message(due="today", priority="high")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"due": "today"}, "Due today, Saturday 21 November 2026."),
        ({"due": "monday..friday"}, "Due from Monday 23 November 2026 to Friday 27 November 2026."),
        ({"completed_on": "..yesterday"}, "Completed to Friday 20 November 2026."),
        ({"created_on": "2026-12-24"}, "Added Thursday 24 December 2026."),
    ],
)
def test_the_days_that_were_understood_are_named(alice: User, arguments: dict[str, Any], words: str) -> None:
    assert words in message(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"due": "overdue", "status": "completed"}, "A completed task is never overdue."),
        ({"completed_on": "today", "status": "pending"}, "A pending task has no day of completion."),
    ],
)
def test_filters_that_no_task_can_meet_give_an_empty_list_and_the_reason(
    alice: User, arguments: dict[str, Any], words: str
) -> None:
    TaskFactory.create(user=alice, due_on=date(2026, 11, 1))
    TaskFactory.create(user=alice, due_on=date(2026, 11, 1), completed=True, completed_at=NOW)
    answer = list_tasks(user_id="alice", **arguments)
    assert (answer.tasks, answer.total, words in answer.message()) == ([], 0, True)
