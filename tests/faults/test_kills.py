"""Stops the server, and kills server and database, while clients write. Each acknowledged write is stored once.

TODO_TEST_KILLS=20 kills each of the two 20 times.
"""

import asyncio
import os
import signal
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.faults.broken_database import PLACES, closed_door, freeze, until_at_work
from tests.faults.ledger import writing
from tests.support.acknowledged import Acknowledged
from tests.support.caller import Caller
from tests.support.processes import eventually
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
KILLS = int(os.environ.get("TODO_TEST_KILLS", "2"))
WRITERS = 8
DIED = "a worker died and was replaced"
PROGRESS = 10  # acknowledged completions between two kills


@dataclass
class Writers:
    """Clients that add and complete tasks, of which every second one repeats.

    They repeat a call unchanged until it is answered. ``nexts`` has the next occurrence of each completed task.
    """

    caller: Caller
    stopping: bool = False
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    unanswered: int = 0
    nexts: dict[int, int] = field(default_factory=dict)

    async def write(self) -> None:
        while not self.stopping:
            title = uuid.uuid4().hex
            repeats = len(self.acknowledged.added) % 2 == 0
            repeat = {"repeat": "every day"} if repeats else {}
            added = await self._until_answered("add_task", title=title, idempotency_key=title, **repeat)
            self.acknowledged.added[title] = added["task_id"]
            completed = await self._until_answered("complete_task", task_id=added["task_id"])
            self.acknowledged.completed.add(added["task_id"])
            if repeats:
                self.nexts[added["task_id"]] = completed["next"]["task_id"]

    async def _until_answered(self, tool: str, **arguments: object) -> dict[str, Any]:
        while True:
            try:
                answer = await self.caller.post(tool, **arguments)
            except httpx2.TransportError:
                self.unanswered += 1
                await asyncio.sleep(0.05)
                continue
            envelope = answer.json()
            if answer.status_code == 200:
                data: dict[str, Any] = envelope["data"]
                return data
            assert envelope["data"]["error"] == "busy", envelope
            await asyncio.sleep(0.05)

    async def progress(self, count: int) -> None:
        goal = len(self.acknowledged.completed) + count
        async with asyncio.timeout(60):
            while len(self.acknowledged.completed) < goal:
                await asyncio.sleep(0.02)


async def _write_meanwhile(caller: Caller, trouble: Callable[[], Awaitable[None]]) -> Writers:
    writers = Writers(caller)
    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(writers.write())
        for _ in range(KILLS):
            await writers.progress(PROGRESS)
            await trouble()
        await writers.progress(PROGRESS)
        writers.stopping = True
    return writers


def _check(writers: Writers, database: Database, user_id: str) -> None:
    """Check that the database has every acknowledged write once."""
    of_user = "FROM tasks WHERE user_id = %s AND previous"
    rows = database.query(f"SELECT title, id, completed {of_user} IS NULL", user_id)
    assert writers.acknowledged.complaints(rows) == []
    nexts = database.query(f"SELECT previous, id {of_user} IS NOT NULL ORDER BY previous", user_id)
    assert nexts == sorted(writers.nexts.items()), "each completed task that repeats has one next occurrence"


async def test_no_write_is_lost_or_doubled_when_the_server_is_killed(
    own_server: ServerProcess, database: Database
) -> None:
    async def kill() -> None:
        own_server.kill()
        await asyncio.to_thread(own_server.restart)

    user_id, token = database.new_user()
    async with own_server.client() as client:
        writers = await _write_meanwhile(Caller(client, token), kill)
    assert writers.unanswered, "the kills interrupt some calls"
    _check(writers, database, user_id)


class TwoWorkers(ServerProcess):
    number_of_workers = 2


async def test_no_write_is_lost_or_doubled_when_workers_are_killed_and_the_log_and_a_metric_say_so(
    database: Database, tmp_path: Path
) -> None:
    """The other worker goes on. What callers were told is compared with the database."""
    user_id, token = database.new_user()
    server = TwoWorkers(database, tmp_path / "server.log", DATABASE_CONNECTIONS=PLACES, LOG_LEVEL="INFO")
    try:
        async with server.client() as client, writing(client, token) as writers:
            for _ in range(KILLS):
                await asyncio.to_thread(eventually, lambda: len(server.workers()) == 2, "both workers")
                await writers.progress()
                os.kill(min(server.workers()), signal.SIGKILL)
            await writers.progress()
            await asyncio.to_thread(eventually, lambda: len(server.workers()) == 2, "both workers")
            metrics = (await client.get("/metrics")).text
        assert writers.ledger.complaints(database, user_id) == []
        assert f"todo_workers_died_total {KILLS}.0" in metrics
        errors = [line for line in server.log_lines() if line["level"] == "ERROR"]
        assert [(line["message"], line["signal"]) for line in errors] == [(DIED, "SIGKILL")] * KILLS
    finally:
        server.close()


async def test_no_write_is_lost_or_doubled_when_the_database_is_killed(
    server: ServerProcess, database: Database
) -> None:
    async def kill() -> None:
        database.kill()
        await asyncio.to_thread(database.start)

    user_id, token = database.new_user()
    async with server.client() as client:
        writers = await _write_meanwhile(Caller(client, token), kill)
    assert not writers.unanswered, "the server itself keeps running"
    _check(writers, database, user_id)


@dataclass
class Calls:
    """The results of the calls of clients that call until the server is gone."""

    answered: int = 0
    refused: int = 0
    cut: list[str] = field(default_factory=list)

    async def make(self, caller: Caller) -> None:
        while not self.refused:
            try:
                answer = await caller.post("add_task", title="Buy milk")
                assert answer.status_code == 200, answer.text
                self.answered += 1
            except httpx2.ConnectError:
                self.refused += 1
            except httpx2.TransportError as error:
                self.cut.append(repr(error))


async def test_no_call_is_cut_when_the_server_is_stopped_under_load(
    own_server: ServerProcess, database: Database
) -> None:
    """Half of the clients keep their connection; the others open a new one for each call."""
    user_id, token = database.new_user()
    calls = Calls()
    async with own_server.client() as keeping, own_server.client() as closing, asyncio.TaskGroup() as group:
        closing.headers["Connection"] = "close"
        for n in range(WRITERS):
            group.create_task(calls.make(Caller((keeping, closing)[n % 2], token)))
        async with asyncio.timeout(60):
            while calls.answered < PROGRESS:
                await asyncio.sleep(0.01)
        own_server.terminate()
    assert await asyncio.to_thread(own_server.exit_code) == 0
    assert calls.cut == []
    assert database.query("SELECT count(*) FROM tasks WHERE user_id = %s", user_id) == [(calls.answered,)]


async def test_a_server_with_a_frozen_database_can_be_stopped(own_server: ServerProcess, database: Database) -> None:
    async with own_server.client() as client:
        callers = [Caller(client, database.new_user()[1]) for _ in range(2)]
        with closed_door(database):
            calls = [asyncio.create_task(callers[n % 2].post("add_task", title="hold on")) for n in range(PLACES)]
            await until_at_work(database, PLACES)
            with freeze(database):
                own_server.terminate()
                assert await asyncio.to_thread(own_server.exit_code) == 0
    assert [answer.json()["data"]["error"] for answer in await asyncio.gather(*calls)] == ["busy"] * PLACES
