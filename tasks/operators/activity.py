"""Find the calls that changed tasks, newest first, for operators.

The history has indexes by time, by user and by task. All other conditions are checked on each event in this order. So
one search looks at a bounded number of events, and says how far it came.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

LOOKED_AT = 50_000  # events that one page looks at
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE = re.compile(r"([0-9]{1,17})-([0-9]{1,18})")  # as a Place is written

# What a call may have done to a task, by the name of the filter's choice: its label, and the fields that differ.
CHANGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "added": ("Added", ()),
    "title": ("Title changed", ("title",)),
    "description": ("Description changed", ("description",)),
    "due": ("Due date changed", ("due_on", "due_at")),
    "completed": ("Completed or reopened", ("completed",)),
    "deleted": ("Deleted or restored", ("deleted_at",)),
    "other": ("Priority, tags, repeat or checklist changed", ("priority", "tags", "repeat", "checklist")),
}


@dataclass(frozen=True)
class Place:
    """A place in the history: the time of an event and its id."""

    at: datetime
    event_id: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}-{self.event_id}"

    @classmethod
    def parse(cls, text: str) -> "Place | None":
        """The place that ``str`` wrote; None if it is none."""
        place = _PLACE.fullmatch(text)
        return cls(_EPOCH + int(place[1]) * _MICROSECOND, int(place[2])) if place else None


@dataclass(frozen=True)
class Filters:
    """Which calls to find. Empty values do not narrow.

    ``token`` is the id or the name of a token. ``since`` is included, ``until`` is not.
    ``upto`` is the newest event that counts; ``before`` is the one after which to read on.
    """

    user: str = ""
    task: int | None = None
    client: str = ""
    token: str = ""
    tool: str = ""
    change: str = ""
    request: str = ""
    since: datetime | None = None
    until: datetime | None = None
    upto: Place | None = None
    before: Place | None = None


@dataclass(frozen=True)
class Found:
    """Events that name the calls found, newest first, and whether there are more.

    ``looked_to`` is the last event that was looked at, if there may be more calls behind it.
    """

    places: list[Place]
    more: bool
    looked_to: Place | None

    @property
    def event_ids(self) -> list[int]:
        return [place.event_id for place in self.places]


def find_calls(filters: Filters, *, limit: int, looked_at: int = LOOKED_AT) -> Found:
    """The newest calls that fit. One query."""
    within, within_values = _within(filters)
    fits, fits_values = _fits(filters)
    of_task = "AND later.pgh_obj_id = event.pgh_obj_id" if filters.task else ""
    order = "ORDER BY pgh_created_at DESC, pgh_id DESC"
    sql = f"""
        (SELECT pgh_created_at, pgh_id, false FROM (
            SELECT pgh_created_at, pgh_id, pgh_obj_id, user_id, pgh_context FROM task_events
            WHERE {within} {order} LIMIT %s
        ) event
        WHERE {fits} AND NOT EXISTS (
            SELECT FROM task_events later
            WHERE later.user_id = event.user_id AND later.pgh_created_at = event.pgh_created_at
                AND later.pgh_id > event.pgh_id AND later.pgh_context IS NOT DISTINCT FROM event.pgh_context {of_task}
        )
        {order} LIMIT %s)
        UNION ALL
        (SELECT pgh_created_at, pgh_id, true FROM task_events WHERE {within} {order} OFFSET %s LIMIT 1)
    """  # noqa: S608 (conditions of this module)
    with connection.cursor() as cursor:
        cursor.execute(sql, [*within_values, looked_at, *fits_values, limit + 1, *within_values, looked_at - 1])
        rows = cursor.fetchall()
    places = [Place(at, event_id) for at, event_id, is_end in rows if not is_end]
    end = [Place(at, event_id) for at, event_id, is_end in rows if is_end]
    more = len(places) > limit
    return Found(places[:limit], more, looked_to=end[0] if end and not more else None)


def _within(filters: Filters) -> tuple[str, list[Any]]:
    """The conditions for which there is an index."""
    conditions: list[tuple[str, Any]] = [
        ("user_id = %s", filters.user or None),
        ("pgh_obj_id = %s", filters.task),
        ("pgh_created_at >= %s", filters.since),
        ("pgh_created_at < %s", filters.until),
    ]
    used = [(sql, [value]) for sql, value in conditions if value is not None]
    for sign, place in (("<=", filters.upto), ("<", filters.before)):
        if place:
            used.append((f"(pgh_created_at, pgh_id) {sign} (%s, %s)", [place.at, place.event_id]))
    return _all(used)


def _fits(filters: Filters) -> tuple[str, list[Any]]:
    """The conditions that are checked on each event."""
    used: list[tuple[str, list[Any]]] = [
        (f"event.pgh_context ->> '{name}' = %s", [value])
        for name, value in (("client", filters.client), ("tool", filters.tool), ("request_id", filters.request))
        if value
    ]
    if filters.token:
        used.append(("%s IN (event.pgh_context ->> 'token', event.pgh_context ->> 'token_name')", [filters.token]))
    if filters.change:
        used.append((_did(filters.change), []))
    return _all(used)


def _did(change: str) -> str:
    """The condition that the call added a task, or changed one of the fields of a task."""
    fields = CHANGES[change][1]
    older = ", ".join(f"older.{name}" for name in fields)
    before = f"""JOIN LATERAL (
            SELECT {older} FROM task_events older
            WHERE older.pgh_obj_id = part.pgh_obj_id AND older.pgh_id < part.pgh_id ORDER BY older.pgh_id DESC LIMIT 1
        ) older ON ({older}) IS DISTINCT FROM ({", ".join(f"part.{name}" for name in fields)})"""  # noqa: S608
    return f"""EXISTS (
        SELECT FROM task_events part {before if fields else ""}
        WHERE part.user_id = event.user_id AND part.pgh_created_at = event.pgh_created_at
            AND part.pgh_context IS NOT DISTINCT FROM event.pgh_context
            AND part.pgh_label = '{"update" if fields else "insert"}'
    )"""  # noqa: S608 (names of columns)


def _all(used: Sequence[tuple[str, list[Any]]]) -> tuple[str, list[Any]]:
    return " AND ".join(sql for sql, _ in used) or "true", [value for _, values in used for value in values]
