"""update_task: only the owner updates a task. Given fields change, and the others stay."""

import asyncio
from typing import Any

import psycopg
import pytest
from django.db import connection

from tasks import undo_names
from tasks.models import DESCRIPTION_MAX, TITLE_MAX, Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import (
    CONTROLS,
    INVISIBLE,
    LEFT_OPEN,
    LONE_SURROGATES,
    everything_of,
    refused,
    send,
    shown,
)
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]


@pytest.fixture
def task(committed: None, alice: User) -> Task:
    return TaskFactory.create(user=alice, title="Buy milk", description="Two litres")


async def test_given_fields_change_and_the_others_stay(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    steps: list[tuple[dict[str, str], list[str], str, tuple[str, str]]] = [
        ({"title": "Buy oats"}, ["title"], "title", ("Buy oats", "Two litres")),
        ({"description": "Soon"}, ["description"], "description", ("Buy oats", "Soon")),
        ({"description": ""}, ["description"], "description", ("Buy oats", "")),
        ({"title": "Buy", "description": "x"}, ["title", "description"], "title and description", ("Buy", "x")),
    ]
    for arguments, fields, names, expected in steps:
        envelope = await as_alice.call(door, "update_task", task_id=task.pk, **arguments)
        row = await orm(Task.objects.get)
        assert (row.title, row.description) == expected
        assert envelope == {
            "status": "success",
            "data": {
                "task_id": task.pk,
                "title": row.title,
                "updated_fields": fields,
                "version": row.version,
                "updated_at": shown(row.updated_at),
                "undo": undo_names.encode(task.pk, row.version),
            },
            "message": f"Updated {names} of task {task.pk}: {row.title}.",
        }


async def test_an_update_changes_one_task_of_many(as_alice: Caller, task: Task, bob: User, orm: Orm, door: str) -> None:
    def others() -> list[tuple[Any, ...]]:
        return list(Task.objects.exclude(pk=task.pk).order_by("pk").values_list())

    await orm(lambda: [TaskFactory.create(user_id=user_id) for user_id in ("alice", "alice", "bob")])
    before = await orm(others)
    steps: list[dict[str, Any]] = [{"title": "New"}, {"description": "New"}, {"clear": ["description"]}]
    for changes in steps:
        await as_alice.call(door, "update_task", task_id=task.pk, **changes)
    assert await orm(others) == before
    assert (await orm(lambda: Task.objects.get(pk=task.pk))).title == "New"


async def test_updated_fields_are_those_that_changed(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    both = {"title": "Buy milk", "description": "Three litres"}
    envelope = await as_alice.call(door, "update_task", task_id=task.pk, **both)
    assert envelope["data"]["updated_fields"] == ["description"]
    before = await orm(lambda: everything_of("alice"))
    at = envelope["data"]["updated_at"]
    for same in (both, {"title": " Buy milk\n"}, {"description": "Three litres"}):
        assert await as_alice.call(door, "update_task", task_id=task.pk, **same) == {
            "status": "success",
            "data": {"task_id": task.pk, "title": "Buy milk", "updated_fields": [], "version": 2, "updated_at": at},
            "message": f"Task {task.pk} had these values already: Buy milk. Nothing changed.",
        }
    assert await orm(lambda: everything_of("alice")) == before


def _change_title_and_wait() -> "psycopg.Connection[Any]":
    """Another transaction, which has changed the title of every task."""
    parameters = connection.get_connection_params()
    other: psycopg.Connection[Any] = psycopg.connect(
        **{name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    )
    other.execute("UPDATE tasks SET title = 'B'")
    return other


async def test_an_update_compares_with_the_row_that_it_replaces(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    """Another transaction changes the title, and the call waits for it."""
    change = {"title": "A", "description": "Two litres"}
    for _ in range(2):  # at the second call, the worker remembers the token
        await orm(lambda: Task.objects.update(title="A"))
        other = await orm(_change_title_and_wait)
        call = asyncio.ensure_future(as_alice.call(door, "update_task", task_id=task.pk, **change))
        await asyncio.sleep(0.3)
        assert not call.done()
        await orm(other.commit)
        await orm(other.close)
        assert (await call)["data"]["updated_fields"] == ["title"]
        assert (await orm(Task.objects.get)).title == "A"


async def test_clear_empties_the_description(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    for clear, also, fields in (
        (["description"], {}, ["description"]),
        (["description", "description"], {"title": "Oats"}, ["title", "description"]),
        (["description"], {"description": "", "title": None}, ["description"]),
    ):
        envelope = await as_alice.call(door, "update_task", task_id=task.pk, clear=clear, **also)
        assert envelope["data"]["updated_fields"] == fields
        assert (await orm(Task.objects.get)).description == ""
        await as_alice.call(door, "update_task", task_id=task.pk, title="Buy milk", description="Two litres")


async def test_an_empty_description_clears_it_only_if_nothing_else_is_sent(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    for title in ("Buy oats", "Buy oats"):  # the second one is unchanged, and counts all the same
        envelope = await as_alice.call(door, "update_task", task_id=task.pk, title=title, description="")
        assert envelope["status"] == "success"
        assert (await orm(Task.objects.get)).description == "Two litres"
    for nothing in ({}, {"title": None}, {"title": "", "clear": []}):
        await as_alice.call(door, "update_task", task_id=task.pk, description="Two litres")
        envelope = await as_alice.call(door, "update_task", task_id=task.pk, description="", **nothing)
        assert envelope["data"]["updated_fields"] == ["description"]
        assert (await orm(Task.objects.get)).description == ""


async def test_an_update_changes_only_its_fields_and_updated_at(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    await as_alice.call(door, "complete_task", task_id=task.pk)
    before: dict[str, Any] = await orm(lambda: dict(Task.objects.values().get()))
    await as_alice.call(door, "update_task", task_id=task.pk, title="New")
    after: dict[str, Any] = await orm(lambda: dict(Task.objects.values().get()))
    assert {name for name in after if after[name] != before[name]} == {"title", "updated_at", "version", "text_version"}
    assert after["updated_at"] > before["updated_at"]


async def test_concurrent_edits_of_different_fields_are_both_kept(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    edits = [{field: f"{field} {n}"} for n in range(10) for field in ("title", "description")]
    await asyncio.gather(*(as_alice.call(door, "update_task", task_id=task.pk, **edit) for edit in edits))
    row = await orm(Task.objects.get)
    assert (row.title[:-1], row.description[:-1]) == ("title ", "description ")


async def test_a_title_is_trimmed_and_its_length_counts_code_points(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    longest = {"title": f" {'🥛' * TITLE_MAX}\n", "description": "🥛" * DESCRIPTION_MAX}
    assert (await send(as_alice, door, "update_task", {"task_id": task.pk, **longest})).code == 200
    before = await orm(Task.objects.get)
    assert (before.title, before.description) == ("🥛" * TITLE_MAX, "🥛" * DESCRIPTION_MAX)
    too_long = {"title": "x" * (TITLE_MAX + 1), "description": "x" * (DESCRIPTION_MAX + 1)}
    answer = await send(as_alice, door, "update_task", {"task_id": task.pk, **too_long})
    refused(answer, 400, "invalid_arguments", "title", "description")
    assert (await orm(Task.objects.get)).updated_at == before.updated_at


async def test_invisible_or_unstorable_text_is_refused_with_the_name_of_its_field(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    before = await orm(lambda: everything_of("alice"))
    invisible = [({"title": title}, "title") for title in INVISIBLE if title]
    fields = ("title", "description")
    unstorable = [
        ({field: f"a{char}b"}, field) for char in (*CONTROLS, *LONE_SURROGATES, *LEFT_OPEN) for field in fields
    ]
    for arguments, field in invisible + unstorable:
        answer = await send(as_alice, door, "update_task", {"task_id": task.pk, **arguments})
        refused(answer, 400, "invalid_arguments", field)
    assert await orm(lambda: everything_of("alice")) == before


async def test_invalid_arguments_are_named(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    bad: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["title"]),
        ({"title": "New"}, ["task_id"]),
        ({"task_id": task.pk}, ["title"]),
        ({"task_id": task.pk, "user_id": "me"}, ["title"]),
        ({"title": ""}, ["task_id"]),
        ({"task_id": task.pk, "title": 7, "description": ["x"]}, ["description", "title"]),
        ({"task_id": task.pk, "clear": "description"}, ["clear"]),
        ({"task_id": task.pk, "clear": ["title"]}, ["clear.0"]),
        ({"task_id": task.pk, "clear": ["description", None]}, ["clear.1"]),
        ({"task_id": task.pk, "clear": ["description"], "description": "New"}, ["clear"]),
        ({"task_id": task.pk, "completed": True}, ["completed"]),
        ({"task_id": task.pk, "title": "New", "updated_at": "now"}, ["updated_at"]),
    ]
    before = await orm(lambda: everything_of("alice"))
    for arguments, fields in bad:
        refused(await send(as_alice, door, "update_task", arguments), 400, "invalid_arguments", *fields)
    assert await orm(lambda: everything_of("alice")) == before


async def test_a_call_with_only_empty_values_changes_nothing_and_says_how_to_empty_a_field(
    as_alice: Caller, task: Task, orm: Orm, door: str
) -> None:
    before = await orm(lambda: everything_of("alice"))
    for empty in ({"title": None, "description": None, "clear": None}, {"title": "", "tags": [], "clear": []}):
        envelope = await as_alice.call(door, "update_task", task_id=task.pk, **empty)
        assert (envelope["status"], envelope["data"]["updated_fields"]) == ("success", [])
        assert envelope["message"].endswith("Nothing changed. To empty a field, name it in clear.")
        assert "undo" not in envelope["data"]
    assert await orm(lambda: everything_of("alice")) == before


async def test_a_deleted_task_cannot_be_updated(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    await as_alice.call(door, "delete_task", task_id=task.pk)
    refused(await send(as_alice, door, "update_task", {"task_id": task.pk, "title": "New"}), 404, "task_not_found")
    assert (await orm(Task.objects.get)).title == "Buy milk"


async def test_bob_cannot_update_alices_task_and_gets_the_same_answer_as_for_a_missing_one(
    as_bob: Caller, task: Task, orm: Orm, door: str
) -> None:
    before = await orm(lambda: everything_of("alice"))
    foreign = await send(as_bob, door, "update_task", {"task_id": task.pk, "title": "His"})
    missing = await send(as_bob, door, "update_task", {"task_id": task.pk + 1, "title": "His"})
    refused(foreign, 404, "task_not_found")
    message = missing.envelope["message"].replace(str(task.pk + 1), str(task.pk))
    assert {**missing.envelope, "message": message} == foreign.envelope
    arguments = {"task_id": task.pk, "title": "His", "user_id": "alice"}
    refused(await send(as_bob, door, "update_task", arguments), 403, "forbidden")
    assert await orm(lambda: everything_of("alice")) == before


async def test_a_service_updates_tasks_for_the_user_that_it_names(
    as_service: Caller, task: Task, bob: User, orm: Orm, door: str
) -> None:
    new = {"task_id": task.pk, "title": "From the chat"}
    refused(await send(as_service, door, "update_task", new), 400, "invalid_arguments", "user_id")
    refused(await send(as_service, door, "update_task", {**new, "user_id": "no-one"}), 404, "user_not_found")
    refused(await send(as_service, door, "update_task", {**new, "user_id": "bob"}), 404, "task_not_found")
    assert (await orm(Task.objects.get)).title == "Buy milk"
    await as_service.call(door, "update_task", **new, user_id="alice")
    assert (await orm(Task.objects.get)).title == "From the chat"


async def test_a_read_only_token_updates_nothing(as_alice: Caller, task: Task, orm: Orm, door: str) -> None:
    token = await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"]))
    answer = await send(Caller(as_alice.http, token), door, "update_task", {"task_id": task.pk, "title": "New"})
    refused(answer, 403, "forbidden")
    assert answer.response.status_code == 403
    assert 'scope="tasks:write"' in answer.response.headers["www-authenticate"]
    assert (await orm(Task.objects.get)).title == "Buy milk"
