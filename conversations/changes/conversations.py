"""Changes of conversations themselves: making one, and changing its title and metadata."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from conversations.models import Conversation
from conversations.queries import only, owned
from conversations.references import Key
from conversations.retention import remove_conversations
from conversations.schemas import ConversationOut, ConversationPut
from todo_mcp.core.errors import ConversationNotFound, RefConflict, UserNotFound
from todo_mcp.core.json_text import as_json
from todo_mcp.idempotency.services import run_once
from todo_mcp.postgres.health.causes import violates_user_key
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.quotas.usage import ROW_BYTES, check_quotas

_CREATE = """
INSERT INTO conversations (user_id, ref, title, metadata, created_at, updated_at)
VALUES (%(user_id)s, %(ref)s, %(title)s, %(metadata)s, %(created_at)s, %(updated_at)s)
{on_conflict} RETURNING id
"""
# A ref that is taken is no error for PostgreSQL, which would write the statement with its values into its log. Without
# a ref, this would cost a record in the write-ahead log.
_LEAVE_OUT = "ON CONFLICT (user_id, ref) WHERE ref IS NOT NULL DO NOTHING"
_SENT = ("ref", "title", "metadata")  # what a caller sends of a conversation, as it is stored
_MADE = ("id", "user_id", "created_at", "updated_at")


def start(user_id: str, sent: Mapping[str, str | None], idempotency_key: str | None) -> ConversationOut:
    """Make an empty conversation, once with this key. ``sent`` has ``ref``, ``title`` and ``metadata``.

    Raises:
        UserNotFound, QuotaExceeded, RefConflict, IdempotencyConflict: nothing was done.
    """
    with _existing(user_id):
        if idempotency_key is None:
            return _create(user_id, sent)
        result, _ = run_once(
            user_id=user_id,
            operation="create_conversation",
            key=idempotency_key,
            arguments=[pair for pair in sent.items() if pair[1] is not None],
            work=lambda: _create(user_id, sent).model_dump(mode="json", include=set(_MADE)),
        )
    return as_output({**result, **sent})


def _create(user_id: str, sent: Mapping[str, str | None]) -> ConversationOut:
    size, now = _size_of(sent), timezone.now()
    check_quotas(user_id, writes=1, size=size)
    row = {"user_id": user_id, "created_at": now, "updated_at": now, **sent}
    with connection.cursor() as cursor:
        cursor.execute(_CREATE.format(on_conflict=_LEAVE_OUT if sent["ref"] else ""), row)
        made = cursor.fetchone()
    if made is None:
        raise RefConflict(sent["ref"] or "")
    note_use(writes=1, size=size)
    return as_output({**row, "id": made[0]})


def put(user_id: str, key: Key, changes: Mapping[str, str | None]) -> ConversationPut:
    """Change a conversation. One with a ref that the user does not have is made.

    Raises:
        ConversationNotFound, UserNotFound, QuotaExceeded: nothing was done.
        RefConflict: another call has just made it.
    """
    with _existing(user_id), transaction.atomic():
        if changed := change(user_id, key, changes):
            return ConversationPut(stored=changed, is_new=False)
        if isinstance(key, int):
            raise ConversationNotFound(key)
        return ConversationPut(stored=_create(user_id, {**changes, "ref": key}), is_new=True)


def change(user_id: str, key: Key, changes: Mapping[str, str | None]) -> ConversationOut | None:
    """Change a conversation in the caller's transaction. None if the user has no such one.

    Raises:
        QuotaExceeded: nothing was done.
    """
    row = only(owned(user_id, key).select_for_update(no_key=True).values(*ConversationOut.model_fields))
    if row is None or not changes:
        return row and as_output(row)
    growth = _size_of({**row, **changes}) - _size_of(row)
    check_quotas(user_id, writes=1, size=growth)
    Conversation.objects.filter(pk=row["id"]).update(**changes)
    note_use(writes=1, size=growth)
    return as_output({**row, **changes})


@transaction.atomic(savepoint=False)
def remove(user_id: str, key: Key) -> int:
    """Remove a conversation with its messages. Returns its id.

    Raises:
        ConversationNotFound: nothing was done.
    """
    row = only(owned(user_id, key).select_for_update().values("id", "stored_bytes", *_SENT))
    if row is None:
        raise ConversationNotFound(key)
    conversation_id: int = row["id"]
    remove_conversations([conversation_id])
    note_use(writes=1, size=-_size_of(row) - row["stored_bytes"])
    return conversation_id


def as_output(row: Mapping[str, Any]) -> ConversationOut:
    """The row as answers have it."""
    return ConversationOut(**{**row, "metadata": as_json(row["metadata"])})


@contextmanager
def _existing(user_id: str) -> Iterator[None]:
    """Convert the violation that the commit finds if the user was erased after the token check."""
    try:
        yield
    except IntegrityError as error:
        if not violates_user_key(error):
            raise
        raise UserNotFound(user_id) from None


def _size_of(row: Mapping[str, Any]) -> int:
    """The bytes that a conversation takes without its messages."""
    return ROW_BYTES + sum(len((row[name] or "").encode()) for name in _SENT)
