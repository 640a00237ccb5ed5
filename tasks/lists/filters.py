"""Which tasks a list has: the arguments of a call, read at a moment."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from hashlib import blake2s
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from tasks.clock import CallClock
from tasks.lists.arguments import SortName, StatusName
from tasks.schemas import PriorityName
from tasks.search import NotAQuery, Query, parse_query
from todo_mcp.dates.phrases import NotUnderstood, read_range
from todo_mcp.dates.words import normalise
from todo_mcp.dates.zones import Clock, at, show_in_words

Status = StatusName | Literal["any"]  # any: deleted tasks too
LISTED = frozenset({"pending", "completed", "all"})  # of tasks that are not deleted

_FIRST_MOMENT = datetime.min.replace(tzinfo=UTC)
_LAST_MOMENT = datetime.max.replace(tzinfo=UTC)


class Span(NamedTuple):
    """Days, and the moments that lie in them: ``first`` ≤ day ≤ ``last``, ``start`` ≤ moment < ``end``."""

    first: date
    last: date
    start: datetime
    end: datetime


EVER = Span(date.min, date.max, _FIRST_MOMENT, _LAST_MOMENT)
NO_QUERY = Query([], [])
NEVER = Span(date.max, date.min, _LAST_MOMENT, _FIRST_MOMENT)


class Asked(NamedTuple):
    """The arguments that say which tasks a list has, and in which order. A cursor belongs to them."""

    status: StatusName | None = None
    query: str = ""
    due: str = ""
    completed_on: str = ""
    created_on: str = ""
    tag: str = ""
    priority: PriorityName | None = None
    task_id: int | None = None
    sort: SortName = "newest"

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing but all, pending or completed tasks, newest first."""
        return self.status != "deleted" and self == Asked(status=self.status)

    def fingerprint(self, zone: ZoneInfo) -> int:
        """A number that differs for other arguments and for another zone."""
        return _plain_fingerprint(self.status, zone) if self.is_plain else self._fingerprint(zone)

    def _fingerprint(self, zone: ZoneInfo) -> int:
        values = [self.status or default_status(self), *self[1:]]
        key = "\0".join("" if value is None else normalise(f"={value}") for value in [*values, zone])
        return int.from_bytes(blake2s(key.encode(), digest_size=5).digest())


@lru_cache(maxsize=1024)
def _plain_fingerprint(status: StatusName | None, zone: ZoneInfo) -> int:
    return Asked(status=status)._fingerprint(zone)


class Filters(NamedTuple):
    """The arguments as they were understood. Days are those of the first page of the list.

    ``due`` is "none" for tasks without a due date. ``notes`` says in words what was understood. ``left_out`` is the day
    before which open tasks are overdue, if the filter includes today and leaves these tasks out.
    """

    asked: Asked
    status: Status
    due: Span | Literal["none"] | None = None
    is_open: bool = False  # no completed task, whatever the status
    completed_on: Span | None = None
    created_on: Span | None = None
    query: Query = NO_QUERY
    notes: tuple[str, ...] = ()
    left_out: Span | None = None


def default_status(asked: Asked) -> Status:
    """The status of a list whose call leaves it out."""
    if asked.completed_on:
        return "completed"
    if asked.due:
        return "pending"
    return "any" if asked.sort == "updated" else "all"


def read_filters(asked: Asked, clock: CallClock) -> Filters:
    """Read the words for days at the moment of this clock.

    Raises:
        InvalidArguments: names each phrase that is not understood. If it is for days, the refusal has the clock.
    """
    status = asked.status or default_status(asked)
    if asked.is_plain:
        return Filters(asked, status)
    reader = _Reader(clock)
    filters = Filters(
        asked=asked,
        status=status,
        completed_on=reader.read("completed_on", asked.completed_on, "completed"),
        created_on=reader.read("created_on", asked.created_on, "added"),
    )
    if asked.due:
        filters = _with_due(filters, normalise(asked.due), reader)
    if asked.query:
        filters = filters._replace(query=reader.read_query(asked.query))
    if reader.refused:
        raise clock.refusal(reader.refused)
    if filters.completed_on and filters.status == "pending":
        filters = filters._replace(completed_on=NEVER)
        reader.notes.append("A pending task has no day of completion.")
    return filters._replace(notes=tuple(reader.notes))


def _with_due(filters: Filters, phrase: str, reader: "_Reader") -> Filters:
    clock = reader.clock
    if phrase == "none":
        return filters._replace(due="none")
    if phrase == "any":
        return filters._replace(due=EVER)
    if phrase == "overdue":
        if filters.status == "completed":
            reader.notes.append("A completed task is never overdue.")
            return filters._replace(due=NEVER)
        status: Status = "pending" if filters.status == "all" else filters.status
        yesterday = clock.today - timedelta(days=1)
        return filters._replace(due=Span(date.min, yesterday, _FIRST_MOMENT, clock.now), status=status, is_open=True)
    span = reader.read("due", filters.asked.due, "due")
    if span is None or not span.first <= clock.today <= span.last or filters.status not in ("pending", "all"):
        return filters._replace(due=span)
    before = None if span.first == date.min else _span(None, span.first - timedelta(days=1), clock.zone)
    return filters._replace(due=span, left_out=before)


class _Reader:
    """Reads phrases. Collects what was understood and what was not."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.notes: list[str] = []
        self.refused: dict[str, str] = {}

    def read(self, name: str, phrase: str, verb: str) -> Span | None:
        if not phrase:
            return None
        try:
            first, last = read_range(phrase, self.clock)
        except NotUnderstood as error:
            self.refused[name] = str(error)
            return None
        self.notes.append(f"{verb.capitalize()} {_in_words(first, last, self.clock)}.")
        return _span(first, last, self.clock.zone)

    def read_query(self, text: str) -> Query:
        try:
            return parse_query(text)
        except NotAQuery as error:
            self.refused["query"] = str(error)
            return NO_QUERY


def _span(first: date | None, last: date | None, zone: ZoneInfo) -> Span:
    start = day_start(first, zone) if first else _FIRST_MOMENT
    end = day_start(last + timedelta(days=1), zone) if last and last < date.max else _LAST_MOMENT
    return Span(first or date.min, last or date.max, start, end)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day, or the first or last moment of all if the calendar ends there."""
    try:
        return at(day, time(0), zone)
    except OverflowError:
        return _FIRST_MOMENT if day.year == 1 else _LAST_MOMENT


def _in_words(first: date | None, last: date | None, clock: Clock) -> str:
    day: Callable[[date], str] = lambda value: show_in_words(value, clock)  # noqa: E731 (short)
    if first == last and first:
        return day(first)
    parts = [f"from {day(first)}" if first else "", f"to {day(last)}" if last else ""]
    return " ".join(part for part in parts if part)
