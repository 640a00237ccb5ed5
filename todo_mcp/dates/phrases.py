"""What a phrase means: as a due date, as a change of one, and as a filter. `grammar.py` has the list of phrases."""

import re
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple

from todo_mcp.dates.bounds import check_year, moved, moved_exactly
from todo_mcp.dates.grammar import (
    PARTS,
    Day,
    Time,
    divide,
    find_move,
    prepare,
    read_moment,
    read_span,
)
from todo_mcp.dates.words import NotUnderstood, quoted
from todo_mcp.dates.zones import Clock, Due, at

__all__ = [
    "Change",
    "Due",
    "NoDueDate",
    "NoDueTime",
    "NotUnderstood",
    "Range",
    "read_due",
    "read_due_change",
    "read_range",
]


_SIGNS = ("+", "-", "\u2212")  # a move begins with one


class NoDueDate(NotUnderstood):
    """A move of a due date that the task does not have."""


class NoDueTime(NotUnderstood):
    """A move by hours or minutes of a due date that is a day."""


class Change(NamedTuple):
    """A new due date, what the phrase leaves to the task, and what the task keeps by that.

    A day alone leaves the time to the task, and a time alone leaves the day. A move begins from both.
    """

    due: Due
    left: Literal["time", "day"] | None
    kept: Literal["time", "day"] | None = None


class Range(NamedTuple):
    """The first and the last day, both included. None is an open end."""

    first: date | None
    last: date | None


def read_due(text: str, clock: Clock) -> Due:
    """Return the day or the moment that the phrase means at this moment, or raise `NotUnderstood`."""
    phrase = prepare(text, clock)
    return read_moment(phrase, clock) or _due(*divide(phrase, text, clock), text, clock)


def read_due_change(text: str, clock: Clock, current: Due | None) -> Change:
    """Return the new due date of a task whose due date is `current`. Local times are those of the clock's zone.

    A day keeps the task's time, unless that moment is past: then the task gets the day alone. A time keeps the task's
    day. A task without a due date gets what `read_due` gives; a move of it raises `NoDueDate`.
    """
    phrase = prepare(text, clock)
    if isinstance(current, datetime):
        current = current.astimezone(clock.zone)
    move = find_move(phrase)
    if move:
        return Change(_moved(current, move, clock), "day")
    if phrase[:1] in _SIGNS:
        raise NotUnderstood(
            f"{quoted(text)} is no move; write a sign, a whole number and a unit, such as +3 days, -1 week or +2 hours"
        )
    moment = read_moment(phrase, clock)
    if moment:
        return Change(moment, None)
    day, local = divide(phrase, text, clock)
    if day is None and current is not None:
        kept_day = current.date() if isinstance(current, datetime) else current
        return Change(_due(Day(kept_day), local, text, clock), "day", "day")
    due = _due(day, local, text, clock)
    if isinstance(due, datetime):
        return Change(due, None if day else "day")
    if isinstance(current, datetime):
        moment = at(due, current.time(), clock.zone)
        if not clock.is_past(moment):
            return Change(moment, "time", "time")
    return Change(due, "time")


def read_range(text: str, clock: Clock) -> Range:
    """Return the days that a filter means, or raise `NotUnderstood`."""
    ends = [end.strip() for end in prepare(text, clock).split("..")]
    if ends == [""]:
        raise NotUnderstood(f"it is empty; leave it out, or write days such as {clock.today}, or this week")
    if len(ends) > 2 or not any(ends):
        raise NotUnderstood(f"a range has two ends, one of which may be open; write for example {clock.today}..")
    if len(ends) == 1:
        return Range(*_days(ends[0], clock, None))
    first = _days(ends[0], clock, None)[0] if ends[0] else None
    last = _days(ends[1], clock, first)[1] if ends[1] else None
    if first and last and last < first:
        raise NotUnderstood(f"the range ends on {last}, before it starts on {first}; write its days in order")
    return Range(first, last)


def _days(end: str, clock: Clock, first: date | None) -> tuple[date, date]:
    """Read one end of a range. A moment counts to its day."""
    try:
        return read_span(end, clock, first)
    except NotUnderstood as error:
        try:
            due = read_due(end, clock)
        except NotUnderstood:
            raise error from None
        if not isinstance(due, datetime):
            raise
        return due.date(), due.date()


def _due(day: Day | None, local: Time | None, text: str, clock: Clock) -> Due:
    """Put a day and a time together. At least one of them is there."""
    if day is None:
        day = Day(clock.today, "next day")
    elif local and local.local == time(0) and local.text.startswith("12"):
        raise NotUnderstood(f"{local.text} on a day could be its start or its end; write 00:00 or midnight")
    if day.part:
        local = _time_in_part(day.part, local)
    if local is None:
        return day.day
    moment = _moment(day.day, local, clock)
    if day.day != clock.today or not clock.is_past(moment):
        return moment
    later = at(day.day, local.local.replace(hour=(local.local.hour + 12) % 24), clock.zone)
    if local.unsure and not clock.is_past(later) and (day.passed in ("keep", "refuse") or local.local.hour < 7):
        raise NotUnderstood(
            f"{local.text} has passed today; write {later:%H:%M} or {local.text}pm, or tomorrow at {local.local:%H:%M}"
        )
    if day.passed == "refuse" or (day.passed == "keep" and local.is_part):
        raise NotUnderstood(f"{quoted(text)} is over; write a later time, such as tomorrow at 9am, or the whole date")
    days = {"keep": 0, "next day": 1, "next week": 7}[day.passed]
    return _moment(day.day + timedelta(days=days), local, clock)


def _moment(day: date, local: Time, clock: Clock) -> datetime:
    moment = at(day + timedelta(days=local.days_after), local.local, clock.zone)
    check_year(moment)
    return moment


def _time_in_part(part: str, local: Time | None) -> Time:
    """Return the time of a part of the day, or check that a time lies in it."""
    hour, first, end = PARTS[part]
    if local is None:
        return Time(time(hour), part, is_part=True)
    in_part = end == 24 if local.days_after else first <= local.local.hour < end
    if local.is_part or not in_part:
        name = part.replace("tonight", "evening")
        raise NotUnderstood(
            f"{local.text} is not in the {name}; write the day and the time, such as tomorrow at 9:30pm"
        )
    return Time(local.local, local.text, local.days_after, is_part=True)


def _moved(current: Due | None, move: re.Match[str], clock: Clock) -> Due:
    sign = 1 if move["sign"] == "+" else -1
    if current is None:
        raise NoDueDate(f"the task has no due date to move; write a day such as {clock.today}, or tomorrow at 9am")
    exact = move["unit"][0] == "h" or move["unit"].startswith("min")
    if not isinstance(current, datetime):
        if exact:
            raise NoDueTime("the task has a day without a time; move it by days, or write a time such as 9am")
        return moved(current, move, sign)
    if exact:
        return moved_exactly(current, move, clock, sign)
    return at(moved(current.date(), move, sign), current.time(), clock.zone)
