"""Changing and removing single messages."""

from typing import Any

from django.conf import settings
from django.db import connection, transaction

from conversations.changes.locking import UNLIMITED, bump, check_room, column_of, find, lock, size_of
from conversations.models import STORED_BYTES
from conversations.references import Key
from conversations.retention import remove_messages
from conversations.schemas import MessageIn
from todo_mcp.core.errors import MessageNotFound
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.quotas.usage import check_quotas

# In a locked conversation. A message that is as it should be stays untouched, and so does the conversation.
_PUT = f"""
WITH old AS (
    SELECT id, ref, created_at, {STORED_BYTES} AS size,
        (role, content, item) IS NOT DISTINCT FROM (%(role)s, %(content)s, %(item)s::text) AS is_same
    FROM messages WHERE conversation_id = %(conversation)s AND {{column}} = %(key)s
), grown AS (
    SELECT %(size)s + COALESCE(octet_length(old.ref), octet_length(%(ref)s::text), 0) - COALESCE(old.size, 0) AS size,
        old.id AS old_id FROM (VALUES (1)) AS one LEFT JOIN old ON true WHERE old.is_same IS NOT true
), bumped AS (
    UPDATE conversations SET updated_at = GREATEST(updated_at, clock_timestamp()),
        stored_messages = stored_messages + (grown.old_id IS NULL)::int, stored_bytes = stored_bytes + grown.size
    FROM grown WHERE id = %(conversation)s
        AND (grown.old_id IS NOT NULL OR (%(ref)s::text IS NOT NULL AND stored_messages < %(most)s))
    RETURNING updated_at, grown.size
), changed AS (
    UPDATE messages SET role = %(role)s, content = %(content)s, item = %(item)s::text
    FROM bumped, old WHERE messages.id = old.id
), added AS (
    INSERT INTO messages (conversation_id, user_id, ref, role, content, item, created_at)
    SELECT %(conversation)s, %(user)s, %(ref)s::text, %(role)s, %(content)s, %(item)s::text, updated_at
    FROM bumped WHERE NOT EXISTS (SELECT FROM old)
    RETURNING id, ref, created_at
)
SELECT *, false, (SELECT size FROM bumped) FROM (SELECT id, ref, created_at FROM old) was
UNION ALL SELECT *, true, (SELECT size FROM bumped) FROM added
"""  # noqa: S608


@transaction.atomic(savepoint=False)
def put(user_id: str, key: Key, message_key: Key, message: MessageIn) -> tuple[dict[str, Any], bool]:
    """Change a message. A ref that the conversation does not have is appended. Returns the row, and if it is new.

    Raises:
        ConversationNotFound, MessageNotFound, QuotaExceeded: nothing was done.
    """
    conversation_id = lock(user_id, key)
    values = {
        **message.model_dump(),
        "key": message_key,
        "ref": None if isinstance(message_key, int) else message_key,
        "user": user_id,
        "conversation": conversation_id,
        "size": size_of(message),
        "most": settings.QUOTA_MESSAGES or UNLIMITED,
    }
    with connection.cursor() as cursor:
        cursor.execute(_PUT.format(column=column_of(message_key)), values)
        row = cursor.fetchone()
    if row is None:
        if isinstance(message_key, str):
            check_room(conversation_id, 1)
        raise MessageNotFound(message_key)
    message_id, ref, created_at, is_new, growth = row
    if growth is not None:
        check_quotas(user_id, writes=1, size=growth)
        note_use(writes=1, size=growth)
    place = {"conversation_id": conversation_id, "user_id": user_id, "created_at": created_at}
    return {**message.model_dump(), **place, "id": message_id, "ref": ref}, is_new


@transaction.atomic(savepoint=False)
def remove(user_id: str, key: Key, message_key: Key) -> int:
    """Remove one message. Returns its id.

    Raises:
        ConversationNotFound, MessageNotFound: nothing was done.
    """
    conversation_id = lock(user_id, key, to_remove=True)
    message_id, size = find(conversation_id, message_key)
    remove_messages([message_id])
    bump(user_id, conversation_id, -1, -size)
    note_use(writes=1, size=-size)
    return message_id
