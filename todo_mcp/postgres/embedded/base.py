"""A PostgreSQL backend that starts the embedded server before it connects, and again if it was killed."""

import logging
from collections.abc import Iterable
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import client

from todo_mcp.postgres import base
from todo_mcp.postgres.embedded.programs import find_programs
from todo_mcp.postgres.embedded.server import EmbeddedServer, embedded_server
from todo_mcp.postgres.greenlets import without_blocking

logger = logging.getLogger(__name__)


class DatabaseClient(client.DatabaseClient):
    """``manage.py dbshell``, with the psql of the embedded server."""

    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        host, port = embedded_server(settings_dict["EMBEDDED_DATA_DIR"]).address()
        settings = {**settings_dict, "HOST": host, "PORT": port}
        arguments, environment = super().settings_to_cmd_args_env(settings, parameters)
        return [str(find_programs() / "psql"), *arguments[1:]], environment


class DatabaseWrapper(base.DatabaseWrapper):
    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        address = without_blocking(self._server().address)
        self.settings_dict["HOST"], self.settings_dict["PORT"] = address
        return super().get_connection_params()

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError as error:
            try:
                address = without_blocking(self._server().ensure_running)
            except ImproperlyConfigured as reason:  # at run time this is a database error, not a configuration error
                logger.error(str(reason))
                raise error from None
            return super().get_new_connection({**conn_params, "host": address.host, "port": address.port})

    def _server(self) -> EmbeddedServer:
        return embedded_server(self.settings_dict["EMBEDDED_DATA_DIR"])
