"""Clients of a chat backend under a fault. They keep the server's answer about each message."""

import asyncio
import itertools
import json
import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx2

from conversations.models import STORED_BYTES
from tests.faults.ledger import MAYBE, NOTHING
from tests.support.caller import Caller
from tests.support.processes import PATIENCE
from tests.support.server_process import Database

START = "/api/conversations"
SHARED = "shared"
TURN = 5  # messages in a turn of the shared conversation
DONE = "done"
ROWS = (
    "SELECT messages.id, messages.ref, role, content, item FROM messages JOIN conversations AS chats "
    "ON chats.id = conversation_id WHERE chats.user_id = %s AND chats.ref = %s ORDER BY messages.id"
)
WRONG_COUNTS = (
    "SELECT chats.ref FROM conversations AS chats LEFT JOIN LATERAL ("
    f"SELECT count(*) AS count, COALESCE(sum({STORED_BYTES}), 0) AS size FROM messages WHERE conversation_id = chats.id"
    ") AS found ON true WHERE user_id = %s AND (stored_messages, stored_bytes) <> (found.count, found.size)"
)


@dataclass
class Chats:
    """Writers of one user. ``told`` has the answer to the only request for each turn of the shared conversation."""

    caller: Caller
    stopping: bool = False
    done: int = 0
    unanswered: int = 0
    told: dict[str, str] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # conversation → its messages
    with_key: list[tuple[str, dict[str, Any], Any]] = field(default_factory=list)  # each such append and its answer

    async def send(self, method: str, path: str, **options: Any) -> tuple[str, httpx2.Response | None]:
        """One request. Returns "done" with the answer, or what is known of a request that failed."""
        headers = {**self.caller.headers, **options.pop("headers", {})}
        try:
            answer = await self.caller.http.request(method, START + path, headers=headers, **options)
        except httpx2.TransportError:
            self.unanswered += 1
            await asyncio.sleep(0.05)
            return MAYBE, None
        if answer.status_code == 503:
            envelope = answer.json()
            assert envelope["data"]["error"] == "busy", envelope
            await asyncio.sleep(0.05)
            return (NOTHING if NOTHING in envelope["message"] else MAYBE), None
        self.done += 1
        return DONE, answer

    async def until_done(self, method: str, path: str, *statuses: int, **options: Any) -> Any:
        """The answer's JSON. The request is repeated unchanged until there is one."""
        while (answer := (await self.send(method, path, **options))[1]) is None:
            pass
        assert answer.status_code in statuses, answer.text
        return answer.json() if answer.content else None

    async def append(self, name: str, turn: list[dict[str, Any]], **query: Any) -> Any:
        """Append a turn with a key, behind the last message that the writer knows."""
        last = self.rows[name][-1]["id"] if self.rows[name] else 0
        request = {
            "json": turn,
            "params": {"expected_last": last, **query},
            "headers": {"Idempotency-Key": uuid.uuid4().hex},
        }
        answer = await self.until_done("POST", f"/{name}/messages", 201, **request)
        self.with_key.append((name, request, answer))
        return answer

    async def write(self, name: str) -> None:
        """Write a conversation that no other client writes, so that each of its rows is known."""
        rows = self.rows[name] = []
        await self.until_done("PUT", f"/{name}", 200, 201, json={"title": name, "metadata": {"name": name}})
        for n in itertools.count():
            if self.stopping:
                return
            rows += await self.append(name, _turn(f"{n}"))
            rows.append(await self._stream(f"/{name}/messages/{n}-answer"))
            if n % 2:
                again = await self.append(name, _turn(f"{n}-again"), replace=f"{n}-call")
                del rows[[row["ref"] for row in rows].index(f"{n}-call") :]
                rows += again
            if n % 3 == 0:
                removed = rows.pop(n % len(rows))
                await self.until_done("DELETE", f"/{name}/messages/{removed['ref']}", 204, 404)  # 404: a repetition

    async def _stream(self, path: str) -> Any:
        for content in ("The", "The bank", "The bank is closed."):
            row = await self.until_done("PUT", path, 200, 201, json={"role": "assistant", "content": content})
        return row

    async def write_once(self, name: str) -> None:
        """Append to the conversation of all, and repeat nothing."""
        for n in itertools.count():
            if self.stopping:
                return
            turn = f"{name}-{n}"
            messages = [
                {"role": "user", "content": f"{turn} {m}", "ref": f"{turn}-{m}", "item": {"turn": turn}}
                for m in range(TURN)
            ]
            self.told[turn], answer = await self.send("POST", f"/{SHARED}/messages", json=messages)
            assert answer is None or answer.status_code == 201, answer.text

    async def progress(self, count: int = 60) -> None:
        """Wait for so many further answers."""
        goal = self.done + count
        async with asyncio.timeout(PATIENCE):
            while self.done < goal:
                await asyncio.sleep(0.02)

    async def repeat(self) -> list[str]:
        """Send each request with a key again. Returns the conversations in which one got another answer than before."""
        return [
            name
            for name, request, first in self.with_key
            if await self.until_done("POST", f"/{name}/messages", 201, **request) != first
        ]

    def complaints(self, database: Database, user_id: str) -> list[str]:
        """How the database differs from what the writers were told."""
        wrong = [
            f"{name} has other messages"
            for name, rows in self.rows.items()
            if [_as_stored(row) for row in rows] != database.query(ROWS, user_id, name)
        ]
        contents = [row[3] for row in database.query(ROWS, user_id, SHARED)]
        turns = list(dict.fromkeys(content.split()[0] for content in contents))
        if contents != [f"{turn} {m}" for turn in turns for m in range(TURN)]:
            wrong.append("a turn is not whole")
        wrong += [f"{turn} is lost" for turn, told in self.told.items() if told == DONE and turn not in turns]
        wrong += [f"{turn} is there though nothing was done" for turn in turns if self.told[turn] == NOTHING]
        return wrong + [f"{name} has wrong counts" for (name,) in database.query(WRONG_COUNTS, user_id)]


def _turn(name: str) -> list[dict[str, Any]]:
    """A question, a tool call and its result."""
    call = {"type": "function_call", "call_id": name, "arguments": '{"bank": "\\u00fc"}'}
    return [
        {"role": "user", "content": "When is the bank open?", "ref": f"{name}-question"},
        {"role": "assistant", "content": "Looks it up.", "ref": f"{name}-call", "item": call},
        {"role": "assistant", "content": "Found it.", "ref": f"{name}-result", "item": {"output": "x" * 3000}},
    ]


def _as_stored(row: dict[str, Any]) -> tuple[Any, ...]:
    item = json.dumps(row["item"], separators=(",", ":"), ensure_ascii=False) if "item" in row else None
    return row["id"], row["ref"], row["role"], row["content"], item
