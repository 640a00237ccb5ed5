"""Twenty concurrent calls through all doors: each is done once or not at all, and the history shows their order."""

import asyncio
from collections import Counter
from itertools import cycle
from typing import Any

import pytest

from tasks.models import Task, TaskEvent
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import Answer, send
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

CALLS = 20
ToolCall = tuple[Caller, str, dict[str, Any]]


@pytest.fixture
def task(committed: None, alice: User) -> Task:
    return TaskFactory.create(user=alice, title="Buy milk")


async def at_once(*calls: ToolCall) -> list[Answer]:
    """Send the calls at once, through the doors in turn. Returns the answers."""
    requests = [send(caller, door, tool, arguments) for (caller, tool, arguments), door in zip(calls, cycle(DOORS))]
    return await asyncio.gather(*requests)


def events() -> list[tuple[str, str, bool, bool]]:
    rows = TaskEvent.objects.order_by("pgh_id").values_list("pgh_label", "title", "completed", "deleted_at")
    return [(label, title, completed, deleted is not None) for label, title, completed, deleted in rows]


async def test_concurrent_additions_are_all_stored(as_alice: Caller, as_bob: Caller, orm: Orm) -> None:
    names = [f"Task {n}" for n in range(CALLS)]
    answers = await at_once(*[(caller, "add_task", {"title": name}) for name in names for caller in (as_alice, as_bob)])
    assert len({answer.envelope["data"]["task_id"] for answer in answers}) == 2 * CALLS
    for caller in (as_alice, as_bob):
        tasks = (await caller.call("http", "list_tasks", limit=100))["data"]["tasks"]
        assert sorted(task["title"] for task in tasks) == sorted(names)


async def test_concurrent_completions_complete_a_task_once(as_alice: Caller, task: Task, orm: Orm) -> None:
    answers = await at_once(*[(as_alice, "complete_task", {"task_id": task.pk})] * CALLS)
    assert {answer.code for answer in answers} == {200}
    assert len({answer.envelope["data"]["updated_at"] for answer in answers}) == 1
    first_words = Counter(answer.envelope["message"].split()[0] for answer in answers)
    assert first_words == {"Completed": 1, "Task": CALLS - 1}
    assert await orm(events) == [("insert", "Buy milk", False, False), ("update", "Buy milk", True, False)]


async def test_concurrent_deletions_delete_a_task_once(as_alice: Caller, task: Task, orm: Orm) -> None:
    answers = await at_once(*[(as_alice, "delete_task", {"task_id": task.pk})] * CALLS)
    assert Counter(answer.code for answer in answers) == {200: 1, 404: CALLS - 1}
    assert await orm(events) == [("insert", "Buy milk", False, False), ("update", "Buy milk", False, True)]


async def test_the_history_holds_every_acknowledged_update_and_the_last_one_wins(
    as_alice: Caller, task: Task, orm: Orm
) -> None:
    calls = [(as_alice, "update_task", {"task_id": task.pk, "title": f"Title {n}"}) for n in range(CALLS)]
    answers = await at_once(*calls)
    assert {answer.code for answer in answers} == {200}
    titles = [title for _, title, _, _ in await orm(events)]
    assert titles[0] == "Buy milk"
    assert sorted(titles[1:]) == sorted(f"Title {n}" for n in range(CALLS))
    assert (await orm(Task.objects.get)).title == titles[-1]


async def test_no_change_follows_the_deletion_of_a_task(as_alice: Caller, task: Task, orm: Orm) -> None:
    update: ToolCall = (as_alice, "update_task", {"task_id": task.pk, "title": "New"})
    complete: ToolCall = (as_alice, "complete_task", {"task_id": task.pk})
    delete: ToolCall = (as_alice, "delete_task", {"task_id": task.pk})
    answers = await at_once(*[update, complete] * 3, delete, *[update, complete] * 6)
    assert {answer.code for answer in answers} <= {200, 404}
    versions = await orm(events)
    assert [deleted for *_, deleted in versions].count(True) == 1
    assert versions[-1][3]
    changes = [
        answer for answer in answers if answer.code == 200 and "Nothing changed" not in answer.envelope["message"]
    ]
    assert len(versions) == 1 + len(changes)
