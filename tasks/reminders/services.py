"""Which open tasks of all users are due in a window of time, for a chat backend that reminds its users.

A task with a day counts as due at REMIND_AT of that day, in the zone of its user. PostgreSQL does not compute that
moment, because its rules for time zones may be older than ours. For each day and zone, Python says which moment it is.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan

from tasks.clock import due_in, zone_of
from tasks.models import Task
from tasks.reminders.schemas import DueList, DueTask, From, Limit, To
from todo_mcp.core.arguments import MAX_ID
from todo_mcp.core.errors import InvalidArguments
from todo_mcp.core.operations import RESOURCES, operation
from todo_mcp.core.pagination import Cursor, Position
from todo_mcp.dates.zones import at, show
from todo_mcp.users.models import User
from todo_mcp.users.services import zones_in_use

REMIND_AT = time(9)
WINDOW_MAX = timedelta(days=31)
PAGE = 100  # rows, if the caller sends no limit
READS_MAX = 100  # pairs of a moment and a day that one page reads
_COLUMNS = ("id", "user_id", "title", "due_on", "due_at", "zone")
_INSTANT = timedelta(microseconds=1)


class _Row(NamedTuple):
    """A task, and the moment at which it is due. Rows sort by these two, and by the id."""

    moment: datetime
    id: int
    task: dict[str, Any]


@operation(
    title="List what is due, of all users",
    scope="tasks:read",
    read_only=True,
    idempotent=True,
    example={"from": "2026-11-27T09:00Z", "to": "2026-11-27T09:01Z"},
    for_all_users=True,
    registry=RESOURCES,
)
def list_due(*, from_: From, to: To, limit: Limit = PAGE, cursor: Cursor | None = None) -> DueList:
    """The open tasks of all active users that are due from one moment on and before another, earliest first.

    A task with a day counts as due at 9:00 of that day, in the time zone of its user (UTC if it is not known). Ask for
    the minutes since the last answer: from is then the to of the request before. A page may end early; read on while
    has_more is true.
    """
    if not from_ <= to <= from_ + WINDOW_MAX:
        raise InvalidArguments({"to": "must be from 0 to 31 days after from"})
    rows, unread = _rows(from_, to, limit + 1, cursor)
    page = rows[:limit]
    following = Position(page[-1].moment, page[-1].id) if len(rows) > limit else None
    if unread and not following:
        following = Position(unread - _INSTANT, MAX_ID)
    return DueList(
        tasks=[_shown(row.task) for row in page],
        has_more=following is not None,
        next_cursor=following.encode() if following else None,
    )


def _rows(start: datetime, end: datetime, size: int, after: Position | None) -> tuple[list[_Row], datetime | None]:
    """The first rows after this position, and the moment from which on tasks with a day were not read any more."""
    found = [_Row(task["due_at"], task["id"], task) for task in _with_moment(start, end, after)[:size]]
    for reads, (moment, day, zones) in enumerate(_days(start, end, after)):
        if sum(row.moment < moment for row in found) >= size:
            break
        if reads == READS_MAX:
            return sorted((row for row in found if row.moment < moment), key=_place), moment
        after_id = after.id if after and after.at == moment else 0
        found += [_Row(moment, task["id"], task) for task in _with_day(day, zones, after_id)[:size]]
    return sorted(found, key=_place)[:size], None


def _place(row: _Row) -> tuple[datetime, int]:
    return row.moment, row.id


def _days(start: datetime, end: datetime, after: Position | None) -> Iterator[tuple[datetime, date, list[str]]]:
    """The moments of the window at which tasks with a day are due, each with the day and the zones, in order."""
    first = max(start, after.at) if after else start
    days = [first.date() + timedelta(days=n) for n in range(-1, (end.date() - first.date()).days + 2)]
    zones = zones_in_use()
    pairs: dict[tuple[datetime, date], list[str]] = {}
    for day in _days_with_tasks(days):
        for zone in zones:
            moment = _moment_of(day, zone)
            if first <= moment < end:
                pairs.setdefault((moment, day), []).append(zone)
    for moment, day in sorted(pairs):
        yield moment, day, pairs[moment, day]


@lru_cache(maxsize=2**15)
def _moment_of(day: date, zone: str) -> datetime:
    return at(day, REMIND_AT, zone_of(zone)).astimezone(UTC)


_DAYS_WITH_TASKS = """
SELECT day FROM unnest(%s::date[]) AS day
WHERE EXISTS (SELECT FROM tasks WHERE due_on = day AND NOT completed AND deleted_at IS NULL)
"""


def _days_with_tasks(days: list[date]) -> list[date]:
    with connection.cursor() as cursor:
        cursor.execute(_DAYS_WITH_TASKS, [days])
        return [day for (day,) in cursor.fetchall()]


def _open_tasks() -> Any:
    """The zone is a subquery, and null if the user is deactivated. So PostgreSQL looks at one user for each task."""
    zone = User.objects.filter(pk=OuterRef("user_id"), is_active=True).values("time_zone")
    return Task.objects.filter(completed=False, deleted_at=None).annotate(zone=Subquery(zone))


def _with_moment(start: datetime, end: datetime, after: Position | None) -> Any:
    later = TupleGreaterThan(Tuple(F("due_at"), F("id")), (after.at, after.id)) if after else Q()
    tasks = _open_tasks().filter(later, due_at__gte=start, due_at__lt=end, zone__isnull=False)
    return tasks.order_by("due_at", "id").values(*_COLUMNS)


def _with_day(day: date, zones: list[str], after_id: int) -> Any:
    return _open_tasks().filter(due_on=day, zone__in=zones, id__gt=after_id).order_by("id").values(*_COLUMNS)


def _shown(task: dict[str, Any]) -> DueTask:
    due = due_in(task["due_on"], task["due_at"], zone_of(task["zone"]))
    assert due is not None
    return {"user_id": task["user_id"], "task_id": task["id"], "title": task["title"], "due": show(due)}
