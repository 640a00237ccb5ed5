"""The transcript of a conversation, page by page. A page costs the same whatever the conversation's length."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left, Length

from conversations.models import CONTENT_MAX, Message
from conversations.queries import list_messages_after, list_messages_before
from todo_mcp.core.arguments import MAX_ID

PAGE = 20  # messages on a page
TEXT_MAX = 4_000  # characters of a message on a page; a page of one message shows all
FOLD_LENGTH = 600  # characters that a folded message shows; a message up to a third longer is not folded
TASKS_MAX = 100  # tasks that the page of a conversation lists


@dataclass(frozen=True)
class PageRequest:
    """Which messages to read: before an id, after an id, around an id (``at``), or only one. By default, the latest."""

    before: int | None = None
    after: int | None = None
    at: int | None = None
    only: int | None = None


@dataclass(frozen=True)
class MessagePage:
    """Messages in order. ``older`` and ``newer`` are the ids from which to read on, or None at that end."""

    messages: list[dict[str, Any]]
    older: int | None = None
    newer: int | None = None
    alone: bool = False
    at: int | None = None

    @property
    def days(self) -> list[tuple[Any, list[dict[str, Any]]]]:
        """The messages, grouped by day."""
        return [(day, list(rows)) for day, rows in groupby(self.messages, lambda row: row["created_at"].date())]


def message_page(conversation_id: int, request: PageRequest) -> MessagePage:
    """A page of the conversation. One query by index, or two around an id."""
    if request.only:
        only = Message.objects.filter(conversation_id=conversation_id, pk=request.only)
        return MessagePage(_read(only, CONTENT_MAX), alone=True)
    if request.at:
        return _around(conversation_id, request.at)
    if request.after is not None:
        rows = _read(list_messages_after(conversation_id, request.after)[: PAGE + 1])
        page = rows[:PAGE]
        older = page[0]["pk"] if page and request.after else None
        return MessagePage(page, older=older, newer=page[-1]["pk"] if len(rows) > PAGE else None)
    rows = _read(list_messages_before(conversation_id, request.before or MAX_ID)[: PAGE + 1])
    page = rows[:PAGE][::-1]
    return MessagePage(
        page,
        older=page[0]["pk"] if len(rows) > PAGE else None,
        newer=page[-1]["pk"] if request.before and page else None,
    )


def _around(conversation_id: int, pk: int) -> MessagePage:
    half = PAGE // 2
    earlier = _read(list_messages_before(conversation_id, pk)[: half + 1])
    later = _read(list_messages_after(conversation_id, pk - 1)[: half + 1])
    page = earlier[:half][::-1] + later[:half]
    return MessagePage(
        page,
        older=page[0]["pk"] if len(earlier) > half else None,
        newer=page[-1]["pk"] if len(later) > half else None,
        at=pk,
    )


def _read(rows: QuerySet[Message], length: int = TEXT_MAX) -> list[dict[str, Any]]:
    columns = rows.values("pk", "role", "created_at", text=Left("content", length), size=Length("content"))
    fold_from = FOLD_LENGTH * 4 // 3
    return [
        {
            **row,
            "rest": row["size"] - len(row["text"]),
            "beginning": row["text"][:FOLD_LENGTH] if length == TEXT_MAX and len(row["text"]) > fold_from else "",
        }
        for row in columns
    ]
