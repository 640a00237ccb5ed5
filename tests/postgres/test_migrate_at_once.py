"""Several `manage.py migrate` at once: one migrates, the others wait, and all of them succeed."""

import os
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from django.db import connection

from tests.postgres.test_compiled import ask
from tests.postgres.test_migrations import server
from tests.support.processes import PATIENCE, eventually
from tests.support.server_process import ROOT, environment_with, manage_command
from todo_mcp.postgres.upkeep.turns import MIGRATIONS, turn

WAITS = """
    SELECT count(*) > 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_try_advisory_xact_lock%'
        AND datname = current_database()
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


def test_a_process_that_waits_holds_no_snapshot(committed: None) -> None:
    """CREATE INDEX CONCURRENTLY waits for snapshots: a process that waits with one would block it, and both forever."""
    with turn(MIGRATIONS), connection.cursor() as cursor:
        name = cursor.connection.info.dbname
        waiting = begin(os.environ["DATABASE_URL"].replace("/postgres?", f"/{name}?"))
        try:
            eventually(lambda: ask(WAITS), "the other process to wait")
            cursor.execute("SET statement_timeout = '20s'")
            cursor.execute("CREATE INDEX CONCURRENTLY not_blocked ON tasks (title)")
            cursor.execute("DROP INDEX not_blocked")
            assert waiting.poll() is None
        finally:
            cursor.execute("RESET statement_timeout")
            connection.close()
    assert finished(waiting) == 0
