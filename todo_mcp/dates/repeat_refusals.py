"""Why a phrase is no repeat of the list, and what to write instead."""

import re
from typing import Final

from todo_mcp.dates.words import MONTH, WEEKDAY, normalise, quoted, with_digits

_GROUP = "weekdays?|weekends?|work ?days?|working days?|business days?"
_PERIOD = "day|week|month|year"

# The first pattern that occurs in the phrase gives the reason.
_REASONS: Final = [
    (re.compile(pattern, re.ASCII), reason)
    for pattern, reason in (
        (r"^$", "it is empty; leave repeat out, or write for example every Monday"),
        (
            r"\b(?:hour|minute|second|min|hr)s?$|hourly|\b(?:hour|minute)s?\b",
            "a task repeats at most once a day; write for example every day at 9am",
        ),
        (
            r"\bbi-?(?:weekly|monthly|annual)|\bsemi|\bbiannual",
            "it could mean two things; write for example every 2 weeks, or every Monday and Thursday",
        ),
        (
            r"\b(?:times?|twice|thrice)\b",
            "which days is not said; write them, for example every Monday and Thursday",
        ),
        (
            r"\b(?:few|couple|some|several|occasionally|sometimes|often|regularly|now and then)\b",
            "how often is not said; write for example every 3 days",
        ),
        (r"^every ?[!:]", "it is another program's form; write for example 3 days after completion, or every 3 days"),
        (r"\d[.,]\d", "only whole numbers are read; write for example every 10 days"),
        (r"\bafter\b", "write for example 3 days after completion"),
        (
            r"\b(?:from|starting|start|beginning|begins?)\b",
            "the first date belongs into due; write only the repeat here, for example every Monday",
        ),
        (
            r"\b(?:except|but|not|without)\b",
            "write the days that are left, for example every Monday, Tuesday and Friday",
        ),
        (r"\bor\b", "it names a choice; write for example every Monday and Thursday"),
        (r"\bnights?\b|\bnightly\b", "`night` has no fixed hour; write for example every day at 9pm"),
        (r"\bat \d\d?$|\bat \d\d? ", "it could be morning or evening; write for example every day at 9am"),
        (
            rf"\b\d+(?:nd|rd|th) (?:{WEEKDAY}|workday|weekday)\b",
            "it could be a day of the month or every few weeks; "
            "write for example third Friday of every month, or every 3 weeks on Friday",
        ),
        (rf"month.* on (?:{WEEKDAY})s?\b", "which one is not said; write for example every month on the first Friday"),
        (
            rf"^(?:on |by |next |this )?(?:{WEEKDAY}|today|tonight|tomorrow|the \d+(?:st|nd|rd|th)"
            rf"|\d+(?:st|nd|rd|th)?(?: of)? (?:{MONTH})|(?:{MONTH}) \d+(?:st|nd|rd|th)?"
            rf"|next (?:week|month|year)|\d{{4}}-\d\d-\d\d)\b",
            "it is one day, which belongs into due; write for example every Monday here",
        ),
        (
            r"\d ?[ap]m\b.* \d+(?::\d\d)? ?[ap]m\b|:\d\d.*:\d\d",
            "it names more than one time; write one, for example every day at 9am",
        ),
        (
            rf"\b(?:other|alternate|2nd) (?:{_GROUP})\b",
            "it could mean different days; write for example every 2 weeks on Monday, Wednesday and Friday",
        ),
        (
            rf"(?:every (?:\d+ )?(?:{_PERIOD})s?|daily|weekly|monthly|yearly)\b.* (?:on|the|{WEEKDAY}s?)\b",
            "these days do not fit; write for example every week on Monday, every month on the 1st or every 3 March",
        ),
        (rf"^every (?:{MONTH})$", "which day is not said; write for example every 3 March"),
    )
]


def why_not(text: str) -> str:
    """Return the reason for an error."""
    phrase = with_digits(re.sub(r"\bsecond$", "hour", normalise(text))).replace("each ", "every ")
    for pattern, reason in _REASONS:
        if pattern.search(phrase):
            return f"{quoted(text)}: {reason}"
    return (
        f"{quoted(text)} is not understood; write in English, for example every day, every Monday and Thursday, "
        "every 2 weeks, every month on the 1st or every year, or send an RRULE such as FREQ=WEEKLY;BYDAY=MO"
    )
