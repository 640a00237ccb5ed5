"""Time zones, local times and the clock of one call.

The rules come from the `tzdata` package, never from the files of the system. So an old system has today's rules.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache, cached_property, lru_cache
from importlib import resources
from zoneinfo import ZoneInfo

from todo_mcp.dates.words import MONTH_NAMES, WEEKDAY_NAMES, quoted

# A person's due date: a day, or an aware moment to the minute.
Due = date | datetime

_NOT_SET = "Factory"  # no zone of people


class UnknownZone(ValueError):
    """The text is not the IANA name of a time zone."""


@dataclass(frozen=True)
class Clock:
    """The moment of a call in the zone in which its phrases are read."""

    now: datetime
    zone: ZoneInfo

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.now.astimezone(self.zone))

    @property
    def today(self) -> date:
        return self.now.date()

    @cached_property
    def text(self) -> str:
        """Return for example `2026-11-21T17:05+01:00`."""
        return show(self.now)

    @property
    def weekday(self) -> str:
        return WEEKDAY_NAMES[self.now.weekday()]

    @property
    def time_zone(self) -> str:
        return str(self.zone)

    def is_past(self, due: Due) -> bool:
        """Tell whether an open task with this due date is overdue."""
        return earlier(due, self.now) if isinstance(due, datetime) else due < self.today


def find_zone(name: str) -> ZoneInfo:
    """Return the zone with this IANA name. Capitals do not matter, and a space may stand for an underscore.

    Old names (`US/Eastern`, `Japan`, `CET`) are accepted.
    """
    known = _names().get(name.lower().replace(" ", "_")) if len(name) <= 100 else None
    if known is None:
        raise UnknownZone(f"{quoted(name)} is not an IANA time zone; write for example Europe/Berlin, or UTC.")
    return _load(known)


def at(day: date, local: time, zone: ZoneInfo) -> datetime:
    """Return the moment of a local time. A skipped one moves on by the gap; of two, it is the first."""
    return datetime.combine(day, local, zone).astimezone(UTC).astimezone(zone)


def earlier(one: datetime, other: datetime) -> bool:
    """Compare two instants. Python's `<` compares the local times when both have the same zone."""
    return one.astimezone(UTC) < other.astimezone(UTC)


def show(due: Due) -> str:
    """Return `2026-11-27` or `2026-11-27T09:00+01:00`."""
    if not isinstance(due, datetime):
        return due.isoformat()
    return due.isoformat(timespec="minutes")[: len("2026-11-27T09:00+01:00")]  # old offsets had seconds


def show_in_words(due: Due, clock: Clock) -> str:
    """Return for example `tomorrow, Friday 27 November 2026, 09:00 (Europe/Berlin)`, whatever the locale is."""
    local = due.astimezone(clock.zone) if isinstance(due, datetime) else due
    words = f"{WEEKDAY_NAMES[local.weekday()]} {local.day} {MONTH_NAMES[local.month - 1]} {local.year}"
    day = local.date() if isinstance(local, datetime) else local
    near = {0: "today, ", 1: "tomorrow, "}.get((day - clock.today).days, "")
    return f"{near}{words}" + (f", {local:%H:%M} ({clock.zone})" if isinstance(local, datetime) else "")


@cache
def zones_by_region() -> dict[str, list[str]]:
    """The zones to choose from: one for each place whose clocks differ, by continent or ocean. UTC is not in it.

    `find_zone` accepts more: old names, and names of places that share their clocks with another place.
    """
    lines = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8").splitlines()
    regions: dict[str, list[str]] = {}
    for name in sorted(line.split("\t")[2] for line in lines if line and not line.startswith("#")):
        regions.setdefault(name.partition("/")[0], []).append(name)
    return regions


@cache
def _names() -> dict[str, str]:
    """Each accepted name in lower case, and its spelling."""
    listed = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    return {name.lower(): name for name in listed if name != _NOT_SET}


@lru_cache(maxsize=1024)  # more than there are names
def _load(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)
