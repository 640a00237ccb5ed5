"""A task as a statement read it, and as a change will leave it."""

from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, time
from operator import attrgetter
from typing import Any, Self
from zoneinfo import ZoneInfo

from tasks.clock import due_in
from todo_mcp.dates.zones import Due, find_zone

Item = dict[str, Any]  # one of a checklist: {"text": …, "done": …}
REPEAT_FIELDS = ("repeat", "repeat_on", "repeat_time", "repeat_zone")


@dataclass(slots=True)
class TaskState:
    """The columns of a task, under their names. See ``Task`` for their meaning."""

    title: str
    description: str = ""
    completed: bool = False
    completed_at: datetime | None = None
    deleted_at: datetime | None = None
    due_on: date | None = None
    due_at: datetime | None = None
    priority: int = 0
    tags: list[str] = field(default_factory=list)
    repeat: str = ""
    repeat_on: date | None = None
    repeat_time: time | None = None
    repeat_zone: str = ""
    checklist: list[Item] = field(default_factory=list)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    id: int = 0
    version: int = 1
    series: int | None = None
    previous: int | None = None
    thinned: int = 0

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Self:
        """From a row with the columns of ``COLUMNS``."""
        return cls(*row)

    def copy(self) -> Self:
        """A copy to change. Replace its lists; do not change them."""
        return type(self)(*_values(self))

    def changed_at(self, now: datetime) -> datetime:
        """The time of a change now. Clocks jump back, but a change never seems older than the one before."""
        return max(now, self.updated_at or now)

    def due_in(self, zone: ZoneInfo) -> Due | None:
        """The day, or the moment in this zone."""
        return due_in(self.due_on, self.due_at, zone)

    def set_due(self, due: Due | None) -> None:
        is_moment = isinstance(due, datetime)
        # In UTC, because the two moments of a repeated hour are never equal to those of another zone (PEP 495).
        self.due_at = due.astimezone(UTC) if isinstance(due, datetime) else None
        self.due_on = None if is_moment else due

    def set_repeat(self, repeat: str, due: Due | None) -> None:
        """Let the task repeat by this rule from this date on, or no more if the rule is empty."""
        if not repeat or due is None:
            self.repeat, self.repeat_on, self.repeat_time, self.repeat_zone = "", None, None, ""
            return
        self.repeat = repeat
        if isinstance(due, datetime):
            self.repeat_on, self.repeat_time, self.repeat_zone = due.date(), due.time(), str(due.tzinfo)
        else:
            self.repeat_on, self.repeat_time, self.repeat_zone = due, None, ""

    def zone_of_series(self, zone: ZoneInfo) -> ZoneInfo:
        """The zone of a repeating moment; for other tasks, the given one."""
        return find_zone(self.repeat_zone) if self.repeat_zone else zone


COLUMNS = tuple(column.name for column in fields(TaskState))
_values = attrgetter(*COLUMNS)
