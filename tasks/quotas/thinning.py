"""Thin out the history: of the versions that no person can undo any more, keep the last of each day of each task.

The last one is what a younger version follows, so undo, the list by last change and the history stay right.
"""

from collections.abc import Iterator
from datetime import datetime

from django.db import connection
from django.utils import timezone

from tasks import undo_names

PIECE = 5_000  # versions that one transaction looks at

# A version whose task got a further one on the same day in UTC, and both are old.
_DUE = """
    SELECT task_events.pgh_id, task_events.pgh_obj_id FROM task_events CROSS JOIN LATERAL (
        SELECT pgh_created_at FROM task_events further
        WHERE further.pgh_obj_id = task_events.pgh_obj_id AND further.pgh_id > task_events.pgh_id
        ORDER BY further.pgh_id LIMIT 1
    ) further
    WHERE task_events.pgh_created_at < %(before)s AND further.pgh_created_at < %(before)s
        AND (task_events.pgh_created_at AT TIME ZONE 'UTC')::date = (further.pgh_created_at AT TIME ZONE 'UTC')::date
"""
# A task that another transaction has locked stays as it is until the next run.
_THIN = f"""
    WITH due AS ({_DUE} AND task_events.pgh_id > %(after)s AND task_events.pgh_id <= %(last)s),
    locked AS (
        SELECT id FROM tasks WHERE id IN (SELECT pgh_obj_id FROM due) ORDER BY id FOR UPDATE SKIP LOCKED
    ),
    gone AS (
        DELETE FROM task_events USING due, locked
        WHERE task_events.pgh_id = due.pgh_id AND due.pgh_obj_id = locked.id
        RETURNING task_events.pgh_obj_id
    ),
    counted AS (SELECT pgh_obj_id, count(*) AS versions FROM gone GROUP BY pgh_obj_id),
    noted AS (
        UPDATE tasks SET thinned = thinned + counted.versions FROM counted WHERE tasks.id = counted.pgh_obj_id
    )
    SELECT count(*) FROM gone
"""  # noqa: S608 (a constant)
_LAST = "SELECT max(pgh_id) FROM (SELECT pgh_id FROM task_events WHERE pgh_id > %s ORDER BY pgh_id LIMIT %s) piece"


class Thinning:
    """Works like a ``Purge``. It reads the whole history once, in the order of its key."""

    name = "old versions of tasks"

    def count(self) -> int:
        """How many versions are due now."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM ({_DUE}) due", {"before": _before()})  # noqa: S608 (a constant)
            return int(cursor.fetchone()[0])

    def run(self) -> Iterator[int]:
        """Remove all versions that are due. Yields their number after each piece, if there were any."""
        before, after = _before(), 0
        with connection.cursor() as cursor:
            while True:
                cursor.execute(_LAST, [after, PIECE])
                (last,) = cursor.fetchone()
                if last is None:
                    return
                cursor.execute(_THIN, {"before": before, "after": after, "last": last})
                (count,) = cursor.fetchone()
                after = last
                if count:
                    yield count


def _before() -> datetime:
    return timezone.now() - undo_names.WINDOW


OLD_VERSIONS = Thinning()
