"""list_tasks with ``sort: updated``: what happened last, and the name by which it can be undone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from tasks import undo_names
from tasks.lists.services import list_tasks
from tasks.models import Task
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User


def latest(detail: str = "short") -> dict[str, Any]:
    return list_tasks(user_id="alice", sort="updated", detail=detail).tasks[0]  # type: ignore[arg-type]


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_each_row_says_what_happened_last_and_how_to_undo_it(as_alice: Caller, door: str) -> None:
    async def last() -> dict[str, Any]:
        data = (await as_alice.call(door, "list_tasks", sort="updated", detail="short"))["data"]
        return dict(data["tasks"][0])

    added = (await as_alice.call(door, "add_task", title="One"))["data"]
    task_id = added["task_id"]
    await as_alice.call(door, "add_task", title="Two")
    for tool, arguments, change in (
        ("update_task", {"title": "First"}, "changed: title"),
        ("update_task", {"due": "2027-01-01 9am", "tags": ["a"]}, "changed: due, tags"),
        ("update_task", {"clear": ["due"], "priority": "low"}, "changed: due, priority"),
        ("complete_task", {}, "completed"),
        ("update_task", {"reopen": True}, "changed: completed"),
        ("delete_task", {}, "deleted"),
        ("update_task", {"restore": True}, "changed: deleted_at"),
    ):
        data = (await as_alice.call(door, tool, task_id=task_id, **arguments))["data"]
        row = await last()
        assert (row["task_id"], row["last_change"], row["undo"]) == (task_id, change, data["undo"])
        assert row["updated_at"] == data.get("updated_at", row["updated_at"])
    third = (await as_alice.call(door, "add_task", title="Three"))["data"]
    assert (await last())["last_change"] == "added"
    assert (await last())["undo"] == third["undo"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("context", "may_undo"),
    [
        ({"user": "alice", "tool": "update_task", "transport": "mcp"}, True),
        ({"user": "alice", "tool": "update_task", "transport": "http"}, True),
        ({"user": "alice", "tool": "update_task", "transport": "command"}, True),
        ({"user": "root", "tool": "edit", "client": "admin"}, False),
        (None, False),
    ],
)
def test_only_a_call_can_be_undone(alice: User, context: dict[str, Any] | None, may_undo: bool) -> None:
    task = TaskFactory.create(user=alice)
    tasks = Task.objects.filter(pk=task.pk)
    if context:
        with history_context(**context):
            tasks.update(title="Changed")
    else:
        tasks.update(title="Changed")
    row = latest()
    assert row["last_change"] == "changed: title"
    assert row.get("undo") == (undo_names.encode(task.pk, 2) if may_undo else None)


@pytest.mark.django_db
def test_a_change_of_30_days_ago_has_no_undo(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    with history_context(user="alice", tool="add_task", transport="mcp"):
        TaskFactory.create(user=alice)
    now = datetime.now(UTC)
    assert "undo" in latest()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(days=29))
    assert "undo" in latest()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(days=30, minutes=2))
    assert latest().keys() >= {"last_change"} and "undo" not in latest()


@pytest.mark.django_db
def test_a_change_of_nothing_visible_is_no_change_of_a_field(alice: User) -> None:
    task = TaskFactory.create(user=alice)
    Task.objects.filter(pk=task.pk).update(updated_at=timezone.now())
    assert latest()["last_change"] == "changed"


@pytest.mark.django_db
def test_the_list_by_last_change_has_deleted_tasks_too_and_each_task_once(
    alice: User, bob: User, set_now: Callable[[datetime], None]
) -> None:
    first, second, third = TaskFactory.create_batch(3, user=alice)
    TaskFactory.create(user=bob)
    Task.objects.filter(pk=first.pk).update(deleted_at=timezone.now())
    Task.objects.filter(pk=first.pk).update(title="Again")
    Task.objects.filter(pk=third.pk).update(completed=True, completed_at=timezone.now())

    def ids(**arguments: Any) -> list[int]:
        answer = list_tasks(user_id="alice", sort="updated", **arguments)
        assert answer.total == len(answer.tasks)
        return [task["task_id"] for task in answer.tasks]

    assert ids() == [third.pk, first.pk, second.pk]
    assert ids(status="all") == [third.pk, second.pk]
    assert ids(status="deleted") == [first.pk]
    assert ids(status="completed") == [third.pk]
    assert ids(query="task") == [third.pk, second.pk]
    assert ids(query="again") == ids(task_id=first.pk) == [first.pk]
