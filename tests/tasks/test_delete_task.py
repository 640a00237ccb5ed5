"""delete_task: only the owner deletes a task. It leaves every list but stays in the database."""

from functools import partial
from typing import Any

import pytest

from tasks import undo_names
from tasks.models import Task
from tasks.services import restore_task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import everything_of, refused, send, shown
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.errors import TaskNotFound
from todo_mcp.users.models import User

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]


@pytest.fixture
def task(committed: None, alice: User) -> Task:
    return TaskFactory.create(user=alice, title="Buy milk", description="Two litres")


async def test_deleting_removes_a_task_from_the_list_and_keeps_the_row(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    envelope = await as_alice.call(door, "delete_task", task_id=task.pk)
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
        "message": f"Deleted task {task.pk}: Buy milk. It stays in the trash for 30 days; "
        "update_task with this undo brings it back.",
    }
    assert (await as_alice.call(door, "list_tasks"))["data"]["total"] == 0
    assert row.deleted_at == row.updated_at
    assert (row.title, row.description, row.completed) == (task.title, task.description, False)


async def test_no_tool_finds_a_deleted_task(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    await as_alice.call(door, "delete_task", task_id=task.pk)
    before = await orm(lambda: everything_of("alice"))
    for tool, more in (("delete_task", {}), ("complete_task", {}), ("update_task", {"title": "New"})):
        answer = await send(as_alice, door, tool, {"task_id": task.pk, **more})
        refused(answer, 404, "task_not_found")
        assert answer.envelope["message"] == f"Task {task.pk} not found. Call list_tasks to see valid ids."
    assert await orm(lambda: everything_of("alice")) == before


async def test_an_operator_can_restore_a_deleted_task_as_it_was(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    await as_alice.call(door, "complete_task", task_id=task.pk)
    before = (await as_alice.call(door, "list_tasks"))["data"]["tasks"][0]
    await as_alice.call(door, "delete_task", task_id=task.pk)
    await orm(lambda: restore_task(user_id="alice", task_id=task.pk))
    after = (await as_alice.call(door, "list_tasks"))["data"]["tasks"][0]
    assert {**after, "updated_at": "", "version": 4} == {**before, "updated_at": "", "version": 4}
    assert after["updated_at"] > before["updated_at"]


async def test_only_a_deleted_task_of_the_same_user_can_be_restored(
    as_alice: Caller, task: Task, bob: User, orm: Orm, door: str
) -> None:
    for user_id, task_id in (("alice", task.pk), ("bob", task.pk), ("alice", task.pk + 1)):
        with pytest.raises(TaskNotFound):
            await orm(partial(restore_task, user_id=user_id, task_id=task_id))
    await as_alice.call(door, "delete_task", task_id=task.pk)
    with pytest.raises(TaskNotFound):
        await orm(lambda: restore_task(user_id="bob", task_id=task.pk))
    assert (await as_alice.call(door, "list_tasks"))["data"]["total"] == 0


async def test_bob_cannot_delete_alices_task_and_gets_the_same_answer_as_for_a_missing_one(
    as_bob: Caller, task: Task, orm: Orm, door: str
) -> None:
    before = await orm(lambda: everything_of("alice"))
    foreign = await send(as_bob, door, "delete_task", {"task_id": task.pk})
    missing = await send(as_bob, door, "delete_task", {"task_id": task.pk + 1})
    refused(foreign, 404, "task_not_found")
    message = missing.envelope["message"].replace(str(task.pk + 1), str(task.pk))
    assert {**missing.envelope, "message": message} == foreign.envelope
    refused(await send(as_bob, door, "delete_task", {"task_id": task.pk, "user_id": "alice"}), 403, "forbidden")
    assert await orm(lambda: everything_of("alice")) == before


async def test_a_service_deletes_tasks_for_the_user_that_it_names(
    as_service: Caller, task: Task, bob: User, orm: Orm, door: str
) -> None:
    for arguments, code, error, fields in (
        ({"task_id": task.pk}, 400, "invalid_arguments", ["user_id"]),
        ({"task_id": task.pk, "user_id": "no-one"}, 404, "user_not_found", []),
        ({"task_id": task.pk, "user_id": "bob"}, 404, "task_not_found", []),
    ):
        refused(await send(as_service, door, "delete_task", arguments), code, error, *fields)
    assert (await orm(Task.objects.get)).deleted_at is None
    await as_service.call(door, "delete_task", task_id=task.pk, user_id="alice")
    assert (await orm(Task.objects.get)).deleted_at is not None


async def test_a_read_only_token_deletes_nothing(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    token = await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"]))
    answer = await send(Caller(as_alice.http, token), door, "delete_task", {"task_id": task.pk})
    refused(answer, 403, "forbidden")
    assert answer.response.status_code == 403
    assert 'scope="tasks:write"' in answer.response.headers["www-authenticate"]
    assert (await orm(Task.objects.get)).deleted_at is None


async def test_invalid_arguments_are_named(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    bad: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["task_id"]),
        ({"task_id": None}, ["task_id"]),
        ({"task_id": [task.pk]}, ["task_id"]),
        ({"task_id": task.pk, "task_ids": [task.pk]}, ["task_id", "task_ids"]),
        ({"task_id": task.pk, "force": True}, ["force"]),
    ]
    for arguments, fields in bad:
        refused(await send(as_alice, door, "delete_task", arguments), 400, "invalid_arguments", *fields)
    assert (await orm(Task.objects.get)).deleted_at is None
