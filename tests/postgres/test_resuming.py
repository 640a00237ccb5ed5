"""A greenlet never adds or removes a socket itself: libuv could crash (``Work.on_loops_stack``)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.greenlets import current_work

pytestmark = pytest.mark.anyio
METHODS = ("add_reader", "remove_reader", "add_writer", "remove_writer")


def query(sql: str = "SELECT pg_sleep(0.01)") -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def query_after_closing() -> None:
    query()
    connection.close()
    query()


def query_that_loses_its_connection() -> None:
    with pytest.raises(OperationalError):
        query("SELECT pg_terminate_backend(pg_backend_pid())")


def send_much() -> None:
    query(f"SELECT length('{'x' * 30_000_000}')")  # more than the socket takes at once


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("work", [query, query_after_closing, query_that_loses_its_connection, send_much])
async def test_sockets_are_watched_and_unwatched_outside_of_the_greenlet(
    work: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    calls: list[str] = []

    def watch(method: str) -> None:
        original = getattr(loop, method)

        def checked(*arguments: Any) -> Any:
            calls.append(method)
            assert current_work() is None
            return original(*arguments)

        monkeypatch.setattr(loop, method, checked)

    for method in METHODS:
        watch(method)
    gate = DatabaseGate(1, 1.0)
    async with asyncio.timeout(20):
        await gate.on_loop(query)
        await gate.on_loop(work)
        await gate.on_loop(query)
    await gate.close()
    assert {"add_reader", "remove_reader"} <= {*calls}
    assert ("add_writer" in calls) == (work is send_much)


@pytest.mark.usefixtures("committed")
async def test_a_connection_that_stays_open_is_watched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    added: list[int] = []
    add_reader = loop.add_reader

    def counted(file: Any, *arguments: Any) -> None:
        added.append(file)
        add_reader(file, *arguments)

    monkeypatch.setattr(loop, "add_reader", counted)
    gate = DatabaseGate(1, 1.0)
    await gate.on_loop(query)
    before = len(added)
    for _ in range(5):
        await gate.on_loop(query)
        await asyncio.sleep(0)
    await gate.close()
    assert len(added) == before
