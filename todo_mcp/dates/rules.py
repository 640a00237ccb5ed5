"""The days of a rule: the first one, the next one, and whether there is any.

A rule has no start of its own. `own`, the date that the rule gave the present occurrence, is its DTSTART. From it
INTERVAL counts, and it gives the day of the week, month or year if the rule names none.

dateutil searches a rule without dates up to the year 9999 (5 seconds for FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30), and
nothing can stop it earlier. So this module searches itself, month by month, for at most 100 years.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple, Self

from dateutil.relativedelta import relativedelta

from todo_mcp.dates.bounds import LAST_YEAR
from todo_mcp.dates.rule_parts import NotARule, Parts

MOST_YEARS: Final = 100  # a date that is further away is no date of a task
MOST_LEFT_OUT: Final = 1000
MOST_NAMED: Final = 3

# Returns the moment of an occurrence on a day: `lambda day: at(day, time, zone)`.
MomentOf = Callable[[date], datetime]

# In each 28 of these years, every date falls on every day of the week.
_SAMPLE = date(2000, 1, 1), date(2000, 1, 1), date(2027, 12, 31)
_SHORTEST = {month: monthrange(2001, month)[1] for month in range(1, 13)}
_DAY = timedelta(days=1)
_UNITS = {"DAILY": "days", "WEEKLY": "weeks", "MONTHLY": "months", "YEARLY": "years"}


class Next(NamedTuple):
    """The next date of a rule, and the dates between that are left out."""

    day: date | None
    left_out: int = 0  # MOST_LEFT_OUT means that many or more
    named: tuple[date, ...] = ()  # the first of them, at most MOST_NAMED


class Rule(Parts):
    """A checked rule. `str(rule)` is its RRULE, which `Rule.parse` reads again.

    UNTIL may be a moment. For tasks with a time, callers pass `moment_of`, and UNTIL is compared with the moment of
    each occurrence. Without it, UNTIL ends the rule after its day in UTC. UNTIL as a day includes that day.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an RRULE. Raise `NotARule` if it is none, or if no date fits it."""
        rule = super().parse(text)
        if not rule.after_completion and not any(replace(rule, interval=1)._periods(*_SAMPLE)):
            raise NotARule("no date fits all parts of this rule; change them, for example FREQ=MONTHLY;BYMONTHDAY=-1")
        return rule

    def first(self, start: date, not_before: date | None = None, moment_of: MomentOf | None = None) -> date | None:
        """Return the first date of a new series from `start` on.

        With an INTERVAL, a series starts with all days of a period. For example, every 3 weeks on Monday and Wednesday
        starts next Monday if today is Wednesday. With `not_before`, dates of the series before that day are passed.
        """
        if self.after_completion:
            day: date | None = max(start, not_before or start)
        else:
            day = self._first(start)
            if day and not_before and day < not_before:
                day = next(self._days(day, not_before), None)
        return None if day is None or self.is_over(day, moment_of) else day

    def next(self, own: date, after: date, moment_of: MomentOf | None = None) -> Next:
        """Return the first date of the series after the occurrence's own date and after another date.

        A rule after completion counts from `after` alone, which is then the day of completion.
        Its day is None after the last of COUNT, after UNTIL, and if it is more than 100 years away.
        """
        after = max(after, own) if not self.after_completion else after
        if self.count == 1 or after.year > LAST_YEAR:
            return Next(None)
        if self.after_completion:
            day = self.days_after(after)
            return Next(None if day is None or self.is_over(day, moment_of) else day)
        left_out: list[date] = []
        for between in self._days(own, own + _DAY, after):
            if len(left_out) == MOST_LEFT_OUT or self.is_over(between, moment_of):
                break
            left_out.append(between)
        day = next(self._days(own, after + _DAY), None)
        over = day is None or self.is_over(day, moment_of)
        return Next(None if over else day, len(left_out), tuple(left_out[:MOST_NAMED]))

    def is_occurrence(self, day: date) -> bool:
        """Tell whether a series can start on this day, so that it is the first date of the rule."""
        return self.after_completion or any(self._days(day, day, day))

    def is_over(self, day: date, moment_of: MomentOf | None = None) -> bool:
        """Tell whether UNTIL is before this occurrence."""
        if isinstance(self.until, datetime):
            return moment_of(day) > self.until if moment_of else day > self.until.date()
        return self.until is not None and day > self.until

    def after_one(self) -> Self | None:
        """Return the rule of the next occurrence: COUNT is one less. None if there is no next one."""
        if self.count is None:
            return self
        return replace(self, count=self.count - 1) if self.count > 1 else None

    def days_after(self, completed: date) -> date | None:
        """Return the day one interval later, or the month's last day if the month is too short. None after 9998."""
        try:
            day = completed + relativedelta(**{_UNITS[self.frequency]: self.interval})  # type: ignore[arg-type]
        except (OverflowError, ValueError):
            return None
        return day if day.year <= LAST_YEAR else None

    def skips_months(self, own: date) -> bool:
        """Tell whether a month or a February without the 29th, 30th or 31st has no date, or one less."""
        rule = self._with_days_of(own)
        if self.after_completion or self.frequency not in ("MONTHLY", "YEARLY") or rule.weekdays or rule.positions:
            return False
        months = set(rule.months or range(1, 13))
        if self.frequency == "MONTHLY":
            months &= {(own.month - 1 + step * self.interval) % 12 + 1 for step in range(12)}
        return any(abs(day) > _SHORTEST[month] for day in rule.month_days for month in months)

    def _first(self, start: date) -> date | None:
        for days in replace(self, interval=1)._periods(start, start, _far(start)):
            coming = [day for day in days if day >= start]
            if coming and (self.interval == 1 or coming == days):
                return coming[0]
        return None

    def _days(self, own: date, start: date, end: date | None = None) -> Iterator[date]:
        """Yield the dates from `start` to `end`, both included, of the series with the occurrence `own`."""
        end = end or _far(start)
        for days in self._periods(own, start, end):
            for day in days:
                if day > end:
                    return
                if day >= start:
                    yield day

    def _periods(self, own: date, start: date, end: date) -> Iterator[list[date]]:
        """Yield the dates of each day, week, month or year that has any, at least from `start` to `end`.

        The period of `start` is complete, so that BYSETPOS counts right. Earlier and later ones may be cut.
        """
        rule = self._with_days_of(own)
        for _, group in groupby(rule._numbered(own, start, end), itemgetter(0)):
            ordinals = [ordinal for _, ordinal in group]
            if self.positions:
                places = (place - 1 if place > 0 else len(ordinals) + place for place in self.positions)
                ordinals = [ordinals[place] for place in sorted(set(places)) if 0 <= place < len(ordinals)]
            if ordinals:
                yield [date.fromordinal(ordinal) for ordinal in ordinals]

    def _with_days_of(self, own: date) -> Self:
        """Take the day of the week, month or year from `own` if the rule names none."""
        if self.weekdays or self.month_days or self.year_days or self.frequency == "DAILY":
            return self
        if self.frequency == "WEEKLY":
            return replace(self, weekdays=((0, own.weekday()),))
        months = self.months or ((own.month,) if self.frequency == "YEARLY" else ())
        return replace(self, months=months, month_days=(own.day,))

    def _numbered(self, own: date, start: date, end: date) -> Iterator[tuple[int, int]]:
        """Yield the number of the period and the ordinal of each date that fits, before BYSETPOS."""
        if self.frequency == "WEEKLY":
            start -= timedelta(days=min(6, start.toordinal() - 1))
        phase = self._period(own.toordinal(), own.year * 12 + own.month - 1)
        first_month = start.year * 12 + (0 if self.frequency == "YEARLY" else start.month - 1)
        for index in range(first_month, (end.year + 1) * 12 + 1):
            year, month = index // 12, index % 12 + 1
            if self.months and month not in self.months:
                continue
            if self.frequency in ("MONTHLY", "YEARLY") and (self._period(0, index) - phase) % self.interval:
                continue
            for ordinal in self._in_month(year, month):
                period = self._period(ordinal, index)
                if (period - phase) % self.interval == 0:
                    yield period, ordinal

    def _period(self, ordinal: int, month_index: int) -> int:
        """Return the number of the day, week, month or year."""
        if self.frequency == "DAILY":
            return ordinal
        if self.frequency == "WEEKLY":
            return (ordinal - 1 - self.week_start) // 7  # ordinal 1 is a Monday
        return month_index if self.frequency == "MONTHLY" else month_index // 12

    def _in_month(self, year: int, month: int) -> Iterable[int]:
        """Return the ordinals of the days of a month that fit, in order."""
        first, last = _span(year, month, month)
        days: Iterable[int] = range(first, last + 1)
        if self.month_days:
            days = sorted({first + day - 1 if day > 0 else last + 1 + day for day in self.month_days} & set(days))
        if self.weekdays:
            whole_year = self.frequency == "YEARLY" and not self.months
            fitting = self._on_weekdays(first, last, *(_span(year, 1, 12) if whole_year else (first, last)))
            days = [day for day in days if day in fitting]
        if self.year_days:
            begin, end = _span(year, 1, 12)
            days = [day for day in days if {day - begin + 1, day - end - 1} & set(self.year_days)]
        if self.week_numbers:
            days = [day for day in days if _week_numbers(day, self.week_start) & set(self.week_numbers)]
        return days

    def _on_weekdays(self, first: int, last: int, begin: int, end: int) -> set[int]:
        """Return the ordinals from `first` to `last` on the weekdays, and perhaps some that are outside.

        Numbers in BYDAY count from `begin` to `end`.
        """
        fitting: set[int] = set()
        for number, weekday in self.weekdays:
            if number == 0:
                fitting.update(range(first + (weekday + 1 - first) % 7, last + 1, 7))
            elif number > 0:
                fitting.add(begin + (weekday + 1 - begin) % 7 + 7 * (number - 1))
            else:
                fitting.add(end - (end - 1 - weekday) % 7 + 7 * (number + 1))
        return fitting


def _far(start: date) -> date:
    """Return the last day of a search."""
    return date(min(start.year + MOST_YEARS, LAST_YEAR), 12, 31)


def _span(year: int, first_month: int, last_month: int) -> tuple[int, int]:
    """Return the ordinals of the first and the last day."""
    last = date(year, last_month, monthrange(year, last_month)[1])
    return date(year, first_month, 1).toordinal(), last.toordinal()


def _week_numbers(ordinal: int, week_start: int) -> set[int]:
    """Return the number of the week in its year, from the start and from the end. Week 1 has at least four days."""
    middle = date.fromordinal(ordinal - (ordinal - 1 - week_start) % 7 + 3)  # its year is the year of the week
    begin, end = _span(middle.year, 1, 12)
    number = (middle.toordinal() - begin) // 7
    return {number + 1, -((end - middle.toordinal()) // 7) - 1}
