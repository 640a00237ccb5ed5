"""The list of phrases for `repeat`. What is not in this list is refused, and so is what could mean two rules.

Spelling is that of due dates. Numbers from one to twelve may be words. `each` is `every`. Days are joined by commas,
`and`, `&` or `/`.

How often:

- `daily`, `weekly`, `monthly`, `yearly`, `annually`, `once a week`
- `every day`, `every other week`, `every 2 weeks`, `every third day`
- `fortnightly`, `every fortnight`: 2 weeks; `quarterly`, `every quarter`: 3 months

On which days:

- `every Friday`, `Fridays`, `every Mon, Wed and Fri`, `every Monday to Thursday`
- `every weekday`, `on workdays`, `every business day`: Monday to Friday; `every weekend`: Saturday and Sunday
- `every other Tuesday`, `every second Tuesday`: every 2 weeks; but `every third Tuesday` is refused
- `weekly on Friday`, `every 2 weeks on Tuesday`, `Tuesday every 2 weeks`
- `every 15th`, `monthly on the 15th`, `every 2 months on the 1st and 15th`, `the 15th of each month`
- `last day of every month`, `end of every month`, `every month on the last day`, `last day of every year`
- `every last Friday of the month`, `first and third Monday of every month`, `every last Friday`
- `last workday of every month`
- `every 3 March`, `every March 3rd`, `yearly on 3 March`, `every 2 years on 3 March`, `every last Sunday of March`

After completion: `3 days after completion`, also weeks, months and years.

A time, before or after all that: `at 9am`, `9:30pm`, `at 15:00`, `at noon`, `every morning`, `Friday evenings`.

An end, after all that:

- `until 24 December`, or any due date that is a day: the last day on which it may happen
- `for 5 times`; also `for 5 weeks` if it happens once a week
"""

import re
from typing import Final, NamedTuple

from todo_mcp.dates.rule_parts import DAY_CODES
from todo_mcp.dates.words import MONTH, MONTHS, WEEKDAY, WEEKDAYS


class _Often(NamedTuple):
    frequency: str
    interval: int


class _Days(NamedTuple):
    """The days in a period: the frequency that they need, and their part of an RRULE."""

    frequency: str
    part: str


# How often.

_ADVERBS = {
    "daily": _Often("DAILY", 1),
    "everyday": _Often("DAILY", 1),
    "weekly": _Often("WEEKLY", 1),
    "fortnightly": _Often("WEEKLY", 2),
    "monthly": _Often("MONTHLY", 1),
    "quarterly": _Often("MONTHLY", 3),
    "yearly": _Often("YEARLY", 1),
    "annually": _Often("YEARLY", 1),
}
UNITS: Final = {
    "day": _Often("DAILY", 1),
    "week": _Often("WEEKLY", 1),
    "fortnight": _Often("WEEKLY", 2),
    "month": _Often("MONTHLY", 1),
    "quarter": _Often("MONTHLY", 3),
    "year": _Often("YEARLY", 1),
}
_UNIT = rf"(?P<unit>{'|'.join(UNITS)})"
_EVERY = re.compile(
    rf"every (?:(?:(?P<other>other|alternate)|(?P<number>\d{{1,6}})(?P<nth>nd|rd|th|st)?) )?{_UNIT}s?"
    rf"|once (?:an?|per|every) {_UNIT.replace('unit', 'once')}",
    re.ASCII,
)
_AFTER = re.compile(
    r"(?P<often>.+) after (?:the last |each |every )?(?:completion|completing it|it is (?:done|completed))"
)


def _often(phrase: str) -> _Often | None:
    match = _EVERY.fullmatch(phrase)
    if not match:
        return _ADVERBS.get(phrase)
    if match["nth"] == "st" and match["number"] == "1":
        return None  # `every first day` could be the first of the month
    frequency, unit = UNITS[match["unit"] or match["once"]]
    return _Often(frequency, unit * (2 if match["other"] else int(match["number"] or 1)))


def _after_completion(phrase: str) -> str | None:
    match = _AFTER.fullmatch(phrase)
    often = match and (_often(match["often"]) or _often("every " + re.sub(r"^an? ", "", match["often"])))
    return f"FREQ={often.frequency};INTERVAL={often.interval};X-AFTER=COMPLETION" if often else None


# Days.

_WORKDAYS = "MO,TU,WE,TH,FR"
_GROUPS = {"workday": _WORKDAYS.split(","), "weekend": ["SA", "SU"]}
_NTH = r"(?:the )?(?:\d\d?(?:st|nd|rd|th)|last)"
_NTHS = rf"(?P<nths>{_NTH}(?: and {_NTH})*)"
_MONTH_DAYS = re.compile(rf"{_NTHS}(?P<what> day)?", re.ASCII)
_NTH_WEEKDAYS = re.compile(rf"{_NTHS} (?P<what>workday|{WEEKDAY})", re.ASCII)
_OF_MONTH = re.compile(rf"(?P<days>.+) (?:of|in) (?P<month>{MONTH})")
_DATE = re.compile(
    rf"(?:the )?(?P<day>\d\d?)(?:st|nd|rd|th)? (?P<month>{MONTH})"
    rf"|(?P<month2>{MONTH}) (?:the )?(?P<day2>\d\d?)(?:st|nd|rd|th)?",
    re.ASCII,
)
_WEEKDAY_RANGE = re.compile(rf"(?P<first>{WEEKDAY}) ?(?:to|through|thru|-|\N{{EN DASH}}) ?(?P<last>{WEEKDAY})")


