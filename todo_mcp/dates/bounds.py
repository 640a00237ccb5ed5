"""Dates and times from numbers. A number that is out of its bounds gets a sentence that says what to write."""

import re
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Final

from dateutil.relativedelta import relativedelta

from todo_mcp.dates.words import MONTH_NAMES, NotUnderstood
from todo_mcp.dates.zones import Clock

FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 9998  # one day more, in any zone, is still a date
_WRONG_YEAR = f"the year must be {FIRST_YEAR} to {LAST_YEAR}; write for example 2030-11-27"

Match = re.Match[str]


def check_year(day: date) -> None:
    """Refuse a day that later arithmetic could not handle."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise NotUnderstood(_WRONG_YEAR)


def moved(day: date, match: Match, sign: int = 1) -> date:
    """Return the day some days, weeks, months or years later. In a month that is too short, it is the last day."""
    number = sign * int(match["count"] or 1)
    try:
        later = day + relativedelta(**{f"{match['unit']}s": number})  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        raise NotUnderstood(_WRONG_YEAR) from None
    check_year(later)
    return later


def moved_exactly(moment: datetime, match: Match, clock: Clock, sign: int = 1) -> datetime:
    """Return the moment some hours or minutes later, whatever the clocks do meanwhile."""
    minutes = sign * int(match["count"] or 1) * (60 if match["unit"].startswith("h") else 1)
    try:
        later = (moment.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(clock.zone)
    except OverflowError:
        raise NotUnderstood(_WRONG_YEAR) from None
    check_year(later)
    return later


def make_date(year: int, month: int, day: int) -> date:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise NotUnderstood(_WRONG_YEAR)
    if not 1 <= month <= 12:
        raise NotUnderstood(f"there is no month {month}; write year, month and day, as in 2030-11-27")
    last = monthrange(year, month)[1]
    if not 1 <= day <= last:
        raise NotUnderstood(f"{MONTH_NAMES[month - 1]} {year} has no day {day}; its last is {date(year, month, last)}")
    return date(year, month, day)


def make_time(hour: int, minute: int, text: str) -> time:
    if hour > 23 or minute > 59:
        raise NotUnderstood(f"there is no time {text}; write for example 9am, 15:00, 23:59 or midnight")
    return time(hour, minute)


def make_offset(text: str) -> timezone:
    hours, minutes = (0, 0) if text == "z" else (int(text[1:3]), int(text[-2:]))
    if minutes > 59 or hours * 60 + minutes > 14 * 60:
        raise NotUnderstood(f"there is no offset {text}; write for example +01:00, or Z")
    return timezone(timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1))
