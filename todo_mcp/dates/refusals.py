"""Why a phrase is not in the list, and what to write instead."""

import re
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from todo_mcp.dates.words import MONTH, MONTH_NAMES, NUMBERS, WEEKDAY, normalise, quoted

_SOON = (
    r"soon|asap|urgent(?:ly)?|someday|sometime\b.*|one day|eventually|later|whenever|never|(?:right )?now|immediately"
)
_ZONES = r"est|edt|cst|cdt|mst|mdt|pst|pdt|cet|cest|eet|eest|wet|bst|ist|jst|gmt|utc|et|pt|ct|mt|[a-z]+/[a-z_/]+"
_AMOUNT = rf"(?:an?|\d+|{'|'.join(NUMBERS)})"
_NO_DAY = "it names no day; {leave}, or write a day such as {day}; for urgent tasks there is priority"
_SEVERAL = "it is a time of several days; write one, such as {day}"

# The first pattern that occurs in the phrase gives the reason. `{day}` is an example of a day.
_REASONS = [
    (re.compile(pattern, re.ASCII), reason)
    for pattern, reason in (
        (r"^[ .,]*$", "it is empty; {leave}, or write a day such as {day}"),
        (r"^(?:none|any|skip|clear|no date)$", "it is no day here; {leave}, or write a day such as {day}"),
        (r"\.\.", "a range is for filters; write one day, such as {day}"),
        (r"^[+\-\u2212]", "a move such as `+3 days` is for update_task; write `in 3 days`, or a day such as {day}"),
        (rf"^(?:{_SOON})$|\bas soon as\b|\basap\b", _NO_DAY),
        (
            r"\b(?:every|each|daily|weekly|monthly|yearly|(?:mon|tues|wednes|thurs|fri|satur|sun)days)\b",
            "it repeats; write that in repeat, and one day such as {day} here",
        ),
        (r"\b(?:few|couple|several|some|while|bit|moment)\b", "how many is not said; write for example `in 3 days`"),
        (r"\bend of (?:the |this )?day$|\beod\b", "write `today`, or `today at midnight`"),
        (r"^eo[wmy]$", "write `end of the week`, `end of the month` or `end of the year`"),
        (r"\bfortnight\b", "write `in 2 weeks`, or a day such as {day}"),
        (r"^in (?!the |early |late |mid)(?:half|an?|\d)", "write a whole number, as in `in 3 days` or `in 90 minutes`"),
        (r"^last\b|\bago\b", "write the day itself, such as {day}"),
        (rf"^{_AMOUNT} (?:day|week|month|year|hour|minute)s?\b", "write `in 3 days`, or a day such as {day}"),
        (r"\b(?:or|and)\b|&", "it names more than one day or time; write one, such as {day} or tomorrow at 9am"),
        (r"\b(?:between|until|till|from|to|through|before|after)\b", "it is no single day; write one, such as {day}"),
        (r"\bnight\b", "`night` has no fixed hour; write `tonight`, `tomorrow evening` or `tomorrow at 9pm`"),
        (r"\bin the (?:morning|afternoon|evening)\b", "write for example `tomorrow morning`, or `tomorrow at 9am`"),
        (r"\bhalf\b|\bquarter (?:past|to)\b|o'?clock", "write the time in digits, as in 7:30am or 19:30"),
        (r"\bnext (?:weekend|year)\b", _SEVERAL),
        (r"^q[1-4]\b|quarter\b|\bw\d\d?\b|^\d{4}-w\d|^(?:this|the) (?:week|month|year)$", _SEVERAL),
        (rf"^(?:in |early |late |mid[ -])?(?:{MONTH})(?: \d{{4}})?$|^\d{{4}}-\d\d$", _SEVERAL),
        (r"^\d{9,}$", "it is a number; seconds since 1970 are not read; write a day such as {day}"),
        (rf"\d ?(?:[ap]m)? (?:{_ZONES})$|:\d\d ?(?:z|[+-]\d\d:?\d\d)$", "write the offset, as in {day}T15:00-05:00"),
        (r"\d[/.]\d\d?[/.]|\d/\d", "write the day as {day}"),
        (r"(?:^|at |on |by )\d\d?(?: |$)", "it could be morning or evening; write for example 5am, 5pm or 17:00"),
        (r"\d\d?\.\d\d\b|\d\d?h\b|\b\d{3,4}$", "write a time as 9:30am, 9:30 or 21:30, and a day as {day}"),
        (rf"\b(?:{WEEKDAY})\b.*\b(?:{WEEKDAY})\b", "it names two days; write one, such as {day}"),
    )
]
_NUMERIC_DAY = re.compile(r"(\d{1,4})[./-](\d{1,2})[./-](\d{1,4})|(\d{1,2})[/-](\d{1,2})", re.ASCII)
_EIGHT_DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)(?:t.*)?", re.ASCII)


def why_not(text: str, today: date, *, in_filter: bool = False) -> str:
    """Return the reason for an error. Its example is the day after `today`."""
    phrase = re.sub(r"^(?:on|by|at) ", "", normalise(text))
    example = today + timedelta(days=1)
    numeric = _NUMERIC_DAY.fullmatch(phrase) or _EIGHT_DIGITS.fullmatch(phrase)
    if numeric:
        return f"{quoted(text)}: {_of_numbers(*(int(group) for group in numeric.groups() if group), today=today)}"
    for pattern, reason in _REASONS:
        if pattern.search(phrase):
            leave = "leave it out" if in_filter else "leave due out"
            return f"{quoted(text)}: {reason.format(day=example, leave=leave)}"
    if in_filter:
        known = f"days such as {example}, `today`, `this week`, `last 7 days` or {today}..{example}, in English"
    else:
        known = f"a day or a moment such as {example}, {example}T09:00, `friday` or `tomorrow at 9am`, in English"
    return f"{quoted(text)} is not understood; write {known} and without other words"


def _of_numbers(first: int, second: int, third: int | None = None, *, today: date) -> str:
    """Name each day that the numbers could mean."""
    if first > 31:
        orders = [(first, second, third)]
    else:
        year = today.year if third is None else third if third > 99 else 2000 + third
        orders = [(year, second, first), (year, first, second)]
    days = sorted({day for order in orders if (day := _date(*order))})
    if third is None:
        days = sorted(day if day >= today else day + relativedelta(years=1) for day in days)
    if not days:
        return f"there is no such day; write year, month and day, such as {today}"
    if len(days) == 1:
        return f"write year, month and day: {days[0]}"
    names = " or ".join(f"{day.day} {MONTH_NAMES[day.month - 1]}" for day in days)
    return f"it could be {names}; write {days[0]} or {days[1]}"


def _date(year: int, month: int, day: int | None) -> date | None:
    try:
        return date(year, month, day or 0)
    except ValueError:
        return None
