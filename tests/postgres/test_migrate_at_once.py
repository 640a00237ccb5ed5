"""Several `manage.py migrate` at once: one migrates, the others wait, and all of them succeed."""

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from tests.postgres.test_migrations import server
from tests.support.processes import PATIENCE, eventually
from tests.support.server_process import ROOT, environment_with, manage_command
from todo_mcp.postgres.upkeep.turns import MIGRATIONS, turn

# The process that waits has two sessions: one for its work, and one that asks for its turn again and again.
ASKS = """
    SELECT state = 'idle', xact_start FROM pg_stat_activity
    WHERE datname = current_database() AND backend_start > %s AND query = 'ROLLBACK'
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with server("18") as url:
        yield url


def begin(url: str, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        manage_command("migrate", "-v1", *arguments), cwd=ROOT, env=environment_with({"DATABASE_URL": url}),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def execute(cursor: Any, sql: str, *values: object) -> list[tuple[Any, ...]]:
    cursor.execute(sql, values)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def finished(process: "subprocess.Popen[str]") -> int:
    """The exit code, after the end."""
    process.communicate(timeout=PATIENCE)
    return process.returncode


@pytest.mark.parametrize("before", ["an empty database", "half of the migrations"])
def test_both_exit_with_0_and_each_migration_is_applied_once(url: str, before: str) -> None:
    """Several migrations are not in a transaction, and some create an index concurrently."""
    name = before.replace(" ", "_")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = url.replace("/postgres?", f"/{name}?")
    if before.startswith("half"):
        for label, target in (("tasks", "0004"), ("conversations", "0003")):
            assert finished(begin(url, label, target)) == 0
    both = [begin(url) for _ in range(3)]
    outputs = [process.communicate(timeout=PATIENCE * 3)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0, 0], outputs
    assert sum("No migrations to apply" in output for output in outputs) == 2
    with psycopg.connect(url) as connection:
        doubled = connection.execute("SELECT app, name FROM django_migrations GROUP BY 1, 2 HAVING count(*) > 1")
        assert doubled.fetchall() == []
        invalid = connection.execute("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid")
        assert invalid.fetchall() == []


def test_a_process_that_waits_has_no_transaction(committed: None) -> None:
    """CREATE INDEX CONCURRENTLY waits for the end of transactions that had a snapshot: both would wait forever."""
    with turn(MIGRATIONS), connection.cursor() as cursor:
        name = cursor.connection.info.dbname
        [(before,)] = execute(cursor, "SELECT clock_timestamp()")
        waiting = begin(os.environ["DATABASE_URL"].replace("/postgres?", f"/{name}?"))
        try:
            eventually(lambda: execute(cursor, ASKS, before) == [(True, None)], "the other process to wait")
            cursor.execute("SET statement_timeout = '20s'")
            cursor.execute("CREATE INDEX CONCURRENTLY not_blocked ON tasks (title)")
            cursor.execute("DROP INDEX not_blocked")
            assert waiting.poll() is None
        finally:
            cursor.execute("RESET statement_timeout")
            connection.close()
    assert finished(waiting) == 0
