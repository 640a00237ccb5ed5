"""The grammar of days and times: each rule is a pattern, and what it means.

docs/days.md is the list of phrases for people. What no rule reads is refused, because a wrong day is worse than a
question. A phrase has a day and a time, in either order. In a filter, it has a day or several days.
"""

import re
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count
from typing import Final, Literal

from dateutil.relativedelta import relativedelta

from todo_mcp.dates import words
from todo_mcp.dates.bounds import Match, check_year, make_date, make_offset, make_time, moved, moved_exactly
from todo_mcp.dates.refusals import why_not
from todo_mcp.dates.words import MONTH, MONTH_NAMES, MONTHS, WEEKDAY, WEEKDAY_NAMES, WEEKDAYS, NotUnderstood, ordinal
from todo_mcp.dates.zones import Clock, at

# Each part of a day: its time, the first hour that lies in it, and the hour at which it ends.
PARTS: Final = {"morning": (9, 0, 12), "afternoon": (14, 12, 18), "evening": (18, 17, 24), "tonight": (20, 17, 24)}

Passed = Literal["keep", "next day", "next week", "refuse"]


@dataclass(frozen=True)
class Day:
    """A day in a phrase."""

    day: date
    passed: Passed = "keep"  # what to do with a time that has passed today
    part: str = ""  # the part of the day, such as `morning`


@dataclass(frozen=True)
class Time:
    """A local time in a phrase."""

    local: time
    text: str
    days_after: int = 0  # 1 for `midnight`: it is the start of the next day
    is_part: bool = False  # `morning`
    unsure: bool = False  # without am or pm: by `3:15`, a person may mean 15:15


# Reads a day. The second clock is for days that float: at the end of a range, they are read from its first day.
ReadDay = Callable[[Clock, Clock], Day]
ReadRule = Callable[[Match, Clock], Day]


def prepare(text: str, clock: Clock) -> str:
    """Return the phrase in the one spelling that the rules below read."""
    if len(text) > words.LONGEST_PHRASE:
        raise NotUnderstood(f"write at most {words.LONGEST_PHRASE} characters, for example {clock.today}")
    return re.sub(r"(?<=\w), ?(?=\w)", " ", words.with_digits(words.normalise(text)))


def divide(phrase: str, text: str, clock: Clock) -> tuple[Day | None, Time | None]:
    """Return the day and the time of a phrase. They stand in either order, and one of them may be missing."""
    parts = phrase.split()
    for place in range(len(parts), -1, -1):
        left, right = (_bare(" ".join(part)) for part in (parts[:place], parts[place:]))
        for day_text, time_text in ((left, right), (right, left)):
            day, clock_time = _find_day(day_text), _TIME.fullmatch(time_text)
            if (day or not day_text) and (clock_time or not time_text) and (day or clock_time):
                return day and day(clock, clock), clock_time and _read_time(clock_time)
    raise NotUnderstood(why_not(text, clock.today))


def read_moment(phrase: str, clock: Clock) -> datetime | None:
    """Read a phrase that is a whole moment: ISO 8601, or hours and minutes from now. None if it is something else."""
    match = _IN_HOURS.fullmatch(_bare(phrase))
    if match:
        return moved_exactly(clock.now.replace(second=0, microsecond=0), match, clock)
    match = _ISO_MOMENT.fullmatch(_bare(phrase))
    if not match:
        return None
    day = make_date(int(match["year"]), int(match["month"]), int(match["day"]))
    local = make_time(int(match["hour"]), int(match["minute"]), match["clock"])
    if not match["offset"]:
        return at(day, local, clock.zone)
    moment = datetime.combine(day, local, make_offset(match["offset"])).astimezone(clock.zone)
    check_year(moment)
    return moment


def read_span(phrase: str, clock: Clock, first: date | None) -> tuple[date, date]:
    """Read one end of a range: a day, or several days. `first` is the day of the other end, if this is the second."""
    for pattern, read in _SPANS:
        match = pattern.fullmatch(phrase)
        if match:
            return read(match, clock)
    if moment := read_moment(phrase, clock):
        return moment.date(), moment.date()
    find = _find_day(re.sub(r"^on ", "", phrase))
    if find is None:
        raise NotUnderstood(why_not(phrase, clock.today, in_filter=True))
    day = find(clock, Clock(at(first, time(0), clock.zone), clock.zone) if first else clock).day
    return day, day


