"""Results of the operations that change tasks."""

import json
from datetime import datetime
from typing import Any, Self

from pydantic import Field

from todo_mcp.core.envelope import Output, to_json

Entry = dict[str, Any]  # one task in an answer
TEXT = "text"  # in a stored result: the message


class Changes(Output):
    """What a call did. ``data`` leaves out what is not set. ``text`` is the message."""

    task_id: int | None = None
    title: str | None = None
    created_at: datetime | None = None
    updated_fields: list[str] | None = None
    version: int | None = None
    updated_at: datetime | None = None
    due: str | None = None
    priority: str | None = None
    tags: list[str] | None = None
    repeat: str | None = None
    checklist: list[Entry] | None = None
    next: Entry | None = Field(default=None, description="The next occurrence: its task_id and due.")
    tasks: list[Entry] | None = None
    not_found: list[int] | None = None
    not_changed: list[int] | None = Field(default=None, description="Tasks without a due date, which cannot be moved.")
    undo: str | None = None
    now: str | None = None
    weekday: str | None = None
    time_zone: str | None = None
    time_zone_unknown: bool | None = None
    text: str = Field(default="", exclude=True)

    @classmethod
    def of(cls, text: str, data: dict[str, Any]) -> Self:
        """A result with this message and data. They are ours, so pydantic need not look at each field."""
        result = cls.__new__(cls)
        result.__dict__.update(data, text=text)
        return result

    def data(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if value is not None and name != TEXT}

    def message(self) -> str:
        return self.text


def as_json(changes: Changes) -> dict[str, Any]:
    """The data and the message as JSON that can be stored."""
    result: dict[str, Any] = json.loads(to_json({**changes.data(), TEXT: changes.text}))
    return result


class TaskAdded(Changes):
    """The result of add_task."""

    summary = ("task_id", "due", "tasks", "undo")


class TaskCompleted(Changes):
    """The result of complete_task."""

    summary = ("task_id", "tasks", "next", "undo")


class TaskDeleted(Changes):
    """The result of delete_task."""

    summary = ("task_id", "tasks", "undo")


class TaskUpdated(Changes):
    """The result of update_task."""

    summary = ("task_id", "updated_fields", "tasks", "undo")
