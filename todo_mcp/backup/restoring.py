"""Restores a backup into an empty database: all of it, or nothing.

One transaction removes empty tables, loads the dump and compares the checksums. Then ``migrate`` follows.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader

from todo_mcp import __version__
from todo_mcp.backup import archive, programs
from todo_mcp.backup.making import require_own_session
from todo_mcp.backup.tables import checksums, lift_limits, remove_empty_tables, tables_with_rows
from todo_mcp.configuration.distribution import command
from todo_mcp.postgres.embedded.server import embedded_server
from todo_mcp.postgres.upkeep.turns import MIGRATIONS
from todo_mcp.process.make_run import DATA_FILES, write_data_file

COPY = re.compile(rb"COPY .* FROM stdin;\n")
COPY_END = b"\\.\n"
_SESSIONS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND application_name = current_setting('application_name')
"""
_NAME = r'(?:"(?:[^"]|"")*"|\w+)'
_POLICY_OF_ROLES = re.compile(
    rf"^CREATE POLICY {_NAME} ON {_NAME}\.{_NAME}(?: AS \w+)?(?: FOR \w+)? TO .*?(?=^--$|\Z)", re.MULTILINE | re.DOTALL
)
# PostgreSQL 15.20 keeps this number among the options of each column. An older pg_dump writes it into the dump. Other
# servers refuse it.
_OWN_NUMBER = re.compile(r"ALTER TABLE ONLY .* SET \(pg_attver=\d+\);")
# A newer pg_restore writes this for servers that do not know it.
_SINCE_17 = "SET transaction_timeout = 0;"


def restore(path: Path) -> dict[str, Any]:
    """Restore the backup, then migrate. Returns its manifest.

    Raises:
        CommandError: it is refused. The message says why and what to do. Nothing was changed.
    """
    require_own_session()
    with archive.opened(path) as backup:
        _require_known_version(backup.manifest)
        _require_no_server()
        with transaction.atomic():
            target: psycopg.Connection[Any] = connection.connection
            _require_empty(target, backup.manifest)
            remove_empty_tables(target)
            load(target, backup.manifest, lambda: backup.open(archive.DUMP))
            _write_files(backup)  # last: with an empty database, these files have no effect
    connection.close()  # the dump has changed settings of the session
    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return backup.manifest


def load(target: "psycopg.Connection[Any]", manifest: dict[str, Any], open_dump: Callable[[], IO[bytes]]) -> None:
    """Load a dump within the current transaction, and compare all tables with the manifest.

    Raises:
        CommandError: a checksum differs. The caller rolls back.
    """
    lift_limits(target)
    for name in ("pre-data", "data", "post-data"):
        with programs.section(name, open_dump(), manifest["pg_dump"]) as lines:
            if name == "data":
                _load_rows(target, lines)
            else:
                target.execute(_adapted(lines.read().decode(), target).encode())
    target.execute("RESET ALL")  # the dump has set the search path, among others
    lift_limits(target)
    if differing := _differing(checksums(target, manifest["schema"]), manifest["tables"]):
        raise CommandError(f"These tables differ from the backup: {', '.join(differing)}. Nothing was changed.")


def _differing(restored: dict[str, list[Any]], expected: dict[str, list[Any]]) -> list[str]:
    return sorted(name for name in restored.keys() | expected.keys() if restored.get(name) != expected.get(name))


def _load_rows(target: "psycopg.Connection[Any]", lines: IO[bytes]) -> None:
    cursor = target.cursor()
    for line in lines:
        if COPY.fullmatch(line):
            with cursor.copy(line) as copy:
                for row in iter(lines.readline, COPY_END):
                    copy.write(row)
        elif line.strip() and not line.startswith((b"--", b"\\")) and line.decode().strip() != _SINCE_17:
            target.execute(line)


def _adapted(script: str, target: "psycopg.Connection[Any]") -> str:
    """The SQL of a dump, for psycopg instead of psql, and for this server. The schema exists already.

    The roles of other policies may not exist here. Without such a policy, its role sees no rows.
    """

    def is_wanted(line: str) -> bool:
        if line == _SINCE_17:
            return target.info.server_version >= 170000
        return not line.startswith(("\\", "CREATE SCHEMA ")) and not _OWN_NUMBER.fullmatch(line)

    return "\n".join(filter(is_wanted, _POLICY_OF_ROLES.sub("", script).splitlines()))


def _require_known_version(manifest: dict[str, Any]) -> None:
    known = set(MigrationLoader(None).disk_migrations)
    ours = {app for app, _ in known}
    unknown = [f"{app}.{name}" for app, name in manifest["migrations"] if app in ours and (app, name) not in known]
    if unknown or _numbers(manifest["version"]) > _numbers(__version__):
        detail = f" It has the migration {unknown[0]}, which is unknown here." if unknown else ""
        raise CommandError(
            f"The backup was made by a newer todo-mcp, {manifest['version']}; this one is {__version__}.{detail} "
            "Install that version, then restore again. Nothing was changed."
        )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _require_no_server() -> None:
    database = settings.DATABASES["default"]
    connection.ensure_connection()
    is_used = "EMBEDDED_DATA_DIR" in database and not embedded_server(database["EMBEDDED_DATA_DIR"]).is_only_user()
    if is_used or connection.connection.execute(_SESSIONS).fetchall()[0][0]:
        raise CommandError(
            "A server or another command of todo-mcp uses this database. Stop it, then restore again. After a command "
            "was killed, PostgreSQL may need some seconds to end its work. Nothing was changed."
        )


def _require_empty(target: "psycopg.Connection[Any]", manifest: dict[str, Any]) -> None:
    if not target.execute("SELECT pg_try_advisory_xact_lock(%s)", [MIGRATIONS]).fetchall()[0][0]:
        raise CommandError("Another migration or restore is running. Wait for its end. Nothing was changed.")
    if full := tables_with_rows(target):
        more = f" and {len(full) - 3} more" if len(full) > 3 else ""
        raise CommandError(
            f"The database is not empty: it has {', '.join(full[:3])}{more}. Restore into a new database: set "
            "DATABASE_URL to one, or TODO_DATA_DIR to a new directory. If a restore was interrupted at its end, "
            f"run `{command('migrate')}` instead. Nothing was changed."
        )
    schema = target.execute("SELECT current_schema()").fetchall()[0][0]
    if schema != manifest["schema"]:
        raise CommandError(
            f"The backup is of the schema {manifest['schema']!r}, and new tables here go to {schema!r}. Create that "
            "schema, and add ?schema=… to DATABASE_URL. Nothing was changed."
        )


def _write_files(backup: archive.Reader) -> None:
    """Write the secrets of the data directory. With another database, its directory keeps the files that it has."""
    is_embedded = "EMBEDDED_DATA_DIR" in settings.DATABASES["default"]
    for name in DATA_FILES:
        if name in backup.files and (is_embedded or not (settings.TODO_DATA_DIR / name).exists()):
            write_data_file(name, backup.open(name).read().decode().strip())
