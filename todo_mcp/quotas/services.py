"""Add the counts of the workers to the stored ones, and count anew what may have changed otherwise.

Counting anew corrects what no call noted: purges, changes of operators, SQL, a release before, a lost answer.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from operator import itemgetter

from django.conf import settings
from django.db import connection

from todo_mcp.quotas.models import UserUsage
from todo_mcp.quotas.usage import Usage, Usages, today

COUNTING_MAX = 0.5  # seconds; after that, an exchange begins to count nobody else
BYTES_OF_TASK = 10_000  # as many bytes as the default quotas allow for each task
TASKS_EVERY = timedelta(seconds=10)
TASK_PAUSE = timedelta(microseconds=200)  # for each task; counting takes a thousandth of that
BYTES_EVERY = timedelta(minutes=5)
EPOCH = date(1970, 1, 1)

# How to count, by quota. The apps with the tables register their functions.
TASK_COUNTS: list[Callable[[str, int], int]] = []  # of a user, up to a limit
BYTE_COUNTS: list[Callable[[str], int]] = []

_COLUMNS = ("tasks", "bytes", "writes", "day")
# Only for users that exist. The statement skips a user who is just being erased, and does not wait.
_ADD = """
INSERT INTO user_usage (user_id, tasks, bytes, writes, day)
SELECT used.user_id, used.tasks, used.bytes, used.writes, DATE '1970-01-01' + used.day
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::integer[])
    AS used(user_id, tasks, bytes, writes, day)
JOIN users ON users.id = used.user_id
ORDER BY used.user_id
FOR KEY SHARE OF users SKIP LOCKED
ON CONFLICT (user_id) DO UPDATE SET
    tasks = user_usage.tasks + EXCLUDED.tasks,
    bytes = user_usage.bytes + EXCLUDED.bytes,
    writes = CASE WHEN EXCLUDED.day = user_usage.day THEN user_usage.writes + EXCLUDED.writes
        WHEN EXCLUDED.day > user_usage.day THEN EXCLUDED.writes ELSE user_usage.writes END,
    day = GREATEST(user_usage.day, EXCLUDED.day)
RETURNING user_id, tasks, bytes, writes, day - DATE '1970-01-01', tasks_counted_at, bytes_counted_at, now()
"""


@dataclass(frozen=True)
class Stored:
    """The stored usage of one user, and when it was read."""

    user_id: str
    usage: Usage
    tasks_counted_at: datetime | None
    bytes_counted_at: datetime | None
    read_at: datetime

    def are_tasks_due(self) -> bool:
        pause = max(TASKS_EVERY, TASK_PAUSE * max(0, self.usage.tasks))
        return bool(settings.QUOTA_TASKS) and _is_due(self.tasks_counted_at, self.read_at - pause)

    def are_bytes_due(self) -> bool:
        return bool(settings.QUOTA_BYTES) and _is_due(self.bytes_counted_at, self.read_at - BYTES_EVERY)


def _is_due(counted_at: datetime | None, before: datetime) -> bool:
    return counted_at is None or counted_at < before


def exchange(usages: Usages) -> None:
    """Add what this worker noted to the stored counts, count anew where that is due, and learn the results.

    One statement, and four for each user who is counted. None if nobody wrote.
    """
    taken = usages.take()
    if not taken:
        return
    try:
        stored = add_usage(taken)
    except BaseException:
        usages.put_back(taken)
        raise
    usages.learn({one.user_id: one.usage for one in stored})
    due = [(one.usage.tasks, one, "tasks") for one in stored if one.are_tasks_due()]
    due += [(one.usage.bytes // BYTES_OF_TASK, one, "bytes") for one in stored if one.are_bytes_due()]
    until = time.monotonic() + COUNTING_MAX
    for _, one, name in sorted(due, key=itemgetter(0), reverse=True):  # those nearest to a quota first
        if time.monotonic() > until:
            return  # the others are due again when they write again
        _count(usages, one, name)


def add_usage(taken: Mapping[str, Usage]) -> list[Stored]:
    """Add to the stored counts in one statement. Returns what these users have now. Workers may do this at once."""
    users = sorted(taken)  # a fixed order prevents deadlocks
    columns = [[getattr(taken[user], name) for user in users] for name in _COLUMNS]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [users, *columns])
        return [Stored(row[0], Usage(*row[1:5]), *row[5:]) for row in cursor.fetchall()]


def _count(usages: Usages, stored: Stored, name: str) -> None:
    """Count the tasks or the bytes of one user, unless another worker has just begun to."""
    row = UserUsage.objects.filter(pk=stored.user_id)
    at = f"{name}_counted_at"
    if not row.filter(**{at: getattr(stored, at)}).update(**{at: stored.read_at}):
        return
    row.update(**{name: count_tasks(stored.user_id) if name == "tasks" else count_bytes(stored.user_id)})
    usages.learn({usage.pk: _usage(usage) for usage in row})


def count_tasks(user_id: str) -> int:
    """The user's tasks that are not deleted, up to one more than the quota. 0 if there is no quota."""
    limit = settings.QUOTA_TASKS
    return sum(count(user_id, limit + 1) for count in TASK_COUNTS) if limit else 0


def count_bytes(user_id: str) -> int:
    """The bytes that the user's rows store. 0 if there is no quota."""
    return sum(count(user_id) for count in BYTE_COUNTS) if settings.QUOTA_BYTES else 0


def usage_of(user_id: str) -> Usage:
    """What the user has used, for operators. It may lag by seconds. A user who has not written yet is counted."""
    for row in UserUsage.objects.filter(pk=user_id):
        return _usage(row)
    return Usage(count_tasks(user_id), count_bytes(user_id), 0, today())


def _usage(row: UserUsage) -> Usage:
    return Usage(row.tasks, row.bytes, row.writes, (row.day - EPOCH).days)
