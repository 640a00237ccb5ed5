"""Pages of conversations and of messages, each a range of one index, in that index's order.

"Of this conversation" is written as "not before it, and not after", of a value that PostgreSQL does not know when it
plans. Left to choose, it walks through everybody's messages to fill a page of a long conversation, or sorts what it
takes for a few: both good guesses, until rows lie unevenly or there are more than it thought.
"""

from datetime import UTC, datetime

from django.db.models import Case, F, Func, IntegerField, QuerySet, RowRange, Sum, Value, When, Window
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.lookups import LessThanOrEqual

from conversations.models import Conversation, Message
from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.pagination import Position

PAGE_BYTES = 4 * 1024 * 1024  # of content, in UTF-8; a message alone has 400 kB at most

NEWEST = Position(datetime.max.replace(tzinfo=UTC), MAX_ID)


class _Unknown(Func):
    """A value that is there only when the statement runs."""

    template = "(SELECT %(expressions)s)"


def conversations_before(user_id: str, position: Position = NEWEST) -> QuerySet[Conversation]:
    """A user's conversations that come after this position in the list, newest activity first."""
    user, place = _Unknown(Value(user_id)), Tuple(F("user_id"), F("updated_at"), F("id"))
    rows = Conversation.objects.filter(TupleLessThan(place, (user, *position)), user_id__gte=user)
    return rows.order_by("-user_id", "-updated_at", "-id")


def messages_before(conversation_id: int, message_id: int = MAX_ID) -> QuerySet[Message]:
    """What was said in a conversation before this message, the latest first."""
    conversation, place = _Unknown(Value(conversation_id)), Tuple(F("conversation_id"), F("id"))
    rows = Message.objects.filter(TupleLessThan(place, (conversation, message_id)), conversation_id__gte=conversation)
    return rows.order_by("-conversation_id", "-id")


def messages_after(conversation_id: int, message_id: int = 0) -> QuerySet[Message]:
    """What was said in a conversation after this message, in order."""
    conversation, place = _Unknown(Value(conversation_id)), Tuple(F("conversation_id"), F("id"))
    rows = Message.objects.filter(
        TupleGreaterThan(place, (conversation, message_id)), conversation_id__lte=conversation
    )
    return rows.order_by("conversation_id", "id")


def within_bytes(rows: QuerySet[Message]) -> QuerySet[Message]:
    """The rows, in their order, with ``kept``: the content, or None once the contents so far pass ``PAGE_BYTES``.

    PostgreSQL adds up the sizes as it reads in order, so it neither reads nor sends what does not fit.
    """
    size = Func(F("content"), function="octet_length", output_field=IntegerField())
    so_far = Window(Sum(size), order_by=[str(name) for name in rows.query.order_by], frame=RowRange(end=0))
    return rows.annotate(kept=Case(When(LessThanOrEqual(so_far, PAGE_BYTES), then=F("content"))))
