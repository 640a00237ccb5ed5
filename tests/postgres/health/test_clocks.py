"""A clock that jumps back, and one that differs from PostgreSQL's."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.support.tool_user import ToolUser
from todo_mcp.postgres.health.clocks import Clocks
from todo_mcp.users.models import User

real_now = timezone.now
HOUR = timedelta(hours=1)


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda by: monkeypatch.setattr(timezone, "now", lambda: real_now() - by)


def test_a_jump_back_is_logged_and_counted(set_back: Any, caplog: pytest.LogCaptureFixture) -> None:
    clocks = Clocks()
    clocks.look()
    clocks.look()
    assert not caplog.records
    set_back(HOUR)
    clocks.look()
    clocks.look()
    assert [record.getMessage() for record in caplog.records] == ["the clock of this machine jumped back"]
    assert abs(caplog.records[0].seconds - 3600) < 5  # type: ignore[attr-defined]


@pytest.mark.parametrize(("seconds", "lines"), [(0, 0), (4, 0), (-4, 0), (5.5, 1), (-5.5, 1), (3600, 1)])
def test_a_difference_of_five_seconds_is_logged_once_a_minute(
    caplog: pytest.LogCaptureFixture, seconds: float, lines: int
) -> None:
    now: datetime = real_now()
    clocks = Clocks()
    for _ in range(2):
        clocks.compare(now, now + timedelta(seconds=seconds), now + timedelta(milliseconds=10))
    assert len(caplog.records) == lines


@pytest.mark.django_db
@pytest.mark.parametrize("by", [HOUR, timedelta(hours=23)])
@pytest.mark.parametrize("more", [{}, {"priority": "high"}, {"idempotency_key": "a-key-of-alice"}])
def test_new_tasks_are_first_although_the_clock_jumped_back(
    set_back: Any, alice: User, by: timedelta, more: dict[str, str]
) -> None:
    user = ToolUser("alice")
    before = [user.add(f"Before {n}")["task_id"] for n in range(3)]
    set_back(by)
    after = [user.add("After", **more)["task_id"], user.add("After all")["task_id"]]
    listed = user.done("list_tasks")["tasks"]
    assert [task["task_id"] for task in listed] == [*reversed(after), *reversed(before)]
    assert all(task["created_at"] <= task["updated_at"] for task in listed)
    row = user.row(after[1])
    assert row["created_at"] == row["updated_at"]


@pytest.mark.django_db
def test_a_clock_that_was_days_ahead_does_not_bind_new_tasks(set_back: Any, alice: User) -> None:
    user = ToolUser("alice")
    set_back(timedelta(days=-400))
    user.add("From the future")
    set_back(timedelta(0))
    assert user.row(user.add("From today")["task_id"])["created_at"] <= real_now()


CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("complete_task", {}),
    ("delete_task", {}),
    ("update_task", {"title": "New"}),
    ("update_task", {"title": "New", "description": "Too"}),
    ("update_task", {"priority": "high"}),
    ("update_task", {"append": "more"}),
    ("update_task", {"due": "tomorrow", "repeat": "every day"}),
]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("which", "tool", "arguments"),
    [("task_id", *change) for change in CHANGES]
    + [("task_ids", *change) for change in CHANGES if "title" not in change[1]],
)
def test_no_change_is_older_than_the_task(
    set_back: Any, alice: User, which: str, tool: str, arguments: dict[str, Any]
) -> None:
    user = ToolUser("alice")
    task_id = user.add()["task_id"]
    set_back(HOUR)
    answer = user.done(tool, **{which: task_id if which == "task_id" else [task_id]}, **arguments)
    row = user.row(task_id)
    assert row["updated_at"] >= row["created_at"]
    for name in ("completed_at", "deleted_at"):
        assert row[name] in (None, row["updated_at"])
    told = answer["updated_at"] if which == "task_id" else answer["tasks"][0]["updated_at"]
    assert told == row["updated_at"]
    if "undo" in answer:
        user.undo(answer["undo"])
        assert user.row(task_id)["updated_at"] >= row["updated_at"]
