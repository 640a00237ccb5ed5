"""Pages of conversations and of messages. Each page is a range of one index, in the order of that index.

The filter "of this conversation" is written as "not before it and not after it". Its value stands in a subquery, which
PostgreSQL does not see when it plans. Otherwise PostgreSQL may scan the messages of all users to fill one page, or sort
rows that it expects to be few. Both are slow if rows are distributed unevenly, or are more than expected.

A page of conversations has its time as a condition of its own, too. Row-level security adds "of this user", and
PostgreSQL begins an index scan at an equality rather than at a comparison of rows. Without the time, it would walk
through all entries of the user that are before the page.
"""

from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db.models import F, Func, QuerySet, Subquery, Value
from django.db.models.expressions import RawSQL
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.functions import Greatest, Least, Length

from conversations.models import Conversation, Message
from conversations.references import Key, by_key
from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.pagination import Position

# In UTF-8. One message has at most 400 kB of content, and an item of 256 KiB.
PAGE_BYTES = 4 * 1024 * 1024  # of content
PAGE_BYTES_WITH_ITEMS = 8 * 1024 * 1024  # of content and items together

Row = TypeVar("Row")

NEWEST = Position(datetime.max.replace(tzinfo=UTC), MAX_ID)
OLDEST = Position(datetime.min.replace(tzinfo=UTC), 0)

# SQL, because Django takes a millisecond more to compile the same from expressions, for each page.
_TOTAL = (
    "sum({size}) OVER (ORDER BY messages.conversation_id {{order}}, messages.id {{order}} ROWS UNBOUNDED PRECEDING)"
)
_CONTENT, _ITEM = "octet_length(messages.content)", "COALESCE(octet_length(messages.item), 0)"
_FITS = (
    f"{_TOTAL.format(size=_CONTENT)} <= {PAGE_BYTES}"
    f" AND {_TOTAL.format(size=f'{_CONTENT} + {_ITEM}')} <= {PAGE_BYTES_WITH_ITEMS}"
)


class OctetLength(Length):
    """The size of a text in bytes, which PostgreSQL knows without reading the text."""

    function = "OCTET_LENGTH"


class _HiddenFromPlanner(Func):
    """A value in a subquery, which PostgreSQL does not see when it plans."""

    template = "(SELECT %(expressions)s)"


def only(rows: QuerySet[Any, Row]) -> Row | None:
    """The row of a query that finds at most one. In an order, PostgreSQL could read another index to find it."""
    return next(iter(rows.order_by()), None)


def owned(user_id: str, key: Key) -> QuerySet[Conversation]:
    """The user's conversation with this id or ref."""
    return Conversation.objects.filter(user_id=user_id, **by_key(key))


def own_id(user_id: str, key: Key) -> QuerySet[Conversation, Any]:
    """The id of that conversation, for a subquery. Empty for another user: then a statement reads no message."""
    return owned(user_id, key).order_by().values("pk")


def place_after(
    user_id: str, conversation: Key, message: Key, cursor: Position | None, *, is_backwards: bool
) -> Subquery:
    """The place after a message or, if that is further on, after a cursor. NULL if there is no such message."""
    rows = Message.objects.filter(conversation_id=Subquery(own_id(user_id, conversation)), **by_key(message))
    further = Least if is_backwards else Greatest
    return Subquery(rows.order_by().values(place=further("pk", Value(cursor.id)) if cursor else F("pk")))


def list_messages(user_id: str, key: Key, begin: int | Subquery | None, *, is_backwards: bool) -> QuerySet[Message]:
    """The messages of the user's conversation in order, or backwards, from ``begin`` on, without it."""
    own = own_id(user_id, key)
    conversation = key if isinstance(key, int) else Subquery(own)
    place = () if begin is None else (begin,)
    if is_backwards:
        return list_messages_before(conversation, *place).filter(conversation_id__gte=own)
    return list_messages_after(conversation, *place).filter(conversation_id__lte=own)


def list_conversations(user_id: str, position: Position = NEWEST) -> QuerySet[Conversation]:
    """A user's conversations after this position of the list, newest activity first."""
    user, key = _HiddenFromPlanner(Value(user_id)), Tuple(F("user_id"), F("updated_at"), F("id"))
    rows = Conversation.objects.filter(
        TupleLessThan(key, (user, *position)), user_id__gte=user, updated_at__lte=position.at
    )
    return rows.order_by("-user_id", "-updated_at", "-id")


def list_oldest_conversations(user_id: str, position: Position = OLDEST) -> QuerySet[Conversation]:
    """A user's conversations after this position of the list, oldest activity first."""
    user, key = _HiddenFromPlanner(Value(user_id)), Tuple(F("user_id"), F("updated_at"), F("id"))
    rows = Conversation.objects.filter(
        TupleGreaterThan(key, (user, *position)), user_id__lte=user, updated_at__gte=position.at
    )
    return rows.order_by("user_id", "updated_at", "id")


def list_messages_before(conversation_id: int | Subquery, message_id: int | Subquery = MAX_ID) -> QuerySet[Message]:
    """The messages of a conversation before this one, the latest first."""
    conversation, key = _hidden(conversation_id), Tuple(F("conversation_id"), F("id"))
    rows = Message.objects.filter(TupleLessThan(key, (conversation, message_id)), conversation_id__gte=conversation)
    return rows.order_by("-conversation_id", "-id")


def list_messages_after(conversation_id: int | Subquery, message_id: int | Subquery = 0) -> QuerySet[Message]:
    """The messages of a conversation after this one, in order."""
    conversation, key = _hidden(conversation_id), Tuple(F("conversation_id"), F("id"))
    rows = Message.objects.filter(TupleGreaterThan(key, (conversation, message_id)), conversation_id__lte=conversation)
    return rows.order_by("conversation_id", "id")


def within_bytes(rows: QuerySet[Message], *, is_backwards: bool) -> QuerySet[Message]:
    """The rows in their order, with ``page_content`` and ``page_item``. Both are None once the page is full.

    PostgreSQL adds up the sizes as it reads in order, so it neither reads nor sends contents that do not fit.
    """
    fits = _FITS.format(order="DESC" if is_backwards else "ASC")
    return rows.annotate(
        **{f"page_{name}": RawSQL(f"CASE WHEN {fits} THEN messages.{name} END", []) for name in ("content", "item")}  # noqa: S611
    )


def _hidden(conversation_id: int | Subquery) -> Any:
    is_known = isinstance(conversation_id, int)
    return _HiddenFromPlanner(Value(conversation_id)) if is_known else conversation_id
