"""add_task's idempotency_key: a retry adds nothing twice, and a misused key is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from tasks.models import Task
from tasks.services import add_task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.mcp_messages import REVISIONS
from tests.support.tool_calls import refused, send
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.errors import UserNotFound
from todo_mcp.idempotency.models import IdempotencyKey

pytestmark = pytest.mark.anyio

KEY = "a-key-of-my-own"
each_door = pytest.mark.parametrize("door", DOORS)


@pytest.fixture
def age_keys(orm: Orm) -> Callable[[timedelta], Awaitable[None]]:
    """A function that sets the age of every key."""

    async def age(by: timedelta) -> None:
        await orm(lambda: IdempotencyKey.objects.update(created_at=timezone.now() - by))

    return age


@each_door
async def test_the_same_key_and_arguments_return_the_first_result_and_add_nothing(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    arguments = {"title": "Buy milk", "description": "Two litres", "idempotency_key": KEY}
    first = await as_alice.call(door, "add_task", **arguments)
    for same in (arguments, {**arguments, "title": "  Buy milk\n"}, {**arguments, "user_id": "me"}):
        again = await as_alice.call(door, "add_task", **same)
        assert again["data"] == first["data"]
        assert again["message"] == (
            f"This idempotency_key already added task {first['data']['task_id']}; "
            "this is that result and nothing was added."
        )
    assert await orm(Task.objects.count) == 1


@each_door
async def test_a_missing_description_equals_an_empty_one(as_alice: Caller, orm: Orm, door: str) -> None:
    first = await as_alice.call(door, "add_task", title="Buy milk", idempotency_key=KEY)
    again = await as_alice.call(door, "add_task", title="Buy milk", description="", idempotency_key=KEY)
    assert again["data"] == first["data"]
    assert await orm(Task.objects.count) == 1


@each_door
async def test_the_same_key_with_other_arguments_is_a_conflict(as_alice: Caller, orm: Orm, door: str) -> None:
    await as_alice.call(door, "add_task", title="Buy milk", idempotency_key=KEY)
    others: list[dict[str, Any]] = [
        {"title": "buy milk"},
        {"title": "Buy milk", "description": "Two litres"},
        {"title": "Buy", "description": " milk"},
    ]
    for other in others:
        answer = await send(as_alice, door, "add_task", {**other, "idempotency_key": KEY})
        refused(answer, 409, "idempotency_conflict")
    assert [task.title for task in await orm(lambda: list(Task.objects.all()))] == ["Buy milk"]


async def test_a_key_is_valid_through_every_door(as_alice: Caller, orm: Orm) -> None:
    answers = [await as_alice.call(door, "add_task", title="Buy milk", idempotency_key=KEY) for door in DOORS]
    assert all(answer["data"] == answers[0]["data"] for answer in answers)
    assert await orm(Task.objects.count) == 1


@each_door
async def test_keys_of_different_users_are_independent(as_alice: Caller, as_bob: Caller, orm: Orm, door: str) -> None:
    hers = await as_alice.call(door, "add_task", title="Hers", idempotency_key=KEY)
    his = await as_bob.call(door, "add_task", title="His", idempotency_key=KEY)
    assert hers["data"]["task_id"] != his["data"]["task_id"]
    assert await orm(lambda: sorted(Task.objects.values_list("user_id", "title"))) == [
        ("alice", "Hers"),
        ("bob", "His"),
    ]


async def test_a_service_and_the_user_share_the_users_keys(as_alice: Caller, as_service: Caller, orm: Orm) -> None:
    hers = await as_alice.call("http", "add_task", title="Hers", idempotency_key=KEY)
    again = await as_service.call("http", "add_task", title="Hers", idempotency_key=KEY, user_id="alice")
    assert again["data"] == hers["data"]
    assert await orm(Task.objects.count) == 1


async def test_keys_compare_exactly(as_alice: Caller, orm: Orm) -> None:
    keys = ("aaaaaaaa", "AAAAAAAA", "aaaaaaaa ", " aaaaaaaa", "a\u0301" * 4, "\u00e1" * 8, "8" * 64, "🥛" * 64)
    for key in keys:
        assert (await as_alice.call("http", "add_task", title="Buy milk", idempotency_key=key))["status"] == "success"
    assert await orm(Task.objects.count) == len(keys)


async def test_a_key_is_forgotten_after_24_hours(
    as_alice: Caller, orm: Orm, age_keys: Callable[[timedelta], Awaitable[None]]
) -> None:
    first = await as_alice.call("http", "add_task", title="Buy milk", idempotency_key=KEY)
    await age_keys(timedelta(hours=23, minutes=59))
    again = await as_alice.call("http", "add_task", title="Buy milk", idempotency_key=KEY)
    assert again["data"] == first["data"]
    await age_keys(timedelta(hours=24))
    later = await as_alice.call("http", "add_task", title="Something else", idempotency_key=KEY)
    assert later["data"]["task_id"] != first["data"]["task_id"]
    assert later["message"].startswith("Added task")
    assert await orm(Task.objects.count) == 2
    assert await orm(IdempotencyKey.objects.count) == 1


@each_door
async def test_twenty_concurrent_calls_with_one_key_add_one_task(as_alice: Caller, orm: Orm, door: str) -> None:
    calls = [as_alice.call(door, "add_task", title="Buy milk", idempotency_key=KEY) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert {answer["status"] for answer in answers} == {"success"}
    assert all(answer["data"] == answers[0]["data"] for answer in answers)
    assert sorted(answer["message"].startswith("Added") for answer in answers) == [False] * 19 + [True]
    assert await orm(Task.objects.count) == 1


async def test_twenty_concurrent_calls_with_one_expired_key_add_one_more_task(
    as_alice: Caller, orm: Orm, age_keys: Callable[[timedelta], Awaitable[None]]
) -> None:
    await as_alice.call("http", "add_task", title="Buy milk", idempotency_key=KEY)
    await age_keys(timedelta(hours=25))
    calls = [as_alice.call(REVISIONS[-1], "add_task", title="Buy milk", idempotency_key=KEY) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert len({answer["data"]["task_id"] for answer in answers}) == 1
    assert await orm(Task.objects.count) == 2


async def test_a_refused_call_leaves_its_key_unused(as_alice: Caller, orm: Orm) -> None:
    read_only = Caller(as_alice.http, await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"])))
    refused(await send(read_only, "http", "add_task", {"title": "a", "idempotency_key": KEY}), 403, "forbidden")
    bad = {"title": "", "idempotency_key": KEY}
    refused(await send(as_alice, "http", "add_task", bad), 400, "invalid_arguments", "title")
    assert (await as_alice.call("http", "add_task", title="b", idempotency_key=KEY))["status"] == "success"


async def test_a_retry_gets_the_first_result_after_its_task_was_deleted(as_alice: Caller, orm: Orm) -> None:
    first = await as_alice.call("http", "add_task", title="Buy milk", idempotency_key=KEY)
    await as_alice.call("http", "delete_task", task_id=first["data"]["task_id"])
    again = await as_alice.call("http", "add_task", title="Buy milk", idempotency_key=KEY)
    assert again["data"] == first["data"]
    assert (await as_alice.call("http", "list_tasks"))["data"]["total"] == 0


@pytest.mark.parametrize("key", [{}, {"idempotency_key": KEY}], ids=["without key", "with key"])
async def test_a_user_who_was_erased_meanwhile_is_not_found(orm: Orm, key: dict[str, Any]) -> None:
    with pytest.raises(UserNotFound):
        await orm(partial(add_task, user_id="erased", title="Buy milk", **key))
    assert await orm(Task.objects.count) == await orm(IdempotencyKey.objects.count) == 0
