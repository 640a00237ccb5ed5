"""The answer of list_tasks."""

from typing import Any, Self

from pydantic import Field

from tasks.clock import ASK_FOR_ZONE
from tasks.lists.filters import Filters
from todo_mcp.core.envelope import Output

_LEFT_OUT_STATUS = {
    "pending": "Pending tasks only, because status was left out.",
    "completed": "Completed tasks only, because status was left out.",
    "all": "Pending and completed tasks, because status was left out.",
    "any": "Pending, completed and deleted tasks, because status was left out.",
}


class TaskList(Output):
    """``notes`` are sentences for the message."""

    summary = ("tasks", "returned", "total", "has_more", "counts", "now", "weekday", "time_zone")

    tasks: list[dict[str, Any]]
    returned: int
    total: int = Field(description="Tasks on all pages, counted up to 1000.")
    total_is_exact: bool
    has_more: bool
    next_cursor: str | None = Field(description="Send it as cursor for the next page; null on the last page.")
    counts: dict[str, Any] | None = None
    now: str
    weekday: str
    time_zone: str
    time_zone_unknown: bool | None = None
    notes: tuple[str, ...] = Field(default=(), exclude=True)

    @classmethod
    def of(cls, **values: Any) -> Self:
        """A result with these fields; name each of them. pydantic does not check them, because they are ours.

        Only ``data`` and ``message`` work on the result.
        """
        result = cls.__new__(cls)
        result.__dict__.update(values)
        return result

    def data(self) -> dict[str, Any]:
        data = super().data()
        return {name: value for name, value in data.items() if value is not None or name == "next_cursor"}

    def message(self) -> str:
        return " ".join([self._found(), *self.notes])

    def _found(self) -> str:
        total = self.total if self.total_is_exact else f"more than {self.total}"
        if self.counts is not None:
            return (
                f"Counted {self.total}." if self.total_is_exact else f"Counted the first {self.total}; there are more."
            )
        if self.has_more:
            return f"Showing {self.returned} of {total}. For the rest call list_tasks again with this next_cursor."
        if self.returned == self.total:
            return f"Showing all {total}." if total else "No tasks."
        return f"Showing {self.returned} of {total}. This is the last page."


def notes_of(filters: Filters, left_out: int, *, ended: bool, ask_for_zone: bool) -> tuple[str, ...]:
    """What the message says beside the numbers."""
    asked = filters.asked
    notes = list(filters.notes)
    if asked.status is None:
        notes.append(_LEFT_OUT_STATUS[filters.status])
    if left_out:
        tasks = "1 overdue task is" if left_out == 1 else f"{left_out} overdue tasks are"
        notes.append(f"{tasks} not in this list; due ..today has them too.")
    if ended:
        notes.append("The reading ended after 20,000 tasks, so this may be incomplete; more filters help.")
    if ask_for_zone:
        notes.append(ASK_FOR_ZONE)
    return tuple(notes)
