"""The versions of a task: read them, and go back to one. Every change made here is a version itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from tasks.models import Task, TaskEvent
from todo_mcp.core.errors import TaskNotFound

HISTORY_MAX = 100  # events that a task's page shows, the latest
WORDS = ("title", "description", "completed", "completed_at")  # what going back brings back


@dataclass(frozen=True)
class Change:
    """One line of a task's history: what happened, and the field's words before and after, where it has any."""

    what: str
    before: str | None = None
    after: str | None = None


def changes(older: dict[str, Any] | None, newer: dict[str, Any]) -> Iterator[Change]:
    """What the newer of two events of a task changed; without an older one the words that it began with."""
    if newer["pgh_label"] != "update" or older is None:
        yield Change({"insert": "Added", "delete": "Removed for good"}.get(newer["pgh_label"], "Changed"))
        return
    yield from differences(older, newer)


def differences(older: dict[str, Any], newer: dict[str, Any]) -> Iterator[Change]:
    """What is not the same in two versions."""
    if older["deleted_at"] != newer["deleted_at"]:
        yield Change("Deleted" if newer["deleted_at"] else "Restored")
    if older["completed"] != newer["completed"]:
        yield Change("Completed" if newer["completed"] else "Opened again")
    for field in ("title", "description", "user_id"):
        if older[field] != newer[field]:
            yield Change(field.removesuffix("_id").capitalize(), older[field], newer[field])


def history(task_id: int) -> tuple[list[dict[str, Any]], bool]:
    """The latest events of a task, newest first, and whether there are older ones; one query.

    An event is ``revertible`` where going back to it would change the task.
    """
    rows: list[dict[str, Any]] = list(_versions(task_id).order_by("-pgh_id")[: HISTORY_MAX + 1])
    shown = [
        {
            "version": newer["pgh_id"],
            "at": newer["pgh_created_at"],
            "by": newer["pgh_context"] or {},
            "changes": list(changes(older, newer)),
            "revertible": any(newer[name] != rows[0][name] for name in ("title", "description", "completed")),
        }
        for newer, older in zip(rows, [*rows[1:], None], strict=True)
    ]
    return shown[:HISTORY_MAX], len(rows) > HISTORY_MAX


def version(*, user_id: str, task_id: int, version_id: int) -> dict[str, Any]:
    """One version of a task, whole.

    Raises:
        TaskNotFound: this user's task has no such version.
    """
    found: dict[str, Any] | None = _versions(task_id).filter(pgh_id=version_id, user_id=user_id).first()
    if found is None:
        raise TaskNotFound(task_id)
    return found


def revert_task(*, user_id: str, task_id: int, version_id: int) -> None:
    """Give a living task the words and the state of one of its versions; for operators, not a tool.

    Raises:
        TaskNotFound: this user has no such living task, or it has no such version.
    """
    then = version(user_id=user_id, task_id=task_id, version_id=version_id)
    living = Task.objects.filter(pk=task_id, user_id=user_id, deleted_at=None)
    if not living.update(updated_at=timezone.now(), **{name: then[name] for name in WORDS}):
        raise TaskNotFound(task_id)


_COLUMNS = ("pgh_id", "pgh_created_at", "pgh_label", "pgh_context", *WORDS, "deleted_at", "user_id")


def _versions(task_id: int) -> Any:
    return TaskEvent.objects.filter(pgh_obj_id=task_id).values(*_COLUMNS)
