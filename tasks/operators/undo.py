"""Undo a call from the history of a task: what would change, and the change itself. For operators: it is not a tool."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from tasks import undo_names
from tasks.changes import statements, undoing
from tasks.changes.answers import Step
from tasks.history import Change, differences
from tasks.models import SEEN_FIELDS
from tasks.state import TaskState
from todo_mcp.core.errors import TaskNotFound, VersionConflict
from todo_mcp.postgres.history import history_note

NAMED_MAX = 5  # tasks that a refusal names


@dataclass(frozen=True)
class Preview:
    """What an undo would do to one task. ``has_changed`` says that it cannot, because the task has changed since."""

    task_id: int
    title: str
    changes: Sequence[Change]
    has_changed: bool
    deletes: bool


def preview_undo(*, user_id: str, task_id: int, event_id: int, zone: ZoneInfo) -> list[Preview]:
    """What taking back the call of this event would do, for each of its tasks.

    Raises:
        TaskNotFound: this user's task has no such event.
        VersionConflict: the versions before the call have thinned out.
    """
    changes = _changes(user_id, task_id, event_id)
    states = {one.id: one for one in statements.read(user_id, [change.task_id for change in changes])}
    return [_preview(change, states.get(change.task_id), zone) for change in changes]


def _preview(change: undoing.Change, state: TaskState | None, zone: ZoneInfo) -> Preview:
    if undoing.has_changed(change, state) or state is None:
        return Preview(change.task_id, state.title if state else "", (), has_changed=True, deletes=False)
    now = {name: getattr(state, name) for name in SEEN_FIELDS}
    then = change.before if change.before is not None else now | {"deleted_at": timezone.now()}
    deletes = bool(then["deleted_at"]) and not state.deleted_at
    return Preview(state.id, state.title, tuple(differences(now, then, zone)), has_changed=False, deletes=deletes)


def undo_event(*, user_id: str, task_id: int, event_id: int) -> list[Step]:
    """Take back the whole call of this event, for all its tasks or none.

    Raises:
        TaskNotFound: this user's task has no such event.
        VersionConflict: some of the tasks have changed since. Nothing was done.
    """
    changes = _changes(user_id, task_id, event_id)
    name = undo_names.encode(changes[0].task_id, changes[0].version)
    with transaction.atomic(), history_note(**{undoing.UNDOES: name}):
        states = {one.id: one for one in statements.read(user_id, [one.task_id for one in changes], lock=True)}
        changes = _changes(user_id, task_id, event_id)  # again, now that nobody else changes them
        if changed := [change.task_id for change in changes if undoing.has_changed(change, states.get(change.task_id))]:
            raise VersionConflict(refusal(changed))
        return undoing.undo(user_id, changes, states, timezone.now())


def refusal(changed: Sequence[int]) -> str:
    """Why a call cannot be taken back."""
    names = ", ".join(map(str, changed[:NAMED_MAX]))
    more = f" and {len(changed) - NAMED_MAX} more" if len(changed) > NAMED_MAX else ""
    which, have = ("Task", "has") if len(changed) == 1 else ("Tasks", "have")
    return (
        f"{which} {names}{more} {have} changed since this call, so it cannot be undone. Undo the later calls first, or "
        "revert a task to one of its versions."
    )


def _changes(user_id: str, task_id: int, event_id: int) -> list[undoing.Change]:
    changes: list[Any] = undoing.changes_of_event(user_id, event_id)
    if all(change.task_id != task_id for change in changes):
        raise TaskNotFound(task_id)
    if any(change.is_thinned for change in changes):
        raise VersionConflict(
            "The versions before this call have thinned out, so it cannot be undone. Revert a task to one that is left."
        )
    return changes
