"""Finish tasks: ``complete_task`` and ``delete_task``."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from tasks import queries, undo_names
from tasks.changes import statements
from tasks.changes.answers import (
    Step,
    brief,
    clock_part,
    entry,
    names_a_day,
    next_in_words,
    notes_of_several,
    one_line,
    sentences,
    tasks_in_words,
    undo_of,
)
from tasks.changes.completing import complete, delete
from tasks.changes.given import Given, Which, check_version
from tasks.changes.matching import Pool, match
from tasks.changes.working import work_on
from tasks.clock import CallClock
from tasks.results import TaskCompleted, TaskDeleted
from tasks.state import TaskState
from todo_mcp.core.errors import TaskNotFound
from todo_mcp.postgres.operation_run import note_use

_SKIP_INSTEAD = "to leave out one date instead, undo this and use update_task with due skip."
_SERIES_ENDED = f"Its repeat, the whole series, ended with it; {_SKIP_INSTEAD}"
_IN_TRASH = "It stays in the trash for 30 days; update_task with this undo brings it back."
Work = Callable[[list[TaskState]], list[Step]]


def complete_tasks(given: Given) -> TaskCompleted:
    """Complete the tasks that the call names.

    Raises:
        InvalidArguments, TaskNotFound, AmbiguousMatch, VersionConflict: nothing was done.
    """
    which, now = Which.of(given), timezone.now()
    if which.is_only_an_id and (rows := queries.complete_task(user_id=given.user_id, task_id=which.task_id, now=now)):
        title, version, updated_at, _ = rows[0]
        return TaskCompleted.of(*_done("Completed", which.task_id or 0, title, version, updated_at))
    clock = given.clock()

    def work(states: list[TaskState]) -> list[Step]:
        return complete(given.user_id, states, clock, now)

    steps: list[Step] = []
    missing: list[int] = []
    if which.is_only_an_id:  # it is complete already, is not there, or repeats
        found = queries.get_task(user_id=given.user_id, task_id=which.task_id)
        if not found:
            raise TaskNotFound(which.task_id or 0)
        title, version, updated_at, completed, repeat = found[0]
        if completed and not repeat:
            return _completed_before(which.task_id or 0, title, version, updated_at)
        if completed:
            states = statements.read(given.user_id, which.ids())
            # Only a task that is still complete: its occurrences are not locked.
            steps = work([state for state in states if state.completed and state.deleted_at is None])
    if not steps:
        steps, missing = _finish(given, which, clock, Pool.COMPLETE, work)
    about_clock, said = clock_part(clock, is_named=names_a_day(steps))
    data = _data(given, steps, missing, clock) | about_clock
    if "tasks" in data:
        done = [step for step in steps if step.is_changed]
        unchanged = len(steps) - len(done)
        before = f"{unchanged} {'was' if unchanged == 1 else 'were'} completed before." if unchanged else ""
        text = sentences(
            f"Completed {tasks_in_words(done)}." if done else "",
            before,
            _missing(missing),
            *notes_of_several(steps, clock),
        )
    else:
        [step] = steps
        title = one_line(step.after.title)
        text = f"Completed task {step.after.id}: {title}."
        if not step.is_changed:
            text = f"Task {step.after.id} was completed before: {title}. Nothing changed."
        text = sentences(text, next_in_words(step, clock), *step.notes)
    return TaskCompleted.of(sentences(text, *said), data)


def _completed_before(task_id: int, title: str, version: int, updated_at: datetime) -> TaskCompleted:
    data = brief(task_id, title, version, updated_at)
    return TaskCompleted.of(f"Task {task_id} was completed before: {one_line(title)}. Nothing changed.", data)


def delete_tasks(given: Given) -> TaskDeleted:
    """Put the tasks that the call names into the trash.

    Raises:
        InvalidArguments, TaskNotFound, AmbiguousMatch, VersionConflict: nothing was done.
    """
    which, now = Which.of(given), timezone.now()
    if which.is_only_an_id:
        rows = queries.delete_task(user_id=given.user_id, task_id=which.task_id, now=now)
        if not rows:
            raise TaskNotFound(which.task_id or 0)
        note_use(tasks=-1)
        title, version, updated_at, repeat, completed, _ = rows[0]
        text, data = _done("Deleted", which.task_id or 0, title, version, updated_at)
        return TaskDeleted.of(sentences(text, _IN_TRASH, _SERIES_ENDED if repeat and not completed else ""), data)
    clock = given.clock()
    steps, missing = _finish(given, which, clock, Pool.DELETE, lambda states: _delete(given.user_id, states, now))
    data = _data(given, steps, missing, clock)
    done = [step for step in steps if step.is_changed]
    if not done:
        text = f"Task {steps[0].after.id} was deleted before: {one_line(steps[0].after.title)}. Nothing changed."
    elif "tasks" in data:
        series = [str(step.after.id) for step in done if _ends_series(step)]
        text = sentences(
            f"Deleted {tasks_in_words(done)}.",
            "They stay in the trash for 30 days; update_task with this undo brings them back.",
            f"The repeat of these ended: {', '.join(series)}; {_SKIP_INSTEAD}" if series else "",
            _missing(missing),
        )
    else:
        text = sentences(
            f"Deleted task {done[0].after.id}: {one_line(done[0].after.title)}.",
            _IN_TRASH,
            _SERIES_ENDED if _ends_series(done[0]) else "",
        )
    return TaskDeleted.of(text, data)


def _delete(user_id: str, states: Sequence[TaskState], now: datetime) -> list[Step]:
    """Delete tasks; one that was deleted before, and is found again by its words, stays as it is."""
    steps = delete(user_id, [state for state in states if state.deleted_at is None], now)
    return steps or [Step(state, state.copy()) for state in states]


def _ends_series(step: Step) -> bool:
    return bool(step.after.repeat) and not step.after.completed


def _finish(given: Given, which: Which, clock: CallClock, pool: Pool, work: Work) -> tuple[list[Step], list[int]]:
    """Find the tasks, and do the work on those that are there. Returns what was done, and the ids not found."""

    def checked(states: list[TaskState]) -> list[Step]:
        there = [state for state in states if state.deleted_at is None or which.match]
        if not there:
            raise TaskNotFound(*ids)
        check_version(which, there[0], clock)
        return work(there)

    ids = [match(given.user_id, which.match, pool, clock)] if which.match else which.ids()
    steps = work_on(given.user_id, ids, checked, lock=True)
    found = {step.after.id for step in steps}
    return steps, [task_id for task_id in ids if task_id not in found]


def _data(given: Given, steps: Sequence[Step], missing: Sequence[int], clock: CallClock) -> dict[str, Any]:
    undo = {"undo": undo_of(steps) or ("match" in given.sent and _undo_of_before(steps[0].after)) or None}
    if "task_ids" not in given.sent:
        return entry(steps[0], clock) | undo
    return {"tasks": [entry(step, clock) for step in steps], "not_found": list(missing) or None} | undo


def _undo_of_before(state: TaskState) -> str | None:
    """The undo of the call that completed or deleted the task, if nothing has changed it since."""
    is_last = state.updated_at in (state.completed_at, state.deleted_at)
    return undo_names.encode(state.id, state.version) if is_last else None


def _done(verb: str, task_id: int, title: str, version: int, updated_at: datetime) -> tuple[str, dict[str, Any]]:
    """The message and the data of one task that one statement changed."""
    data = brief(task_id, title, version, updated_at) | {"undo": undo_names.encode(task_id, version)}
    return f"{verb} task {task_id}: {one_line(title)}.", data


def _missing(ids: Sequence[int]) -> str:
    return f"Not found: {', '.join(map(str, ids))}." if ids else ""
