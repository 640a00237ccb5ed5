"""The operations on conversations, which REST offers to a chat backend. Each query is scoped to one user."""

from typing import Any

from django.db import transaction
from django.db.models import Subquery

from conversations import queries
from conversations.changes import conversations as changing
from conversations.changes import messages as single
from conversations.changes.turns import NewTurn, append, append_once
from conversations.models import Message
from conversations.queries import NEWEST, OLDEST, own_id, owned, within_bytes
from conversations.references import Key, Ref, by_key
from conversations.schemas import (
    ActivityOrder,
    After,
    Content,
    ConversationDeleted,
    ConversationId,
    ConversationList,
    ConversationOut,
    ConversationPut,
    ExpectedLast,
    IdempotencyKey,
    Item,
    Last,
    Limit,
    MessageDeleted,
    MessageId,
    MessageIn,
    MessageList,
    MessageOrder,
    MessageOut,
    MessagePut,
    MessagesAppended,
    Metadata,
    Replaced,
    Role,
    Title,
    Turn,
)
from todo_mcp.core.errors import ConversationNotFound, InvalidArguments, MessageNotFound, RefConflict
from todo_mcp.core.json_text import as_json
from todo_mcp.core.operations import RESOURCES, operation
from todo_mcp.core.pagination import CursorOfEitherOrder, Position, check_order

READ, WRITE = "conversations:read", "conversations:write"
PAGE = 50  # rows, if the caller sends no limit
_OF_PAGE = [name for name in MessageOut.model_fields if name not in ("content", "item")]
_MESSAGE = {"role": "user", "content": "Remind me to call the bank."}


@operation(
    title="Start a conversation",
    scope=WRITE,
    never_empty=("ref", "title", "metadata"),
    example={"title": "The bank"},
    quotas=("bytes", "writes"),
    registry=RESOURCES,
)
def create_conversation(
    *,
    user_id: str,
    ref: Ref | None = None,
    title: Title | None = None,
    metadata: Metadata | None = None,
    idempotency_key: IdempotencyKey | None = None,
) -> ConversationOut:
    """Make an empty conversation of the user."""
    return changing.start(user_id, {"ref": ref, "title": title, "metadata": metadata}, idempotency_key)


