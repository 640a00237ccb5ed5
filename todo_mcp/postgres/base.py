"""The backend that the setting ENGINE names."""

from typing import Any

from django.db.backends.postgresql import base
from psycopg import IsolationLevel

from todo_mcp.postgres.connection import Connection, database_time
from todo_mcp.postgres.greenlets import without_blocking
from todo_mcp.postgres.traced import TracedConnection, traced
from todo_mcp.telemetry.tracing import is_configured


class DatabaseWrapper(base.DatabaseWrapper):
    """Django's, but for the class of its connections. A pool and other isolation levels are not offered."""

    serves_calls = False  # then its statements have time limits: ``transports.database_gate``

    def get_new_connection(self, conn_params: dict[str, Any]) -> Connection:
        self.isolation_level = IsolationLevel.READ_COMMITTED
        kind: type[Connection] = Connection
        if is_configured():
            kind = TracedConnection
            conn_params = {**conn_params, "cursor_factory": traced(conn_params["cursor_factory"])}
        with database_time.get():
            return without_blocking(lambda: kind.connect(**conn_params))
