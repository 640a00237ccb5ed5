"""The parts of an RRULE (RFC 5545), each checked. An RRULE here gives days: the time of a task is in its due date."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Self

from todo_mcp.dates.bounds import FIRST_YEAR, LAST_YEAR
from todo_mcp.dates.words import quoted

LONGEST_RULE: Final = 200  # characters
MOST_INTERVAL: Final = 1000
MOST_COUNT: Final = 9_999_999_999  # the next date of a rule never depends on it, so it costs nothing
FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
DAY_CODES: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
EXAMPLE: Final = "for example FREQ=WEEKLY;BYDAY=MO"

# The lists of numbers. Each has the field of `Parts`, the largest number, and whether negative ones count from the end.
# The last item is the frequencies for which RFC 5545 allows the part.
_LISTS: Final = {
    "BYMONTH": ("months", 12, False, FREQUENCIES),
    "BYWEEKNO": ("week_numbers", 53, True, ("YEARLY",)),
    "BYYEARDAY": ("year_days", 366, True, ("YEARLY",)),
    "BYMONTHDAY": ("month_days", 31, True, ("DAILY", "MONTHLY", "YEARLY")),
    "BYSETPOS": ("positions", 366, True, FREQUENCIES),
}
_OTHERS: Final = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", "X-AFTER")
_MOST_POSITIONS: Final = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "YEARLY": 366}
_TIMES: Final = ("BYHOUR", "BYMINUTE", "BYSECOND")
_ALWAYS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "X-AFTER"})


class NotARule(ValueError):
    """Words or an RRULE that cannot be a rule. The text says what is wrong, what to write instead, and an example."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one rule. An empty tuple is a part that was not sent."""

    frequency: str
    interval: int = 1
    count: int | None = None
    until: date | datetime | None = None  # a day, or a moment in UTC
    months: tuple[int, ...] = ()
    week_numbers: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()  # (2, 0) is the second Monday, (0, 0) is each Monday
    positions: tuple[int, ...] = ()
    week_start: int = 0
    after_completion: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an RRULE, with or without the prefix `RRULE:`, or raise `NotARule`."""
        sent = _split(text)
        frequency = sent["FREQ"]
        rule = cls(
            frequency=frequency,
            interval=_number("INTERVAL", sent.get("INTERVAL", "1"), MOST_INTERVAL),
            count=_number("COUNT", sent["COUNT"], MOST_COUNT) if "COUNT" in sent else None,
            until=_until(sent["UNTIL"]) if "UNTIL" in sent else None,
            weekdays=_weekdays(sent) if "BYDAY" in sent else (),
            week_start=_week_start(sent.get("WKST", "MO")),
            after_completion="X-AFTER" in sent,
            **{field: _numbers(name, sent[name], frequency) for name, (field, *_) in _LISTS.items() if name in sent},
        )
        _check_together(rule, sent)
        return rule

    def __str__(self) -> str:
        """Return the RRULE in one spelling: no prefix, no part that changes nothing, and sorted lists."""
        parts = [("FREQ", self.frequency)]
        if self.interval > 1:
            parts.append(("INTERVAL", str(self.interval)))
        for name, (field, *_) in _LISTS.items():
            if name == "BYSETPOS" and self.weekdays:
                days = (f"{number or ''}{DAY_CODES[weekday]}" for number, weekday in self.weekdays)
                parts.append(("BYDAY", ",".join(days)))
            if getattr(self, field):
                parts.append((name, ",".join(map(str, getattr(self, field)))))
        if self.week_start:
            parts.append(("WKST", DAY_CODES[self.week_start]))
        if self.count is not None:
            parts.append(("COUNT", str(self.count)))
        if self.until is not None:
            is_moment = isinstance(self.until, datetime)
            parts.append(("UNTIL", f"{self.until:%Y%m%dT%H%M%SZ}" if is_moment else f"{self.until:%Y%m%d}"))
        if self.after_completion:
            parts.append(("X-AFTER", "COMPLETION"))
        return ";".join(f"{name}={value}" for name, value in parts)


def _split(text: str) -> dict[str, str]:
    """Return the value of each part, after checks of the names and of FREQ."""
    if len(text) > LONGEST_RULE:
        raise NotARule(f"an RRULE has at most {LONGEST_RULE} characters, {EXAMPLE}")
    rule = text.strip().upper().removeprefix("RRULE:")
    if re.search(r"\s|DTSTART|RDATE|EXDATE|EXRULE|RRULE", rule):
        raise NotARule(f"send one RRULE in one line without spaces, DTSTART, RDATE and EXDATE, {EXAMPLE}")
    sent: dict[str, str] = {}
    for part in rule.split(";"):
        name, equals, value = part.partition("=")
        if name in _TIMES:
            raise NotARule(f"{name} is not accepted, because the time belongs into due; leave it out, {EXAMPLE}")
        if not equals or (name not in _OTHERS and name not in _LISTS):
            raise NotARule(
                f"{quoted(part)} is no part of an RRULE; write parts such as INTERVAL=2 or BYDAY=MO, {EXAMPLE}"
            )
        if name in sent:
            raise NotARule(f"{name} is there twice; write it once, {EXAMPLE}")
        sent[name] = value
    if sent.get("FREQ") not in FREQUENCIES:
        raise NotARule(f"FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY, {EXAMPLE}")
    return sent


def _number(name: str, value: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", value) or not 1 <= int(value) <= most:
        raise NotARule(f"{name} must be a whole number from 1 to {most}, for example {name}=3")
    return int(value)


def _numbers(name: str, value: str, frequency: str) -> tuple[int, ...]:
    _, most, negative, frequencies = _LISTS[name]
    if frequency not in frequencies:
        raise NotARule(f"{name} is not allowed with FREQ={frequency}; leave it out, or write FREQ={frequencies[-1]}")
    if name == "BYSETPOS":
        most = _MOST_POSITIONS[frequency]
    numbers = set()
    for text in value.split(","):
        if not re.fullmatch(r"[+-]?[0-9]{1,3}" if negative else r"[0-9]{1,3}", text) or not 1 <= abs(int(text)) <= most:
            also = f", or -1 to -{most} from the end" if negative else ""
            raise NotARule(f"{name} must be numbers from 1 to {most}{also}, for example {name}=1,2")
        numbers.add(int(text))
    return tuple(sorted(numbers, key=lambda number: (number < 0, number)))


def _weekdays(sent: dict[str, str]) -> tuple[tuple[int, int], ...]:
    frequency = sent["FREQ"]
    ordinals = frequency in ("MONTHLY", "YEARLY") and "BYWEEKNO" not in sent
    most = 53 if frequency == "YEARLY" and "BYMONTH" not in sent else 5
    days = set()
    for text in sent["BYDAY"].split(","):
        match = re.fullmatch(rf"([+-]?[0-9]{{1,2}})?({'|'.join(DAY_CODES)})", text)
        if not match:
            raise NotARule(f"BYDAY must be days of MO, TU, WE, TH, FR, SA and SU, {EXAMPLE},TH")
        if match[1] and not ordinals:
            raise NotARule("BYDAY has a number only with FREQ=MONTHLY or YEARLY, for example FREQ=MONTHLY;BYDAY=-1FR")
        if match[1] and not 1 <= abs(int(match[1])) <= most:
            raise NotARule(
                f"the number in BYDAY must be 1 to {most} or -1 to -{most}, for example FREQ=MONTHLY;BYDAY=2TU"
            )
        days.add((int(match[1] or 0), DAY_CODES.index(match[2])))
    return tuple(sorted(days, key=lambda day: (day[0] < 0, day)))


def _week_start(value: str) -> int:
    if value not in DAY_CODES:
        raise NotARule("WKST must be one of MO, TU, WE, TH, FR, SA and SU, for example WKST=MO")
    return DAY_CODES.index(value)


def _until(value: str) -> date | datetime:
    match = re.fullmatch(r"([0-9]{8})(?:T([0-9]{6})Z)?", value)
    try:
        if not match or not FIRST_YEAR <= int(value[:4]) <= LAST_YEAR:
            raise ValueError
        if match[2]:
            return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        return datetime.strptime(value, "%Y%m%d").date()
    except ValueError:
        raise NotARule(
            "UNTIL must be a real day or a moment in UTC, for example UNTIL=20271231 or UNTIL=20271231T170000Z"
        ) from None


def _check_together(rule: Parts, sent: dict[str, str]) -> None:
    if "COUNT" in sent and "UNTIL" in sent:
        raise NotARule("COUNT and UNTIL cannot stand together; write one of them, for example FREQ=DAILY;COUNT=5")
    if rule.after_completion and (sent["X-AFTER"] != "COMPLETION" or not sent.keys() <= _ALWAYS):
        raise NotARule(
            "X-AFTER=COMPLETION goes only with FREQ, INTERVAL, COUNT and UNTIL, "
            "for example FREQ=DAILY;INTERVAL=3;X-AFTER=COMPLETION"
        )
    if rule.week_numbers and not rule.weekdays:
        raise NotARule("BYWEEKNO needs BYDAY, for example FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO")
    if rule.positions and not sent.keys() & (_LISTS.keys() - {"BYSETPOS"} | {"BYDAY"}):
        raise NotARule(
            "BYSETPOS needs another part that gives days, for example FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1"
        )
