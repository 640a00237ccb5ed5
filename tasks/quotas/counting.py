"""What tasks use of their user's quotas."""

from datetime import UTC, datetime

from django.db import connection

from tasks.models import Task
from todo_mcp.quotas import services

PIECE = 20_000  # versions that one statement adds up

_COUNT = "SELECT count(*) FROM (SELECT FROM tasks WHERE user_id = %s AND deleted_at IS NULL LIMIT %s) counted"
_ADD_UP = f"""
    WITH piece AS (
        SELECT pgh_created_at, pgh_id, {Task.STORED.replace("tasks.", "task_events.")} AS stored FROM task_events
        WHERE user_id = %s AND (pgh_created_at, pgh_id) > (%s::timestamptz, %s::bigint)
        ORDER BY pgh_created_at, pgh_id LIMIT %s
    )
    SELECT (SELECT sum(stored) FROM piece), (SELECT count(*) FROM piece), pgh_created_at, pgh_id
    FROM piece ORDER BY pgh_created_at DESC, pgh_id DESC LIMIT 1
"""  # noqa: S608 (columns of a model)


def count_tasks(user_id: str, limit: int) -> int:
    """The user's tasks that are not deleted, up to a limit."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [user_id, limit])
        return int(cursor.fetchone()[0])


def stored_bytes(user_id: str) -> int:
    """What all versions of the user's tasks store. Many statements for many versions, so that each is short."""
    total, place = 0, (datetime.min.replace(tzinfo=UTC), 0)
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_ADD_UP, [user_id, *place, PIECE])
            row = cursor.fetchone()
        if row is None:
            return total
        size, count, *last = row
        total += int(size)
        if count < PIECE:
            return total
        place = (last[0], last[1])


services.TASK_COUNTS.append(count_tasks)
services.BYTE_COUNTS.append(stored_bytes)
