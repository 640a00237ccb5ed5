"""Migrates filled tables forward and back, while the release before writes to them.

``make migrate-busy`` does it with a million tasks, then with a million messages. Without DATABASE_URL, it starts a
temporary PostgreSQL. It prints what it saw as JSON. It fails if a call was refused or waited longer than the limit, or
if a write is not there at the end.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread, Timer
from typing import Any

import django
import psycopg
from django.core.management import call_command
from django.db import connection

import tests.support.postgres  # noqa: F401 (it sets the environment, so it comes before Django's settings)
from tests.postgres.busy_messages import MessageWriter
from tests.postgres.busy_tasks import TaskWriter
from tests.postgres.busy_writer import USER, Writer

WRITERS: dict[str, type[Writer]] = {"tasks": TaskWriter, "messages": MessageWriter}
BATCH = 10_000  # rows of one statement; one for all would take quadratic time
HELD = 2.0  # seconds
_ADD_USER = """
    INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
    VALUES (%s, '', '', '', true, false, false, now())
"""


def _migrate(*arguments: str) -> None:
    call_command("migrate", *arguments, verbosity=0)


def rehearse(url: str, kind: type[Writer], rows: int) -> dict[str, Any]:
    """Fill the tables, then migrate forward, back and forward under writes. Returns what happened."""
    _migrate("users")
    _migrate(kind.app, kind.before)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_ADD_USER, [USER])
        for first in range(0, rows, BATCH):
            kind.fill(connection, min(BATCH, rows - first))
        connection.execute(f"ANALYZE {', '.join(kind.tables)}")
        with _writing([kind(url), kind(url)]) as writers:
            seconds = {"forward": _migrate_busy(url, kind)}
            kind.use_new_columns(connection)
            seconds |= {"back": _migrate_busy(url, kind, kind.before), "forward again": _migrate_busy(url, kind)}
        lost = kind.lost(writers, connection, rows)
    return {
        "rows": rows,
        **seconds,
        "calls": sum(writer.calls for writer in writers),
        "errors": [error for writer in writers for error in writer.errors],
        "longest": round(max(writer.longest for writer in writers), 3),
        "lost": lost,
    }


@contextmanager
def _writing(writers: list[Writer]) -> Iterator[list[Writer]]:
    threads = [Thread(target=writer.run) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stopping = True
        for thread in threads:
            thread.join()


def _migrate_busy(url: str, kind: type[Writer], *target: str) -> float:
    """The seconds of a migration that begins while a long transaction has read each table."""
    with psycopg.connect(url) as reader:
        for table in kind.tables:
            reader.execute(f"SELECT FROM {table} LIMIT 1")
        release = Timer(HELD, reader.rollback)
        release.start()
        started = time.monotonic()
        _migrate(kind.app, *target)
        release.join()
    return round(time.monotonic() - started, 1)


def main(kind: str, rows: int, limit: float) -> int:
    connection.ensure_connection()
    report = rehearse(connection.connection.info.dsn, WRITERS[kind], rows)
    print(json.dumps(report))
    return int(bool(report["errors"] or report["lost"] or report["longest"] > limit))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "todo_mcp.settings")
    django.setup()
    sys.exit(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
