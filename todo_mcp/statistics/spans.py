"""The times that a report is about: today, yesterday, some days, or one of these days or hours. All in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPANS = {"today": "Today", "yesterday": "Yesterday", "7d": "7 days", "30d": "30 days"}
_AT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d)?")


@dataclass(frozen=True)
class Span:
    """A time from ``start`` to ``end``, or to ``now`` if that is earlier. A chart of it has bars of length ``step``."""

    start: datetime
    end: datetime
    now: datetime

    @property
    def until(self) -> datetime:
        return max(self.start, min(self.end, self.now))

    @property
    def step(self) -> timedelta:
        return HOUR if self.end - self.start <= DAY else DAY

    @property
    def shift(self) -> timedelta:
        """How much earlier the time is that this one is compared with: at least a day, as few call at night."""
        return max(DAY, self.end - self.start)

    @property
    def before(self) -> tuple[datetime, datetime]:
        """The start and the end of the time that this one is compared with. Both have passed equally far."""
        return self.start - self.shift, self.until - self.shift

    @property
    def bars(self) -> list[datetime]:
        """The start of each bar, also of those in the future."""
        return [self.start + n * self.step for n in range((self.end - self.start) // self.step)]


def span_of(name: str, now: datetime) -> Span:
    """The span of this name, a key of ``SPANS``. Days are those of UTC, and the last days include today."""
    today = start_of_day(now)
    if name == "yesterday":
        return Span(today - DAY, today, now)
    days = {"today": 1, "7d": 7, "30d": 30}[name]
    return Span(today - (days - 1) * DAY, today + DAY, now)


def span_at(text: str, now: datetime) -> Span:
    """The day or hour that is written as ``2026-11-27`` or ``2026-11-27T09``.

    Raises:
        ValueError: the text is neither, or not a time of this age.
    """
    if not _AT.fullmatch(text):
        raise ValueError(text)
    start = datetime.fromisoformat(text if "T" in text else f"{text}T00").replace(tzinfo=UTC)
    if abs(start - now) > 1000 * DAY:
        raise ValueError(text)
    return Span(start, start + (HOUR if "T" in text else DAY), now)


def start_of_day(when: datetime) -> datetime:
    """The start of the day in UTC."""
    return when.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
