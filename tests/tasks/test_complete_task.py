"""complete_task: only the owner completes a task, once and permanently."""

from typing import Any

import pytest

from tasks import undo_names
from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import everything_of, refused, send, shown
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]


@pytest.fixture
def task(committed: None, alice: User) -> Task:
    return TaskFactory.create(user=alice, title="Buy milk", description="Two litres")


async def test_completing_a_task_marks_it_and_says_when(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    envelope = await as_alice.call(door, "complete_task", task_id=task.pk)
    row = await orm(Task.objects.get)
    assert envelope == {
        "status": "success",
        "data": {
            "task_id": task.pk,
            "title": "Buy milk",
            "version": 2,
            "updated_at": shown(row.updated_at),
            "undo": undo_names.encode(task.pk, 2),
        },
        "message": f"Completed task {task.pk}: Buy milk.",
    }
    assert (row.completed, row.completed_at, row.deleted_at) == (True, row.updated_at, None)
    assert row.updated_at > task.updated_at
    assert (row.title, row.description, row.created_at) == (task.title, task.description, task.created_at)


async def test_completing_a_completed_task_succeeds_and_changes_nothing(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    first = await as_alice.call(door, "complete_task", task_id=task.pk)
    before = await orm(lambda: everything_of("alice"))
    second = await as_alice.call(door, "complete_task", task_id=task.pk)
    assert second["data"] == {name: first["data"][name] for name in first["data"] if name != "undo"}
    assert second["message"] == f"Task {task.pk} was completed before: Buy milk. Nothing changed."
    assert await orm(lambda: everything_of("alice")) == before


async def test_a_completed_task_stays_in_the_list(as_alice: Caller, task: Task, door: str) -> None:
    await as_alice.call(door, "complete_task", task_id=task.pk)
    (row,) = (await as_alice.call(door, "list_tasks"))["data"]["tasks"]
    assert (row["task_id"], row["completed"]) == (task.pk, True)


async def test_a_deleted_task_cannot_be_completed(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    await as_alice.call(door, "delete_task", task_id=task.pk)
    before = await orm(lambda: everything_of("alice"))
    refused(await send(as_alice, door, "complete_task", {"task_id": task.pk}), 404, "task_not_found")
    assert await orm(lambda: everything_of("alice")) == before


async def test_bob_cannot_complete_alices_task_and_gets_the_same_answer_as_for_a_missing_one(
    as_bob: Caller, task: Task, orm: Orm, door: str
) -> None:
    before = await orm(lambda: everything_of("alice"))
    foreign = await send(as_bob, door, "complete_task", {"task_id": task.pk})
    missing = await send(as_bob, door, "complete_task", {"task_id": task.pk + 1})
    refused(foreign, 404, "task_not_found")
    message = missing.envelope["message"].replace(str(task.pk + 1), str(task.pk))
    assert {**missing.envelope, "message": message} == foreign.envelope
    refused(await send(as_bob, door, "complete_task", {"task_id": task.pk, "user_id": "alice"}), 403, "forbidden")
    assert await orm(lambda: everything_of("alice")) == before


async def test_a_service_completes_tasks_for_the_user_that_it_names(
    as_service: Caller, task: Task, bob: User, orm: Orm, door: str
) -> None:
    for arguments, code, error, fields in (
        ({"task_id": task.pk}, 400, "invalid_arguments", ["user_id"]),
        ({"task_id": task.pk, "user_id": "no-one"}, 404, "user_not_found", []),
        ({"task_id": task.pk, "user_id": "bob"}, 404, "task_not_found", []),
    ):
        refused(await send(as_service, door, "complete_task", arguments), code, error, *fields)
    assert not (await orm(Task.objects.get)).completed
    await as_service.call(door, "complete_task", task_id=task.pk, user_id="alice")
    assert (await orm(Task.objects.get)).completed


async def test_a_read_only_token_completes_nothing(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    token = await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"]))
    answer = await send(Caller(as_alice.http, token), door, "complete_task", {"task_id": task.pk})
    refused(answer, 403, "forbidden")
    assert answer.response.status_code == 403
    assert 'scope="tasks:write"' in answer.response.headers["www-authenticate"]
    assert not (await orm(Task.objects.get)).completed


async def test_invalid_arguments_are_named(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    bad: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["task_id"]),
        ({"task_id": None}, ["task_id"]),
        ({"id": task.pk}, ["id"]),
        ({"task_id": task.pk, "completed": False}, ["completed"]),
        ({"task_id": task.pk, "title": "New"}, ["title"]),
    ]
    for arguments, fields in bad:
        refused(await send(as_alice, door, "complete_task", arguments), 400, "invalid_arguments", *fields)
    assert not (await orm(Task.objects.get)).completed
