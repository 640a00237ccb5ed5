"""Statements that are compiled once: they survive the loss of their plans, and leave none behind."""

import pytest
from django.db import connection

from tasks.services import add_task, list_tasks
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.errors import ConversationNotFound
from todo_mcp.users.models import User

PREPARED = "SELECT count(*) FROM pg_prepared_statements"


def ask(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    return int(value)


def test_a_plan_that_the_database_has_dropped_is_prepared_again(committed: None, alice: User) -> None:
    for _ in range(8):
        list_tasks(user_id="alice")
    assert ask(PREPARED)
    with connection.connection.cursor() as cursor:
        cursor._conn.pgconn.exec_(b"DEALLOCATE ALL")  # bypasses psycopg, which would notice
    assert list_tasks(user_id="alice").total == 0


def test_a_migration_that_changes_a_column_breaks_no_call_of_a_running_server(committed: None, alice: User) -> None:
    token = issue_token(user_id="alice")
    for _ in range(8):
        authenticate(token)
    with connection.connection.cursor() as cursor:
        cursor._conn.pgconn.exec_(b"ALTER TABLE oauth2_provider_accesstoken ALTER COLUMN scope TYPE varchar(500)")
    try:
        assert authenticate(token).user_id == "alice"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE oauth2_provider_accesstoken ALTER COLUMN scope TYPE text")


def test_failed_statements_leave_no_prepared_statements(committed: None, alice: User) -> None:
    before = ask(PREPARED)
    for _ in range(20):
        with pytest.raises(ConversationNotFound):
            add_task(user_id="alice", title="x", conversation_id=9_000_000_000_000_000_000)
    assert ask(PREPARED) == before