@operation(title="List conversations", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def list_conversations(
    *,
    user_id: str,
    limit: Limit = PAGE,
    order: ActivityOrder = "desc",
    cursor: CursorOfEitherOrder | None = None,
) -> ConversationList:
    """The user's conversations, newest activity first; or oldest first.

    A change of its messages moves a conversation, so one that changes while pages are read may be missed: read the
    first page again to see it.
    """
    is_reversed = order == "asc"
    check_order(cursor, is_reversed=is_reversed)
    if is_reversed:
        rows = queries.list_oldest_conversations(user_id, cursor or OLDEST)
    else:
        rows = queries.list_conversations(user_id, cursor or NEWEST)
    conversations = [changing.as_output(row) for row in rows.values(*ConversationOut.model_fields)[: limit + 1]]
    page, has_more = conversations[:limit], len(conversations) > limit
    end = Position(page[-1].updated_at, page[-1].id) if has_more else None
    return ConversationList(
        conversations=page, has_more=has_more, next_cursor=end.encode(is_reversed=is_reversed) if end else None
    )


@operation(title="Read a conversation", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def get_conversation(*, user_id: str, conversation_id: ConversationId) -> ConversationOut:
    """One conversation, without its messages."""
    row = queries.only(owned(user_id, conversation_id).values(*ConversationOut.model_fields))
    if row is None:
        raise ConversationNotFound(conversation_id)
    return changing.as_output(row)


@operation(
    title="Make or replace a conversation",
    scope=WRITE,
    idempotent=True,
    example={"title": "The bank"},
    never_empty=("title", "metadata"),
    quotas=("bytes", "writes"),
    registry=RESOURCES,
)
def put_conversation(
    *, user_id: str, conversation_id: ConversationId, title: Title | None = None, metadata: Metadata | None = None
) -> ConversationPut:
    """Set title and metadata; what is left out is emptied. A ref that the user does not have makes a conversation."""
    values = {"title": title, "metadata": metadata}
    try:
        return changing.put(user_id, conversation_id, values)
    except RefConflict:  # another call has just made it
        return changing.put(user_id, conversation_id, values)


@operation(
    title="Change a conversation",
    scope=WRITE,
    idempotent=True,
    example={"title": "The bank"},
    never_empty=("title", "metadata"),
    quotas=("bytes", "writes"),
    registry=RESOURCES,
)
def update_conversation(
    *, user_id: str, conversation_id: ConversationId, title: Title | None = None, metadata: Metadata | None = None
) -> ConversationOut:
    """Change the title, the metadata, or both; what is left out or null stays. To empty one, put the conversation."""
    sent = {name: value for name, value in (("title", title), ("metadata", metadata)) if value is not None}
    with transaction.atomic():
        changed = changing.change(user_id, conversation_id, sent)
    if changed is None:
        raise ConversationNotFound(conversation_id)
    return changed


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
    return ConversationDeleted(id=changing.remove(user_id, conversation_id))


@operation(
    title="Append messages",
    scope=WRITE,
    example=_MESSAGE,
    quotas=("messages", "bytes", "writes"),
    registry=RESOURCES,
)
def append_messages(
    *,
    user_id: str,
    conversation_id: ConversationId,
    messages: Turn,
    replace: Replaced | None = None,
    expected_last: ExpectedLast | None = None,
    idempotency_key: IdempotencyKey | None = None,
) -> MessagesAppended:
    """Append one message or a whole turn, all or nothing, in order.

    Writers of one conversation wait for each other, so turns never interleave. The conversation's updated_at becomes
    the time of the append.
    """
    turn = NewTurn(user_id, conversation_id, messages, replace=replace, expected_last=expected_last)
    appended = append(turn) if idempotency_key is None else append_once(turn, idempotency_key)
    return MessagesAppended(messages=[_shown(row) for row in appended.rows(turn)])


@operation(title="Read messages", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def list_messages(
    *,
    user_id: str,
    conversation_id: ConversationId,
    limit: Limit | None = None,
    last: Last | None = None,
    order: MessageOrder | None = None,
    after: After | None = None,
    cursor: CursorOfEitherOrder | None = None,
) -> MessageList:
    """A conversation's messages in order, page by page; or its last ones, for a model's context window.

    With after, the page begins with what follows that message; it is empty if nothing does. A page holds 4 MiB of
    content at most, and 8 MiB with the items: it then ends early (the last ones begin late), and says that there are
    more.
    """
    if last and (limit or cursor or order or after):
        raise InvalidArguments({"last": "is not possible with limit or cursor, nor with order or after"})
    size, is_backwards = last or limit or PAGE, bool(last) or order == "desc"
    check_order(cursor, is_reversed=is_backwards)
    begin: Any = cursor.id if cursor else None
    if after:
        begin = queries.place_after(user_id, conversation_id, after, cursor, is_backwards=is_backwards)
    messages = queries.list_messages(user_id, conversation_id, begin, is_backwards=is_backwards)
    messages = within_bytes(messages, is_backwards=is_backwards)
    rows = list(messages.values(*_OF_PAGE, "page_content", "page_item")[: size + 1])
    if not rows:  # there are no messages, or there is no such place
        _check_place(user_id, conversation_id, after)
    page = [
        MessageOut(content=row.pop("page_content"), item=as_json(row.pop("page_item")), **row)
        for row in rows[:size]
        if row["page_content"] is not None
    ]
    has_more = len(rows) > len(page)
    if last:
        page.reverse()
    end = Position(page[-1].created_at, page[-1].id) if has_more and not last else None
    return MessageList(
        messages=page, has_more=has_more, next_cursor=end.encode(is_reversed=is_backwards) if end else None
    )


@operation(title="Read a message", scope=READ, read_only=True, idempotent=True, example={}, registry=RESOURCES)
def get_message(*, user_id: str, conversation_id: ConversationId, message_id: MessageId) -> MessageOut:
    """One message."""
    rows = Message.objects.filter(conversation_id=Subquery(own_id(user_id, conversation_id)), **by_key(message_id))
    row = queries.only(rows.values(*MessageOut.model_fields))
    if row is None:
        get_conversation(user_id=user_id, conversation_id=conversation_id)
        raise MessageNotFound(message_id)
    return _shown(row)


@operation(
    title="Append or replace a message",
    scope=WRITE,
    never_empty=("item",),
    idempotent=True,
    example=_MESSAGE,
    quotas=("messages", "bytes", "writes"),
    registry=RESOURCES,
)
def put_message(
    *,
    user_id: str,
    conversation_id: ConversationId,
    message_id: MessageId,
    role: Role,
    content: Content,
    item: Item | None = None,
) -> MessagePut:
    """Set role, content and item of a message; its place and created_at stay. An item that is left out is emptied.

    A ref that the conversation does not have is appended. Put a partial answer again and again while it streams.
    """
    message = MessageIn.model_construct(role=role, content=content, item=item)
    row, is_new = single.put(user_id, conversation_id, message_id, message)
    return MessagePut(stored=_shown(row), is_new=is_new)


@operation(
    title="Delete a message",
    scope=WRITE,
    destructive=True,
    idempotent=True,
    example={},
    quotas=(),
    registry=RESOURCES,
)
def delete_message(*, user_id: str, conversation_id: ConversationId, message_id: MessageId) -> MessageDeleted:
    """Remove one message, for good. A task that was made from it keeps its conversation and loses the message."""
    return MessageDeleted(id=single.remove(user_id, conversation_id, message_id))


def _check_place(user_id: str, conversation_id: Key, after: Key | None) -> None:
    """Check that there is the conversation, and the message after which a list begins."""
    if after:
        get_message(user_id=user_id, conversation_id=conversation_id, message_id=after)
    else:
        get_conversation(user_id=user_id, conversation_id=conversation_id)


def _shown(row: dict[str, Any]) -> MessageOut:
    return MessageOut(**{**row, "item": as_json(row["item"])})
