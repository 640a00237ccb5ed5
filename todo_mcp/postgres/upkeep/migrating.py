"""Migrations that go on while others use the tables."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import CommandError
from django.db import OperationalError, transaction
from django.db.migrations import SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from psycopg.errors import LockNotAvailable

from todo_mcp.configuration.distribution import command

LOCK_TIMEOUT = 500  # milliseconds: half of the second that a call may wait for a migration
ATTEMPTS = 60
PAUSE = 1.0  # seconds


class WhenFree(SeparateDatabaseAndState):
    """Operations that need a table alone, for an instant. They are one transaction. The migration is not atomic.

    While they wait for the table, everybody who wants it later waits behind them. So they wait at most LOCK_TIMEOUT,
    let the others pass, and try again. Django writes the SQL before, because that takes longer than PostgreSQL does.

    A migration changes one table here. If it held one table and waited for a second, others would wait longer. Those
    that take the two in the other order would cause a deadlock.
    """

    def __init__(self, *operations: Operation) -> None:
        super().__init__(database_operations=operations, state_operations=operations)

    def database_forwards(self, app_label: Any, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        forwards = super().database_forwards
        _when_free(schema_editor, lambda editor: forwards(app_label, editor, from_state, to_state))

    def database_backwards(self, app_label: Any, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        backwards = super().database_backwards
        _when_free(schema_editor, lambda editor: backwards(app_label, editor, from_state, to_state))


def _when_free(schema_editor: Any, alter: Callable[[Any], None]) -> None:
    with schema_editor.connection.schema_editor(collect_sql=True, atomic=False) as writer:
        alter(writer)
    execute_when_free(schema_editor.connection, writer.collected_sql)


def execute_when_free(connection: Any, statements: Iterable[str]) -> None:
    """Execute statements that need a table alone, as ``WhenFree`` does. They are one transaction."""
    for _ in range(ATTEMPTS):
        try:
            with transaction.atomic(connection.alias), connection.cursor() as cursor:
                for statement in (f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}", *statements):
                    cursor.execute(statement, None)
            return
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
        time.sleep(PAUSE)
    raise CommandError(
        "Another transaction holds a table that the migration changes. End it (pg_stat_activity), then run "
        f"`{command('migrate')}` again."
    )
