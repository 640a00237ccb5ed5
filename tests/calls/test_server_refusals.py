"""429, 500 and 503 through every door: the answer says what to do next, and reveals nothing about the cause."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import UserFactory
from tests.support.tool_calls import refused, send
from todo_mcp.auth.tokens import issue_token

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]


@pytest.fixture(autouse=True)
def short_wait_at_the_gate(settings: Any) -> None:
    settings.GATE_SECONDS = 0.05  # set before the application starts


def execute(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


async def until(look: Callable[[], Any], orm: Orm) -> None:
    """Wait until ``look`` returns a true value."""
    async with asyncio.timeout(30):
        while not await orm(look):
            await asyncio.sleep(0)


async def test_a_user_who_calls_too_often_learns_how_long_to_wait(
    as_service: Caller, orm: Orm, door: str, settings: Any
) -> None:
    names = [f"eager through {door}", f"calm through {door}"]
    await orm(lambda: [UserFactory.create(id=name) for name in names])
    eager, calm = [Caller(as_service.http, await orm(partial(issue_token, user_id=name))) for name in names]
    settings.RATE_LIMIT = 2
    assert [(await send(eager, door, "list_tasks", {})).code for _ in range(2)] == [200, 200]
    for caller, arguments in ((eager, {}), (as_service, {"user_id": names[0]})):
        answer = await send(caller, door, "list_tasks", arguments)
        refused(answer, 429, "rate_limited")
        seconds = answer.envelope["data"]["retry_after"]
        assert 1 <= seconds <= 60
        assert f"Wait {seconds} s" in answer.envelope["message"]
        assert door != "http" or answer.response.headers["retry-after"] == str(seconds)
    assert (await send(calm, door, "list_tasks", {})).code == 200


async def test_a_call_that_gets_no_place_is_asked_to_retry(
    as_alice: Caller, orm: Orm, door: str, settings: Any
) -> None:
    await orm(lambda: transaction.set_autocommit(False))
    await orm(lambda: execute("LOCK TABLE tasks"))
    places = (settings.DATABASE_CONNECTIONS + 1) // 2  # those of one user
    admitted_calls = [
        asyncio.create_task(send(as_alice, door, "add_task", {"title": "Buy milk"})) for _ in range(places)
    ]
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    await until(lambda: execute(waiting) == [(places,)], orm)
    answer = await send(as_alice, door, "add_task", {"title": "One too many"})
    await orm(transaction.rollback)
    await orm(lambda: transaction.set_autocommit(True))
    refused(answer, 503, "busy")
    assert answer.envelope["data"]["retry_after"] == 1
    assert door != "http" or answer.response.headers["retry-after"] == "1"
    assert {(await call).code for call in admitted_calls} == {200}
    assert await orm(Task.objects.count) == places


async def test_an_internal_error_reveals_only_a_request_id(as_alice: Caller, orm: Orm, door: str) -> None:
    await orm(lambda: execute("ALTER TABLE tasks RENAME COLUMN title TO renamed"))
    try:
        answer = await send(as_alice, door, "add_task", {"title": "Secret"}, {"X-Request-ID": "my-own-request-id"})
    finally:
        await orm(lambda: execute("ALTER TABLE tasks RENAME COLUMN renamed TO title"))
    refused(answer, 500, "internal_error")
    assert answer.envelope == {
        "status": "error",
        "data": {"error_code": 500, "error": "internal_error", "request_id": "my-own-request-id"},
        "message": answer.envelope["message"],
    }
    assert answer.envelope["message"].endswith("Tell its operator the request id my-own-request-id.")
    assert answer.response.headers["x-request-id"] == "my-own-request-id"
    assert (await send(as_alice, door, "add_task", {"title": "Buy milk"})).code == 200
