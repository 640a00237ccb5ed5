"""A ChatKitServer that answers without a model, and the items that it stores."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from chatkit.server import ChatKitServer, NonStreamingResult, StreamingResult
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    ThreadItemDoneEvent,
    ThreadMetadata,
    ThreadStreamEvent,
    UserMessageItem,
)
from chatkit_store import Context

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def answer(thread_id: str, item_id: str, text: str) -> AssistantMessageItem:
    content = [AssistantMessageContent(text=text)]
    return AssistantMessageItem(id=item_id, thread_id=thread_id, created_at=NOON, content=content)


def thread(thread_id: str, **fields: Any) -> ThreadMetadata:
    return ThreadMetadata(id=thread_id, created_at=NOON, **fields)


def question(text: str) -> dict[str, Any]:
    """What ChatKit sends when a person writes this."""
    return {"content": [{"type": "input_text", "text": text}], "attachments": [], "inference_options": {}}


class Parrot(ChatKitServer[Context]):
    """Its answers are numbered. It gives each new thread a title."""

    answers = 0

    async def respond(
        self, thread: ThreadMetadata, input_user_message: UserMessageItem | None, context: Context
    ) -> AsyncIterator[ThreadStreamEvent]:
        self.answers += 1
        item_id = self.store.generate_item_id("message", thread, context)
        yield ThreadItemDoneEvent(item=answer(thread.id, item_id, f"Answer {self.answers}"))
        thread.title = thread.title or "Parrots"

    async def ask(self, user: str, kind: str, **params: Any) -> Any:
        """The JSON of an answer; of a stream, the list of its events. None of them may be an error."""
        result = await self.process(json.dumps({"type": kind, "params": params}), {"user_id": user})
        if isinstance(result, NonStreamingResult):
            return json.loads(result.json)
        assert isinstance(result, StreamingResult)
        events = [json.loads(event.removeprefix(b"data: ")) async for event in result]
        assert all(event["type"] != "error" for event in events), events
        return events

    async def begin(self, user: str, text: str) -> str:
        """The id of a new thread that a person began with this."""
        events = await self.ask(user, "threads.create", input=question(text))
        return str(events[0]["thread"]["id"])

    async def texts(self, user: str, thread_id: str, **params: Any) -> list[str]:
        """The texts of a page of a thread."""
        page = await self.ask(user, "items.list", thread_id=thread_id, **params)
        return texts(page)


def texts(page: dict[str, Any]) -> list[str]:
    return [item["content"][0]["text"] for item in page["data"]]
