"""What operators read of a task: its status, due date, repeat and checklist, in the zone of the task's owner."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tasks.clock import due_in
from tasks.models import Task
from tasks.state import Item
from todo_mcp.dates.zones import Clock, show_in_words

DONE, OPEN = "☑", "☐"
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)  # from there, no day is "tomorrow"


def status_in_words(task: Task) -> str:
    return "deleted" if task.deleted_at else "completed" if task.completed else "pending"


def due_in_words(due_on: date | None, due_at: datetime | None, zone: ZoneInfo) -> str:
    """For example `Friday 27 November 2026, 09:00 (Europe/Berlin)`. Empty without a due date."""
    due = due_in(due_on, due_at, zone)
    return show_in_words(due, Clock(_LONG_AGO, zone)) if due else ""


def repeat_in_words(row: dict[str, Any]) -> str:
    """The rule, and the date that it gave to this occurrence. Empty if the task does not repeat."""
    if not row["repeat"]:
        return ""
    at = f" {row['repeat_time']:%H:%M} {row['repeat_zone']}" if row["repeat_time"] else ""
    return f"{row['repeat']}, from {row['repeat_on']}{at}"


def item_in_words(item: Item) -> str:
    return f"{DONE if item['done'] else OPEN} {item['text']}"


def items_in_words(older: Sequence[Item], newer: Sequence[Item]) -> tuple[str, str]:
    """The items that differ, before and after. If only their order differs, all items."""
    before, after = [item_in_words(item) for item in older], [item_in_words(item) for item in newer]
    changed = [line for line in before if line not in after], [line for line in after if line not in before]
    lines = changed if any(changed) else (before, after)
    return "\n".join(lines[0]), "\n".join(lines[1])
