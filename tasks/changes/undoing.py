"""Undo a call: bring its tasks back to the version that they had before it. The history has these versions.

An undo is a call too, and has a name of its own. Undoing it brings back every field as the first call had left it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from tasks import undo_names
from tasks.changes import statements
from tasks.changes.answers import Step, clock_part, one_line, sentences, tasks_in_words, undo_of
from tasks.changes.completing import is_open, keep_one_repeating, lock_all
from tasks.changes.editing import changed_fields
from tasks.changes.given import Given
from tasks.changes.working import save_steps
from tasks.models import SEEN_FIELDS
from tasks.results import TaskUpdated
from tasks.rows import full
from tasks.state import TaskState
from todo_mcp.core.errors import InvalidArguments, TaskNotFound, VersionConflict
from todo_mcp.postgres.history import history_note
from todo_mcp.postgres.statements import Parameter, Sql, Statement, UserId

UNDOES = "undoes"  # in the author of a change: the call that it takes back
_COLUMNS = ", ".join(SEEN_FIELDS)
_UNKNOWN = (
    "names no call of this person of the last 30 days; send the undo of an earlier answer, or of a row of list_tasks "
    "with sort updated"
)


@dataclass(frozen=True)
class Change:
    """What one call did to one task: the version and the fields it left, the fields before it, and if it is undone.

    ``is_thinned`` says that the history has no more the version before it, but only an earlier one.
    """

    task_id: int
    version: int
    before: dict[str, Any] | None  # None: the call added the task
    after: dict[str, Any]
    is_undone: bool
    is_thinned: bool


def _write(user: UserId) -> Sql:
    """The events of the call that gave a task this version, each with the event before it, and whether it is undone.

    The events of one transaction have one time, and the same author.
    """
    of_user, params = statements.user_sql(user)
    fields = ", ".join(f"{table}.{name}" for table in ("older", "task_events") for name in SEEN_FIELDS)
    sql = f"""
        WITH named AS (
            SELECT pgh_created_at, pgh_context FROM task_events
            WHERE pgh_obj_id = %s AND version = %s AND user_id = {of_user} AND pgh_label <> 'delete'
                AND pgh_created_at > %s AND pgh_context ->> 'transport' IS NOT NULL
            ORDER BY pgh_id DESC LIMIT 1
        )
        SELECT task_events.pgh_obj_id, task_events.version, task_events.pgh_label, EXISTS (
            SELECT FROM task_events later
            WHERE later.pgh_obj_id = task_events.pgh_obj_id AND later.pgh_id > task_events.pgh_id
                AND later.pgh_context ->> '{UNDOES}' = %s
        ), older.version, {fields}
        FROM named JOIN task_events ON task_events.pgh_created_at = named.pgh_created_at
            AND task_events.pgh_context IS NOT DISTINCT FROM named.pgh_context AND task_events.pgh_label <> 'delete'
        LEFT JOIN LATERAL (
            SELECT version, {_COLUMNS} FROM task_events previous
            WHERE previous.pgh_obj_id = task_events.pgh_obj_id AND previous.pgh_id < task_events.pgh_id
            ORDER BY previous.pgh_id DESC LIMIT 1
        ) older ON true
        WHERE task_events.user_id = {of_user}
        ORDER BY task_events.pgh_id
    """  # noqa: S608 (names of columns)
    named = [Parameter("task_id"), Parameter("version"), *params, Parameter("since")]
    return sql, [*named, Parameter("call"), *params]


_changes_of = Statement(_write)


def changes_of(user_id: str, name: str, now: datetime) -> list[Change]:
    """What a call did, in the order in which it changed its tasks.

    Raises:
        InvalidArguments: the name is not that of a call of this person, or the call is too old.
    """
    try:
        task_id, version = undo_names.decode(name)
    except ValueError:
        raise InvalidArguments({"undo": _UNKNOWN}) from None
    rows = _changes_of(user_id=user_id, task_id=task_id, version=version, since=now - undo_names.WINDOW, call=name)
    if not rows:
        raise InvalidArguments({"undo": _UNKNOWN})
    return [change_of_row(*row) for row in rows]


def change_of_row(task_id: int, version: int, label: str, is_undone: bool, older: int | None, *fields: Any) -> Change:
    """A change from its row: the version before it, the fields before it, then those after it."""
    before, after = (
        dict(zip(SEEN_FIELDS, part, strict=True)) for part in (fields[: len(SEEN_FIELDS)], fields[len(SEEN_FIELDS) :])
    )
    is_new = label == "insert"
    is_thinned = not is_new and (older is None or version > older + 1)
    return Change(task_id, version, None if is_new else before, after, is_undone, is_thinned)


def together(changes: Sequence[Change], states: Sequence[TaskState], ids: Sequence[int]) -> set[int | None]:
    """These tasks, and with a completed one its next occurrence, if the call added it, and the other way round."""
    of_call: set[int | None] = {change.task_id for change in changes}
    chosen = of_call.intersection(ids)
    for state in states:
        pair = {state.previous, state.id}
        if pair <= of_call and pair & chosen:
            chosen |= pair
    return chosen


def undo(user_id: str, changes: Sequence[Change], states: dict[int, TaskState], now: datetime) -> list[Step]:
    """Take these changes back, all or none. The tasks are locked.

    Raises:
        VersionConflict: some of the tasks have changed since.
    """
    if conflicts := _changed_since(changes, states):
        raise VersionConflict(
            "Some of these tasks have changed since, and nothing was done. See data.conflicts; to undo the others, "
            "send undo with their task_ids.",
            conflicts=[_conflict(change.task_id, states.get(change.task_id)) for change in conflicts],
        )
    steps = [Step(states[one.task_id], taken_back(one, states[one.task_id], now)) for one in changes]
    _keep_one_of_each_series(user_id, steps)
    save_steps(user_id, steps)
    return steps


def taken_back(change: Change, state: TaskState, now: datetime) -> TaskState:
    """The task without this change: as it was before the call, or deleted if the call added it."""
    after = state.copy()
    for field, value in ({"deleted_at": now} if change.before is None else change.before).items():
        setattr(after, field, value)
    after.updated_at = now
    return after


def _keep_one_of_each_series(user_id: str, steps: Sequence[Step]) -> None:
    """Drop the repeat of a task that opens again if another open task of its series repeats."""
    # Not by the ``fields`` of a step, which are final: the repeat may change here.
    opened = [
        step
        for step in steps
        if step.after.repeat and is_open(step.after) and step.before and changed_fields(step.before, step.after)
    ]
    if not opened:
        return
    family = {one.id: one for one in lock_all(user_id, [step.after for step in opened])}
    family |= {step.after.id: step.after for step in steps}
    for step in opened:
        if said := keep_one_repeating(step.after, family.values()):
            step.notes += [f"Task {step.after.id}: {text}" for text in said]


def _changed_since(changes: Sequence[Change], states: dict[int, TaskState]) -> list[Change]:
    """The changes whose tasks are not as the call had left them, or are gone.

    A later change that was itself taken back does not count, so that calls can be undone one after the other.
    """
    return [one for one in changes if has_changed(one, states.get(one.task_id))]


def has_changed(change: Change, state: TaskState | None) -> bool:
    """Whether the task is not as the call had left it, or is gone."""
    return state is None or any(getattr(state, field) != value for field, value in change.after.items())


def _conflict(task_id: int, state: TaskState | None) -> dict[str, Any]:
    if state is None:
        return {"task_id": task_id}
    deleted = {"deleted_at": state.deleted_at} if state.deleted_at else {}
    return {"task_id": task_id, "title": one_line(state.title), **deleted}


def undo_call(given: Given) -> TaskUpdated:
    """Take back the call that ``undo`` names, for all its tasks or for those of ``task_ids``.

    Raises:
        InvalidArguments, TaskNotFound, VersionConflict: nothing was done.
    """
    name, clock, now = given.sent["undo"], given.clock(), timezone.now()
    with transaction.atomic(), history_note(**{UNDOES: name}):
        changes = changes_of(given.user_id, name, now)
        states = {one.id: one for one in statements.read(given.user_id, _ids(changes), lock=True)}
        if any(one.version != states[one.task_id].version for one in changes if one.task_id in states):
            # Perhaps the same undo came first, while this one waited for the tasks.
            changes = changes_of(given.user_id, name, now)
        missing: list[int] = []
        if "task_ids" in given.sent:
            ids = list(dict.fromkeys(given.sent["task_ids"]))
            chosen = together(changes, list(states.values()), ids)
            missing = [task_id for task_id in ids if task_id not in chosen]
            changes = [change for change in changes if change.task_id in chosen]
            if not changes:
                raise TaskNotFound(*missing)
        left = [change for change in changes if not change.is_undone]
        steps = undo(given.user_id, left, states, now) if left else []
    shown = [step.after for step in steps] or [states[one.task_id] for one in changes if one.task_id in states]
    data = {
        "tasks": [full(state, clock.zone) for state in shown],
        "not_found": missing or None,
        "undo": undo_of(steps),
    }
    text = "This call was taken back before. Nothing changed."
    if steps:
        text = sentences(
            f"Took the call back for {tasks_in_words(steps)}.", *(note for step in steps for note in step.notes)
        )
    about_clock, said = clock_part(clock, is_named=any(state.due_on or state.due_at for state in shown))
    return TaskUpdated.of(sentences(text, *said), data | about_clock)


def _ids(changes: Sequence[Change]) -> list[int]:
    return [change.task_id for change in changes]
