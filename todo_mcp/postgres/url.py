"""Database settings: the PostgreSQL of ``DATABASE_URL``, or an embedded one in the data directory."""

from pathlib import Path
from typing import Any

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

CONNECT_TIMEOUT = 3  # seconds
# Seconds, seconds, attempts. A network may drop idle connections silently; keepalives find out before a call does.
KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
PREPARE_AFTER = 5  # uses of a statement; without a number psycopg prepares nothing, even on request


def database_settings(url: str, *, data_dir: Path, transaction_pooling: bool = False) -> dict[str, Any]:
    """Django's database settings. Connections stay open until they break.

    No cursor stays in PostgreSQL outside of a transaction, whether or not a pooler is declared.

    Args:
        transaction_pooling: a pooler may give each transaction another PostgreSQL session, so no statement is prepared.

    Raises:
        ImproperlyConfigured: the URL is not a PostgreSQL URL, or transaction pooling is set without a URL.
    """
    if not url and transaction_pooling:
        raise ImproperlyConfigured("DATABASE_POOLER is transaction; set DATABASE_URL to the address of that pooler.")
    if not url:
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
    scheme, _, rest = url.partition("://")
    engine, _, _driver = scheme.partition("+")  # postgresql+asyncpg://, as SQLAlchemy writes it
    if engine not in ("postgres", "postgresql") or not rest:
        raise ImproperlyConfigured(
            "DATABASE_URL is not a PostgreSQL URL; write postgresql://user:password@host:5432/name."
        )
    settings: dict[str, Any] = dict(
        dj_database_url.parse(f"postgresql://{rest}", engine="todo_mcp.postgres", conn_max_age=None)
    )
    options = settings.setdefault("OPTIONS", {})
    if "ssl" in options:  # asyncpg's name for libpq's sslmode
        options["sslmode"] = options.pop("ssl")
    settings["OPTIONS"] = {
        "connect_timeout": CONNECT_TIMEOUT,
        "application_name": "todo-mcp",
        "prepare_threshold": None if transaction_pooling else PREPARE_AFTER,
        **KEEPALIVES,
        **options,
    }
    settings["DISABLE_SERVER_SIDE_CURSORS"] = True
    return settings
