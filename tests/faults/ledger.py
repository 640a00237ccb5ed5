"""Writers under a fault, and a ledger of what each caller was told."""

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.faults.broken_database import DOORS
from tests.support.caller import Caller
from tests.support.processes import PATIENCE
from tests.support.server_process import Database

WRITERS = 6
FILLING = "x" * 900  # a page of PostgreSQL has room for few such tasks, so the table grows
NOTHING, MAYBE = "nothing was done", "may or may not have been done"


@dataclass
class Ledger:
    """What callers were told of each task, by its title. With a key, a task is sent until it is done."""

    acknowledged: dict[str, int] = field(default_factory=dict)  # title → id
    refused: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    completed: set[int] = field(default_factory=set)
    maybe_completed: set[int] = field(default_factory=set)
    lists: int = 0
    unanswered: int = 0
    refusals: int = 0
    wrong: list[Any] = field(default_factory=list)  # every answer that no fault may cause

    def complaints(self, database: Database, user_id: str) -> list[str]:
        """How the database differs from what the callers were told."""
        rows = database.query("SELECT title, id, completed FROM tasks WHERE user_id = %s", user_id)
        times = Counter(title for title, _, _ in rows)
        stored = {(title, task_id) for title, task_id, _ in rows}
        done = {task_id for _, task_id, completed in rows if completed}
        counts = {
            "additions are lost": len(self.acknowledged.items() - stored),
            "tasks are doubled": sum(count > 1 for count in times.values()),
            "tasks are there though nothing was done": len((self.refused - self.doubtful) & times.keys()),
            "completions are lost": len(self.completed - done),
            "completions are there though nothing was done": len(done - self.completed - self.maybe_completed),
            "answers are wrong": len(self.wrong),
        }
        return [f"{count} {what}" for what, count in counts.items() if count] + self.wrong[:3]


@dataclass
class Writers:
    """Callers of one user over HTTP and both eras of MCP: they add, add with a key, complete and list."""

    caller: Caller
    ledger: Ledger = field(default_factory=Ledger)
    stopping: bool = False

    async def write(self, number: int) -> None:
        for turn, door in zip(itertools.count(number), itertools.cycle(DOORS), strict=False):
            if self.stopping:
                return
            title = uuid.uuid4().hex
            if turn % 2:
                task_id = await self._add(door, title)
            else:
                task_id = await self._add_until_done(door, title)
            if task_id and turn % 3 == 0:
                await self._complete(door, task_id)
            await self._list(door)

    async def _call(self, door: str, tool: str, **arguments: Any) -> dict[str, Any] | None:
        """The envelope: a success, or busy. None if there was no answer, or a wrong one."""
        try:
            envelope = await self.caller.call(door, tool, **arguments)
        except httpx2.TransportError:
            self.ledger.unanswered += 1
            await asyncio.sleep(0.05)
            return None
        except Exception as error:  # an answer that is no envelope, such as a page of status 500
            self.ledger.wrong.append((tool, repr(error)[:500]))
            return None
        if envelope["status"] == "success":
            return envelope
        told = envelope["message"]
        if envelope["data"]["error"] != "busy" or not (NOTHING in told) ^ (MAYBE in told):
            self.ledger.wrong.append((tool, envelope))
        await asyncio.sleep(0.02)
        return envelope

    async def _add(self, door: str, title: str, **key: str) -> int | None:
        envelope = await self._call(door, "add_task", title=title, description=FILLING, **key)
        if envelope and envelope["status"] == "success":
            self.ledger.acknowledged[title] = envelope["data"]["task_id"]
            return self.ledger.acknowledged[title]
        self.ledger.refusals += 1
        is_refused = envelope is not None and NOTHING in envelope["message"]
        (self.ledger.refused if is_refused else self.ledger.doubtful).add(title)
        return None

    async def _add_until_done(self, door: str, title: str) -> int | None:
        """Repeat the same call with its key until it is acknowledged."""
        while not (task_id := await self._add(door, title, idempotency_key=title)):
            if self.stopping:
                return None
            await self._list(door)
        self.ledger.refused.discard(title)
        return task_id

    async def _complete(self, door: str, task_id: int) -> None:
        envelope = await self._call(door, "complete_task", task_id=task_id)
        if envelope and envelope["status"] == "success":
            self.ledger.completed.add(task_id)
        elif envelope is None or MAYBE in envelope["message"]:
            self.ledger.maybe_completed.add(task_id)

    async def _list(self, door: str) -> None:
        envelope = await self._call(door, "list_tasks", limit=5)
        if envelope and MAYBE in envelope["message"]:
            self.ledger.wrong.append(("list_tasks", envelope))
        self.ledger.lists += bool(envelope and envelope["status"] == "success")

    async def progress(self, count: int = 10) -> None:
        """Wait for further acknowledged tasks."""
        await self._more(lambda: len(self.ledger.acknowledged), count)

    async def more_refusals(self, count: int = 3) -> None:
        """Wait until further calls were refused, or may have been done."""
        await self._more(lambda: self.ledger.refusals, count)

    async def more_lists(self, count: int = 5) -> None:
        await self._more(lambda: self.ledger.lists, count)

    async def _more(self, measure: Any, count: int) -> None:
        goal = measure() + count
        async with asyncio.timeout(PATIENCE):
            while measure() < goal and not self.ledger.wrong:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def writing(client: httpx2.AsyncClient, token: str) -> AsyncIterator[Writers]:
    """Within this context, writers call. At its end each finishes its turn."""
    writers = Writers(Caller(client, token))
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(writers.write(number))
        try:
            yield writers
        finally:
            writers.stopping = True
