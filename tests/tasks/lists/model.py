"""A plain model of list_tasks: which tasks a list has, and in which order. Written without SQL, to compare with it."""

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tasks.models import PRIORITIES, Task
from todo_mcp.dates.phrases import read_range
from todo_mcp.dates.zones import Clock


def expected(tasks: list[Task], clock: Clock, **arguments: Any) -> list[Task]:
    """The tasks of the list, in order. Not for ``sort: updated``."""
    status = arguments.get("status") or (
        "completed" if arguments.get("completed_on") else "pending" if arguments.get("due") else "all"
    )
    found = [task for task in tasks if _has_status(task, status) and _fits(task, clock, arguments)]
    return sorted(found, key=lambda task: _key(task, clock.zone, arguments.get("sort", "newest")))


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def due_day(task: Task, zone: ZoneInfo) -> date | None:
    return day_of(task.due_at, zone) if task.due_at else task.due_on


def is_overdue(task: Task, clock: Clock) -> bool:
    due = task.due_at or task.due_on
    return not task.completed and due is not None and clock.is_past(due)


def _has_status(task: Task, status: str) -> bool:
    if status == "deleted":
        return task.deleted_at is not None
    if task.deleted_at is not None:
        return False
    return status == "all" or task.completed == (status == "completed")


def _fits(task: Task, clock: Clock, arguments: dict[str, Any]) -> bool:
    due = arguments.get("due")
    if due == "overdue":
        fits = is_overdue(task, clock)
    elif due in ("none", "any"):
        fits = (due_day(task, clock.zone) is None) == (due == "none")
    else:
        fits = _in(due_day(task, clock.zone), due, clock)
    completed = day_of(task.completed_at, clock.zone) if task.completed_at else None
    tag = arguments.get("tag")
    return (
        fits
        and _in(completed, arguments.get("completed_on"), clock)
        and _in(day_of(task.created_at, clock.zone), arguments.get("created_on"), clock)
        and arguments.get("priority") in (None, PRIORITIES[task.priority])
        and (tag is None or tag.casefold() in [one.casefold() for one in task.tags])
        and _has_words(task, arguments.get("query", ""))
        and arguments.get("task_id") in (None, task.pk)
    )


def _has_words(task: Task, query: str) -> bool:
    """Whether the words of a query in ASCII, each with or without a minus sign, begin words of the task."""
    has = " ".join([task.title, task.description, *task.tags]).lower().split()
    return all(
        any(word.startswith(wanted.lstrip("-")) for word in has) != wanted.startswith("-")
        for wanted in query.lower().split()
    )


def _in(day: date | None, phrase: str | None, clock: Clock) -> bool:
    if phrase is None:
        return True
    first, last = read_range(phrase, clock)
    return day is not None and (first is None or first <= day) and (last is None or day <= last)


def _key(task: Task, zone: ZoneInfo, sort: str) -> tuple[Any, ...]:
    newest = (-task.created_at.timestamp(), -task.pk)
    if sort == "priority":
        return (task.completed, -task.priority, *newest)
    if sort == "due":
        day = due_day(task, zone)
        moment = task.due_at.timestamp() if task.due_at else 0
        return (task.completed, day is None, day or date.min, moment, *newest)
    return newest
