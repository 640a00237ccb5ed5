"""Statements that are compiled once: they survive the loss of their plans, and leave none behind."""

import logging
from collections.abc import Iterator
from contextlib import nullcontext

import pytest
from django.db import connection, transaction

from tasks.services import add_task, complete_task, list_tasks
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.principal import local_principal
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform
from todo_mcp.calls.retries import retrying
from todo_mcp.configuration.database_settings import PREPARE_AFTER
from todo_mcp.core.errors import ConversationNotFound
from todo_mcp.core.operations import REGISTRY
from todo_mcp.postgres import statements
from todo_mcp.postgres.operation_run import OperationRun
from todo_mcp.postgres.prepared import Preparing
from todo_mcp.users.models import User

PREPARED = "SELECT count(*) FROM pg_prepared_statements"
USES = 8  # more than PREPARE_AFTER


@pytest.fixture
def preparing(committed: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Preparing]:
    """A process that has lost no statement yet."""
    preparing = Preparing()
    monkeypatch.setattr(statements, "preparing", preparing)
    yield preparing
    connection.close()


def ask(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    return int(value)


def run_unseen(sql: str) -> None:
    """Run SQL on the test's connection without psycopg, which would notice that statements are lost."""
    connection.connection.pgconn.exec_(sql.encode())


def take_name() -> None:
    """Let the next name of a prepared statement belong to another statement, as in another client's session."""
    number = connection.connection._prepared._prepared_idx
    run_unseen(f"PREPARE _pg3_{number} AS SELECT 1")


def add_with_key(key: str) -> dict[str, object]:
    """A transaction: two statements of the ORM, and a compiled one."""
    arguments = {"title": key, "idempotency_key": key}
    call = Call(operation=REGISTRY["add_task"], arguments=arguments, transport="command", request_id="test")
    envelope, _ = perform(call, lambda target: local_principal("alice"))
    return dict(envelope)


@pytest.mark.parametrize("in_transaction", [False, True])
@pytest.mark.parametrize("is_unknown", [True, False])
def test_a_call_whose_prepared_statement_is_lost_is_done_once(
    preparing: Preparing, alice: User, is_unknown: bool, in_transaction: bool
) -> None:
    def add(title: str) -> None:
        if in_transaction:
            assert add_with_key(title)["status"] == "success"
        else:
            add_task(user_id="alice", title=title)

    titles = [f"number-{number}" for number in range(USES if is_unknown else PREPARE_AFTER)]
    for title in titles:
        add(title)
    run_unseen("DEALLOCATE ALL") if is_unknown else take_name()
    for title in ("after-it", "later-on"):
        add(title)
    assert preparing.choice is False
    assert [task["title"] for task in list_tasks(user_id="alice").tasks] == ["later-on", "after-it", *titles[::-1]]


@pytest.mark.parametrize("cause", ["26000", "42P05"])
def test_a_worker_that_meets_a_pooler_prepares_nothing_more_and_says_so_once(
    preparing: Preparing, alice: User, caplog: pytest.LogCaptureFixture, cause: str
) -> None:
    for _ in range(USES if cause == "26000" else PREPARE_AFTER):
        list_tasks(user_id="alice")
    run_unseen("DEALLOCATE ALL") if cause == "26000" else take_name()
    before = ask(PREPARED)
    with caplog.at_level(logging.WARNING, "todo_mcp.postgres.prepared"):
        for _ in range(USES):
            assert list_tasks(user_id="alice").total == 0
            run_unseen("DEALLOCATE ALL")
        connection.close()  # a new connection prepares nothing either
        for _ in range(USES):
            complete_task(user_id="alice", task_id=add_task(user_id="alice", title="x").task_id)
    assert (before, ask(PREPARED)) == (0 if cause == "26000" else 1, 0)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and vars(record)["sqlstate"] == cause
    assert "DATABASE_POOLER is none" in record.message and "Set DATABASE_POOLER=transaction" in record.message


def test_a_transaction_that_nobody_would_repeat_prepares_nothing(preparing: Preparing, alice: User) -> None:
    """Such as an action in the admin, or a command."""
    with transaction.atomic():
        for _ in range(USES):
            list_tasks(user_id="alice")
        assert ask(PREPARED) == 0
    for _ in range(USES):
        list_tasks(user_id="alice")
    assert ask(PREPARED) == 1
    run_unseen("DEALLOCATE ALL")
    with transaction.atomic():
        assert list_tasks(user_id="alice").total == 0


def test_connections_never_share_the_name_of_a_prepared_statement(preparing: Preparing, alice: User) -> None:
    """In a shared session of a pooler, one would run the statement of the other."""
    names = set()
    for _ in range(3):
        for _ in range(USES):
            list_tasks(user_id="alice")
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM pg_prepared_statements")
            ((name,),) = cursor.fetchall()
        names.add(name)
        connection.close()
    assert len(names) == 3


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_migration_that_changes_a_column_breaks_no_call_of_a_running_server(
    preparing: Preparing, alice: User, in_transaction: bool
) -> None:
    token = issue_token(user_id="alice")

    def user_id() -> str | None:
        with OperationRun(None), transaction.atomic() if in_transaction else nullcontext():
            return authenticate(token).user_id

    for _ in range(USES):
        user_id()
    assert ask(PREPARED) == 1
    run_unseen("ALTER TABLE oauth2_provider_accesstoken ALTER COLUMN scope TYPE varchar(500)")
    try:
        assert retrying(user_id) == "alice"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE oauth2_provider_accesstoken ALTER COLUMN scope TYPE text")
    for _ in range(USES):
        user_id()
    assert ask(PREPARED) == 1  # it goes on preparing


def test_failed_statements_leave_no_prepared_statements(committed: None, alice: User) -> None:
    before = ask(PREPARED)
    for _ in range(20):
        with pytest.raises(ConversationNotFound):
            add_task(user_id="alice", title="x", conversation_id=9_000_000_000_000_000_000)
    assert ask(PREPARED) == before
