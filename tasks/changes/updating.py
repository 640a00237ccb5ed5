"""Change tasks: ``update_task``, except for its ``undo``."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from tasks import queries, undo_names
from tasks.changes import completing, undoing
from tasks.changes.answers import (
    Step,
    clock_part,
    due_in_words,
    due_notes,
    entry,
    names_a_day,
    one_line,
    sentences,
    tasks_in_words,
    undo_of,
)
from tasks.changes.editing import Edited, check_clear, edit
from tasks.changes.given import Given, Which, check_version
from tasks.changes.matching import Pool, match
from tasks.changes.refusals import Refusals, Refused
from tasks.changes.working import save_steps, work_on
from tasks.clock import CallClock
from tasks.results import TEXT, TaskUpdated, as_json
from tasks.state import TaskState
from todo_mcp.core.errors import InvalidArguments, TaskNotFound
from todo_mcp.dates.zones import show
from todo_mcp.idempotency.services import run_once
from todo_mcp.users.services import set_zone

# The arguments that change a task.
CHANGES = (
    "title", "description", "due", "priority", "append", "tags", "add_tags", "remove_tags", "checklist", "add_items",
    "remove_items", "check", "uncheck", "repeat", "clear", "reopen", "restore",
)  # fmt: skip
ANY_CHANGE = (*CHANGES, "undo", "tasks", "time_zone")
_NO_DESCRIPTION = {"clear": ["description"]}
_BESIDE_TASKS = ("time_zone", "idempotency_key")
_USE_CLEAR = "To empty a field, name it in clear."
_NO_DATE = "moves a due date, and this task has none; send a day such as tomorrow"


def update_tasks(given: Given) -> TaskUpdated:
    """Change the tasks that the call names, once for each idempotency key.

    Raises:
        InvalidArguments, TaskNotFound, AmbiguousMatch, VersionConflict, IdempotencyConflict: nothing was done.
    """
    key = given.get("idempotency_key")
    if key is None:
        return _update(given)
    sent = {name: value for name, value in given.sent.items() if name != "idempotency_key"}
    arguments = {name: [task.sent() for task in value] if name == "tasks" else value for name, value in sent.items()}
    result, repeated = run_once(
        user_id=given.user_id,
        operation="update_task",
        key=key,
        arguments=arguments,
        work=lambda: as_json(_update(given)),
    )
    text = result.pop(TEXT)
    if repeated:
        text = f"This idempotency_key was used before; this is its first result, and nothing changed now. Then: {text}"
    return TaskUpdated.of(text, result)


def _update(given: Given) -> TaskUpdated:
    if "undo" in given.sent:
        given.refuse_beside(
            "undo", ("task_ids", "idempotency_key"), "cannot stand beside undo, which takes a whole call back"
        )
        return undoing.undo_call(given)
    if "tasks" in given.sent:
        given.refuse_beside("tasks", _BESIDE_TASKS, "cannot stand beside tasks; put the change into each of them")
        return _update_each(given)
    if given.sent.keys() <= {"time_zone", "idempotency_key"}:
        return _set_zone(given)
    which = Which.of(given)
    changes = {name: given.sent[name] for name in CHANGES if given.get(name) not in (None, False)}
    clear = changes.get("clear", ())
    if wrong := check_clear(clear, tuple(changes)):
        raise InvalidArguments(wrong)
    if which.is_only_an_id and "time_zone" not in given.sent and _is_text_only(changes):
        return _update_texts(given.user_id, which.task_id or 0, changes)
    return _update_alike(given, which, changes)


def _is_text_only(changes: dict[str, Any]) -> bool:
    """Whether one statement can make these changes: a title, a description, or no description."""
    return changes.keys() in ({"title"}, {"description"}, {"title", "description"}) or changes == _NO_DESCRIPTION


def _update_texts(user_id: str, task_id: int, changes: dict[str, Any]) -> TaskUpdated:
    values = {name: changes[name] for name in ("title", "description") if name in changes}
    if "clear" in changes:
        values["description"] = ""
    now = timezone.now()
    if rows := queries.update_task[tuple(values)](user_id=user_id, task_id=task_id, now=now, **values):
        title, version, *are_changed, _ = rows[0]
        fields = [name for name, is_changed in zip(values, are_changed, strict=True) if is_changed]
        data = {
            "task_id": task_id,
            "title": title,
            "updated_fields": fields,
            "version": version,
            "updated_at": now,
            "undo": undo_names.encode(task_id, version),
        }
        return TaskUpdated.of(f"Updated {' and '.join(fields)} of task {task_id}: {one_line(title)}.", data)
    return work_on(user_id, [task_id], lambda states: _unchanged(states, task_id), lock=False)


def _unchanged(states: list[TaskState], task_id: int) -> TaskUpdated:
    if not states or states[0].deleted_at:
        raise TaskNotFound(task_id)
    [state] = states
    data = {
        "task_id": task_id,
        "title": state.title,
        "updated_fields": [],
        "version": state.version,
        "updated_at": state.updated_at,
    }
    return TaskUpdated.of(f"Task {task_id} had these values already: {one_line(state.title)}. Nothing changed.", data)


def _update_alike(given: Given, which: Which, changes: dict[str, Any]) -> TaskUpdated:
    """The same change for each of the tasks."""
    clock, now = given.clock(), timezone.now()
    pool = Pool.RESTORE if "restore" in changes else Pool.REOPEN if "reopen" in changes else Pool.CHANGE
    in_series = "restore" in changes or "reopen" in changes

    def work(states: list[TaskState]) -> tuple[list[Step], list[Edited]]:
        there = [state for state in states if state.deleted_at is None or "restore" in changes]
        if not there:
            raise TaskNotFound(*ids)
        check_version(which, there[0], clock)
        family = completing.lock_all(given.user_id, there) if in_series else []
        refusals = Refusals(clock)
        several = len(ids) > 1
        edits, steps, others = [], [], []
        for state in there:
            try:
                edited, removed = _edit(state, changes, family, clock, now)
            except Refused as refused:
                refusals.add(refused, task_id=state.id if several else None)
                continue
            edits.append(edited)
            steps.append(Step(state, edited.state, notes=edited.notes))
            others += [Step(next(one for one in family if one.id == other.id), other) for other in removed]
        if not several and edits and not edits[0].moved:
            refusals.add(Refused("due", _NO_DATE))
        refusals.raise_if_any()
        for step in steps:
            if step.is_changed:
                step.after.updated_at = now
        chosen = {step.after.id for step in steps}
        save_steps(given.user_id, [*steps, *(step for step in others if step.after.id not in chosen)])
        return steps, edits

    ids = [match(given.user_id, which.match, pool, clock)] if which.match else which.ids()
    with given.storing_zone(clock):
        steps, edits = work_on(given.user_id, ids, work, lock=in_series or len(ids) > 1 or given.stores_zone)
    found = {step.after.id for step in steps}
    missing = [task_id for task_id in ids if task_id not in found]
    still = [edited.state.id for edited in edits if not edited.moved]
    return _answer(given, steps, missing, still, clock, several="task_ids" in given.sent, only_empty=not changes)


def _edit(
    state: TaskState, changes: dict[str, Any], family: Sequence[TaskState], clock: CallClock, now: datetime
) -> tuple[Edited, list[TaskState]]:
    """The task after the change, and other tasks of its series that change with it."""
    after = state
    removed: list[TaskState] = []
    notes: list[str] = []
    if "restore" in changes:
        after, said = completing.restore(after, family)
        notes += said
    if "reopen" in changes:
        after, removed, said = completing.reopen(after, family, now)
        notes += said
    edited = edit(after, changes, clock)
    edited.notes[:0] = notes
    return edited, removed


def _update_each(given: Given) -> TaskUpdated:
    """A change of its own for each of the tasks, all or none."""
    clock, now = given.clock(), timezone.now()
    ids = [change.task_id for change in given.sent["tasks"]]
    if len(set(ids)) < len(ids):
        twice = next(place for place, task_id in enumerate(ids) if task_id in ids[:place])
        raise InvalidArguments({f"tasks.{twice}.task_id": "is in the list twice; send each task once"})

    def work(states: list[TaskState]) -> list[Step]:
        there = {state.id: state for state in states if state.deleted_at is None}
        if missing := [task_id for task_id in ids if task_id not in there]:
            raise TaskNotFound(*missing, not_found=missing)
        refusals = Refusals(clock)
        steps = []
        for place, change in enumerate(given.sent["tasks"]):
            sent = change.sent()
            before = there[sent.pop("task_id")]
            try:
                edited = edit(before, sent, clock)
                if not edited.moved:
                    raise Refused("due", _NO_DATE)
            except Refused as refused:
                refusals.add(refused, prefix=f"tasks.{place}.")
                continue
            step = Step(before, edited.state, notes=edited.notes)
            if step.is_changed:
                step.after.updated_at = now
            steps.append(step)
        refusals.raise_if_any()
        save_steps(given.user_id, steps)
        return steps

    with given.storing_zone(clock):
        steps = work_on(given.user_id, ids, work, lock=True)
    return _answer(given, steps, [], [], clock, several=True, only_empty=False)


def _set_zone(given: Given) -> TaskUpdated:
    clock = given.clock()
    set_zone(user_id=given.user_id, time_zone=clock.time_zone)
    return TaskUpdated.of(f"Days and times are read in {clock.time_zone} from now on.", clock.answer())


def _answer(
    given: Given,
    steps: Sequence[Step],
    missing: Sequence[int],
    still: Sequence[int],
    clock: CallClock,
    *,
    several: bool,
    only_empty: bool,
) -> TaskUpdated:
    named = names_a_day(steps) or "due" in given.sent
    about_clock, said = clock_part(clock, is_named=named, stored=given.stores_zone)
    undo = {"undo": undo_of(steps)}
    if several:
        changed = [step for step in steps if step.is_changed]
        text = sentences(
            f"Updated {tasks_in_words(changed, clock)}." if changed else "Nothing changed.",
            _USE_CLEAR if only_empty else "",
            f"Not found: {', '.join(map(str, missing))}." if missing else "",
            f"Without a due date to move: {', '.join(map(str, still))}." if still else "",
        )
        data: dict[str, Any] = {
            "tasks": [entry(step, clock, with_fields=True) for step in steps],
            "not_found": list(missing) or None,
            "not_changed": list(still) or None,
        }
    else:
        [step] = steps
        title = one_line(step.after.title)
        text = _updated(step, clock)
        if not step.is_changed:
            reason = _USE_CLEAR if only_empty else ""
            text = sentences(f"Task {step.after.id} had these values already: {title}. Nothing changed.", reason)
        said = [*due_notes(step, clock), *said]
        data = entry(step, clock, with_fields=True)
        due = step.after.due_in(clock.zone)
        if due and "due" in given.sent:
            data["due"] = show(due)
    return TaskUpdated.of(sentences(text, *said), data | undo | about_clock)


def _updated(step: Step, clock: CallClock) -> str:
    title, fields = one_line(step.after.title), step.fields
    due = due_in_words(step.after, clock) if "due" in fields or "repeat" in fields else ""
    return f"Updated {' and '.join(fields)} of task {step.after.id}: {title}{due}."
