"""The database backend that the setting ENGINE names."""

import time
from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from todo_mcp.core.database_causes import DatabaseCause
from todo_mcp.postgres.connection import Connection, database_time
from todo_mcp.postgres.greenlets import without_blocking
from todo_mcp.postgres.health.causes import CannotConnect
from todo_mcp.postgres.health.diagnosis import note_no_connection
from todo_mcp.postgres.operation_run import OperationRun
from todo_mcp.postgres.prepared import name_uniquely
from todo_mcp.postgres.traced import TracedConnection, is_wanted, traced
from todo_mcp.postgres.wall import walled

_ANY = "any"  # of libpq's target_session_attrs: also a standby, which can serve lists


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper with connections of its own class. It offers no pool and no other isolation level."""

    serves_calls = False  # the gate sets it; statements then have time limits (``postgres.connections``)
    is_given_up = False  # the caller has its answer, so nothing more may be done for it (``postgres.place``)
    run: OperationRun | None = None  # of an operation that uses this connection now

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        self.isolation_level = IsolationLevel.READ_COMMITTED
        conn_params = {**conn_params, "cursor_factory": walled(conn_params["cursor_factory"])}
        connection_class: type[Connection] = Connection
        if is_wanted():
            connection_class = TracedConnection
            conn_params = {**conn_params, "cursor_factory": traced(conn_params["cursor_factory"])}
        connection = self._connect(connection_class, conn_params)
        name_uniquely(connection)
        return connection

    def _connect(self, connection_class: type[Connection], conn_params: dict[str, Any]) -> Connection:
        """Connect. An error is logged and counted by its cause."""
        self._check_caller()
        try:
            with database_time.get():
                connection = without_blocking(lambda: connection_class.connect(**conn_params))
        except (psycopg.OperationalError, UnicodeError) as error:  # the latter from Python's resolver
            message = "the host is not a host name" if isinstance(error, UnicodeError) else str(error)
            failure = CannotConnect(message)
            if not self.serves_calls:
                raise failure from None
            cause = note_no_connection(failure)
            if cause is not DatabaseCause.READ_ONLY or conn_params.get("target_session_attrs") == _ANY:
                raise failure from None
            connection = self._connect(connection_class, {**conn_params, "target_session_attrs": _ANY})
            self.close_at = time.monotonic()  # a standby serves this work alone: the next looks for a primary again
        try:
            self._check_caller()
        except CannotConnect:
            connection.close()
            raise
        return connection

    def _check_caller(self) -> None:
        if self.is_given_up:
            raise CannotConnect("the caller was answered before")

    def is_usable(self) -> bool:
        """Whether the connection may stay open after an error. One to a read-only server may not.

        The next connection may find the new primary after a failover.
        """
        try:
            return self.connection is not None and self.connection.is_writable()
        except psycopg.Error:
            return False

    def rollback(self) -> None:
        """Roll back, and remember the error that was the reason: ``is_usable`` is asked only after errors."""
        errors_occurred = self.errors_occurred
        super().rollback()
        self.errors_occurred = errors_occurred

    def _commit(self) -> None:
        if self.run:
            self.run.note_commit()
        super()._commit()  # type: ignore[misc]  # Django's stubs omit it
