"""The database backend that the setting ENGINE names."""

from typing import Any

import psycopg
from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from todo_mcp.postgres.connection import Connection, database_time
from todo_mcp.postgres.greenlets import without_blocking
from todo_mcp.postgres.prepared import name_uniquely
from todo_mcp.postgres.traced import TracedConnection, is_wanted, traced
from todo_mcp.postgres.wall import walled


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's wrapper with connections of its own class. It offers no pool and no other isolation level."""

    serves_calls = False  # the gate sets it; statements then have time limits (``postgres.connections``)

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        self.isolation_level = IsolationLevel.READ_COMMITTED
        conn_params = {**conn_params, "cursor_factory": walled(conn_params["cursor_factory"])}
        connection_class: type[Connection] = Connection
        if is_wanted():
            connection_class = TracedConnection
            conn_params = {**conn_params, "cursor_factory": traced(conn_params["cursor_factory"])}
        with database_time.get():
            try:
                connection = without_blocking(lambda: connection_class.connect(**conn_params))
            except UnicodeError:  # from Python's resolver
                raise psycopg.OperationalError("the host is not a host name") from None
        name_uniquely(connection)
        return connection
