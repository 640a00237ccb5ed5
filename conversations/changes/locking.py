"""The locked conversation, in which messages change.

Each change takes the conversation's row first, so writers of one conversation wait for each other and no two of them
can deadlock. What it reads of the messages, it reads in a later statement, which sees what the writer before committed.
"""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models.expressions import RawSQL

from conversations.models import COUNTED, STORED_BYTES, Conversation, Message
from conversations.queries import only
from conversations.references import Key, by_key
from conversations.schemas import MessageIn
from todo_mcp.core.errors import ConversationNotFound, MessageNotFound, QuotaExceeded
from todo_mcp.quotas.usage import ROW_BYTES

UNLIMITED = 2**31 - 1
BYTES = RawSQL(STORED_BYTES, [])  # noqa: S611 (a constant)
_COUNTED = f"set_config('{COUNTED}', 'yes', true)"
# Locks out other writers until the commit. The filter checks the owner.
_BUMP = f"""
UPDATE conversations SET updated_at = GREATEST(updated_at, clock_timestamp()),
    stored_messages = stored_messages + %(count)s, stored_bytes = stored_bytes + %(size)s
WHERE {{column}} = %(key)s AND user_id = %(user)s AND stored_messages + %(count)s <= %(most)s
RETURNING id, updated_at, {_COUNTED}
"""  # noqa: S608 (constants)
_LOCK = f"""
SELECT id, {_COUNTED} FROM conversations WHERE {{column}} = %(key)s AND user_id = %(user)s FOR {{strength}}
"""  # noqa: S608


def lock(user_id: str, key: Key, *, to_remove: bool = False) -> int:
    """Lock a conversation until the commit, and say that this transaction counts its messages. Returns its id.

    Before messages are removed, ``to_remove`` locks out who adds a task that was made from one of them, too. Otherwise
    that task could refer to a message that is gone.
    """
    sql = _LOCK.format(column=column_of(key), strength="UPDATE" if to_remove else "NO KEY UPDATE")
    with connection.cursor() as cursor:
        cursor.execute(sql, {"key": key, "user": user_id})
        row = cursor.fetchone()
    if row is None:
        raise ConversationNotFound(key)
    conversation_id: int = row[0]
    return conversation_id


def bump(user_id: str, key: Key, count: int, size: int) -> tuple[int, datetime]:
    """Lock a conversation, and note what is added or, if negative, removed. Returns its id and the time.

    Raises:
        ConversationNotFound, QuotaExceeded: nothing was done.
    """
    row = _bump(user_id, key, count, size)
    if row is None:  # it is missing or full; or it was deleted while this waited, and a new one has its ref
        check_room(lock(user_id, key), count)
        row = _bump(user_id, key, count, size)
    return row[0], row[1]


def _bump(user_id: str, key: Key, count: int, size: int) -> Any:
    most = settings.QUOTA_MESSAGES if settings.QUOTA_MESSAGES and count > 0 else UNLIMITED
    values = {"key": key, "user": user_id, "count": count, "size": size, "most": most}
    with connection.cursor() as cursor:
        cursor.execute(_BUMP.format(column=column_of(key)), values)
        return cursor.fetchone()


def check_room(conversation_id: int, added: int) -> None:
    """Check that a locked conversation may get so many messages more.

    Raises:
        QuotaExceeded: it may not.
    """
    count = Conversation.objects.values_list("stored_messages", flat=True).get(pk=conversation_id)
    limit = settings.QUOTA_MESSAGES
    if limit and count + added > limit:
        raise QuotaExceeded(
            "messages",
            limit,
            f"the quota of messages in a conversation is {limit:,}, this one has {count:,}, and the call adds "
            f"{added:,}",
            "Go on in a new conversation; to free its bytes, delete this one.",
            used=count,
        )


def find(conversation_id: int, key: Key) -> tuple[int, int]:
    """The id of a message of this conversation, and its bytes."""
    found: tuple[int, int] | None = only(
        Message.objects.filter(conversation_id=conversation_id, **by_key(key)).values_list("pk", BYTES)
    )
    if found is None:
        raise MessageNotFound(key)
    return found


def size_of(message: MessageIn) -> int:
    """What a new message takes of its user's quota of bytes, as ``STORED_BYTES`` computes it."""
    return ROW_BYTES + sum(len((text or "").encode()) for text in (message.content, message.ref, message.item))


def column_of(key: Key) -> str:
    return "id" if isinstance(key, int) else "ref"
