"""The gate before the database: calls without a place are refused soon, and no place is ever lost."""

import asyncio
import socket
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.faults.broken_database import DOORS, PLACES, closed_door, until_at_work
from tests.support.caller import Caller
from tests.support.processes import PATIENCE
from tests.support.server_process import Database, ServerProcess
from todo_mcp.core.errors import Busy, ConnectionLost
from todo_mcp.postgres.gate import DatabaseGate

pytestmark = pytest.mark.anyio
CLIENTS = 200


async def _hold_every_place(
    callers: tuple[Caller, Caller], database: Database
) -> list["asyncio.Task[httpx2.Response]"]:
    calls = [asyncio.create_task(callers[n % 2].post("add_task", title=f"hold {n}")) for n in range(PLACES)]
    await until_at_work(database, PLACES)
    return calls


async def test_a_call_without_a_place_is_asked_to_retry_and_admitted_calls_are_not_disturbed(
    caller: Caller, other: Caller, database: Database, server: ServerProcess
) -> None:
    with closed_door(database):
        admitted_calls = await _hold_every_place((caller, other), database)
        started = time.monotonic()
        refusals = await asyncio.gather(*(caller.call(door, "list_tasks") for door in DOORS))
        listing, page = await asyncio.gather(caller.rpc("tools/list", {}), caller.http.get("/admin/login/"))
        seconds = time.monotonic() - started
        probes = await asyncio.to_thread(lambda: [server.probe("/healthz"), server.probe("/metrics")])
    assert [envelope["data"] for envelope in refusals] == [{"error_code": 503, "error": "busy", "retry_after": 1}] * 3
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in (listing, page)] == [(503, "1")] * 2
    assert seconds < 4, "each of the two rounds waits a second for a place"
    assert probes == [200, 401], "these need no database"
    assert [answer.status_code for answer in await asyncio.gather(*admitted_calls)] == [200] * PLACES
    assert (await caller.mcp("list_tasks"))["data"]["total"] == PLACES // 2


async def test_calls_of_clients_that_disconnect_are_finished_and_free_their_places(
    caller: Caller, other: Caller, database: Database, server: ServerProcess
) -> None:
    with closed_door(database):
        for n in range(PLACES):
            _call_and_disconnect(server, (caller, other)[n % 2], f"hold the line {n}")
        await until_at_work(database, PLACES)
    with closed_door(database):
        admitted_calls = await _hold_every_place((caller, other), database)
    assert [answer.status_code for answer in await asyncio.gather(*admitted_calls)] == [200] * PLACES
    assert (await caller.mcp("list_tasks"))["data"]["total"] == PLACES


def _call_and_disconnect(server: ServerProcess, caller: Caller, title: str) -> None:
    body = f'{{"title": "{title}"}}'.encode()
    address = urlsplit(server.url)
    head = f"POST /api/tools/add_task HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {caller.token}\r\n"
    with socket.create_connection((str(address.hostname), int(address.port or 0))) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def test_two_hundred_concurrent_clients_are_served_or_refused_and_nothing_is_lost(
    caller: Caller,
) -> None:
    """A call takes 0.2 s in the database here, so about ten of the two hundred get a place within a second."""
    answers = await asyncio.gather(*(caller.post("add_task", title=f"nap {n}") for n in range(CLIENTS)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503}
    assert {answer.headers["retry-after"] for answer in answers if answer.status_code == 503} == {"1"}
    assert (await caller.mcp("list_tasks"))["data"]["total"] == statuses[200]
    later = await asyncio.gather(*(caller.post("list_tasks") for _ in range(PLACES)))
    assert [answer.status_code for answer in later] == [200] * PLACES


async def test_the_place_of_abandoned_work_becomes_free_when_the_work_ends() -> None:
    gate = DatabaseGate(size=1, wait=0.01)
    ends = threading.Event()
    try:
        with pytest.raises(ConnectionLost):
            await gate.in_thread(ends.wait, patience=0.01)
        assert await _is_full(gate)
    finally:
        ends.set()
    async with asyncio.timeout(PATIENCE):
        while await _is_full(gate):
            pass
    await gate.close()


async def _is_full(gate: DatabaseGate) -> bool:
    try:
        await gate.in_thread(lambda: None)
    except Busy:
        return True
    return False
