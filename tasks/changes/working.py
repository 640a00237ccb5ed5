"""Read tasks, change them, and save them, so that no change of another call is lost.

One task is saved only if it still has the version that was read; otherwise all is done again. Several tasks, and those
of a series, are locked first. All changes of a call are one transaction.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from typing import Protocol, TypeVar

from django.db import transaction

from tasks.changes import statements
from tasks.changes.answers import Step
from tasks.changes.editing import Foreseen
from tasks.state import TaskState
from todo_mcp.postgres.operation_run import note_use

ATTEMPTS = 5  # to save one task without a lock
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class ForeseenWork(Protocol[ResultT_co]):
    """Work on tasks whose new versions are perhaps saved already."""

    def __call__(self, states: list[TaskState], saved: statements.Saved | None = None) -> ResultT_co: ...


class Overtaken(Exception):
    """Another call changed the task between our reading and our saving."""


def work_on(user_id: str, ids: Sequence[int], work: Callable[[list[TaskState]], ResultT], *, lock: bool) -> ResultT:
    """Read these tasks and work on them.

    Args:
        work: gets the tasks in the order of the ids, without those that are not there. It saves by ``save_steps``, as
            its last statement unless ``lock`` is set.
        lock: work in a transaction, with the tasks locked.
    """
    for attempt in range(ATTEMPTS):
        is_locked = lock or attempt == ATTEMPTS - 1
        with transaction.atomic() if is_locked else nullcontext():
            found = {state.id: state for state in statements.read(user_id, ids, lock=is_locked)}
            try:
                return work([found[task_id] for task_id in ids if task_id in found])
            except Overtaken:
                continue
    raise AssertionError("a locked task was overtaken")


def work_at_once(
    user_id: str, task_id: int, foreseen: Foreseen, work: ForeseenWork[ResultT], *, now: datetime
) -> ResultT:
    """Read one task, change it as foreseen in the same statement, and work on it.

    If the task is not as foreseen, the statement only reads it, and ``work`` saves it.

    Args:
        work: as in ``work_on``. It also gets the ``saved`` versions for ``save_steps``.
    """
    try:
        return work(*statements.change(user_id, task_id, foreseen.values, foreseen.expected, now))
    except Overtaken:
        return work_on(user_id, [task_id], work, lock=False)


def save_steps(user_id: str, steps: Sequence[Step], saved: statements.Saved | None = None) -> None:
    """Save the changed tasks, and note their new versions and times.

    Args:
        saved: these, if they are in the database already.

    Raises:
        Overtaken: one of them has another version now.
    """
    changed = [step.after for step in steps if step.is_changed]
    if not changed:
        return
    done = saved or statements.save(user_id, changed)
    if len(done) != len(changed):
        raise Overtaken
    for state in changed:
        state.version, state.updated_at = done[state.id]
    note_use(tasks=sum(_is_listed(step.after) - _is_listed(step.before) for step in steps if step.before))


def _is_listed(state: TaskState) -> bool:
    return state.deleted_at is None