def find_rule(phrase: str) -> str | None:
    """Return the RRULE of a phrase of the list, without a time and without an end. None if it is not in the list."""
    return _after_completion(phrase) or _on_days(phrase)


def _on_days(phrase: str) -> str | None:
    often = _often(phrase)
    if often:
        return f"FREQ={often.frequency};INTERVAL={often.interval}"
    words = phrase.split()
    for place in range(1, len(words)):
        left, right = " ".join(words[:place]), " ".join(words[place:])
        for often_text, days_text in ((left, right), (right.removeprefix("of "), left)):
            often, days = _often(often_text), _days(re.sub(r"^(?:on|at) ", "", days_text))
            if often and days:
                return _together(often, days)
    return _every_other(phrase) or _every(phrase)


def _together(often: _Often, days: _Days) -> str | None:
    if often.frequency == "YEARLY" and days == _LAST_DAY:
        days = _Days("YEARLY", "BYMONTH=12;BYMONTHDAY=31")
    if often.frequency != days.frequency:
        return None  # `every month on Friday` does not say which
    return f"FREQ={days.frequency};INTERVAL={often.interval};{days.part}"


def _every_other(phrase: str) -> str | None:
    match = re.fullmatch(r"every (?:other|alternate|2nd) (.+)", phrase)
    codes = _weekdays(match[1]) if match and "workday" not in match[1] and "weekend" not in match[1] else None
    return f"FREQ=WEEKLY;INTERVAL=2;BYDAY={','.join(codes)}" if codes else None


def _every(phrase: str) -> str | None:
    """Read `every` and days, or days in the plural."""
    text = re.sub(r" (?:of|in) every month$", " of the month", phrase.removeprefix("every "))
    if not phrase.startswith("every ") and not _is_plural(phrase):
        return None
    days = _days(text.removeprefix("on "))
    third = re.fullmatch(rf"(?:the )?(?:\d\d?(?:nd|rd|th)) (?:workday|{WEEKDAY})", text, re.ASCII)
    if not days or third or text in ("1st day", "last day", "last", "end"):
        return None  # `every third Friday` could be every 3 weeks
    return f"FREQ={days.frequency};{days.part}"


def _is_plural(phrase: str) -> bool:
    last = phrase.rpartition(" ")[2]
    return last.endswith("s") and last not in WEEKDAYS


def _days(text: str) -> _Days | None:
    """Read days without `every`: weekdays, days of the month, or days of the year."""
    codes = _weekdays(text)
    if codes:
        return _Days("WEEKLY", f"BYDAY={','.join(codes)}")
    match = _DATE.fullmatch(text)
    if match:
        month = MONTHS[match["month"] or match["month2"]]
        return _Days("YEARLY", f"BYMONTH={month};BYMONTHDAY={match['day'] or match['day2']}")
    match = _OF_MONTH.fullmatch(text)
    if match:
        part = _days_of_month(match["days"])
        return _Days("YEARLY", f"BYMONTH={MONTHS[match['month']]};{part}") if part else None
    part = _days_of_month(re.sub(r" (?:of|in) the month$", "", text))
    return _Days("MONTHLY", part) if part else None


def _days_of_month(text: str) -> str | None:
    if re.fullmatch(r"(?:the )?end", text):
        return _LAST_DAY.part
    match = _MONTH_DAYS.fullmatch(text) or _NTH_WEEKDAYS.fullmatch(text)
    if not match:
        return None
    numbers = [re.sub(r"\D", "", nth) or "-1" for nth in match["nths"].split(" and ")]
    what = (match["what"] or "").strip()
    if what == "workday":
        return f"BYDAY={_WORKDAYS};BYSETPOS={','.join(numbers)}"
    if what in WEEKDAYS:
        return "BYDAY=" + ",".join(f"{number}{DAY_CODES[WEEKDAYS[what]]}" for number in numbers)
    return f"BYMONTHDAY={','.join(numbers)}"


_LAST_DAY = _Days("MONTHLY", "BYMONTHDAY=-1")


def _weekdays(text: str) -> list[str] | None:
    """Return the codes of a list of weekdays, or None if a word is no weekday."""
    match = _WEEKDAY_RANGE.fullmatch(text)
    if match:
        first, last = WEEKDAYS[match["first"]], WEEKDAYS[match["last"]]
        return [DAY_CODES[(first + step) % 7] for step in range((last - first) % 7 + 1)]
    codes: list[str] = []
    for name in re.split(r" and (?:every |on )?| ", text):
        single = name if name in WEEKDAYS else name.removesuffix("s")
        if single not in WEEKDAYS and single not in _GROUPS:
            return None
        codes += _GROUPS.get(single) or [DAY_CODES[WEEKDAYS[single]]]
    return codes
