"""Clients that add, list and complete tasks one after the other, and record the result of each call."""

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
RETRY_AFTER = 0.2  # seconds before a call without an answer is repeated
PATIENCE = 60.0  # seconds after which a repeated call has failed


@dataclass
class Call:
    """A call from its first attempt to its answer. ``failures`` names the failure of each failed attempt."""

    began: float
    ended: float = 0.0
    failures: list[str] = field(default_factory=list)


@dataclass
class Client:
    """A client of one user, through one door: "http", or a revision of MCP.

    Every call can be repeated: an addition has a key, and completing a completed task changes nothing.
    """

    caller: Caller
    door: str
    stopping: bool = False
    calls: list[Call] = field(default_factory=list)
    acknowledged: Acknowledged = field(default_factory=Acknowledged)

    async def work(self) -> None:
        while not self.stopping:
            title = uuid.uuid4().hex
            task_id = (await self._call("add_task", title=title, idempotency_key=title))["task_id"]
            self.acknowledged.added[title] = task_id
            await self._call("list_tasks", limit=5)
            await self._call("complete_task", task_id=task_id)
            self.acknowledged.completed.add(task_id)

    async def _call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The data of the answer. A failed attempt is repeated unchanged, as the server's messages ask."""
        await asyncio.sleep(PAUSE)
        call = Call(began=time.monotonic())
        self.calls.append(call)
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    envelope = await self._attempt(tool, arguments)
                except httpx2.TransportError as error:
                    call.failures.append(type(error).__name__)
                    await asyncio.sleep(RETRY_AFTER)
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
        envelope: dict[str, Any] = answer  # the balancer's own answers have the same form
        return envelope


@dataclass(frozen=True)
class Tally:
    """The results of the calls in a period."""

    calls: int
    failures: Counter[str]  # failed attempts by the failure that the client saw
    slowest: float  # seconds from a call's first attempt to its answer
    gap: float  # the longest time in which no client was answered, in seconds


async def tally_since(began: float, clients: list[Client]) -> Tally:
    """The tally of the calls that began since then. Waits for the calls that have no answer yet."""
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
