"""Clients that add, list and complete tasks one after the other, and note how each call went."""

import asyncio
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx2

from tests.support.acknowledged import Acknowledged
from tests.support.caller import Caller

PAUSE = 0.1  # seconds between two calls of a client
AGAIN = 0.2  # seconds before a call that nobody answered is sent again
PATIENCE = 60.0  # seconds after which a call that was sent again and again has failed


@dataclass
class Call:
    """A call from its first attempt to its answer. ``failures`` are those of its attempts that the client saw."""

    began: float
    ended: float = 0.0
    failures: list[str] = field(default_factory=list)


@dataclass
class Client:
    """A client of one user, through one door: "http", or a revision of MCP.

    Every call of it may be sent twice: an addition has a key, and completing a completed task changes nothing.
    """

    caller: Caller
    door: str
    stopping: bool = False
    calls: list[Call] = field(default_factory=list)
    told: Acknowledged = field(default_factory=Acknowledged)

    async def work(self) -> None:
        while not self.stopping:
            title = uuid.uuid4().hex
            task_id = (await self._call("add_task", title=title, idempotency_key=title))["task_id"]
            self.told.added[title] = task_id
            await self._call("list_tasks", limit=5)
            await self._call("complete_task", task_id=task_id)
            self.told.completed.add(task_id)

    async def _call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Its data, in the end: an attempt that fails is repeated unchanged, as our messages ask for."""
        await asyncio.sleep(PAUSE)
        call = Call(began=time.monotonic())
        self.calls.append(call)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    envelope = await self._attempt(tool, arguments)
                except httpx2.TransportError as error:
                    call.failures.append(type(error).__name__)
                    await asyncio.sleep(AGAIN)
                    continue
                data: dict[str, Any] = envelope["data"]
                if envelope["status"] == "success":
                    call.ended = time.monotonic()
                    return data
                assert data["error"] == "busy", envelope
                call.failures.append("busy")
                await asyncio.sleep(data["retry_after"])

    async def _attempt(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if self.door == "http":
            answer = (await self.caller.post(tool, **arguments)).json()
        else:
            params = {"name": tool, "arguments": arguments}
            answer = (await self.caller.rpc("tools/call", params, revision=self.door)).json()
            if "error" in answer:
                answer = answer["error"]["data"]
            elif "result" in answer:
                answer = answer["result"]["structuredContent"]
        envelope: dict[str, Any] = answer  # the balancer's own has the same form
        return envelope


@dataclass(frozen=True)
class Tally:
    """How the calls of a stretch of time went."""

    calls: int
    failures: Counter[str]  # of attempts, by what the client saw
    slowest: float  # seconds from a call's first attempt to its answer
    gap: float  # the longest time in which no client was answered, in seconds


async def tally_since(began: float, clients: list[Client]) -> Tally:
    """Of the calls that were begun from then to now; those at work are waited for."""
    now = time.monotonic()
    calls = [call for client in clients for call in client.calls if began <= call.began < now]
    while not all(call.ended for call in calls):
        await asyncio.sleep(0.02)
    moments = [began, *sorted(call.ended for call in calls)]
    return Tally(
        calls=len(calls),
        failures=Counter(failure for call in calls for failure in call.failures),
        slowest=max(call.ended - call.began for call in calls),
        gap=max(after - before for before, after in pairwise(moments)),
    )
