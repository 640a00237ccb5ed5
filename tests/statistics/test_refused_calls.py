"""Refused and failed calls, which operators see for a week: what is kept of them, and what bounds them."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import UserFactory
from tests.support.statistics import another_session
from tests.support.tool_calls import send
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.calls.bearer import bearer
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform
from todo_mcp.core.operations import REGISTRY
from todo_mcp.statistics import refused_calls as module
from todo_mcp.statistics.flushing import flush
from todo_mcp.statistics.models import RefusedCall
from todo_mcp.statistics.recorder import Recorder
from todo_mcp.statistics.refused_calls import (
    EACH_MAX,
    OLD_REFUSED_CALLS,
    UNWRITTEN_MAX,
    Refusal,
    RefusedCalls,
    refused_calls,
    refused_calls_of_request,
    write_refused,
)
from todo_mcp.statistics.token_days import TokenDays
from todo_mcp.statistics.token_use import TokenUses
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
NOW = datetime.now(UTC)


def refusal(**changes: Any) -> Refusal:
    call: dict[str, Any] = {"at": NOW, "user_id": "alice", "token_id": 7, "token_name": "laptop", "client": "curl"}
    call |= {"tool": "add_task", "outcome": "busy", "transport": "http", "fields": (), "request_id": "r"}
    return Refusal(**call | changes)


def kept() -> list[RefusedCall]:
    return list(RefusedCall.objects.order_by("id"))


@pytest.mark.parametrize("door", DOORS)
async def test_a_refused_call_is_kept_with_all_but_its_values(as_alice: Caller, orm: Orm, door: str) -> None:
    before = timezone.now()
    secret = {"due": "secret day", "tasks": [{"title": "secret", "secret": "secret"}], "secret": "secret"}
    answer = await send(as_alice, door, "add_task", secret)
    await send(as_alice, door, "list_tasks", {})
    await orm(flush)
    (call,) = await orm(kept)
    token = await orm(lambda: find_token(as_alice.token))
    assert token
    assert before <= call.at <= timezone.now()
    assert (call.user_id, call.token_id, call.tool, call.outcome) == (
        "alice",
        token.pk,
        "add_task",
        "invalid_arguments",
    )
    assert call.transport == ("http" if door == "http" else "mcp")
    assert call.client.startswith(("python-httpx2", "pytest 1"))
    assert call.request_id == answer.response.headers["x-request-id"]
    assert set(call.fields) <= {"due", "tasks", "tasks.unknown", "unknown"} and "unknown" in call.fields
    assert "secret" not in json.dumps(call.fields)


async def test_a_failed_call_of_the_command_is_kept(alice: User, orm: Orm) -> None:
    def fail() -> None:
        with suppress(SystemExit):
            call_command("call", "complete_task", '{"task_id": 999}', user="alice")

    await orm(fail)
    await orm(flush)
    (call,) = await orm(kept)
    assert (call.transport, call.outcome, call.user_id, call.token_id) == ("command", "task_not_found", "alice", None)
    assert (call.client, call.token_name, call.fields) == ("manage.py", "manage.py", [])


async def test_a_call_of_an_unknown_caller_is_only_counted(http: httpx2.AsyncClient, orm: Orm) -> None:
    assert (await Caller(http, "wrong").post("add_task", title="Milk")).status_code == 401
    assert refused_calls.take() == []


async def test_a_service_is_kept_with_the_user_whom_it_names_if_there_is_one(
    http: httpx2.AsyncClient, alice: User, orm: Orm
) -> None:
    token = await orm(lambda: issue_token(user_id=None, service="chat", scopes=["tasks:act_as", "tasks:write"]))
    service = Caller(http, token)
    for user_id in ("alice", "alice", "nobody", None):  # the second time the worker remembers the token
        await service.post("complete_task", task_id=999, **({"user_id": user_id} if user_id else {}))
    await orm(flush)
    calls = [(call.user_id, call.token_name, call.outcome, call.fields) for call in await orm(kept)]
    assert calls == [
        ("alice", "chat", "task_not_found", []),
        ("alice", "chat", "task_not_found", []),
        (None, "chat", "user_not_found", []),
        (None, "chat", "invalid_arguments", ["user_id"]),
    ]


async def test_who_names_another_user_is_kept_as_the_caller(as_alice: Caller, bob: User, orm: Orm) -> None:
    await as_alice.post("list_tasks", user_id="bob")
    await orm(flush)
    assert [(call.user_id, call.outcome) for call in await orm(kept)] == [("alice", "forbidden")]


def test_keeping_costs_a_call_no_statement(
    committed: None, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    call = Call(operation=REGISTRY["add_task"], arguments={"title": 7}, transport="http", request_id="r")
    identify = bearer(issue_token(user_id="alice"))
    with django_assert_num_queries(1):  # the token
        perform(call, identify)
    assert [call.fields for call in refused_calls.take()] == [("title",)]


def test_one_user_cannot_push_out_the_others() -> None:
    calls = RefusedCalls()
    for n in range(UNWRITTEN_MAX):
        calls.add(refusal(request_id=f"{n}"))
    calls.add(refusal(user_id="bob"))
    calls.add(refusal(user_id=None, token_name="chat"))
    assert [call.user_id for call in calls.take()] == ["alice"] * EACH_MAX + ["bob", None]
    calls.add(refusal())
    assert calls.take() == []  # a flush does not make room for more in the same hour
    calls.add(refusal(at=NOW + timedelta(hours=1)))
    assert len(calls.take()) == 1


def test_the_memory_is_bounded_also_when_the_database_is_away() -> None:
    calls = RefusedCalls()
    for n in range(UNWRITTEN_MAX + 10):
        calls.add(refusal(user_id=f"user-{n}"))
    taken = calls.take()
    assert len(taken) == UNWRITTEN_MAX
    calls.add(refusal(user_id="last"))
    calls.put_back(taken)
    assert calls.take() == taken


def test_the_table_is_bounded_in_each_hour(committed: None, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TABLE_MAX", 5)
    now = timezone.now()
    write_refused([refusal(at=now - timedelta(hours=2))] * 4)
    for expected in (4 + 3, 4 + 5, 4 + 5):
        write_refused([refusal(at=now)] * 3)
        assert RefusedCall.objects.count() == expected


def test_a_call_keeps_at_most_ten_fields(committed: None, alice: User) -> None:
    write_refused([refusal(fields=tuple(f"field_{n}" for n in range(20)))])
    assert len(kept()[0].fields) == 10


def test_a_user_erased_meanwhile_does_not_make_the_flush_fail(committed: None, alice: User, bob: User) -> None:
    calls = RefusedCalls()
    for user_id in ("alice", "bob", None):
        calls.add(refusal(user_id=user_id))
    alice.delete()
    flush(Recorder(), TokenUses(), TokenDays(), calls)
    assert [call.user_id for call in kept()] == ["bob", None]
    bob.delete()
    assert [call.user_id for call in kept()] == [None]


async def test_a_flush_does_not_wait_for_a_user_who_is_being_erased(alice: User, bob: User, orm: Orm) -> None:
    with another_session("DELETE FROM users WHERE id = 'alice'"):
        await orm(lambda: write_refused([refusal(), refusal(user_id="bob")]))
    assert [call.user_id for call in await orm(kept)] == ["bob"]


def test_a_failed_flush_loses_nothing(committed: None, alice: User) -> None:
    calls = RefusedCalls()
    calls.add(refusal())
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE refused_calls ADD CONSTRAINT broken CHECK (id < 0) NOT VALID")
        with pytest.raises(DatabaseError):
            flush(Recorder(), TokenUses(), TokenDays(), calls)
        cursor.execute("ALTER TABLE refused_calls DROP CONSTRAINT broken")
    flush(Recorder(), TokenUses(), TokenDays(), calls)
    assert len(kept()) == 1


def test_any_number_of_calls_is_written_with_one_statement(
    committed: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    users = [UserFactory.create().pk for _ in range(3)]
    with django_assert_num_queries(1):
        write_refused([refusal(user_id=user_id) for user_id in users])
    with django_assert_num_queries(0):
        write_refused([])


def test_a_request_is_found_by_an_index(db: None, alice: User) -> None:
    write_refused([refusal(request_id=f"r-{n}") for n in range(3)])
    assert [call.request_id for call in refused_calls_of_request("r-1")] == ["r-1"]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    assert "refused_calls_request" in refused_calls_of_request("r-1").order_by().explain()


def test_purge_removes_the_lines_after_a_week(db: None, alice: User) -> None:
    now = timezone.now()
    write_refused([refusal(at=now - timedelta(days=days)) for days in (8, 6)])
    assert sum(OLD_REFUSED_CALLS.run()) == 1
    assert [call.at for call in kept()] == [now - timedelta(days=6)]
