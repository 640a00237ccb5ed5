"""PostgreSQL restarts, crashes, stops and freezes while the server keeps running."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.faults.broken_database import DOORS, PLACES, closed_door, freeze, until_at_work
from tests.support.caller import Caller
from tests.support.processes import eventually
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio


def _restart(database: Database) -> None:
    database.stop()
    database.start()


def _crash(database: Database) -> None:
    database.kill()
    database.start()


def _crash_of_one_backend(database: Database) -> None:
    """PostgreSQL then ends every session and recovers by itself."""
    witness, victim = database.connect(), database.connect()
    os.kill(victim.info.backend_pid, signal.SIGKILL)
    eventually(lambda: not _answers(witness), "PostgreSQL to notice")
    eventually(lambda: _answers(database), "PostgreSQL to recover")
    witness.close()
    victim.close()


def _answers(target: "Database | psycopg.Connection[Any]") -> bool:
    try:
        target.query("SELECT 1") if isinstance(target, Database) else target.execute("SELECT 1")
        return True
    except psycopg.OperationalError:
        return False


async def _use_every_connection(callers: tuple[Caller, Caller], database: Database) -> None:
    """One call on each of the server's connections at once; each must succeed."""
    with closed_door(database):
        calls = [asyncio.create_task(callers[n % 2].post("add_task", title=f"hold {n}")) for n in range(PLACES)]
        await until_at_work(database, PLACES)
    assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * PLACES


@pytest.mark.parametrize("trouble", [_restart, _crash, _crash_of_one_backend])
async def test_the_first_call_on_every_connection_succeeds_after_trouble(
    caller: Caller, other: Caller, database: Database, trouble: Callable[[Database], None]
) -> None:
    await _use_every_connection((caller, other), database)
    trouble(database)
    await _use_every_connection((caller, other), database)


async def test_calls_are_asked_to_retry_while_the_database_is_stopped(
    caller: Caller, database: Database, server: ServerProcess
) -> None:
    database.stop()
    try:
        envelopes = [await caller.call(door, "add_task", title="Buy milk") for door in DOORS]
        rest = await caller.post("list_tasks")
        listing = await caller.rpc("tools/list", {})
        await asyncio.to_thread(eventually, lambda: server.probe("/readyz") == 503, "/readyz to fail", within=5)
        alive = server.probe("/healthz")
    finally:
        database.start()
    assert [envelope["data"] for envelope in envelopes] == [{"error_code": 503, "error": "busy", "retry_after": 1}] * 3
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in (rest, listing)] == [(503, "1")] * 2
    assert alive == 200
    assert (await caller.mcp("add_task", title="Buy milk"))["status"] == "success"
    assert server.probe("/readyz") == 200


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_that_loses_the_database_says_that_its_change_may_have_been_kept(
    caller: Caller, database: Database, door: str
) -> None:
    with closed_door(database):
        call = asyncio.create_task(caller.call(door, "add_task", title="hold on"))
        await until_at_work(database, 1)
        _restart(database)
        envelope = await call
    assert envelope["data"] == {"error_code": 503, "error": "busy", "retry_after": 1}
    # The usual message of busy says: repeat the call unchanged.
    assert "may or may not have been done" in envelope["message"]


async def test_a_frozen_database_delays_no_caller_for_long(
    caller: Caller, other: Caller, database: Database, server: ServerProcess
) -> None:
    await _use_every_connection((caller, other), database)
    started = time.monotonic()
    with freeze(database):
        answers = await asyncio.gather(*(caller.post("list_tasks") for _ in range(PLACES * 2)))
        seconds = time.monotonic() - started
        probes = {path: server.probe(path) for path in ("/healthz", "/readyz")}
    assert {answer.json()["data"]["error"] for answer in answers} == {"busy"}
    assert seconds < 15
    assert probes == {"/healthz": 200, "/readyz": 503}
    await asyncio.to_thread(eventually, lambda: server.probe("/readyz") == 200, "the server to be ready again")
    await _use_every_connection((caller, other), database)
