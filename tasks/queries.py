"""The one thing that Django's ORM cannot say: UPDATE … RETURNING."""

from typing import Any

from django.db import connections, models
from django.db.models.sql import UpdateQuery


def update_returning(rows: models.QuerySet[Any], *returning: str, **values: Any) -> list[tuple[Any, ...]]:
    """Update the rows of a queryset in one statement and return these columns of each updated row."""
    query: UpdateQuery = rows.query.chain(UpdateQuery)  # type: ignore[assignment]
    query.add_update_values(values)
    sql, params = query.get_compiler(rows.db).as_sql()
    connection = connections[rows.db]
    columns = ", ".join(connection.ops.quote_name(rows.model._meta.get_field(name).column) for name in returning)
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} RETURNING {columns}", params)
        updated: list[tuple[Any, ...]] = cursor.fetchall()
    return updated
