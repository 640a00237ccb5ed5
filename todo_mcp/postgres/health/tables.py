"""Whether the database has the tables and the migrations of this version."""

import time
from functools import cache

from django.apps import apps
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

WRONG_FOR = 5.0  # seconds for which tables that were missing count as missing: calls that failed then may ask later
# Only the catalogs are read. A table without the permission to read it counts as missing.
_MISSING = """
SELECT found IS NULL,
    CASE WHEN found IS NULL THEN 'the table ' || name ELSE 'the column ' || name || '.' || column_name END
FROM unnest(%s::text[], %s::text[]) AS expected(name, column_name), to_regclass(quote_ident(name)) AS found
WHERE found IS NULL OR NOT has_table_privilege(found, 'SELECT') OR NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = found AND attname = column_name AND NOT attisdropped
)
ORDER BY found IS NULL DESC
LIMIT 1
"""
Migrations = frozenset[tuple[str, str]]  # of an app, and its name


@cache
def _expected() -> tuple[list[str], list[str]]:
    """The tables and columns of all models: two lists of one length."""
    models = [
        model for model in apps.get_models(include_auto_created=True) if model._meta.managed and not model._meta.proxy
    ]
    pairs = sorted(
        (model._meta.db_table, str(one.column)) for model in models for one in model._meta.local_concrete_fields
    )
    return [table for table, _ in pairs], [column for _, column in pairs]


class Tables:
    """The tables of the database, as this worker has seen them."""

    def __init__(self) -> None:
        self._applied: Migrations = frozenset()  # once all are applied
        self._wrong_at = -WRONG_FOR

    def problem(self) -> str:
        """What the database lacks of this version, as a noun; empty if it lacks nothing."""
        if not self._applied:
            executor = MigrationExecutor(connection)
            if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
                return _named((plan[0][0].app_label, plan[0][0].name))
            self._applied = _applied()
        _, lacks = _missing()
        return lacks or self._reverted()

    def are_wrong(self) -> bool:
        """Whether this is another database, or its tables are gone: then an error about a table is no defect.

        A single column that is missing is one.
        """
        if time.monotonic() - self._wrong_at < WRONG_FOR:
            return True
        try:
            is_table, _ = _missing()
            are_wrong = is_table or bool(self._reverted())
        except DatabaseError:
            are_wrong = True
        if are_wrong:
            self._wrong_at = time.monotonic()
        return are_wrong

    def _reverted(self) -> str:
        """A migration that was applied and is not any more; empty if there is none."""
        gone = self._applied - _applied()
        return _named(min(gone)) if gone else ""


tables = Tables()  # of this worker


def _missing() -> tuple[bool, str]:
    """Whether the database lacks a table, and the name of that or of a column that it lacks; empty if it lacks none."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, _expected())
        row: tuple[bool, str] = cursor.fetchone() or (False, "")
        return row


def _applied() -> Migrations:
    with connection.cursor() as cursor:
        cursor.execute("SELECT app, name FROM django_migrations")
        return frozenset(cursor.fetchall())


def _named(migration: tuple[str, str]) -> str:
    return f"the migration {'.'.join(migration)}"
