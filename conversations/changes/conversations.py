"""Changes of conversations themselves: making one, and changing its title and metadata."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from conversations.models import Conversation
from conversations.queries import only, owned
from conversations.references import Key
from conversations.retention import remove_conversations
from conversations.schemas import ConversationOut, ConversationPut
from todo_mcp.core.errors import ConversationNotFound, RefConflict, UserNotFound
from todo_mcp.core.json_text import as_json
from todo_mcp.idempotency.services import run_once
from todo_mcp.postgres.health.causes import violated_constraint, violates_user_key
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.quotas.usage import ROW_BYTES, check_quotas

UNIQUE_REF = "conversations_ref"  # the constraint
_SENT = ("ref", "title", "metadata")  # what a caller sends of a conversation, as it is stored
_MADE = ("id", "user_id", "created_at", "updated_at")


def start(user_id: str, sent: Mapping[str, str | None], idempotency_key: str | None) -> ConversationOut:
    """Make an empty conversation, once with this key. ``sent`` has ``ref``, ``title`` and ``metadata``.

    Raises:
        UserNotFound, QuotaExceeded, RefConflict, IdempotencyConflict: nothing was done.
    """
    with _known_violations(user_id, sent["ref"]):
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
    made = Conversation.objects.create(user_id=user_id, created_at=now, updated_at=now, **sent)
    note_use(writes=1, size=size)
    return as_output({name: getattr(made, name) for name in (*_MADE, *_SENT)})


def put(user_id: str, key: Key, changes: Mapping[str, str | None]) -> ConversationPut:
    """Change a conversation. One with a ref that the user does not have is made.

    Raises:
        ConversationNotFound, UserNotFound, QuotaExceeded: nothing was done.
        RefConflict: another call has just made it.
    """
    with _known_violations(user_id, key), transaction.atomic():
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
def _known_violations(user_id: str, ref: Key | None) -> Iterator[None]:
    """The ref is taken, or the user was erased after the token check. In a transaction, its commit finds the latter."""
    try:
        yield
    except IntegrityError as error:
        if violates_user_key(error):
            raise UserNotFound(user_id) from None
        if violated_constraint(error) == UNIQUE_REF:
            raise RefConflict(str(ref)) from None
        raise


def _size_of(row: Mapping[str, Any]) -> int:
    """The bytes that a conversation takes without its messages."""
    return ROW_BYTES + sum(len((row[name] or "").encode()) for name in _SENT)
