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
    def priority(self) -> int | None: ...
    @property
    def tags(self) -> Sequence[str] | None: ...
    @property
    def repeat(self) -> str | None: ...
    @property
    def repeat_time(self) -> time | None: ...
    @property
    def repeat_zone(self) -> str | None: ...
    @property
    def checklist(self) -> Sequence[Mapping[str, Any]] | None: ...
    @property
    def completed_at(self) -> datetime | None: ...
    @property
    def deleted_at(self) -> datetime | None: ...


class TaskRow(NamedTuple):
    """A row of a statement that selects ``COLUMNS``, made by ``row_of``: a raw row may lack ``USUAL`` values."""

    id: int
    title: str
    description: str
    completed: bool
    created_at: datetime
    updated_at: datetime
    version: int
    due_on: date | None
    due_at: datetime | None
    priority: int | None
    tags: list[str] | None
    repeat: str | None
    repeat_time: time | None
    repeat_zone: str | None
    checklist: list[dict[str, Any]] | None
    completed_at: datetime | None
    deleted_at: datetime | None


COLUMNS = TaskRow._fields
# The statement gives null in place of the usual value, whose SQL this is. A page has many of them, and psycopg takes
# long to read a time or a list.
USUAL = {
    "updated_at": "created_at",
    "version": "1",
    "priority": "0",
    "tags": "'{}'",
    "repeat": "''",
    "repeat_zone": "''",
    "checklist": "'[]'",
}
_NOTHING = (None,) * 8  # the columns from due_on to checklist of most tasks


def row_of(columns: Sequence[Any]) -> TaskRow:
    """The row that begins with ``COLUMNS``."""
    row = TaskRow._make(columns[: len(COLUMNS)])
    return row._replace(updated_at=row.updated_at or row.created_at, version=row.version or 1)


_columns_of = attrgetter(*COLUMNS)


def full(task: TaskColumns, zone: ZoneInfo) -> dict[str, Any]:
    """Every field of the task that is not empty. The due date is shown in this zone."""
    return full_row(_columns_of(task), zone)


def full_row(row: Sequence[Any], zone: ZoneInfo) -> dict[str, Any]:
    """The same for a row that begins with ``COLUMNS``. A list has many of them, and most have only a few fields."""
    shown: dict[str, Any] = {
        "task_id": row[0],
        "title": row[1],
        "description": row[2],
        "completed": row[3],
        "created_at": row[4],
        "updated_at": row[5] or row[4],
        "version": row[6] or 1,
    }
    if row[7:15] != _NOTHING:
        _add_fields(shown, row[7:15], zone)
    if row[15] is not None:
        shown["completed_at"] = row[15]
    if row[16] is not None:
        shown["deleted_at"] = row[16]
    return shown


def _add_fields(shown: dict[str, Any], columns: Sequence[Any], zone: ZoneInfo) -> None:
    """Add those of the fields from due_on to checklist that are not empty."""
    due_on, due_at, priority, tags, repeat, repeat_time, repeat_zone, checklist = columns
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
