"""How many tasks of each kind a list has."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple

from tasks.clock import due_in
from tasks.models import PRIORITIES
from tasks.search import tag_key
from todo_mcp.dates.zones import Clock

TAGS_SHOWN = 50


class Counted(NamedTuple):
    """The columns of ``COUNT_COLUMNS``, for one task."""

    completed: bool
    due_on: date | None
    due_at: datetime | None
    priority: int | None
    tags: list[str] | None


def count(tasks: Iterable[Counted], clock: Clock) -> dict[str, Any]:
    """The numbers of open and completed tasks; and of the open ones, by due date, priority and tag."""
    is_open = Counter[bool]()
    by_due = Counter[str]()
    by_priority = Counter[int]()
    by_tag = Counter[str]()
    spellings: dict[str, str] = {}  # each tag as its newest task has it
    for task in tasks:
        is_open[not task.completed] += 1
        if task.completed:
            continue
        by_due[_due(task, clock)] += 1
        by_priority[task.priority or 0] += 1
        by_tag.update(spellings.setdefault(tag_key(tag), tag) for tag in task.tags or ())
    commonest = sorted(by_tag.items(), key=lambda item: (-item[1], tag_key(item[0])))
    more = len(commonest) - TAGS_SHOWN
    return {
        "open": is_open[True],
        "completed": is_open[False],
        **{name: by_due[name] for name in ("overdue", "today", "later", "no_day")},
        "by_priority": {name: by_priority[number] for number, name in enumerate(PRIORITIES)},
        "by_tag": dict(commonest[:TAGS_SHOWN]),
        **({"more_tags": more} if more > 0 else {}),
    }


def _due(task: Counted, clock: Clock) -> str:
    due = due_in(task.due_on, task.due_at, clock.zone)
    if due is None:
        return "no_day"
    if clock.is_past(due):
        return "overdue"
    day = due.date() if isinstance(due, datetime) else due
    return "today" if day == clock.today else "later"
