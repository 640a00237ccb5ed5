"""The operations on conversations, which REST offers to a chat backend. Each query is scoped to one user."""

from collections.abc import Sequence

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from conversations import queries
from conversations.models import COUNTED, Conversation, Message
from conversations.queries import NEWEST, within_bytes
from conversations.retention import remove_conversations
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
from todo_mcp.core.errors import ConversationNotFound, InvalidArguments, QuotaExceeded, UserNotFound
from todo_mcp.core.operations import RESOURCES, operation
from todo_mcp.core.pagination import Cursor, Position
from todo_mcp.idempotency.services import run_once
from todo_mcp.postgres.health.causes import violates_user_key
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.quotas.usage import ROW_BYTES, check_quotas

READ, WRITE = "conversations:read", "conversations:write"
PAGE = 50  # rows, if the caller sends no limit
_WITHOUT_CONTENT = [name for name in MessageOut.model_fields if name != "content"]


@operation(title="Start a conversation", scope=WRITE, example={}, quotas=("bytes", "writes"), registry=RESOURCES)
def create_conversation(*, user_id: str, idempotency_key: IdempotencyKey | None = None) -> ConversationOut:
    """Make an empty conversation of the user."""
    if idempotency_key is None:
        return _create(user_id)
    result, _ = run_once(
        user_id=user_id,
        operation="create_conversation",
        key=idempotency_key,
        arguments=[],
        work=lambda: _create(user_id).model_dump(mode="json"),
    )
    return ConversationOut(**result)


