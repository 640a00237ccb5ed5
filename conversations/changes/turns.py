"""Appending a turn: all of it or nothing, and once with one idempotency key."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from conversations.changes.locking import BYTES, bump, find, lock, size_of
from conversations.models import Message
from conversations.queries import list_messages_after, list_messages_before, owned
from conversations.references import Key
from conversations.retention import remove_messages
from conversations.schemas import REPLACED_MAX, MessageIn
from todo_mcp.core.errors import ConversationNotFound, InvalidArguments, RefConflict, VersionConflict
from todo_mcp.idempotency.services import run_once
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.quotas.usage import check_quotas

_INSERT = """
INSERT INTO messages (conversation_id, user_id, created_at, role, content, ref, item)
SELECT %s, %s, %s, turn.* FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS turn
{on_conflict} RETURNING id, ref
"""
# A ref that is taken is no error for PostgreSQL, which would write the statement with its values into its log. Without
# refs, this would cost a record in the write-ahead log for each message.
_LEAVE_OUT = "ON CONFLICT (conversation_id, ref) WHERE ref IS NOT NULL DO NOTHING"


@dataclass(frozen=True)
class NewTurn:
    """A turn to append to the user's conversation with this key.

    Before, the message ``replace`` and all after it are removed, if ``expected_last`` is the last one.
    """

    user_id: str
    key: Key
    messages: Sequence[MessageIn]
    replace: Key | None = None
    expected_last: Key | None = None

    def as_arguments(self) -> list[Any]:
        """What two calls with one idempotency key must have in common."""
        messages = [message.model_dump(exclude_none=True) for message in self.messages]
        is_plain = self.replace is None and self.expected_last is None
        return [self.key, messages, *([] if is_plain else [self.replace, self.expected_last])]


@dataclass(frozen=True)
class Appended:
    """The messages that were appended: their conversation, their ids in order, and the time of the append."""

    conversation_id: int
    ids: list[int]
    created_at: datetime

    def as_result(self) -> dict[str, Any]:
        """What is kept under an idempotency key. It holds no text."""
        return {"conversation": self.conversation_id, "ids": self.ids, "created_at": self.created_at.isoformat()}

    @classmethod
    def of_result(cls, result: Mapping[str, Any], user_id: str) -> "Appended | None":
        """What was kept. None if it was the release before that kept it, and the messages are gone."""
        if "created_at" in result:
            return cls(result["conversation"], result["ids"], datetime.fromisoformat(result["created_at"]))
        messages = Message.objects.filter(pk__in=result["ids"], user_id=user_id)
        for message in messages.only("conversation_id", "created_at"):
            return cls(message.conversation_id, result["ids"], message.created_at)
        return None

    def rows(self, turn: NewTurn) -> list[dict[str, Any]]:
        """The messages as they were appended."""
        place = {"conversation_id": self.conversation_id, "user_id": turn.user_id, "created_at": self.created_at}
        pairs = zip(self.ids, turn.messages, strict=True)
        return [{**message.model_dump(), **place, "id": message_id} for message_id, message in pairs]


@transaction.atomic(savepoint=False)
def append(turn: NewTurn) -> Appended:
    """Append a turn, all or nothing.

    Raises:
        ConversationNotFound, MessageNotFound, VersionConflict, RefConflict, QuotaExceeded, InvalidArguments: nothing
            was done.
    """
    count, size = len(turn.messages), sum(map(size_of, turn.messages))
    if turn.replace is not None or turn.expected_last is not None:
        conversation_id = lock(turn.user_id, turn.key, to_remove=turn.replace is not None)
        if turn.expected_last is not None:
            _check_last(conversation_id, turn.expected_last)
        if turn.replace is not None:
            removed, freed = _remove_from(conversation_id, turn.replace)
            count, size = count - removed, size - freed
    check_quotas(turn.user_id, writes=1, size=size)
    conversation_id, now = bump(turn.user_id, turn.key, count, size)
    ids = _insert(turn, conversation_id, now)
    note_use(writes=1, size=size)
    return Appended(conversation_id, ids, now)


def append_once(turn: NewTurn, idempotency_key: str) -> Appended:
    """Append a turn, or return the result of the first call with this key.

    Raises:
        IdempotencyConflict: the key was used for another turn.
        ConversationNotFound: there is no such conversation, or it was deleted since the first call.
        MessageNotFound, VersionConflict, RefConflict, QuotaExceeded, InvalidArguments: nothing was done.
    """
    result, is_repeated = run_once(
        user_id=turn.user_id,
        operation="append_messages",
        key=idempotency_key,
        arguments=turn.as_arguments(),
        work=lambda: append(turn).as_result(),
    )
    first = Appended.of_result(result, turn.user_id)
    if first is None or (is_repeated and not owned(turn.user_id, first.conversation_id).exists()):
        raise ConversationNotFound(turn.key)
    return first


def _insert(turn: NewTurn, conversation_id: int, now: datetime) -> list[int]:
    """Insert the messages. Returns their ids, in order."""
    refs = Counter(message.ref for message in turn.messages if message.ref)
    columns = [[getattr(message, name) for message in turn.messages] for name in ("role", "content", "ref", "item")]
    with connection.cursor() as cursor:
        sql = _INSERT.format(on_conflict=_LEAVE_OUT if refs else "")
        cursor.execute(sql, [conversation_id, turn.user_id, now, *columns])
        rows = cursor.fetchall()
    if taken := refs - Counter(ref for _, ref in rows):
        raise RefConflict(next(iter(taken)))
    return [message_id for message_id, _ in rows]


def _check_last(conversation_id: int, expected: Key) -> None:
    last_id, last_ref = list_messages_before(conversation_id).values_list("id", "ref").first() or (0, None)
    if expected not in (last_id, last_ref):
        raise VersionConflict(
            f"The last message is {last_id}, not {expected}, and nothing was done. Read the new messages first."
            if last_id
            else f"The conversation has no message, and so not {expected}. Nothing was done. Expect 0.",
            last_message_id=last_id,
        )


def _remove_from(conversation_id: int, key: Key) -> tuple[int, int]:
    """Remove a message and all after it. Returns how many these were, and their bytes."""
    first, _ = find(conversation_id, key)
    rows = list(list_messages_after(conversation_id, first - 1).values_list("pk", BYTES)[: REPLACED_MAX + 1])
    if len(rows) > REPLACED_MAX:
        raise InvalidArguments({"replace": f"would remove more than {REPLACED_MAX:,} messages, which is the limit"})
    remove_messages([message_id for message_id, _ in rows])
    return len(rows), sum(size for _, size in rows)
