"""Makes a backup while the server runs. Everything in it is from one snapshot of the database."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, transaction

from todo_mcp import __version__
from todo_mcp.backup import archive, programs
from todo_mcp.backup.tables import checksums, lift_limits
from todo_mcp.process.make_run import DATA_FILES


@dataclass(frozen=True)
class Made:
    tables: int
    rows: int
    files: list[str]


def back_up(path: Path) -> Made:
    """Write a backup of the database and of the data directory's secrets to a new file."""
    require_own_session()
    connection.ensure_connection()
    paths = {name: settings.TODO_DATA_DIR / name for name in DATA_FILES}
    files = {name: secret.read_bytes() for name, secret in paths.items() if secret.is_file()}
    with archive.new_file(path) as file:
        writer = archive.Writer(file)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            manifest = write_database(connection.connection, writer)
        for name, content in files.items():
            writer.add(name, content)
        writer.close()
    return Made(len(manifest["tables"]), sum(rows for rows, _ in manifest["tables"].values()), list(files))


def write_database(source: "psycopg.Connection[Any]", writer: archive.Writer) -> dict[str, Any]:
    """Add the manifest and the dump. The connection's transaction has one snapshot. Returns the manifest."""
    lift_limits(source)
    snapshot, schema = source.execute("SELECT pg_export_snapshot(), current_schema()").fetchall()[0]
    manifest = _manifest(source, schema)
    writer.add(archive.MANIFEST, archive.as_json(manifest))
    writer.stream(archive.DUMP, lambda write: programs.dump(source, snapshot, schema, write))
    return manifest


def _manifest(source: "psycopg.Connection[Any]", schema: str) -> dict[str, Any]:
    tables = checksums(source, schema)
    if not {"django_migrations", "tasks"} <= tables.keys():
        raise CommandError("The database has no tables of todo-mcp. Check DATABASE_URL and TODO_DATA_DIR.")
    migrations = source.execute("SELECT app, name FROM django_migrations ORDER BY id").fetchall()
    return {
        "format": archive.FORMAT,
        "version": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "postgresql": source.info.server_version // 10000,
        "pg_dump": programs.dump_version(),
        "database": source.info.dbname,
        "schema": schema,
        "migrations": [list(row) for row in migrations],
        "tables": tables,
    }


def require_own_session() -> None:
    """Refuse a pooler in transaction mode: pg_dump and a restore change settings of their session.

    Raises:
        CommandError: ``DATABASE_POOLER`` is transaction.
    """
    if settings.TRANSACTION_POOLING:
        raise CommandError(
            "This command needs PostgreSQL itself. Set DATABASE_URL to it, without the pooler, and "
            "DATABASE_POOLER=none, for this command."
        )
