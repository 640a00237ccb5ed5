"""Pages of conversations and of messages. Each page is a range of one index, in the order of that index.

The filter "of this conversation" is written as "not before it and not after it". Its value stands in a subquery, which
PostgreSQL does not see when it plans. Otherwise PostgreSQL may scan the messages of all users to fill one page, or sort
rows that it expects to be few. Both are slow if rows are distributed unevenly, or are more than expected.
"""

from datetime import UTC, datetime

from django.db.models import Case, F, Func, IntegerField, QuerySet, RowRange, Sum, Value, When, Window
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.lookups import LessThanOrEqual

from conversations.models import Conversation, Message
from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.pagination import Position

PAGE_BYTES = 4 * 1024 * 1024  # of content in UTF-8; one message has at most 400 kB

NEWEST = Position(datetime.max.replace(tzinfo=UTC), MAX_ID)


class _HiddenFromPlanner(Func):
    """A value in a subquery, which PostgreSQL does not see when it plans."""

    template = "(SELECT %(expressions)s)"


def list_conversations(user_id: str, position: Position = NEWEST) -> QuerySet[Conversation]:
    """A user's conversations after this position of the list, newest activity first."""
    user, key = _HiddenFromPlanner(Value(user_id)), Tuple(F("user_id"), F("updated_at"), F("id"))
    rows = Conversation.objects.filter(TupleLessThan(key, (user, *position)), user_id__gte=user)
    return rows.order_by("-user_id", "-updated_at", "-id")


def list_messages_before(conversation_id: int, message_id: int = MAX_ID) -> QuerySet[Message]:
    """The messages of a conversation before this one, the latest first."""
    conversation, key = _HiddenFromPlanner(Value(conversation_id)), Tuple(F("conversation_id"), F("id"))
    rows = Message.objects.filter(TupleLessThan(key, (conversation, message_id)), conversation_id__gte=conversation)
    return rows.order_by("-conversation_id", "-id")


def list_messages_after(conversation_id: int, message_id: int = 0) -> QuerySet[Message]:
    """The messages of a conversation after this one, in order."""
    conversation, key = _HiddenFromPlanner(Value(conversation_id)), Tuple(F("conversation_id"), F("id"))
    rows = Message.objects.filter(TupleGreaterThan(key, (conversation, message_id)), conversation_id__lte=conversation)
    return rows.order_by("conversation_id", "id")


def within_bytes(rows: QuerySet[Message]) -> QuerySet[Message]:
    """The rows in their order, with ``page_content``: the content, or None once all contents exceed ``PAGE_BYTES``.

    PostgreSQL adds up the sizes as it reads in order, so it neither reads nor sends contents that do not fit.
    """
    size = Func(F("content"), function="octet_length", output_field=IntegerField())
    total = Window(Sum(size), order_by=[str(name) for name in rows.query.order_by], frame=RowRange(end=0))
    return rows.annotate(page_content=Case(When(LessThanOrEqual(total, PAGE_BYTES), then=F("content"))))
