"""Database settings: the PostgreSQL of ``DATABASE_URL``, or an embedded one in the data directory."""

import os
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from psycopg.pq import Conninfo

from todo_mcp.configuration.database_url import EXAMPLE, DatabaseUrl

CONNECT_TIMEOUT = 3  # seconds
# Seconds, seconds, attempts. A network may drop idle connections silently; keepalives find out before a call does.
KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
PREPARE_AFTER = 5  # uses of a statement; without a number psycopg prepares nothing, even on request
# Variables that libpq reads by itself, for what an address leaves out. The last sets a value in the session.
LIBPQ_VARIABLES = (*(option.envvar.decode() for option in Conninfo.get_defaults() if option.envvar), "PGGEQO")
# Values in each session, for every setting of the role and the database: psycopg reads dates of no other form.
SESSION = {"PGDATESTYLE": "ISO", "PGTZ": "UTC"}


def set_libpq_variables(url: DatabaseUrl | None) -> None:
    """Change libpq's variables in this process, so that they hold nothing that breaks its sessions.

    The embedded server needs none of them: they are about another one.
    """
    for name in LIBPQ_VARIABLES if url is None else ("PGGEQO",):
        os.environ.pop(name, None)
    os.environ |= SESSION


def database_settings(url: DatabaseUrl | None, *, data_dir: Path, transaction_pooling: bool = False) -> dict[str, Any]:
    """Django's database settings. Connections stay open until they break.

    No cursor stays in PostgreSQL outside of a transaction, whether or not a pooler is declared.

    Args:
        transaction_pooling: a pooler may give each transaction another PostgreSQL session, so no statement is prepared.

    Raises:
        ImproperlyConfigured: transaction pooling is set without a URL.
    """
    if url is None and transaction_pooling:
        raise ImproperlyConfigured(
            f"DATABASE_POOLER is transaction; set DATABASE_URL to the address of that pooler, like {EXAMPLE}."
        )
    if url is None:
        return {
            "ENGINE": "todo_mcp.postgres.embedded",
            "NAME": "todo_mcp",
            "USER": "postgres",
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "connect_timeout": CONNECT_TIMEOUT,
                "application_name": "todo-mcp",
                "prepare_threshold": PREPARE_AFTER,
            },
            "EMBEDDED_DATA_DIR": data_dir / "postgres",
        }
    return {
        "ENGINE": "todo_mcp.postgres",
        "NAME": url.name,
        "USER": url.user,
        "PASSWORD": url.password,
        "HOST": url.host,
        "PORT": url.port,
        "CONN_MAX_AGE": None,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {
            "connect_timeout": CONNECT_TIMEOUT,
            "application_name": "todo-mcp",
            "prepare_threshold": None if transaction_pooling else PREPARE_AFTER,
            **KEEPALIVES,
            **url.options,
        },
    }
