"""The transcript of a conversation, page by page. A page costs the same whatever the conversation's length."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from heapq import merge
from itertools import groupby
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Left, Length

from conversations.hits import Hits, find_hits, hits_around
from conversations.models import CONTENT_MAX, ITEM_MAX, Conversation, Message
from conversations.operators.items import shown_json
from conversations.queries import OctetLength, list_messages_after, list_messages_before
from conversations.search import marked_texts
from todo_mcp.core.arguments import MAX_ID

PAGE = 20  # messages on a page
TEXT_MAX = 4_000  # characters of a message, and of its item, on a page; a page of one message shows all
FOLD_LENGTH = 600  # characters that a folded message shows; a message up to a third longer is not folded
TASKS_MAX = 100  # tasks that the page lists, and tasks that it shows beside the messages

Row = dict[str, Any]
# Finds what was done with these tasks of a user, oldest first, and whether some was left out. Each row has ``at``.
FindCalls = Callable[[str, Sequence[int]], tuple[list[Row], bool]]
CALLS_OF_TASKS: list[FindCalls] = []  # a room above adds it, because conversations do not know tasks


@dataclass(frozen=True)
class PageRequest:
    """Which messages to read: before an id, after an id, around an id (``at``), or only one. By default, the latest."""

    before: int | None = None
    after: int | None = None
    at: int | None = None
    only: int | None = None


@dataclass(frozen=True)
class MessagePage:
    """Messages in order. ``older`` and ``newer`` are the ids from which to read on, or None at that end.

    ``calls`` changed the tasks that were created from these messages. Some tasks or calls may be left out (``…_cut``).
    """

    messages: list[Row]
    older: int | None = None
    newer: int | None = None
    alone: bool = False
    at: int | None = None
    tasks_are_cut: bool = False
    calls: Sequence[Row] = ()
    calls_are_cut: bool = False

    @property
    def days(self) -> Iterator[tuple[date, list[Row]]]:
        """The messages with the calls between them, grouped by day."""
        rows = merge(self.messages, self.calls, key=lambda row: row["at"])
        for day, of_day in groupby(rows, lambda row: row["at"].date()):
            yield day, list(of_day)


def add_hits(conversation: Conversation, page: MessagePage, words: Sequence[str]) -> Hits | None:
    """Mark the words in the page's messages, and say where the matching messages are. None if it takes too long."""
    found = find_hits(conversation, words)
    if found is None:
        return None
    ids = set(found[0])
    texts = {message["pk"]: message["text"] for message in page.messages if message["pk"] in ids}
    marked = marked_texts(words, texts) if texts else {}
    for message in page.messages:
        if message["pk"] in ids:
            message |= {"is_hit": True, "marked": marked.get(message["pk"], ""), "beginning": ""}
    at = page.messages[0]["pk"] if page.alone and page.messages else page.at
    first = page.messages[0]["pk"] if page.messages else 0
    return hits_around(*found, at=at, first=first)


def add_tasks(conversation: Conversation, page: MessagePage) -> MessagePage:
    """The page with the tasks created from each message, and with what was done with them."""
    found, are_cut = tasks_of(conversation, message__in=[message["pk"] for message in page.messages])
    for message in page.messages:
        message["tasks"] = [task for task in found if task["message_id"] == message["pk"]]
    page = replace(page, tasks_are_cut=are_cut)
    for find_calls in CALLS_OF_TASKS if found else ():
        calls, are_cut = find_calls(conversation.user_id, [task["pk"] for task in found])
        page = replace(page, calls=calls, calls_are_cut=are_cut)
    return page


def tasks_of(conversation: Any, **conditions: Any) -> tuple[list[Row], bool]:
    """The first tasks that were created from the conversation, and whether there are more than TASKS_MAX."""
    columns = ("pk", "title", "message_id", "completed", "deleted_at")
    rows = list(conversation.tasks.filter(**conditions).order_by("pk").values(*columns)[: TASKS_MAX + 1])
    return rows[:TASKS_MAX], len(rows) > TASKS_MAX


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
    item_length = TEXT_MAX if length == TEXT_MAX else ITEM_MAX
    columns = rows.values(
        "pk",
        "role",
        "ref",
        at=F("created_at"),
        text=Left("content", length),
        size=Length("content"),
        item_text=Left("item", item_length),
        item_size=OctetLength("item"),
    )
    fold_from = FOLD_LENGTH * 4 // 3
    return [
        {
            **row,
            "item": shown_json(row["item_text"], row["item_size"]) if row["item_text"] else None,
            "rest": row["size"] - len(row["text"]),
            "beginning": row["text"][:FOLD_LENGTH] if length == TEXT_MAX and len(row["text"]) > fold_from else "",
        }
        for row in columns
    ]
