"""The release before starts, fills, reads and deletes conversations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from tests.postgres.busy_writer import USER, Connection, Writer

FILLED = "Remind me to call the bank on Friday, before noon, and ask for the new card."
LENGTH = 20  # messages of a conversation from before the migration
SHARED = 1  # the id of such a conversation
FILL = """
    WITH started AS (
        INSERT INTO conversations (user_id, created_at, updated_at) SELECT %(user)s, now(), clock_timestamp()
        FROM generate_series(1, %(count)s / %(length)s) RETURNING id
    )
    INSERT INTO messages (conversation_id, user_id, role, content, created_at)
    SELECT id, %(user)s, 'user', %(content)s, now() FROM started, generate_series(1, %(length)s)
"""
USE_NEW_COLUMNS = """
    WITH named AS (
        UPDATE messages SET ref = 'ref-' || id, item = '{"type":"reasoning"}' WHERE conversation_id BETWEEN 2 AND 900
        RETURNING conversation_id, octet_length(ref) + octet_length(item) AS bytes
    )
    UPDATE conversations SET stored_bytes = stored_bytes + added.bytes
    FROM (SELECT conversation_id, sum(bytes) AS bytes FROM named GROUP BY conversation_id) added
    WHERE conversations.id = added.conversation_id
"""  # in conversations that no writer uses
# The statements of the release before, which knows only these columns.
START = """
    INSERT INTO conversations (user_id, created_at, updated_at, stored_messages, stored_bytes)
    VALUES (%s, now(), now(), 0, 0) RETURNING id
"""
BUMP = """
    UPDATE conversations SET updated_at = GREATEST(updated_at, clock_timestamp()),
        stored_messages = stored_messages + 2, stored_bytes = stored_bytes + %s
    WHERE id = %s AND user_id = %s AND stored_messages + 2 <= 1000000
    RETURNING updated_at, set_config('todo_mcp.messages_counted', 'yes', true)
"""
INSERT = """
    INSERT INTO messages (conversation_id, user_id, role, content, created_at)
    VALUES (%(id)s, %(user)s, 'user', %(question)s, %(now)s), (%(id)s, %(user)s, 'assistant', %(answer)s, %(now)s)
    RETURNING id
"""
UNCOUNTED = """
    INSERT INTO messages (conversation_id, user_id, role, content) VALUES (%s, %s, 'user', %s) RETURNING id
"""  # raw SQL, which the trigger counts
READ = """
    SELECT id, conversation_id, user_id, role, created_at, content FROM messages
    WHERE (conversation_id, id) < ((SELECT %(id)s::bigint), 9223372036854775807) AND conversation_id >= (
        SELECT id FROM conversations WHERE id = %(id)s AND user_id = %(user)s
    ) ORDER BY conversation_id DESC, id DESC LIMIT 21
"""
LIST = """
    SELECT id, user_id, created_at, updated_at FROM conversations
    WHERE user_id = %s ORDER BY user_id DESC, updated_at DESC, id DESC LIMIT 51
"""
LOCK = "SELECT stored_bytes FROM conversations WHERE id = %s AND user_id = %s FOR UPDATE"
WRITTEN = """
    SELECT conversation_id, array_agg(content ORDER BY id) FROM messages WHERE content <> %s GROUP BY conversation_id
"""
MISCOUNTED = """
    SELECT count(*) FROM conversations LEFT JOIN (
        SELECT conversation_id, count(*) AS messages, sum(octet_length(content) + 500) AS bytes
        FROM messages GROUP BY conversation_id
    ) counted ON conversation_id = conversations.id
    WHERE (stored_messages, stored_bytes) IS DISTINCT FROM (messages, bytes)
"""


@dataclass
class MessageWriter(Writer):
    """It writes to conversations of its own, and to one from before the migration that all writers share."""

    app = "conversations"
    before = "0008"
    tables = ("conversations", "messages")

    own: dict[int, list[str]] = field(default_factory=dict)  # id → contents
    to_shared: list[str] = field(default_factory=list)

    @classmethod
    def fill(cls, connection: Connection, count: int) -> None:
        connection.execute(FILL, {"user": USER, "content": FILLED, "length": LENGTH, "count": count})

    @classmethod
    def use_new_columns(cls, connection: Connection) -> None:
        assert connection.execute(USE_NEW_COLUMNS).rowcount == 899

    def _round(self, connection: Connection) -> None:
        with self._call():
            [(own,)] = connection.execute(START, [USER]).fetchall()
        self.own[own] = self._append(connection, own)
        self.own[own].append(f"Uncounted {self.calls}")
        with self._call():
            connection.execute(UNCOUNTED, [own, USER, self.own[own][-1]])
        if self.calls % 7 == 0:  # seldom, because a conversation may be full
            self.to_shared += self._append(connection, SHARED)
        with self._call():
            assert len(connection.execute(READ, {"id": own, "user": USER}).fetchall()) == 3
        with self._call():
            assert connection.execute(LIST, [USER]).fetchone()
        if len(self.own) % 3 == 0:
            self._delete(connection, own)

    def _append(self, connection: Connection, conversation_id: int) -> list[str]:
        turn = [f"Question {self.calls}", f"Answer {self.calls}"]
        size = sum(500 + len(content) for content in turn)
        with self._call(), connection.transaction():
            [(now, _)] = connection.execute(BUMP, [size, conversation_id, USER]).fetchall()
            row = {"id": conversation_id, "user": USER, "question": turn[0], "answer": turn[1], "now": now}
            connection.execute(INSERT, row)
        return turn

    def _delete(self, connection: Connection, conversation_id: int) -> None:
        with self._call(), connection.transaction():
            assert connection.execute(LOCK, [conversation_id, USER]).fetchone()
            assert (
                connection.execute("DELETE FROM messages WHERE conversation_id = %s", [conversation_id]).rowcount == 3
            )
            connection.execute("DELETE FROM conversations WHERE id = %s", [conversation_id])
        del self.own[conversation_id]

    @classmethod
    def lost(cls, writers: Sequence[Self], connection: Connection, rows: int) -> list[str]:
        written = dict(connection.execute(WRITTEN, [FILLED]).fetchall())
        [(filled,)] = connection.execute("SELECT count(*) FROM messages WHERE content = %s", [FILLED]).fetchall()
        [(miscounted,)] = connection.execute(MISCOUNTED).fetchall()
        shared = written.pop(SHARED, [])
        is_kept = {
            "messages": written == {one: contents for writer in writers for one, contents in writer.own.items()},
            "messages of two writers": sorted(shared) == sorted(one for writer in writers for one in writer.to_shared),
            "counts": miscounted == 0,
            "filled rows": filled == rows,
        }
        return [name for name, kept in is_kept.items() if not kept]
