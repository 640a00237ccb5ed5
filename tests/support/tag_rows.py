"""The table of tags, compared with the tasks."""

from typing import Any

from django.db import connection

_DIFFERENCES = """
WITH wanted AS (
    SELECT DISTINCT user_id, tasks_lower(tag), completed, created_at, id FROM tasks, unnest(tags) tag
    WHERE deleted_at IS NULL
)
(TABLE wanted EXCEPT TABLE task_tags) UNION ALL (TABLE task_tags EXCEPT TABLE wanted)
"""


def wrong_tag_rows() -> list[tuple[Any, ...]]:
    """Rows that task_tags lacks, or has without a task."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERENCES)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
