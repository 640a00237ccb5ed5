"""How statements get behind the wall: one at a time, with their own errors, and the session is the login after it."""

from threading import Timer
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from pytest_django.fixtures import Settings

from tasks.models import Task
from tests.postgres.test_wall import as_role
from tests.support.factories import TaskFactory
from todo_mcp.postgres import wall
from todo_mcp.postgres.wall import behind_wall
from todo_mcp.users.models import User

NOBODY = ("none", "")


@pytest.fixture
def task(committed: None, bob: User) -> int:
    """A task of Bob's."""
    return TaskFactory.create(user=bob).pk


def who() -> tuple[Any, ...]:
    """The role and the user of the session now, outside of every operation."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('role'), coalesce(current_setting('app.user_id', true), '')")
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def test_after_a_statement_the_session_is_the_login_again(task: int) -> None:
    assert [row[:2] for row in as_role("bob", "SELECT current_setting('app.user_id'), 1")] == [("bob", 1)]
    assert who() == NOBODY
    with pytest.raises(DatabaseError):
        as_role("bob", "SELECT 1/0")
    assert who() == NOBODY


def test_a_transaction_around_an_operation_goes_on_as_the_login(task: int) -> None:
    with transaction.atomic():
        with behind_wall("charlie"):
            assert not Task.objects.filter(pk=task).exists()
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT 1/0")
            assert not Task.objects.filter(pk=task).exists()
        assert who()[0] == "none"
        assert Task.objects.filter(pk=task).exists()


def test_if_the_role_cannot_be_asked_for_the_next_statement_asks_again(
    task: int, charlie: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stays open, and no statement runs without the wall."""
    connection.connection.role = None
    with monkeypatch.context() as patch:
        patch.setattr(wall, "role_of", lambda asked: psycopg.Cursor(asked).execute("SELECT 1/0"))
        with pytest.raises(DatabaseError):
            as_role("charlie", "SELECT id FROM tasks")
    assert as_role("charlie", "SELECT id FROM tasks") == []


def test_open_connections_use_a_wall_that_a_migration_raises(
    task: int, charlie: User, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.ROW_LEVEL_SECURITY = False
    wall.raise_wall()
    settings.ROW_LEVEL_SECURITY = True
    try:
        assert as_role("charlie", "SELECT count(*) > 0 FROM tasks") == [(True,)]
        without_wall = connection.connection.role
    finally:
        wall.raise_wall()
    connection.connection.role = without_wall  # as in another process than the migration's
    assert as_role("charlie", "SELECT count(*) > 0 FROM tasks") == [(True,)]
    monkeypatch.setattr(connection.connection, "role_until", 0.0)
    assert as_role("charlie", "SELECT count(*) > 0 FROM tasks") == [(False,)]


def test_one_statement_at_a_time_runs_behind_the_wall(task: int) -> None:
    with behind_wall("bob"), connection.cursor() as cursor, pytest.raises(DatabaseError, match="one statement"):
        cursor.executemany("SELECT %s", [[1], [2]])


def compiled(sql: str, *values: object, prepare: bool | None = None) -> list[tuple[Any, ...]]:
    """The rows of a statement with parameters, as compiled statements run, behind Bob's wall."""
    connection.ensure_connection()
    with behind_wall("bob"):
        cursor = connection.connection.bare_cursor
        rows: list[tuple[Any, ...]] = cursor.execute(sql, values, prepare=prepare, binary=True).fetchall()
        return rows


@pytest.mark.parametrize("prepare", [None, True, False], ids=["prepared later", "prepared", "never prepared"])
def test_compiled_statements_run_behind_the_wall_however_often_they_run(prepare: bool | None, task: int) -> None:
    sql = "SELECT current_setting('app.user_id'), %s::int, count(*) FROM users"
    assert [compiled(sql, number, prepare=prepare) for number in range(12)] == [[("bob", n, 1)] for n in range(12)]
    assert who() == NOBODY


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELEC %s::int", psycopg.errors.SyntaxError),
        ("SELECT 1/%s::int", psycopg.errors.DivisionByZero),
        ("SELECT pg_sleep(%s::int + 9)", psycopg.errors.QueryCanceled),
    ],
)
@pytest.mark.parametrize("prepare", [True, False])
def test_an_error_of_a_compiled_statement_is_its_own_and_the_next_one_works(
    sql: str, error: type[Exception], prepare: bool, task: int
) -> None:
    compiled("SELECT set_config('statement_timeout', '200', false)")
    with pytest.raises(error):
        compiled(sql, 0, prepare=prepare)
    connection.close_if_unusable_or_obsolete()
    assert compiled("SELECT current_setting('app.user_id')") == [("bob",)]
    connection.close()


@pytest.mark.parametrize("prepare", [True, False])
def test_a_connection_that_is_lost_during_a_statement_is_closed(prepare: bool, task: int) -> None:
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        end = Timer(0.3, other.execute, ["SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid]])
        end.start()
        with pytest.raises(psycopg.errors.AdminShutdown):
            compiled("SELECT pg_sleep(%s)", 20, prepare=prepare)
        end.join()
    assert connection.connection.closed
    connection.close()
    assert compiled("SELECT current_setting('app.user_id')") == [("bob",)]


def test_a_statement_with_several_answers_ends_the_connection(task: int) -> None:
    with pytest.raises(psycopg.NotSupportedError):
        compiled("COPY tasks TO STDOUT")
    assert connection.connection.closed
    connection.close()


def test_a_connection_that_is_lost_while_the_wall_is_looked_at_is_an_error_of_django(committed: None) -> None:
    """Then /readyz names the cause."""
    connection.ensure_connection()
    with psycopg.connect(connection.connection.info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    with pytest.raises(DatabaseError):
        wall.problem()
    connection.close()


def test_an_error_of_the_commit_is_reported(task: int) -> None:
    """Foreign keys are checked at the commit. It follows the statement's own answer."""
    key = (
        "INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, result, created_at) "
        "VALUES ('bob', 'add_task', 'k', '', '{}', now()) RETURNING 1"
    )
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; DELETE FROM users WHERE id = 'bob'; RESET ALL")
    try:
        for prepare in (True, False):
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                compiled(key, prepare=prepare)
            assert who() == NOBODY
    finally:
        User.objects.create(id="bob", name="Bob")
