"""The operations on conversations, which REST offers to a chat backend; each is scoped to one user in its query."""

from collections.abc import Sequence
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleLessThan
from django.utils import timezone

from conversations.models import Conversation, Message
from conversations.schemas import (
    ConversationDeleted,
    ConversationId,
    ConversationList,
    ConversationOut,
    IdempotencyKey,
    Last,
    Limit,
    MessageIn,
    MessageList,
    MessageOut,
    MessagesAppended,
    Turn,
)
from todo_mcp.core.errors import ConversationNotFound, InvalidArguments, UserNotFound
from todo_mcp.core.operations import RESOURCES, operation
from todo_mcp.core.pagination import Cursor, Position
from todo_mcp.idempotency.services import run_once

READ, WRITE = "conversations:read", "conversations:write"


@operation(title="Start a conversation", scope=WRITE, example={}, registry=RESOURCES)
def create_conversation(*, user_id: str) -> ConversationOut:
    """Make an empty conversation of the user."""
    now = timezone.now()
    try:
        made = Conversation.objects.create(user_id=user_id, created_at=now, updated_at=now)
    except IntegrityError:  # the foreign key: the user was erased since the token was checked
        raise UserNotFound from None
    return ConversationOut(id=made.pk, user_id=user_id, created_at=now, updated_at=now)


@operation(title="List conversations", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def list_conversations(*, user_id: str, limit: Limit = 50, cursor: Cursor | None = None) -> ConversationList:
    """The user's conversations, newest activity first.

    An append moves a conversation to the front, so one that is appended to while pages are read may be missed: read the
    first page again to see it.
    """
    rows = Conversation.objects.filter(user_id=user_id).order_by("-updated_at", "-id")
    if cursor:
        rows = rows.filter(TupleLessThan(Tuple(F("updated_at"), F("id")), cursor))
    found = [ConversationOut(**row) for row in rows.values(*ConversationOut.model_fields)[: limit + 1]]
    page, more = found[:limit], len(found) > limit
    return ConversationList(
        conversations=page,
        has_more=more,
        next_cursor=Position(page[-1].updated_at, page[-1].id).encode() if more else None,
    )


@operation(title="Read a conversation", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def get_conversation(*, user_id: str, conversation_id: ConversationId) -> ConversationOut:
    """One conversation, without its messages."""
    row = _own(user_id, conversation_id).values(*ConversationOut.model_fields).first()
    if row is None:
        raise ConversationNotFound(conversation_id)
    return ConversationOut(**row)


@operation(
    title="Delete a conversation", scope=WRITE, destructive=True, idempotent=True, example={}, registry=RESOURCES
)
def delete_conversation(*, user_id: str, conversation_id: ConversationId) -> ConversationDeleted:
    """Remove a conversation with its messages, for good."""
    with transaction.atomic():
        _lock(user_id, conversation_id, None)
        Message.objects.filter(conversation_id=conversation_id).delete()
        _own(user_id, conversation_id).delete()
    return ConversationDeleted(id=conversation_id)


@operation(
    title="Append messages",
    scope=WRITE,
    example={"role": "user", "content": "Remind me to call the bank."},
    registry=RESOURCES,
)
def append_messages(
    *, user_id: str, conversation_id: ConversationId, messages: Turn, idempotency_key: IdempotencyKey | None = None
) -> MessagesAppended:
    """Append one message or a whole turn, all or nothing, in order.

    Writers of one conversation wait for each other, so turns never interleave. The conversation's updated_at becomes
    the time of the append.
    """
    if idempotency_key is None:
        return _append(user_id, conversation_id, messages)
    result, repeated = run_once(
        user_id=user_id,
        operation="append_messages",
        key=idempotency_key,
        arguments=[conversation_id, [message.model_dump() for message in messages]],
        work=lambda: {"ids": [message.id for message in _append(user_id, conversation_id, messages).messages]},
    )
    kept = MessagesAppended(messages=_read(user_id, Q(id__in=result["ids"])), repeated=repeated)
    if not kept.messages:  # a repetition, and the conversation was deleted since
        raise ConversationNotFound(conversation_id)
    return kept


@operation(title="Read messages", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def list_messages(
    *,
    user_id: str,
    conversation_id: ConversationId,
    limit: Limit = 50,
    last: Last | None = None,
    cursor: Cursor | None = None,
) -> MessageList:
    """A conversation's messages in order, page by page; or its last ones, for a model's context window."""
    if last and cursor:
        raise InvalidArguments({"last": "is not possible with a cursor"})
    get_conversation(user_id=user_id, conversation_id=conversation_id)
    if last:
        found = _read(user_id, Q(conversation_id=conversation_id), newest=last + 1)
        return MessageList(messages=found[-last:], has_more=len(found) > last, next_cursor=None)
    after = Q(id__gt=cursor.id) if cursor else Q()
    found = _read(user_id, Q(conversation_id=conversation_id) & after, oldest=limit + 1)
    page, more = found[:limit], len(found) > limit
    return MessageList(
        messages=page, has_more=more, next_cursor=Position(page[-1].created_at, page[-1].id).encode() if more else None
    )


def _own(user_id: str, conversation_id: int) -> QuerySet[Conversation]:
    return Conversation.objects.filter(pk=conversation_id, user_id=user_id)


def _lock(user_id: str, conversation_id: int, updated_at: datetime | None) -> None:
    """Hold the conversation until the transaction ends, and bump it. The filter is the check whose it is."""
    own = _own(user_id, conversation_id)
    held = own.update(updated_at=updated_at) if updated_at else len(own.select_for_update().values_list("id"))
    if not held:
        raise ConversationNotFound(conversation_id)


@transaction.atomic
def _append(user_id: str, conversation_id: int, messages: Sequence[MessageIn]) -> MessagesAppended:
    now = timezone.now()
    _lock(user_id, conversation_id, now)
    rows = [
        Message(
            conversation_id=conversation_id,
            user_id=user_id,
            role=message.role,
            content=message.content,
            created_at=now,
        )
        for message in messages
    ]
    made = Message.objects.bulk_create(rows)
    fields = MessageOut.model_fields
    return MessagesAppended(messages=[MessageOut(**{name: getattr(row, name) for name in fields}) for row in made])


def _read(user_id: str, which: Q, *, oldest: int | None = None, newest: int | None = None) -> list[MessageOut]:
    """Messages in order: all of them, or at most so many from either end."""
    rows = Message.objects.filter(which, user_id=user_id).values(*MessageOut.model_fields)
    if newest:
        return [MessageOut(**row) for row in reversed(rows.order_by("-id")[:newest])]
    return [MessageOut(**row) for row in rows.order_by("id")[:oldest]]
