"""Migrates a filled table of tasks forward and back, while the release before adds, changes and deletes tasks.

``make migrate-busy`` does it with a million rows. Without DATABASE_URL, it starts a temporary PostgreSQL. It prints
what it saw as JSON. It fails if a write was refused, waited longer than the limit, or is not there at the end.
"""

import json
import os
import sys
import time
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import django
import psycopg
from django.core.management import call_command
from django.db import connection

import tests.support.postgres  # noqa: F401 (it sets the environment, so it comes before Django's settings)

USER = "alice"
BEFORE = "0004"  # the last migration of the release before
FILLED = "Filled"
BATCH = 10_000
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
class Writer:
    """The release before. It knows how each of its tasks must look, and how many versions its history must have."""

    url: str
    stopping: bool = False
    tasks: dict[int, tuple[str, bool, bool]] = field(default_factory=dict)  # id → title, completed, deleted
    versions: dict[int, int] = field(default_factory=dict)
    longest: float = 0.0
    statements: int = 0
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.stopping:
                try:
                    self._round(connection)
                except psycopg.Error as error:
                    self.errors.append(repr(error))
                    return

    def _round(self, connection: "psycopg.Connection[Any]") -> None:
        [(task_id,)] = self._execute(connection, INSERT, USER, f"Task {self.statements}")
        title = f"Renamed {self.statements}"
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

    def _execute(self, connection: "psycopg.Connection[Any]", sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        started = time.monotonic()
        cursor = connection.execute(sql, parameters)
        rows = cursor.fetchall() if cursor.description else []
        assert cursor.description or cursor.rowcount == 1, "the write has found its task"
        self.longest = max(self.longest, time.monotonic() - started)
        self.statements += 1
        return rows

    def lost(self, connection: "psycopg.Connection[Any]") -> list[str]:
        """What is not there as it was written."""
        rows = connection.execute(
            "SELECT id, title, completed, deleted_at IS NOT NULL FROM tasks WHERE user_id = %s AND title <> %s",
            [USER, FILLED],
        ).fetchall()
        events = connection.execute(
            "SELECT pgh_obj_id, count(*) FROM task_events WHERE title <> %s GROUP BY pgh_obj_id", [FILLED]
        ).fetchall()
        lost = [] if {one: tuple(rest) for one, *rest in rows} == self.tasks else ["tasks"]
        return lost + ([] if dict(events) == self.versions else ["versions"])


def rehearse(url: str, rows: int) -> dict[str, Any]:
    """Fill the table, then migrate forward, back and forward under writes. Returns what happened."""

    def migrate(*arguments: str) -> None:
        call_command("migrate", *arguments, verbosity=0)

    migrate("tasks", BEFORE)
    report: dict[str, Any] = {"rows": rows}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at) "
            "VALUES (%s, '', '', '', true, false, false, now())",
            [USER],
        )
        for first in range(0, rows, BATCH):  # one statement for all would take quadratic time
            connection.execute(
                "INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at) "
                "SELECT %s, %s, '', false, clock_timestamp(), now() FROM generate_series(1, %s)",
                [USER, FILLED, min(BATCH, rows - first)],
            )
        connection.execute("ANALYZE tasks, task_events")
        writers = [Writer(url) for _ in range(2)]
        threads = [Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        for name, target in (("forward", ()), ("back", (BEFORE,)), ("forward again", ())):
            started = time.monotonic()
            migrate("tasks", *target)
            report[name] = round(time.monotonic() - started, 1)
            time.sleep(0.2)
        for writer in writers:
            writer.stopping = True
        for thread in threads:
            thread.join()
        everything = Writer(url)
        for writer in writers:
            everything.tasks |= writer.tasks
            everything.versions |= writer.versions
        [(filled, versions)] = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE version = 1 AND tags = '{}' AND checklist = '[]') FROM tasks "
            "WHERE title = %s",
            [FILLED],
        ).fetchall()
    return report | {
        "statements": sum(writer.statements for writer in writers),
        "errors": [error for writer in writers for error in writer.errors],
        "longest": round(max(writer.longest for writer in writers), 3),
        "lost": everything.lost(psycopg.connect(url)) + ([] if filled == versions == rows else ["filled rows"]),
    }


def main(rows: int, limit: float) -> int:
    connection.ensure_connection()
    report = rehearse(connection.connection.info.dsn, rows)
    print(json.dumps(report))
    return int(bool(report["errors"] or report["lost"] or report["longest"] > limit))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todo_mcp.settings")
    django.setup()
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
