"""Whether the database has the tables and columns of this version's models."""

import time
from functools import cache

from django.apps import apps
from django.db import DatabaseError, connection

ASK_EVERY = 1.0  # seconds; each call that fails for a table asks
# Only the catalogs are read. A table without the permission to read it counts as missing.
_MISSING = """
SELECT concat_ws('.', name, column_name)
FROM unnest(%s::text[], %s::text[]) AS expected(name, column_name), to_regclass(quote_ident(name)) AS found
WHERE found IS NULL OR NOT has_table_privilege(found, 'SELECT') OR NOT EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = found AND attname = column_name AND NOT attisdropped
)
LIMIT 1
"""


@cache
def _expected() -> tuple[list[str], list[str]]:
    """The tables and columns of all models: two lists of one length."""
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.managed]
    ordered = sorted(
        {(model._meta.db_table, field.column) for model in models for field in model._meta.local_concrete_fields}
    )
    return [table for table, _ in ordered], [column for _, column in ordered]


def missing() -> str:
    """A table and column that this database does not have; empty if it has all."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, _expected())
        row = cursor.fetchone()
    return str(row[0]) if row else ""


class _LastLook:
    at = -ASK_EVERY
    result = False


def are_wrong() -> bool:
    """Whether an error about a table comes from this database, not from a defect. It asks once a second at most."""
    if time.monotonic() - _LastLook.at >= ASK_EVERY:
        try:
            _LastLook.result = bool(missing())
        except DatabaseError:
            _LastLook.result = True
        _LastLook.at = time.monotonic()
    return _LastLook.result
