"""The moment of a call in the person's zone, and what an answer says about it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from todo_mcp.core.errors import InvalidArguments
from todo_mcp.dates.zones import Clock, Due, UnknownZone, find_zone

_DAYS = frozenset({"due", "repeat", "completed_on", "created_on"})
ASK_FOR_ZONE = (
    "The person's time zone is not known, so this is UTC: ask for it, then send it once as time_zone to update_task."
)


@dataclass(frozen=True)
class CallClock(Clock):
    """The clock of one call. ``is_known`` says whether the person has a zone, or the call names one."""

    is_known: bool = True

    def answer(self) -> dict[str, Any]:
        """What an answer that names a day says: ``now``, ``weekday``, ``time_zone``; and if that is a guess."""
        unknown = {} if self.is_known else {"time_zone_unknown": True}
        return {"now": self.text, "weekday": self.weekday, "time_zone": self.time_zone, **unknown}

    def refusal(self, fields: Mapping[str, str]) -> InvalidArguments:
        """The refusal of these arguments. It has the clock if one of them takes words for days."""
        return InvalidArguments(dict(fields), **(self.answer() if _has_days(fields) else {}))


def clock_of(own_zone: str, time_zone: str | None = None) -> CallClock:
    """The clock in the zone that the call names, else in the person's own, else in UTC.

    Raises:
        InvalidArguments: the call names a zone that there is not.
    """
    minute = _this_minute()
    try:
        return _clock_at(minute, time_zone or own_zone)
    except UnknownZone as error:
        if time_zone:
            raise InvalidArguments({"time_zone": str(error).rstrip(".")}) from None
        return _clock_at(minute, "")  # the rules of today have no such zone any more


@lru_cache(maxsize=1024)  # the calls of a minute share the clocks of their zones
def _clock_at(minute: datetime, name: str) -> CallClock:
    return CallClock(minute, find_zone(name or "UTC"), is_known=bool(name))


def _has_days(fields: Iterable[str]) -> bool:
    """Whether one of these fields takes words for days, such as ``due`` or ``tasks.0.due``."""
    return any(field.rpartition(".")[2] in _DAYS for field in fields)


def clock_of_refusal(fields: Iterable[str], own_zone: str, time_zone: object = None) -> dict[str, Any]:
    """What a refusal of these fields says about the clock: nothing if none of them takes words for days.

    Args:
        time_zone: the argument as it was sent. The user's own zone replaces one that there is not.
    """
    if not _has_days(fields):
        return {}
    with suppress(InvalidArguments):
        return clock_of(own_zone, time_zone.strip() if isinstance(time_zone, str) else None).answer()
    return clock_of(own_zone).answer()


def zone_of(name: str) -> ZoneInfo:
    """A user's stored zone. UTC if it is empty, or if the rules of today have no such zone."""
    try:
        return find_zone(name or "UTC")
    except UnknownZone:
        return find_zone("UTC")


def clock_in(zone: ZoneInfo) -> Clock:
    """The clock of a page that shows a user's days."""
    return Clock(_this_minute(), zone)


def due_in(due_on: date | None, due_at: datetime | None, zone: ZoneInfo) -> Due | None:
    """When a task with these columns is due: on the day, or at the moment in this zone."""
    return due_at.astimezone(zone) if due_at else due_on


def _this_minute() -> datetime:
    return timezone.now().replace(second=0, microsecond=0)
