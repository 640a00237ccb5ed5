"""Why a phrase is not in the list, and what to write instead."""

import re
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from todo_mcp.dates.words import MONTH, MONTH_NAMES, WEEKDAY, normalise, quoted

_SOON = (
    r"soon|asap|urgent(?:ly)?|someday|sometime\b.*|one day|eventually|later|whenever|never|now|right now|immediately"
)
_ZONES = r"est|edt|cst|cdt|mst|mdt|pst|pdt|cet|cest|eet|eest|wet|bst|ist|jst|gmt|utc|et|pt|ct|mt|[a-z]+/[a-z_/]+"
_AMOUNT = r"(?:an?|half an|\d+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"

# The first pattern that occurs in the phrase gives the reason. `{day}` becomes a day as an example.
_REASONS = [
    (re.compile(pattern, re.ASCII), reason)
    for pattern, reason in (
        (r"^$", "it is empty; leave due out, or write a day such as {day}"),
        (r"^(?:none|any|skip|clear|no date)$", "that is no day here; leave due out, or write a day such as {day}"),
        (r"^[+\-\u2212]", "only update_task moves a due date; write `in 3 days`, or a day such as {day}"),
        (rf"^(?:as )?(?:{_SOON})$", "it names no day; leave due out, or use priority; else write a day such as {day}"),
        (r"as soon as|asap", "it names no day; leave due out, or use priority; else write a day such as {day}"),
        (
            r"\b(?:every|each|daily|weekly|monthly|yearly|(?:mon|tues|wednes|thurs|fri|satur|sun)days)\b",
            "it repeats; write that in repeat, and here one day such as {day}",
        ),
        (r"\b(?:few|couple|several|some|while|bit|moment)\b", "how many is not said; write for example `in 3 days`"),
        (
            r"\b(?:or|and)\b|[&/]\w*day\b",
            "it names more than one day or time; write one, such as {day} or tomorrow at 9am",
        ),
        (r"\b(?:between|until|till|from|to|through|before|after)\b", "it is no single day; write one, such as {day}"),
        (
            r"\bnight$|\bnight at\b",
            "`night` has no fixed hour; write `tonight`, `tomorrow evening` or `tomorrow at 9pm`",
        ),
        (r"\bin the (?:morning|afternoon|evening)\b", "write for example `tomorrow morning`, or `tomorrow at 9am`"),
        (r"\bfortnight\b", "write `in 2 weeks`, or a day such as {day}"),
        (r"\bhalf\b|\bquarter (?:past|to)\b|o'?clock", "write the time in digits, as in 7:30am or 19:30"),
        (r"\bnext (?:weekend|year)\b", "it could be several days; write one, such as {day} or `next week`"),
        (r"^last\b|\bago\b|day before", "write the day itself, such as {day}"),
        (r"^q[1-4]\b|quarter\b|\bw\d\d?\b|^\d{4}-w\d", "it is a time of several days; write one day, such as {day}"),
        (
            r"^(?:this|the|early|late|mid) (?:week|month|year)$",
            "it is a time of several days; write one, such as {day}",
        ),
        (
            rf"^(?:in |early |late |mid[ -])?(?:{MONTH})(?: \d{{4}})?$|^\d{{4}}-\d\d$|^\d{{4}}$",
            "it is no single day; write {day}",
        ),
        (r"^\d{9,}$", "it is a number; seconds since 1970 are not read; write a day such as {day}"),
        (
            rf"\d ?(?:[ap]m)? (?:{_ZONES})$|:\d\d ?(?:z|[+-]\d\d:?\d\d)$",
            "send the zone as an offset, as in {day}T15:00-05:00",
        ),
        (r"(?:^|at |on |by )\d\d?(?: |$)", "it could be morning or evening; write for example 5am, 5pm or 17:00"),
        (r"\b\d\d?\.\d\d\b|\b\d\d?h\b|\b\d{3,4}$", "write a time as 9:30, 9:30am or 21:30, and a day as {day}"),
        (
            rf"^{_AMOUNT} (?:day|week|month|year|hour|minute)s?\b",
            "write for example `in 3 days`, or a day such as {day}",
        ),
        (rf"\b(?:{WEEKDAY})\b.*\b(?:{WEEKDAY})\b", "it names two days; write one, such as {day}"),
    )
]
_NUMERIC_DAY = re.compile(r"(\d{1,4})[./-](\d{1,2})(?:[./-](\d{1,4}))?", re.ASCII)
_EIGHT_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)(?:t.*)?", re.ASCII)


def why_not(text: str, today: date, *, whole_days: bool = False) -> str:
    """Return the reason for an error. The example in it is the day after today, so that it fits the call."""
    phrase = re.sub(r"^(?:on|by|at|due) ", "", normalise(text))
    example = today + timedelta(days=1)
    numeric = _NUMERIC_DAY.fullmatch(phrase) or _EIGHT_DIGITS.fullmatch(phrase)
    if numeric:
        return f"{quoted(text)}: {_of_numbers(numeric, today)}"
    for pattern, reason in _REASONS:
        if pattern.search(phrase):
            return f"{quoted(text)}: {reason.format(day=example)}"
    if whole_days:
        return (
            f"{quoted(text)} is not understood; write days such as {example}, `today`, `this week`, `last 7 days` "
            f"or {today}..{example}, in English"
        )
    return (
        f"{quoted(text)} is not understood; write one day or moment such as {example}, {example}T09:00, "
        "`tomorrow at 9am`, `friday` or `27 November`, in English and without other words"
    )


def _of_numbers(match: re.Match[str], today: date) -> str:
    """Name each day that the numbers could mean."""
    first, second, third = (int(group) if group else None for group in match.groups())
    if first is None or second is None:
        raise AssertionError
    if first > 31:
        orders = [(first, second, third or 1)]
    else:
        year = third if third is not None and third > 99 else 2000 + third if third else None
        orders = [(year or today.year, second, first), (year or today.year, first, second)]
    days = sorted({day for order in orders if (day := _date(*order))})
    if third is None:
        days = sorted(day if day >= today else day + relativedelta(years=1) for day in days)
    if not days:
        return f"there is no such day; write year, month and day, such as {today}"
    if len(days) == 1:
        return f"write year, month and day: {days[0]}"
    names = " or ".join(f"{day.day} {MONTH_NAMES[day.month - 1]}" for day in days)
    return f"it could be {names}; write {days[0]} or {days[1]}"


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
