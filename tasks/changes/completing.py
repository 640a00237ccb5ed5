"""Complete, delete, reopen and restore tasks, and what this means for the series of a repeating task."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from tasks.changes import repeating, statements
from tasks.changes.answers import Step
from tasks.changes.working import save_steps
from tasks.clock import CallClock
from tasks.state import TaskState


def complete(user_id: str, states: Sequence[TaskState], clock: CallClock, now: datetime) -> list[Step]:
    """Complete these locked tasks, and add the next occurrence of each one that repeats.

    A task that was complete already is not changed. Its step has the occurrence that follows it.
    """
    steps = []
    for state in states:
        after = state.copy()
        step = Step(state, after)
        if not state.completed:
            after.completed, after.completed_at = True, state.changed_at(now)
            after.updated_at = after.completed_at
            if state.repeat:
                following, due = repeating.next_date(state, clock)
                if due is not None and following.day is not None:
                    step.follower = repeating.follow(after, due, following.day)
                    step.notes.append(repeating.left_out(following, clock))
                else:
                    step.notes.append("That was the last date of its repeat.")
        steps.append(step)
    save_steps(user_id, steps)
    _add_followers(user_id, [step.follower for step in steps if step.follower])
    _find_followers(user_id, [step for step in steps if not step.is_changed and step.after.repeat])
    return steps


def delete(user_id: str, states: Sequence[TaskState], now: datetime) -> list[Step]:
    """Put these tasks into the trash."""
    steps = []
    for state in states:
        after = state.copy()
        after.deleted_at = after.updated_at = state.changed_at(now)
        steps.append(Step(state, after))
    save_steps(user_id, steps)
    return steps


def lock_all(user_id: str, states: Sequence[TaskState]) -> list[TaskState]:
    """Lock the series of these tasks. Returns their tasks.

    While it waits for a completion, that adds a task, which only a later statement sees. So it reads until nothing is
    new. Then all tasks are locked, and nobody can add another one.
    """
    series = sorted({state.series or state.id for state in states})
    count = None
    while True:
        family = statements.lock_series(user_id, series)
        if len(family) == count:
            return family
        count = len(family)


def reopen(
    state: TaskState, family: Sequence[TaskState], now: datetime
) -> tuple[TaskState, list[TaskState], list[str]]:
    """Open a completed task. Returns it, other tasks of its series that change too, and what the answer says.

    Args:
        family: the tasks of its series.
    """
    after = state.copy()
    if not state.completed:
        return after, [], []
    after.completed, after.completed_at = False, None
    follower = next((one for one in family if one.previous == state.id and is_open(one)), None)
    if follower and follower.version == 1:  # nobody has changed it since it was added
        removed = follower.copy()
        removed.deleted_at = removed.updated_at = now
        return after, [removed], ["Its next occurrence was removed."]
    return after, [], keep_one_repeating(after, family)


def restore(state: TaskState, family: Sequence[TaskState]) -> tuple[TaskState, list[str]]:
    """Bring a task back from the trash. Returns it, and what the answer says."""
    after = state.copy()
    after.deleted_at = None
    return after, keep_one_repeating(after, family)


def keep_one_repeating(state: TaskState, family: Iterable[TaskState]) -> list[str]:
    """Drop the repeat of an open task if another open task of its series repeats. Returns what the answer says."""
    if state.repeat and is_open(state) and (other := other_repeating(state, family)):
        state.set_repeat("", None)
        return [f"It repeats no more, because task {other.id} of its series does."]
    return []


def other_repeating(state: TaskState, family: Iterable[TaskState]) -> TaskState | None:
    """Another open task of the same series that repeats. There is at most one."""
    series = state.series or state.id
    others = (one for one in family if (one.series or one.id) == series and one.id != state.id)
    return next((one for one in others if one.repeat and is_open(one)), None)


def is_open(state: TaskState) -> bool:
    return not state.completed and state.deleted_at is None


def _add_followers(user_id: str, followers: Sequence[TaskState]) -> None:
    if followers:
        added = statements.add(user_id, followers, conversation_id=None, message_id=None)
        for follower, (task_id, at) in zip(followers, added, strict=True):
            follower.id, follower.created_at, follower.updated_at = task_id, at, at


def _find_followers(user_id: str, steps: Sequence[Step]) -> None:
    if steps:
        found = statements.followers(user_id, [step.after for step in steps])
        of_task = {follower.previous: follower for follower in found if follower.deleted_at is None}
        for step in steps:
            step.follower = of_task.get(step.after.id)
