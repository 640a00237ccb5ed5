"""A conversation to be read: some of its messages in order, whatever its length."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Left, Length

from conversations.models import CONTENT_MAX, Message
from conversations.queries import messages_after, messages_before
from todo_mcp.core.arguments import MAX_ID

PAGE = 20  # messages on a page
SHOWN = 4_000  # characters of a message, unless it is opened
FOLDED = 600  # characters that a folded message shows; one a third longer is shown whole
TASKS_MAX = 100  # tasks made from a conversation that its page names


@dataclass(frozen=True)
class Asked:
    """Where to read: the messages before an id, after an id, around an id, or one alone. Without any, the latest."""

    before: int | None = None
    after: int | None = None
    at: int | None = None
    only: int | None = None


@dataclass(frozen=True)
class MessagePage:
    """Some messages in order, and the ids from which to go on in either direction, where there are more."""

    messages: list[dict[str, Any]]
    older: int | None = None
    newer: int | None = None
    alone: bool = False
    at: int | None = None

    @property
    def days(self) -> list[tuple[Any, list[dict[str, Any]]]]:
        """The messages by the day on which they were said."""
        return [(day, list(said)) for day, said in groupby(self.messages, lambda row: row["created_at"].date())]


def message_page(conversation_id: int, asked: Asked) -> MessagePage:
    """A page of the conversation; one query by index, and around an id two."""
    if asked.only:
        only = Message.objects.filter(conversation_id=conversation_id, pk=asked.only)
        return MessagePage(_read(only, CONTENT_MAX), alone=True)
    if asked.at:
        return _around(conversation_id, asked.at)
    if asked.after is not None:
        found = _read(messages_after(conversation_id, asked.after)[: PAGE + 1])
        page = found[:PAGE]
        older = page[0]["pk"] if page and asked.after else None
        return MessagePage(page, older=older, newer=page[-1]["pk"] if len(found) > PAGE else None)
    found = _read(messages_before(conversation_id, asked.before or MAX_ID)[: PAGE + 1])
    page = found[:PAGE][::-1]
    return MessagePage(
        page,
        older=page[0]["pk"] if len(found) > PAGE else None,
        newer=page[-1]["pk"] if asked.before and page else None,
    )


def _around(conversation_id: int, pk: int) -> MessagePage:
    half = PAGE // 2
    earlier = _read(messages_before(conversation_id, pk)[: half + 1])
    later = _read(messages_after(conversation_id, pk - 1)[: half + 1])
    page = earlier[:half][::-1] + later[:half]
    return MessagePage(
        page,
        older=page[0]["pk"] if len(earlier) > half else None,
        newer=page[-1]["pk"] if len(later) > half else None,
        at=pk,
    )


def _read(rows: QuerySet[Message], length: int = SHOWN) -> list[dict[str, Any]]:
    columns = rows.values("pk", "role", "created_at", text=Left("content", length), size=Length("content"))
    return [
        {
            **row,
            "rest": row["size"] - len(row["text"]),
            "beginning": row["text"][:FOLDED] if length == SHOWN and len(row["text"]) > FOLDED * 4 // 3 else "",
        }
        for row in columns
    ]
