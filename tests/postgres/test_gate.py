"""Work behind the gate: each has its own connection and its own history context, and none runs for ever."""

import asyncio
import threading
import time
from contextlib import suppress
from functools import partial

import pytest
from django.db import OperationalError, connection
from pytest import MonkeyPatch

from tasks.models import Task, TaskEvent
from tests.support.application import Orm
from tests.support.factories import TaskFactory
from todo_mcp.core.errors import Busy
from todo_mcp.postgres.connection import Connection
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.greenlets import sleep
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


def ask(sql: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    return value


async def test_concurrent_work_on_the_loop_waits_at_the_same_time_on_separate_connections(
    committed: None,
) -> None:
    backend_pids: list[object] = []

    def meet() -> None:
        backend_pids.append(ask("SELECT pg_backend_pid()"))
        while len(backend_pids) < 3:
            ask("SELECT 1 FROM pg_sleep(0.01)")

    gate = DatabaseGate(3, 1.0)
    async with asyncio.timeout(60):
        await asyncio.gather(*(gate.on_loop(meet) for _ in range(3)))
    assert len(set(backend_pids)) == 3
    assert await gate.on_loop(lambda: ask("SHOW statement_timeout")) == "5s"
    await gate.close()


async def test_a_connection_serves_the_loop_and_a_thread_in_turn(committed: None) -> None:
    gate = DatabaseGate(1, 1.0)
    here = await gate.on_loop(lambda: (threading.get_ident(), ask("SELECT pg_backend_pid()")))
    there = await gate.in_thread(lambda: (threading.get_ident(), ask("SELECT pg_backend_pid()")))
    again = await gate.on_loop(lambda: (threading.get_ident(), ask("SELECT pg_backend_pid()")))
    assert here == again == (threading.get_ident(), there[1])
    assert there[0] != here[0]
    await gate.close()


async def test_concurrent_changes_by_the_orm_are_recorded_with_their_own_authors(
    orm: Orm, alice: User, bob: User
) -> None:
    tasks = await orm(lambda: {user.pk: TaskFactory.create(user=user).pk for user in (alice, bob)})

    def change(user_id: str) -> None:
        with history_context(user=user_id, tool="test"):
            sleep(0.02)  # until the other work is in its context too
            Task.objects.filter(pk=tasks[user_id]).update(title=f"{user_id}'s")
            sleep(0.02)

    gate = DatabaseGate(2, 1.0)
    await asyncio.gather(*(gate.on_loop(partial(change, user_id)) for user_id in tasks))
    await gate.close()
    events = await orm(lambda: list(TaskEvent.objects.filter(pgh_label="update").values_list("title", "pgh_context")))
    assert {title: context["user"] for title, context in events} == {"alice's": "alice", "bob's": "bob"}


@pytest.mark.parametrize("cancelled", [False, True])
async def test_work_that_retries_after_a_timeout_times_out_again_even_if_its_caller_is_gone(
    committed: None, cancelled: bool
) -> None:
    results: list[str] = []

    def stubborn() -> None:
        for _ in range(3):
            try:
                ask("SELECT 1 FROM pg_sleep(4)")
                results.append("answered")
            except OperationalError:
                results.append("given up")
                connection.close()

    gate = DatabaseGate(1, 0.01)
    call = asyncio.create_task(gate.on_loop(stubborn, patience=0.1))
    if cancelled:
        await asyncio.sleep(0.01)
        call.cancel()
    with pytest.raises(asyncio.CancelledError if cancelled else Busy):  # no operation ran, so nothing was done
        await call
    while len(results) < 3:
        with suppress(Busy):
            await gate.on_loop(lambda: None)
            break
        await asyncio.sleep(0.02)
    assert results == ["given up"] * 3
    await gate.close()


async def test_work_that_loses_its_connection_fails_and_the_next_work_gets_a_new_one(committed: None) -> None:
    gate = DatabaseGate(1, 1.0)
    await gate.on_loop(lambda: ask("SELECT 1"))
    with pytest.raises(OperationalError):
        await gate.on_loop(lambda: ask("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert await gate.on_loop(lambda: ask("SELECT 1")) == 1
    await gate.close()


async def test_connecting_does_not_block_the_loop(committed: None, monkeypatch: MonkeyPatch) -> None:
    connect, thread_ids = Connection.connect, []

    def slow(**options: object) -> Connection:
        thread_ids.append(threading.get_ident())
        time.sleep(0.3)
        return connect(**options)  # type: ignore[arg-type]

    monkeypatch.setattr(Connection, "connect", slow)
    gate = DatabaseGate(1, 1.0)
    call = asyncio.create_task(gate.on_loop(lambda: ask("SELECT 1")))
    turns = 0
    while not call.done():
        await asyncio.sleep(0.01)
        turns += 1
    assert await call == 1
    assert turns > 5 and threading.get_ident() not in thread_ids
    await gate.close()


async def test_unwatch_removes_all_watchers_of_the_socket(committed: None) -> None:
    gate = DatabaseGate(1, 1.0)
    await gate.on_loop(lambda: ask("SELECT 1"))
    raw = gate._connections[0].connection
    descriptor, loop = raw._watched, asyncio.get_running_loop()
    assert descriptor is not None
    loop.add_writer(descriptor, lambda: None)  # as if a statement were larger than the socket's buffer
    raw.unwatch()
    assert descriptor not in loop._selector.get_map()  # type: ignore[attr-defined]
    await gate.close()
