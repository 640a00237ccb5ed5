"""Django's PostgreSQL backend, except that it starts the embedded server before it connects."""

from typing import Any

from django.db.backends.postgresql import base

from todo_mcp.embedded_postgres.server import connection_host


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        self.settings_dict["HOST"] = connection_host(self.settings_dict["EMBEDDED_DATA_DIR"])
        return super().get_connection_params()
