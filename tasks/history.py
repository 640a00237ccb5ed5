"""Read the versions of a task, and revert the task to one of them. A revert itself adds a version."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from tasks.models import Task, TaskEvent
from todo_mcp.core.errors import TaskNotFound

HISTORY_MAX = 100  # latest events that a task's page shows
REVERT_FIELDS = ("title", "description", "completed", "completed_at")  # the fields that a revert restores


@dataclass(frozen=True)
class Change:
    """One line of a task's history: what happened, and the field's text before and after, if it has any."""

    what: str
    before: str | None = None
    after: str | None = None


def changes(older: dict[str, Any] | None, newer: dict[str, Any]) -> Iterator[Change]:
    """The changes between two events of a task. Without an older event, there is one entry for the newer event."""
    if newer["pgh_label"] != "update" or older is None:
        yield Change({"insert": "Added", "delete": "Removed for good"}.get(newer["pgh_label"], "Changed"))
        return
    yield from differences(older, newer)


def differences(older: dict[str, Any], newer: dict[str, Any]) -> Iterator[Change]:
    """The differences between two versions of a task."""
    if older["deleted_at"] != newer["deleted_at"]:
        yield Change("Deleted" if newer["deleted_at"] else "Restored")
    if older["completed"] != newer["completed"]:
        yield Change("Completed" if newer["completed"] else "Opened again")
    for field in ("title", "description", "user_id"):
        if older[field] != newer[field]:
            yield Change(field.removesuffix("_id").capitalize(), older[field], newer[field])


def history(task_id: int) -> tuple[list[dict[str, Any]], bool]:
    """The latest events of a task, newest first, and whether older ones exist. One query.

    An event is ``revertible`` if a revert to it would change the task.
    """
    rows: list[dict[str, Any]] = list(_versions(task_id).order_by("-pgh_id")[: HISTORY_MAX + 1])
    events = [
        {
            "version": newer["pgh_id"],
            "at": newer["pgh_created_at"],
            "by": newer["pgh_context"] or {},
            "changes": list(changes(older, newer)),
            "revertible": any(newer[name] != rows[0][name] for name in ("title", "description", "completed")),
        }
        for newer, older in zip(rows, [*rows[1:], None], strict=True)
    ]
    return events[:HISTORY_MAX], len(rows) > HISTORY_MAX


def version(*, user_id: str, task_id: int, version_id: int) -> dict[str, Any]:
    """One version of a task, with all fields that the history shows or a revert restores.

    Raises:
        TaskNotFound: this user's task has no such version.
    """
    row: dict[str, Any] | None = _versions(task_id).filter(pgh_id=version_id, user_id=user_id).first()
    if row is None:
        raise TaskNotFound(task_id)
    return row


def revert_task(*, user_id: str, task_id: int, version_id: int) -> None:
    """Set a task's title, description and state to those of one of its versions. For operators: it is not a tool.

    Raises:
        TaskNotFound: this user has no such task, the task is deleted, or it has no such version.
    """
    target = version(user_id=user_id, task_id=task_id, version_id=version_id)
    tasks = Task.objects.filter(pk=task_id, user_id=user_id, deleted_at=None)
    if not tasks.update(updated_at=timezone.now(), **{name: target[name] for name in REVERT_FIELDS}):
        raise TaskNotFound(task_id)


_COLUMNS = ("pgh_id", "pgh_created_at", "pgh_label", "pgh_context", *REVERT_FIELDS, "deleted_at", "user_id")


def _versions(task_id: int) -> Any:
    return TaskEvent.objects.filter(pgh_obj_id=task_id).values(*_COLUMNS)
