"""Results of the operations that change tasks."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field

from todo_mcp.core.envelope import Output

Entry = dict[str, Any]  # one task in an answer


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
        """A result with this message and data, which are not validated: they are ours."""
        return cls.model_construct(_fields_set=set(data), text=text, **data)

    def data(self) -> dict[str, Any]:
        return {name: value for name in self.model_fields_set if (value := getattr(self, name)) is not None}

    def message(self) -> str:
        return self.text


class TaskAdded(Changes):
    """The result of add_task."""


class TaskCompleted(Changes):
    """The result of complete_task."""


class TaskDeleted(Changes):
    """The result of delete_task."""


class TaskUpdated(Changes):
    """The result of update_task."""
