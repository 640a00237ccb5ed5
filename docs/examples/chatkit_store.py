"""The Store of ChatKit, kept as conversations of todo-mcp. Tried with openai-chatkit 1.6.5.

``TodoStore()`` reads TODO_TOKEN and TODO_URL. The context of each request is a dictionary with the ``user_id``.
"""

from contextlib import suppress
from typing import Any
from uuid import uuid4

from chatkit.store import NotFoundError, Store, StoreItemType
from chatkit.types import Page, ThreadItem, ThreadMetadata
from conversations_client import Conversations, as_message, storable
from pydantic import TypeAdapter

Context = dict[str, Any]
Items = Page[ThreadItem]
ITEM: TypeAdapter[ThreadItem] = TypeAdapter(ThreadItem)
CONTROLS = [*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]  # not allowed in titles


class TodoStore(Store[Context]):
    """A thread is a conversation, an item is a message. Their ids are refs. What other programs wrote is left out."""

    def __init__(self, url: str = "", token: str = "") -> None:
        self.todo = Conversations(url, token, missing=NotFoundError)

    def generate_thread_id(self, context: Context) -> str:
        return f"thread_{uuid4()}"  # the package's ids have 32 random bits: two may be equal, and then PUT replaces

    def generate_item_id(self, item_type: StoreItemType, thread: ThreadMetadata, context: Context) -> str:
        return f"{item_type}_{uuid4()}"

    async def load_thread(self, thread_id: str, context: Context) -> ThreadMetadata:
        return _thread(await self.todo.call("GET", context["user_id"], thread_id))

    async def save_thread(self, thread: ThreadMetadata, context: Context) -> None:
        metadata = {"chatkit": storable(thread.model_dump(mode="json", exclude={"items", "title"}))}
        title = " ".join(storable((thread.title or "").translate(dict.fromkeys(CONTROLS, " "))).split())[:200]
        await self.todo.call("PUT", context["user_id"], thread.id, json={"title": title or None, "metadata": metadata})

    async def load_threads(self, limit: int, after: str | None, order: str, context: Context) -> Page[ThreadMetadata]:
        page = await self.todo.call("GET", context["user_id"], order=order, limit=min(limit, 100), cursor=after)
        threads = [_thread(kept) for kept in page["conversations"] if "chatkit" in kept.get("metadata", {})]
        return Page(data=threads, has_more=page["has_more"], after=page["next_cursor"])

    async def delete_thread(self, thread_id: str, context: Context) -> None:
        await self.todo.call("DELETE", context["user_id"], thread_id)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Context
    ) -> Items:
        query: dict[str, Any] = {"order": order, "limit": min(limit, 100), "after": after}
        page = await self.todo.call("GET", context["user_id"], thread_id, "messages", **query)
        messages = page["messages"]
        items = [ITEM.validate_python(kept["item"]) for kept in messages if "thread_id" in kept.get("item", {})]
        return Page(data=items, has_more=page["has_more"], after=str(messages[-1]["id"]) if messages else after)

    async def load_item(self, thread_id: str, item_id: str, context: Context) -> ThreadItem:
        message = await self.todo.call("GET", context["user_id"], thread_id, "messages", item_id)
        return ITEM.validate_python(message["item"])

    async def save_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        message = as_message(item.model_dump(mode="json"))
        await self.todo.call("PUT", context["user_id"], thread_id, "messages", item.id, json=message)

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Context) -> None:
        with suppress(NotFoundError):  # another device was faster
            await self.todo.call("DELETE", context["user_id"], thread_id, "messages", item_id)

    async def _no_files(self, *arguments: Any, **named: Any) -> Any:
        raise NotImplementedError("todo-mcp keeps no files: keep attachments in a store of your backend.")

    add_thread_item = save_item
    save_attachment = load_attachment = delete_attachment = _no_files


def _thread(conversation: dict[str, Any]) -> ThreadMetadata:
    thread = {"id": conversation.get("ref") or str(conversation["id"]), "created_at": conversation["created_at"]}
    thread |= conversation.get("metadata", {}).get("chatkit", {}) | {"title": conversation.get("title")}
    return ThreadMetadata.model_validate(thread)
