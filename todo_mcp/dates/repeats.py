"""What words or an RRULE mean as `repeat`. `repeat_grammar.py` has the list of phrases."""

import re
from datetime import UTC, date, datetime, time
from typing import NamedTuple

from todo_mcp.dates.grammar import PARTS
from todo_mcp.dates.phrases import read_due
from todo_mcp.dates.repeat_grammar import UNITS, find_rule
from todo_mcp.dates.repeat_refusals import why_not
from todo_mcp.dates.rule_parts import NotARule
from todo_mcp.dates.rules import Rule
from todo_mcp.dates.words import LONGEST_PHRASE, NotUnderstood, normalise, quoted, with_digits
from todo_mcp.dates.zones import Clock, find_zone


class Repeat(NamedTuple):
    """A rule, and the time of day that the words name."""

    rule: Rule
    time: time | None


def read_repeat(text: str, clock: Clock) -> Repeat:
    """Read words or an RRULE, or raise `NotARule`."""
    if re.search(r"=|^\s*rrule|^\s*dtstart", text, re.IGNORECASE):
        return Repeat(Rule.parse(text), None)
    if len(text) > LONGEST_PHRASE:
        raise NotARule(f"write at most {LONGEST_PHRASE} characters, for example every Monday and Thursday")
    phrase, end = _cut_end(normalise(text), clock)
    phrase, local = _cut_time(_prepare(phrase), text)
    rule = find_rule(phrase)
    if rule is None:
        raise NotARule(why_not(text))
    return Repeat(_with_end(Rule.parse(rule), end, text), local)


def _prepare(phrase: str) -> str:
    """Return the phrase in the one spelling that the rules below read."""
    phrase = re.sub(r"\bsecond$", "part of a minute", phrase)  # and `every 2nd` is a day of the month
    phrase = re.sub(r"\beach\b", "every", with_digits(phrase))
    phrase = re.sub(r"\b(?:week|work|working|business) ?day(s?)\b", r"workday\1", phrase)
    return re.sub(r" *(?:, *and\b|[,&/]|\band\b) *", " and ", phrase).replace(" and at ", " at ")


# The time of day.

_TIME = r"(?:at )?(?P<time>noon|midnight|\d\d?(?::\d\d)? ?(?:am|pm)|\d\d?:\d\d)"
_TIMED = (
    re.compile(rf"{_TIME} (?P<rest>.+)(?P<part>)(?P<plural>)", re.ASCII),
    re.compile(
        rf"(?P<rest>.*?)(?: (?:in the )?(?P<part>morning|afternoon|evening)(?P<plural>s?))?(?: {_TIME})?", re.ASCII
    ),
)


def _cut_time(phrase: str, text: str) -> tuple[str, time | None]:
    """Return the phrase without its time, and the time."""
    match = next(match for pattern in _TIMED if (match := pattern.fullmatch(phrase)))
    rest, part = match["rest"], match["part"]
    if part and rest == "every":
        rest = "every day"
    elif match["plural"] and not rest.startswith("every "):
        rest = f"every {rest.removeprefix('on ')}"
    if not match["time"]:
        return rest, time(PARTS[part][0]) if part else None
    if re.fullmatch(r"midnight|12(?::00)? ?am", match["time"]):
        raise NotARule(f"{match['time']} could be the start or the end of a day; write for example every day at 00:00")
    try:
        local = read_due(f"2000-01-01 {match['time']}", Clock(datetime(2000, 1, 1, tzinfo=UTC), find_zone("UTC")))
    except NotUnderstood as error:
        raise NotARule(f"{error}; for example every day at 9am") from None
    if not isinstance(local, datetime):
        raise NotARule(why_not(text))
    if part and not PARTS[part][1] <= local.hour < PARTS[part][2]:
        raise NotARule(f"{match['time']} is not in the {part}; write one of them, for example every day at 9am")
    return rest, local.time()


# The end.


def _cut_end(phrase: str, clock: Clock) -> tuple[str, date | str | None]:
    """Return the phrase without its end, and the end: the last day, or a number and its unit."""
    match = re.fullmatch(r"(.+?) (?:until|till) (.+)", phrase)
    if match:
        last = _last_day(match[2], clock)
        return match[1], last
    match = re.fullmatch(r"(.+) for (\d{1,6} (?:time|day|week|month|year))s?", with_digits(phrase), re.ASCII)
    return (match[1], match[2]) if match else (phrase, None)


def _last_day(phrase: str, clock: Clock) -> date:
    try:
        last = read_due(phrase, clock)
    except NotUnderstood:
        last = clock.now
    if isinstance(last, datetime):
        raise NotARule(f"until {quoted(phrase)} names no day; write for example every day at 9am until 24 December")
    return last


def _with_end(rule: Rule, end: date | str | None, text: str) -> Rule:
    if end is None:
        return rule
    if isinstance(end, date):
        return Rule.parse(f"{rule};UNTIL={end:%Y%m%d}")
    number, unit = end.split()
    once = rule.interval == 1 and len(rule.weekdays) <= 1 and len(rule.month_days) <= 1
    if unit != "time" and not (once and UNITS[unit] == (rule.frequency, 1)):
        raise NotARule(f"{quoted(text)}: how often is not clear; write for example every Monday for 5 times")
    return Rule.parse(f"{rule};COUNT={number}")
