"""What tasks use of their user's quotas, and the quota of versions of one task."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection

from tasks.models import Task
from tasks.state import TaskState
from todo_mcp.core.errors import QuotaExceeded
from todo_mcp.postgres.operation_run import current_run
from todo_mcp.quotas import services

UNLIMITED = 2**40
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


def version_limit() -> int:
    """The most versions that the history keeps of a task in a call. Operators and commands have no quotas."""
    return (settings.QUOTA_VERSIONS or UNLIMITED) if current_run() else UNLIMITED


def is_full(state: TaskState) -> bool:
    """Whether the quota allows no further version of the task."""
    return state.version >= state.thinned + version_limit()


def check_versions(states: Iterable[TaskState]) -> None:
    """Check that each of these tasks may get one more version.

    Raises:
        QuotaExceeded: the history of some has as many versions as the quota allows.
    """
    full = [state.id for state in states if is_full(state)]
    if not full:
        return
    limit = settings.QUOTA_VERSIONS
    which = f"task {full[0]} has" if len(full) == 1 else f"tasks {', '.join(map(str, full))} have"
    raise QuotaExceeded(
        "versions",
        limit,
        f"{which} as many versions as the quota allows, {limit:,}",
        "Add a new task for what comes next, and complete or delete the old one, which is still possible. Or wait: "
        "versions older than 30 days thin out to one a day.",
        task_ids=full,
    )


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
