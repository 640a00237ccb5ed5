"""A session of the OpenAI Agents SDK, kept as a conversation of todo-mcp. Tried with openai-agents 0.24.0.

A program has one ``Conversations()``, which reads TODO_TOKEN and TODO_URL. Give a session to each run of an agent:
``Runner.run(agent, "Call the bank.", session=TodoSession("chat-7", "alice", conversations))``.
"""

import json
import re
from typing import Any, cast
from uuid import NAMESPACE_OID, uuid4, uuid5

from agents import SessionSettings, TResponseInputItem
from conversations_client import Conversations, Refused, as_message

REF = re.compile(r"(?!\d+$)[A-Za-z0-9][A-Za-z0-9_.:@-]{0,63}")
TURN_MAX, TURN_BYTES, PAGE_MAX = 100, 4_000_000, 100  # messages and bytes in one POST; messages in one GET


class TodoSession:
    """A session of one user. Its id is the ref of the conversation; an id that cannot be a ref becomes a UUID."""

    session_settings: SessionSettings | None = None

    def __init__(self, session_id: str, user_id: str, conversations: Conversations) -> None:
        self.session_id, self._user_id, self._conversations = session_id, user_id, conversations
        self._ref = session_id if REF.fullmatch(session_id) else str(uuid5(NAMESPACE_OID, session_id))

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The last ``limit`` items, or all, in order."""
        messages: list[dict[str, Any]] = []
        query: dict[str, Any] = {"order": "desc"}
        while limit is None or len(messages) < limit:
            query["limit"] = PAGE_MAX if limit is None else min(PAGE_MAX, limit - len(messages))
            page = await self._call("GET", self._ref, "messages", **query)
            messages += page["messages"] if page else []
            if not page or not page["has_more"]:
                break
            query["cursor"] = page["next_cursor"]
        return [_item(message) for message in reversed(messages)]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Append the items as one turn: all or none, nothing in between. More than 100 items or 4 MB become several."""
        for turn in _turns([as_message(cast(dict[str, Any], item)) for item in items]):
            key = str(uuid4())
            while await self._call("POST", self._ref, "messages", json=turn, key=key) is None:
                await self._call("POST", json={"ref": self._ref}, key=str(uuid4()))

    async def pop_item(self) -> TResponseInputItem | None:
        """Remove and return the last item. If another program removes it first, take the one before it."""
        while (page := await self._call("GET", self._ref, "messages", last=1)) and page["messages"]:
            last = page["messages"][0]
            if await self._call("DELETE", self._ref, "messages", str(last["id"])) is not None:
                return _item(last)
        return None

    async def clear_session(self) -> None:
        await self._call("DELETE", self._ref)

    async def _call(self, method: str, *path: str, **options: Any) -> Any:
        """The answer, or None if the row does not exist, or if the new conversation exists already."""
        try:
            return await self._conversations.call(method, self._user_id, *path, **options)
        except Refused as refused:
            if refused.args[0] not in ("conversation_not_found", "message_not_found", "ref_conflict"):
                raise
            return None


def _item(message: dict[str, Any]) -> TResponseInputItem:
    return cast(TResponseInputItem, message.get("item") or {"role": message["role"], "content": message["content"]})


def _turns(messages: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    if len(messages) <= TURN_MAX and len(json.dumps(messages, ensure_ascii=False).encode()) <= TURN_BYTES:
        return [messages] if messages else []
    half = len(messages) // 2
    return [*_turns(messages[:half]), *_turns(messages[half:])]