def find_move(phrase: str) -> Match | None:
    """Match a move such as `+3 days`, for `moved` and `moved_exactly`."""
    return _MOVE.fullmatch(phrase)


# Times.

_COUNT = r"(?:an?|(?P<count>[1-9]\d{0,5}))"
_DAYS = r"(?P<unit>day|week|month|year)s?"
_HOURS = r"(?P<unit>hour|hr|minute|min)s?"
_IN_HOURS = re.compile(rf"in {_COUNT} {_HOURS}", re.ASCII)
_MOVE = re.compile(rf"(?P<sign>[+\-\u2212]) ?{_COUNT} (?P<unit>day|week|month|year|hour|hr|minute|min)s?", re.ASCII)
_ISO_DAY = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)"
_ISO_MOMENT = re.compile(
    rf"{_ISO_DAY}[t ](?P<clock>(?P<hour>\d\d):(?P<minute>\d\d)(?::[0-5]\d(?:\.\d{{1,9}})?)?)"
    r"(?P<offset>z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)
_TIME = re.compile(
    r"(?P<hour>\d\d?)(?::(?P<minute>\d\d))? ?(?P<half>am|pm)|(?P<hour24>\d\d?):(?P<minute24>\d\d)(?::[0-5]\d)?"
    r"|noon|midnight|morning|afternoon|evening",
    re.ASCII,
)


def _bare(phrase: str) -> str:
    """Remove the one preposition that may stand before a day or a time."""
    return re.sub(r"^(?:on|by|at) ", "", phrase)


def _read_time(match: Match) -> Time:
    text = match[0]
    if text in PARTS:
        return Time(time(PARTS[text][0]), text, is_part=True)
    if text == "noon":
        return Time(time(12), text)
    if text == "midnight":
        return Time(time(0), text, days_after=1)
    if not match["half"]:
        local = make_time(int(match["hour24"]), int(match["minute24"]), text)
        return Time(local, text, unsure=text[0] != "0" and 1 <= local.hour < 12)
    hour = int(match["hour"])
    if not 1 <= hour <= 12:
        raise NotUnderstood(f"there is no time {text}; before am and pm stand 1 to 12, as in 9am or 9:30pm")
    return Time(make_time(hour % 12 + (12 if match["half"] == "pm" else 0), int(match["minute"] or 0), text), text)


# Days. Each function reads the phrases of the patterns above it.

_DAY_RULES: list[tuple[re.Pattern[str], ReadRule, bool]] = []


def _day(*patterns: str, floats: bool = False) -> Callable[[ReadRule], ReadRule]:
    """Add the patterns to the list. A floating day is read from the first end of a range, if it is the second end."""

    def add(read: ReadRule) -> ReadRule:
        _DAY_RULES.extend((re.compile(pattern, re.ASCII), read, floats) for pattern in patterns)
        return read

    return add


def _find_day(phrase: str) -> ReadDay | None:
    """Return what reads this phrase as a day, or None if it is no day."""
    if phrase == "tonight":
        return lambda clock, _: Day(clock.today, part="tonight")
    before, _, part = phrase.rpartition(" ")
    if part in ("morning", "afternoon", "evening"):
        find = _find_day("today" if before == "this" else before)
        return find and (lambda clock, floating: _with_part(find(clock, floating), part))
    for pattern, read, floats in _DAY_RULES:
        match = pattern.fullmatch(phrase)
        if match:
            return lambda clock, floating: read(match, floating if floats else clock)
    return None


def _with_part(day: Day, part: str) -> Day:
    if day.part:
        raise NotUnderstood(f"it names the {day.part} and the {part}; write one of them")
    return Day(day.day, day.passed, part)


@_day(r"today|tomorrow|yesterday|(?:the )?day after tomorrow")
def _near_day(match: Match, clock: Clock) -> Day:
    return Day(clock.today + timedelta(days={"today": 0, "tomorrow": 1, "yesterday": -1}.get(match[0], 2)))


@_day(rf"in {_COUNT} {_DAYS}")
def _in_days(match: Match, clock: Clock) -> Day:
    return Day(moved(clock.today, match))


def _monday(clock: Clock, weeks: int) -> date:
    return clock.today + timedelta(days=7 * weeks - clock.today.weekday())


@_day(rf"(?P<weekday>{WEEKDAY})", floats=True)
@_day(rf"this (?P<weekday>{WEEKDAY})")
def _weekday(match: Match, clock: Clock) -> Day:
    days = (WEEKDAYS[match["weekday"]] - clock.today.weekday()) % 7
    return Day(clock.today + timedelta(days=days), "next week")


@_day(rf"next (?P<weekday>{WEEKDAY})", rf"(?P<weekday>{WEEKDAY}) (?:of )?next week")
def _weekday_of_next_week(match: Match, clock: Clock) -> Day:
    return Day(_monday(clock, 1) + timedelta(days=WEEKDAYS[match["weekday"]]))


@_day(rf"(?P<weekday>{WEEKDAY}) (?:of )?this week")
def _weekday_of_this_week(match: Match, clock: Clock) -> Day:
    return _not_over(_monday(clock, 0) + timedelta(days=WEEKDAYS[match["weekday"]]), clock)


@_day(r"this weekend")
def _weekend(match: Match, clock: Clock) -> Day:
    return Day(max(clock.today, _monday(clock, 0) + timedelta(days=5)), "refuse")


@_day(r"(?P<which>next) (?P<unit>week|month)")
def _next_week_or_month(match: Match, clock: Clock) -> Day:
    return Day(_period(match, clock)[0])


@_day(r"(?:the )?end of (?:the )?(?P<which>)(?P<unit>week|month|year)", floats=True)
@_day(r"(?:the )?end of (?P<which>this|next) (?P<unit>week|month|year)")
def _end(match: Match, clock: Clock) -> Day:
    return Day(_period(match, clock)[1], "refuse")


def _period(match: Match, clock: Clock) -> tuple[date, date]:
    """Return the first and the last day of a week, month or year."""
    unit, today = match["unit"], clock.today
    number = {"last": -1, "next": 1}.get(match["which"], 0)
    first = _monday(clock, 0) if unit == "week" else today.replace(day=1, month=1 if unit == "year" else today.month)
    one = relativedelta(**{f"{unit}s": 1})  # type: ignore[arg-type]
    return first + one * number, first + one * (number + 1) - timedelta(days=1)


# Calendar days. A weekday may stand before a date.

_NTH = r"(?P<day>\d\d?)(?:st|nd|rd|th)"
_WITH_WEEKDAY = rf"(?:(?P<weekday>{WEEKDAY}) )?"
_MONTH_AND_YEAR = rf"(?P<month>{MONTH})(?: (?P<year>\d{{4}}))?"


@_day(_WITH_WEEKDAY + _ISO_DAY)
def _iso_day(match: Match, clock: Clock) -> Day:
    return _dated(make_date(int(match["year"]), int(match["month"]), int(match["day"])), "keep", match)


@_day(rf"{_WITH_WEEKDAY}(?:the )?(?P<day>\d\d?)(?:st|nd|rd|th)?(?: of)? {_MONTH_AND_YEAR}", floats=True)
@_day(rf"{_WITH_WEEKDAY}(?P<month>{MONTH}) (?:the )?(?P<day>\d\d?)(?:st|nd|rd|th)?(?: (?P<year>\d{{4}}))?", floats=True)
def _day_of_a_month(match: Match, clock: Clock) -> Day:
    month, day = MONTHS[match["month"]], int(match["day"])
    if match["year"]:
        return _dated(make_date(int(match["year"]), month, day), "keep", match)
    if not 1 <= day <= monthrange(2000, month)[1]:  # a leap year
        raise NotUnderstood(f"{MONTH_NAMES[month - 1]} has no day {day}; write another, such as 27 November")
    found = (date(year, month, day) for year in count(clock.today.year) if day <= monthrange(year, month)[1])
    return _dated(next(date for date in found if date >= clock.today), "refuse", match)


@_day(rf"{_WITH_WEEKDAY}(?:the )?{_NTH}", floats=True)
def _day_of_some_month(match: Match, clock: Clock) -> Day:
    day = int(match["day"])
    if not 1 <= day <= 31:
        raise NotUnderstood(f"no month has a {ordinal(day)}; write for example the 27th, or {clock.today}")
    months = (clock.today.replace(day=1) + relativedelta(months=number) for number in count())
    found = (month.replace(day=day) for month in months if day <= monthrange(month.year, month.month)[1])
    return _dated(next(date for date in found if date >= clock.today), "refuse", match)


@_day(rf"{_WITH_WEEKDAY}(?:the )?{_NTH} of (?P<which>the|this|next) month")
def _day_of_this_or_next_month(match: Match, clock: Clock) -> Day:
    month = clock.today.replace(day=1) + relativedelta(months=match["which"] == "next")
    day = make_date(month.year, month.month, int(match["day"]))
    return _dated(_not_over(day, clock).day, "refuse", match)


def _dated(day: date, passed: Passed, match: Match) -> Day:
    """Check the weekday that stands before a date."""
    if match["weekday"] and WEEKDAYS[match["weekday"]] != day.weekday():
        raise NotUnderstood(
            f"{day} is a {WEEKDAY_NAMES[day.weekday()]}; correct the weekday or the date, or write {day}"
        )
    return Day(day, passed)


def _not_over(day: date, clock: Clock) -> Day:
    if day < clock.today:
        raise NotUnderstood(f"that day was {day} and is over; write {day} if you mean it, or a later day")
    return Day(day, "refuse")


_WHICH = rf"(?:(?:the )?(?P<nth>\d\d?)(?:st|nd|rd|th)|(?:the )?last) (?P<what>{WEEKDAY}|day) (?:of|in)"


@_day(rf"{_WHICH} {_MONTH_AND_YEAR}", rf"(?:the )?end of (?P<nth>)(?P<what>){_MONTH_AND_YEAR}", floats=True)
def _nth_weekday_of_a_month(match: Match, clock: Clock) -> Day:
    month, year = MONTHS[match["month"]], int(match["year"] or clock.today.year)
    if match["year"]:
        make_date(year, month, 1)
        return Day(_nth(match, year, month))
    passed = month < clock.today.month or _nth(match, year, month) < clock.today
    return Day(_nth(match, year + passed, month), "refuse")


@_day(rf"{_WHICH} (?P<which>the|this|next) month")
def _nth_weekday_of_this_or_next_month(match: Match, clock: Clock) -> Day:
    month = clock.today.replace(day=1) + relativedelta(months=match["which"] == "next")
    return _not_over(_nth(match, month.year, month.month), clock)


def _nth(match: Match, year: int, month: int) -> date:
    """Return the first, second, … or last weekday of a month, or its first, second, … or last day."""
    days = [date(year, month, day) for day in range(1, monthrange(year, month)[1] + 1)]
    if match["what"] in WEEKDAYS:
        days = [day for day in days if day.weekday() == WEEKDAYS[match["what"]]]
    number = int(match["nth"] or len(days))
    if not 1 <= number <= len(days):
        name = f"{ordinal(number)} {match['what'].title()}"
        raise NotUnderstood(f"{MONTH_NAMES[month - 1]} {year} has no {name}; the last one is {days[-1]}")
    return days[number - 1]


# Several days, in filters only.


def _last_days(match: Match, clock: Clock) -> tuple[date, date]:
    return moved(clock.today, match, -1) + timedelta(days=1), clock.today


def _next_days(match: Match, clock: Clock) -> tuple[date, date]:
    return clock.today, moved(clock.today, match) - timedelta(days=1)


def _whole_weekend(match: Match, clock: Clock) -> tuple[date, date]:
    monday = _monday(clock, -1 if match["which"] == "last" else 0)
    return monday + timedelta(days=5), monday + timedelta(days=6)


def _last_weekday(match: Match, clock: Clock) -> tuple[date, date]:
    weekday = WEEKDAYS[match["weekday"]]
    latest = clock.today - timedelta(days=(clock.today.weekday() - weekday) % 7 or 7)
    of_last_week = _monday(clock, -1) + timedelta(days=weekday)
    if latest != of_last_week:
        raise NotUnderstood(f"it could be {of_last_week} or {latest}; write one of them")
    return latest, latest


_SPANS = [
    (re.compile(pattern, re.ASCII), read)
    for pattern, read in (
        (r"(?:the )?(?P<which>last|this|next) (?P<unit>week|month|year)", _period),
        (r"(?:the )?(?P<which>last|this) weekend", _whole_weekend),
        (r"(?:the )?(?:last|past) (?P<count>[1-9]\d{0,5}) (?P<unit>day)s?", _last_days),
        (r"(?:the )?next (?P<count>[1-9]\d{0,5}) (?P<unit>day)s?", _next_days),
        (rf"last (?P<weekday>{WEEKDAY})", _last_weekday),
    )
]
