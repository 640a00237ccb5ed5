"""list_tasks: the content and order of a page, and what is refused. Reading several pages has a separate file."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import TaskFactory
from tests.support.tool_calls import refused, send
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]

STATUS_NOTE = "Pending and completed tasks, because status was left out."
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BAD: dict[str, list[Any]] = {
    "limit": [0, -1, 101, 2**63, 101.0, 1.5, True, "ten", "7.0", "+5", " 5", "\uff15", "0x5", [5], {}],
    "status": ["All", "done", "all ", "null", True, 0, ["all"], {}],
    "cursor": [0, True, ["x"], {}, "null", "x", "MTcuMQ==", "\ud800"],
    "page": [2],
    "task_id": [-1, 2**63, 1.5, True, "x", [1], {}],
}


def ids(envelope: dict[str, Any]) -> list[int]:
    return [task["task_id"] for task in envelope["data"]["tasks"]]


async def test_a_list_shows_every_field_of_each_task_newest_first(as_alice: Caller, door: str) -> None:
    first = (await as_alice.call(door, "add_task", title="Buy milk", description="Two litres"))["data"]
    second = (await as_alice.call(door, "add_task", title="Call Eve"))["data"]
    completion = (await as_alice.call(door, "complete_task", task_id=first["task_id"]))["data"]
    envelope = await as_alice.call(door, "list_tasks")
    clock = {name: envelope["data"].pop(name) for name in ("now", "weekday", "time_zone")}
    assert clock["now"].endswith("+00:00") and clock["weekday"].endswith("day") and clock["time_zone"] == "UTC"
    newest = {**second, "description": "", "completed": False, "updated_at": second["created_at"]}
    oldest = {**first, "description": "Two litres", "completed": True}
    oldest |= {"completed_at": completion["updated_at"]}
    oldest |= {name: completion[name] for name in ("updated_at", "version")}
    for task in (newest, oldest):
        del task["undo"]
    assert envelope == {
        "status": "success",
        "data": {
            "tasks": [newest, oldest],
            "returned": 2,
            "total": 2,
            "total_is_exact": True,
            "has_more": False,
            "next_cursor": None,
        },
        "message": f"Showing all 2. {STATUS_NOTE}",
    }


async def test_an_empty_list_says_so(as_alice: Caller, door: str) -> None:
    envelope = await as_alice.call(door, "list_tasks")
    data = envelope["data"]
    clock = {name: data[name] for name in ("now", "weekday", "time_zone")}
    assert data == {
        "tasks": [],
        "returned": 0,
        "total": 0,
        "total_is_exact": True,
        "has_more": False,
        "next_cursor": None,
        **clock,
    }
    assert envelope["message"] == f"No tasks. {STATUS_NOTE}"


async def test_times_are_rfc_3339_in_utc(as_alice: Caller, alice: User, orm: Orm, door: str) -> None:
    at = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    whole_seconds, microseconds = at, at + timedelta(microseconds=1)
    await orm(lambda: TaskFactory.create(user=alice, created_at=whole_seconds, updated_at=microseconds))
    (task,) = (await as_alice.call(door, "list_tasks"))["data"]["tasks"]
    assert (task["created_at"], task["updated_at"]) == ("2026-03-01T09:30:00Z", "2026-03-01T09:30:00.000001Z")


async def test_tasks_of_the_same_moment_are_sorted_by_id(as_alice: Caller, alice: User, orm: Orm, door: str) -> None:
    task_ids = await orm(lambda: [task.pk for task in TaskFactory.create_batch(5, user=alice, created_at=NOON)])
    assert ids(await as_alice.call(door, "list_tasks")) == sorted(task_ids, reverse=True)


async def test_a_status_filters_the_list_and_its_total(as_alice: Caller, alice: User, orm: Orm, door: str) -> None:
    pending = await orm(lambda: TaskFactory.create(user=alice).pk)
    done = await orm(lambda: TaskFactory.create(user=alice, completed=True, completed_at=NOON).pk)
    for status, expected in {"all": [done, pending], "pending": [pending], "completed": [done]}.items():
        envelope = await as_alice.call(door, "list_tasks", status=status)
        assert (ids(envelope), envelope["data"]["total"]) == (expected, len(expected))


async def test_deleted_tasks_are_in_no_list_and_no_total(as_alice: Caller, door: str) -> None:
    first, second, third = [
        (await as_alice.call(door, "add_task", title=title))["data"]["task_id"] for title in ("a", "b", "c")
    ]
    await as_alice.call(door, "complete_task", task_id=third)
    for task_id in (second, third):
        await as_alice.call(door, "delete_task", task_id=task_id)
    for status, expected in {"all": [first], "pending": [first], "completed": []}.items():
        envelope = await as_alice.call(door, "list_tasks", status=status)
        assert (ids(envelope), envelope["data"]["total"]) == (expected, len(expected))


async def test_an_incomplete_list_says_so_in_words_and_numbers(
    as_alice: Caller, alice: User, orm: Orm, door: str
) -> None:
    await orm(lambda: TaskFactory.create_batch(57, user=alice))
    first = await as_alice.call(door, "list_tasks")
    assert (first["data"]["returned"], first["data"]["total"], first["data"]["has_more"]) == (50, 57, True)
    assert first["message"].startswith("Showing 50 of 57.")
    last = await as_alice.call(door, "list_tasks", cursor=first["data"]["next_cursor"])
    assert (last["data"]["returned"], last["data"]["total"], last["data"]["has_more"]) == (7, 57, False)
    assert last["data"]["next_cursor"] is None
    assert last["message"] == f"Showing 7 of 57. This is the last page. {STATUS_NOTE}"


async def test_a_limit_may_be_from_1_to_100(as_alice: Caller, alice: User, orm: Orm, door: str) -> None:
    await orm(lambda: TaskFactory.create_batch(101, user=alice))
    for limit, returned in ((1, 1), (100, 100), ("2", 2), ("007", 7), (3.0, 3), (1e2, 100)):
        data = (await as_alice.call(door, "list_tasks", limit=limit))["data"]
        assert (data["returned"], data["total"], data["has_more"]) == (returned, 101, True)


async def test_a_page_that_ends_with_the_last_task_has_no_next_cursor(
    as_alice: Caller, alice: User, orm: Orm, door: str
) -> None:
    await orm(lambda: TaskFactory.create_batch(2, user=alice))
    data = (await as_alice.call(door, "list_tasks", limit=2))["data"]
    assert (data["returned"], data["has_more"], data["next_cursor"]) == (2, False, None)


async def test_a_bad_argument_is_named(as_alice: Caller, door: str) -> None:
    for field, values in BAD.items():
        for value in values:
            answer = await send(as_alice, door, "list_tasks", {field: value})
            refused(answer, 400, "invalid_arguments", field)


async def test_bob_sees_nothing_of_alices_list_not_even_with_her_cursor(
    as_alice: Caller, as_bob: Caller, alice: User, bob: User, orm: Orm, door: str
) -> None:
    await orm(lambda: TaskFactory.create_batch(3, user=alice))
    his = await orm(lambda: TaskFactory.create(user=bob, created_at=NOON).pk)
    cursor = (await as_alice.call(door, "list_tasks", limit=1))["data"]["next_cursor"]
    refused(await send(as_bob, door, "list_tasks", {"user_id": "alice"}), 403, "forbidden")
    assert ids(await as_bob.call(door, "list_tasks")) == [his]
    assert ids(await as_bob.call(door, "list_tasks", cursor=cursor)) == [his]


async def test_a_service_sees_the_list_of_the_user_that_it_names(
    as_service: Caller, alice: User, bob: User, orm: Orm, door: str
) -> None:
    hers = await orm(lambda: TaskFactory.create(user=alice).pk)
    assert ids(await as_service.call(door, "list_tasks", user_id="alice")) == [hers]
    assert ids(await as_service.call(door, "list_tasks", user_id="bob")) == []
    refused(await send(as_service, door, "list_tasks", {}), 400, "invalid_arguments", "user_id")
    refused(await send(as_service, door, "list_tasks", {"user_id": "no-one"}), 404, "user_not_found")


async def test_listing_requires_the_scope_tasks_read(as_alice: Caller, orm: Orm, door: str) -> None:
    write, read = await orm(lambda: [issue_token(user_id="alice", scopes=[f"tasks:{s}"]) for s in ("write", "read")])
    answer = await send(Caller(as_alice.http, write), door, "list_tasks", {})
    refused(answer, 403, "forbidden")
    assert answer.response.status_code == 403
    assert 'error="insufficient_scope", scope="tasks:read"' in answer.response.headers["www-authenticate"]
    assert (await Caller(as_alice.http, read).call(door, "list_tasks"))["status"] == "success"


async def test_listing_changes_nothing(as_alice: Caller, alice: User, orm: Orm, door: str) -> None:
    await orm(lambda: TaskFactory.create(user=alice))
    before = await orm(lambda: list(Task.objects.values()))
    await as_alice.call(door, "list_tasks")
    assert await orm(lambda: list(Task.objects.values())) == before
