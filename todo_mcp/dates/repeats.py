"""The list of phrases for `repeat`. What is not in this list is refused, and so is what could mean two rules.

Spelling is that of due dates: capitals, more spaces and one full stop at the end do not matter. Numbers from one to
twelve may be words. Weekdays and months may be cut to three letters. `each` is `every`. Days are joined by commas,
`and`, `&` or `/`.

How often
    daily, weekly, monthly, yearly, annually, once a week
    every day, every other week, every 2 weeks, every third day
    fortnightly (2 weeks), quarterly (3 months)
Days
    every Friday, Fridays, every Mon, Wed and Fri, every Monday to Thursday
    every weekday, on workdays, every business day      Monday to Friday
    every weekend, on weekends                          Saturday and Sunday
    every other Tuesday, every second Tuesday           every 2 weeks
    weekly on Friday, every 2 weeks on Tuesday, Tuesday every 2 weeks
    every 15th, monthly on the 15th, every 2 months on the 1st and 15th, the 15th of each month
    last day of every month, end of every month, every month on the last day
    every last Friday of the month, first and third Monday of every month, every last Friday
    last workday of every month
    every 3 March, every March 3rd, yearly on 3 March, every 2 years on 3 March, 3 March every year
    every last Sunday of March, last day of every year
After completion
    3 days after completion, also weeks, months and years
A time, before or after all that
    at 9am, 9:30pm, at 15:00, at noon, morning 9:00, afternoon 14:00, evening 18:00; every morning, Friday evenings
An end
    until 24 December           any due date that is a day; the last day on which it may happen
    for 5 times                 the same as COUNT=5; for 5 weeks, if it happens once a week
"""

import re
from datetime import datetime, time
from typing import NamedTuple

from todo_mcp.dates.phrases import read_due
from todo_mcp.dates.repeat_refusals import why_not
from todo_mcp.dates.rule_parts import DAY_CODES, NotARule
from todo_mcp.dates.rules import Rule
from todo_mcp.dates.words import LONGEST_PHRASE, MONTH, MONTHS, WEEKDAY, WEEKDAYS, NotUnderstood, normalise, with_digits
from todo_mcp.dates.zones import Clock, find_zone


class Repeat(NamedTuple):
    """A rule, and the time of day that the words name."""

    rule: Rule
    time: time | None


class _Often(NamedTuple):
    frequency: str
    interval: int


class _Days(NamedTuple):
    """The days in a period: the frequency that they need, and their part of an RRULE."""

    frequency: str
    part: str


def read_repeat(text: str, clock: Clock) -> Repeat:
    """Read words or an RRULE, or raise `NotARule`."""
    if re.search(r"=|^\s*rrule|^\s*dtstart", text, re.IGNORECASE):
        return Repeat(Rule.parse(text), None)
    if len(text) > LONGEST_PHRASE:
        raise NotARule(f"write at most {LONGEST_PHRASE} characters, for example every Monday and Thursday")
    phrase = re.sub(r" *(?:, *and\b|[,&/]|\band\b) *", " and ", with_digits(normalise(text))).replace(" and at ", " at ")
    phrase, end = _cut_end(phrase, text, clock)
    phrase, local = _cut_time(phrase, text)
    parts = _after_completion(phrase) or _rule(phrase)
    if parts is None:
        raise NotARule(why_not(text))
    return Repeat(Rule.parse(parts + _end(end, parts, text, clock)), local)