@operation(title="List conversations", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def list_conversations(*, user_id: str, limit: Limit = PAGE, cursor: Cursor | None = None) -> ConversationList:
    """The user's conversations, newest activity first.

    An append moves a conversation to the front, so one that is appended to while pages are read may be missed: read the
    first page again to see it.
    """
    rows = queries.list_conversations(user_id, cursor or NEWEST)
    conversations = [ConversationOut(**row) for row in rows.values(*ConversationOut.model_fields)[: limit + 1]]
    page, has_more = conversations[:limit], len(conversations) > limit
    return ConversationList(
        conversations=page,
        has_more=has_more,
        next_cursor=Position(page[-1].updated_at, page[-1].id).encode() if has_more else None,
    )


@operation(title="Read a conversation", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def get_conversation(*, user_id: str, conversation_id: ConversationId) -> ConversationOut:
    """One conversation, without its messages."""
    row = _own(user_id, conversation_id).values(*ConversationOut.model_fields).first()
    if row is None:
        raise ConversationNotFound(conversation_id)
    return ConversationOut(**row)


@operation(
    title="Delete a conversation",
    scope=WRITE,
    destructive=True,
    idempotent=True,
    example={},
    quotas=(),
    registry=RESOURCES,
)
def delete_conversation(*, user_id: str, conversation_id: ConversationId) -> ConversationDeleted:
    """Remove a conversation with its messages, for good."""
    with transaction.atomic():
        sizes = list(_own(user_id, conversation_id).select_for_update().values_list("stored_bytes", flat=True))
        if not sizes:
            raise ConversationNotFound(conversation_id)
        remove_conversations([conversation_id])
    note_use(writes=1, size=-ROW_BYTES - sizes[0])
    return ConversationDeleted(id=conversation_id)


@operation(
    title="Append messages",
    scope=WRITE,
    example={"role": "user", "content": "Remind me to call the bank."},
    quotas=("messages", "bytes", "writes"),
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
    results: list[MessagesAppended] = []

    def append() -> dict[str, list[int]]:
        results.append(_append(user_id, conversation_id, messages))
        return {"ids": [message.id for message in results[-1].messages]}

    result, repeated = run_once(
        user_id=user_id,
        operation="append_messages",
        key=idempotency_key,
        arguments=[conversation_id, [message.model_dump() for message in messages]],
        work=append,
    )
    if not repeated:
        return results[-1]
    stored_messages = _messages(Message.objects.filter(id__in=result["ids"], user_id=user_id).order_by("id"))
    if not stored_messages:  # the conversation was deleted meanwhile
        raise ConversationNotFound(conversation_id)
    return MessagesAppended(messages=stored_messages)


@operation(title="Read messages", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def list_messages(
    *,
    user_id: str,
    conversation_id: ConversationId,
    limit: Limit | None = None,
    last: Last | None = None,
    cursor: Cursor | None = None,
) -> MessageList:
    """A conversation's messages in order, page by page; or its last ones, for a model's context window.

    A page holds 4 MiB of content at most: it then ends early (the last ones begin late), and says that there are more.
    """
    if last and (limit or cursor):
        raise InvalidArguments({"last": "is not possible with limit or cursor"})
    size = last or limit or PAGE
    own_id = _own(user_id, conversation_id).order_by().values("pk")  # empty for another user: then no message is read
    if last:
        messages = queries.list_messages_before(conversation_id).filter(conversation_id__gte=own_id)
    else:
        messages = queries.list_messages_after(conversation_id, cursor.id if cursor else 0).filter(
            conversation_id__lte=own_id
        )
    rows = list(within_bytes(messages).values(*_WITHOUT_CONTENT, "page_content")[: size + 1])
    if not rows:  # there are no messages, or there is no such conversation
        get_conversation(user_id=user_id, conversation_id=conversation_id)
    page = [
        MessageOut(content=row.pop("page_content"), **row) for row in rows[:size] if row["page_content"] is not None
    ]
    has_more = len(rows) > len(page)
    if last:
        page.reverse()
    next_cursor = Position(page[-1].created_at, page[-1].id).encode() if has_more and not last else None
    return MessageList(messages=page, has_more=has_more, next_cursor=next_cursor)


def _own(user_id: str, conversation_id: int) -> QuerySet[Conversation]:
    return Conversation.objects.filter(pk=conversation_id, user_id=user_id)


def _create(user_id: str) -> ConversationOut:
    check_quotas(user_id, writes=1, size=ROW_BYTES)
    now = timezone.now()
    try:
        conversation = Conversation.objects.create(user_id=user_id, created_at=now, updated_at=now)
    except IntegrityError as error:
        if not violates_user_key(error):
            raise
        raise UserNotFound(user_id) from None  # the user was erased after the token check
    note_use(writes=1, size=ROW_BYTES)
    return ConversationOut(id=conversation.pk, user_id=user_id, created_at=now, updated_at=now)


_BUMP = f"""
UPDATE conversations SET updated_at = GREATEST(updated_at, clock_timestamp()),
    stored_messages = stored_messages + %(count)s, stored_bytes = stored_bytes + %(size)s
WHERE id = %(id)s AND user_id = %(user)s AND stored_messages + %(count)s <= %(most)s
RETURNING updated_at, set_config('{COUNTED}', 'yes', true)
"""  # noqa: S608 (a constant)
_UNLIMITED = 2**31 - 1


@transaction.atomic(savepoint=False)
def _append(user_id: str, conversation_id: int, messages: Sequence[MessageIn]) -> MessagesAppended:
    count, size = len(messages), sum(ROW_BYTES + len(message.content.encode()) for message in messages)
    check_quotas(user_id, writes=1, size=size)
    most = settings.QUOTA_MESSAGES or _UNLIMITED
    with connection.cursor() as cursor:  # locks out other writers until the commit; the filter checks the owner
        cursor.execute(_BUMP, {"id": conversation_id, "user": user_id, "count": count, "size": size, "most": most})
        row = cursor.fetchone()
    if row is None:
        raise _refusal(user_id, conversation_id, count)
    rows = [
        Message(
            conversation_id=conversation_id,
            user_id=user_id,
            role=message.role,
            content=message.content,
            created_at=row[0],
        )
        for message in messages
    ]
    created = Message.objects.bulk_create(rows)
    note_use(writes=1, size=size)
    fields = MessageOut.model_fields
    return MessagesAppended(messages=[MessageOut(**{name: getattr(row, name) for name in fields}) for row in created])


def _refusal(user_id: str, conversation_id: int, added: int) -> ConversationNotFound | QuotaExceeded:
    """Why the conversation takes no more messages."""
    count = _own(user_id, conversation_id).values_list("stored_messages", flat=True).first()
    if count is None:
        return ConversationNotFound(conversation_id)
    limit = settings.QUOTA_MESSAGES
    return QuotaExceeded(
        "messages",
        limit,
        f"the quota of messages in a conversation is {limit:,}, this one has {count:,}, and the call adds {added:,}",
        "Go on in a new conversation; to free its bytes, delete this one.",
        used=count,
    )


def _messages(rows: QuerySet[Message]) -> list[MessageOut]:
    return [MessageOut(**row) for row in rows.values(*MessageOut.model_fields)]
