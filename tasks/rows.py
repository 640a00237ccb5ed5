"""What an answer shows of a task, made from the columns of its row."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time
from operator import attrgetter
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from tasks.clock import due_in
from tasks.models import PRIORITIES
from todo_mcp.dates.zones import show


class TaskColumns(Protocol):
    """The columns of a task that answers show."""

    @property
    def id(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def completed(self) -> bool: ...
    @property
    def created_at(self) -> datetime | None: ...
    @property
    def updated_at(self) -> datetime | None: ...
    @property
    def version(self) -> int: ...
    @property
    def due_on(self) -> date | None: ...
    @property
    def due_at(self) -> datetime | None: ...
    @property
    def priority(self) -> int: ...
    @property
    def tags(self) -> Sequence[str] | None: ...
    @property
    def repeat(self) -> str: ...
    @property
    def repeat_time(self) -> time | None: ...
    @property
    def repeat_zone(self) -> str: ...
    @property
    def checklist(self) -> Sequence[Mapping[str, Any]] | None: ...
    @property
    def completed_at(self) -> datetime | None: ...
    @property
    def deleted_at(self) -> datetime | None: ...


class TaskRow(NamedTuple):
    """A row of a statement that selects ``COLUMNS``.

    The statement gives null for no tags and for an empty checklist: psycopg takes long to read an empty list.
    """

    id: int
    title: str
    description: str
    completed: bool
    created_at: datetime
    updated_at: datetime
    version: int
    due_on: date | None
    due_at: datetime | None
    priority: int
    tags: list[str] | None
    repeat: str
    repeat_time: time | None
    repeat_zone: str
    checklist: list[dict[str, Any]] | None
    completed_at: datetime | None
    deleted_at: datetime | None


COLUMNS = TaskRow._fields
EMPTY = {"tags": "'{}'", "checklist": "'[]'"}  # the SQL of values that become null


_columns_of = attrgetter(*COLUMNS)


def full(task: TaskColumns, zone: ZoneInfo) -> dict[str, Any]:
    """Every field of the task that is not empty. The due date is shown in this zone."""
    return full_row(_columns_of(task), zone)


def full_row(row: Sequence[Any], zone: ZoneInfo) -> dict[str, Any]:
    """The same for a row that begins with ``COLUMNS``. A list has many, so this takes the row apart at once."""
    (
        task_id, title, description, completed, created_at, updated_at, version, due_on, due_at, priority, tags, repeat,
        repeat_time, repeat_zone, checklist, completed_at, deleted_at, *_,
    ) = row  # fmt: skip
    shown: dict[str, Any] = {
        "task_id": task_id,
        "title": title,
        "description": description,
        "completed": completed,
        "created_at": created_at,
        "updated_at": updated_at,
        "version": version,
    }
    due = due_in(due_on, due_at, zone)
    if due is not None:
        shown["due"] = show(due)
    if priority:
        shown["priority"] = PRIORITIES[priority]
    if tags:
        shown["tags"] = tags
    if repeat:
        shown["repeat"] = repeat
        if repeat_time is not None and repeat_zone != str(zone):
            shown["time_zone"] = repeat_zone
    if checklist:
        shown["checklist"] = [{"text": item["text"], "done": item["done"]} for item in checklist]
    if completed_at is not None:
        shown["completed_at"] = completed_at
    if deleted_at is not None:
        shown["deleted_at"] = deleted_at
    return shown


def short(task: TaskColumns, zone: ZoneInfo, fields: Collection[str]) -> dict[str, Any]:
    """The fields that tell tasks apart, and these others if they are set."""
    shown: dict[str, Any] = {"task_id": task.id, "title": task.title}
    due = due_in(task.due_on, task.due_at, zone)
    if due is not None:
        shown["due"] = show(due)
    if task.priority:
        shown["priority"] = PRIORITIES[task.priority]
    if task.completed:
        shown["completed"] = True
    if task.repeat:
        shown["repeat"] = True
    if task.checklist:
        shown["checklist"] = f"{sum(item['done'] for item in task.checklist)}/{len(task.checklist)}"
    for name in fields:
        if value := getattr(task, name):
            shown[name] = value
    return shown
