"""The release before adds, changes and deletes tasks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from tests.postgres.busy_writer import USER, Connection, Writer

FILLED = "Filled"
# The statements of the release before, which knows only these columns.
INSERT = """
    INSERT INTO tasks (user_id, title, description, completed, completed_at, created_at, updated_at, deleted_at,
        conversation_id, message_id)
    VALUES (%s, %s, '', false, NULL, now(), now(), NULL, NULL, NULL) RETURNING id
"""
RENAME = "UPDATE tasks SET title = %s, updated_at = now() WHERE id = %s AND user_id = %s AND deleted_at IS NULL"
COMPLETE = "UPDATE tasks SET completed = true, completed_at = now(), updated_at = now() WHERE id = %s AND NOT completed"
TRASH = "UPDATE tasks SET deleted_at = now(), updated_at = now() WHERE id = %s AND deleted_at IS NULL"
PURGE = "DELETE FROM tasks WHERE id = %s"
LIST = (
    "SELECT id, title FROM tasks WHERE user_id = %s AND deleted_at IS NULL ORDER BY created_at DESC, id DESC LIMIT 50"
)


@dataclass
class TaskWriter(Writer):
    """It also knows how many versions the history of each of its tasks must have."""

    app = "tasks"
    before = "0004"
    tables = ("tasks", "task_events")

    tasks: dict[int, tuple[str, bool, bool]] = field(default_factory=dict)  # id → title, completed, deleted
    versions: dict[int, int] = field(default_factory=dict)

    @classmethod
    def fill(cls, connection: Connection, count: int) -> None:
        connection.execute(
            "INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at) "
            "SELECT %s, %s, '', false, clock_timestamp(), now() FROM generate_series(1, %s)",
            [USER, FILLED, count],
        )

    def _round(self, connection: Connection) -> None:
        [(task_id,)] = self._execute(connection, INSERT, USER, f"Task {self.calls}")
        title = f"Renamed {self.calls}"
        self._execute(connection, RENAME, title, task_id, USER)
        self._execute(connection, COMPLETE, task_id)
        kind = len(self.versions) % 3
        if kind:
            self._execute(connection, TRASH, task_id)
        if kind == 1:
            self._execute(connection, PURGE, task_id)
        else:
            self.tasks[task_id] = (title, True, bool(kind))
        self.versions[task_id] = (3, 5, 4)[kind]
        self._execute(connection, LIST, USER)

    def _execute(self, connection: Connection, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._call():
            cursor = connection.execute(sql, parameters)
            rows = cursor.fetchall() if cursor.description else []
        assert cursor.description or cursor.rowcount == 1, "the write has found its task"
        return rows

    @classmethod
    def lost(cls, writers: Sequence[Self], connection: Connection, rows: int) -> list[str]:
        written = connection.execute(
            "SELECT id, title, completed, deleted_at IS NOT NULL FROM tasks WHERE user_id = %s AND title <> %s",
            [USER, FILLED],
        ).fetchall()
        events = connection.execute(
            "SELECT pgh_obj_id, count(*) FROM task_events WHERE title <> %s GROUP BY pgh_obj_id", [FILLED]
        ).fetchall()
        [(filled, versions)] = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE version = 1 AND tags = '{}' AND checklist = '[]') FROM tasks "
            "WHERE title = %s",
            [FILLED],
        ).fetchall()
        tasks = {task_id: task for writer in writers for task_id, task in writer.tasks.items()}
        expected = {task_id: count for writer in writers for task_id, count in writer.versions.items()}
        is_kept = {
            "tasks": {one: tuple(rest) for one, *rest in written} == tasks,
            "versions": dict(events) == expected,
            "filled rows": filled == versions == rows,
        }
        return [name for name, kept in is_kept.items() if not kept]
