"""Change tasks: ``update_task``, except for its ``undo``."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from tasks import queries, undo_names
from tasks.changes import completing, undoing
from tasks.changes.answers import Step, brief, one_line, update_answer, updated, updated_one
from tasks.changes.editing import Edited, edit, foresee, with_clear
from tasks.changes.given import Given, Which, check_version
from tasks.changes.matching import Pool, match
from tasks.changes.refusals import Refusals, Refused
from tasks.changes.statements import Saved
from tasks.changes.working import save_steps, work_at_once, work_on
from tasks.clock import CallClock
from tasks.quotas.versions import check_versions, is_full, version_limit
from tasks.results import TEXT, TaskUpdated, as_json
from tasks.state import TaskState
from todo_mcp.core.errors import InvalidArguments, TaskNotFound
from todo_mcp.idempotency.services import run_once
from todo_mcp.quotas.usage import ROW_BYTES, check_quotas, may_write
from todo_mcp.users.services import set_zone

# The arguments that change a task.
CHANGES = (
    "title", "description", "due", "priority", "append", "tags", "add_tags", "remove_tags", "checklist", "add_items",
    "remove_items", "check", "uncheck", "repeat", "clear", "reopen", "restore",
)  # fmt: skip
ANY_CHANGE = (*CHANGES, "undo", "tasks", "time_zone")
_TEXTS = frozenset({"title", "description"})
_NO_DESCRIPTION = {"clear": ["description"]}
_BESIDE_TASKS = ("time_zone", "idempotency_key")
_NO_DATE = "moves a due date, and this task has none; send a day such as tomorrow"


def update_tasks(given: Given) -> TaskUpdated:
    """Change the tasks that the call names, once for each idempotency key.

    Raises:
        InvalidArguments, TaskNotFound, AmbiguousMatch, VersionConflict, IdempotencyConflict: nothing was done.
    """
    key = given.get("idempotency_key")
    if key is None:
        return _update(given)
    result, repeated = run_once(
        user_id=given.user_id,
        operation="update_task",
        key=key,
        arguments=given.for_key(),
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
    if "time_zone" in given.sent and given.sent.keys() <= {"time_zone", "idempotency_key"}:
        return _set_zone(given)
    which = Which.of(given)
    try:
        changes = with_clear({name: given.sent[name] for name in CHANGES if name in given.sent})
    except Refused as refused:
        raise given.refusal({refused.field: refused.reason}) from None
    is_plain = which.is_only_an_id and "time_zone" not in given.sent and _is_text_only(changes)
    if is_plain and may_write(given.user_id):
        return _update_texts(given.user_id, which.task_id or 0, changes)
    return _update_alike(given, which, changes)


def _is_text_only(changes: dict[str, Any]) -> bool:
    """Whether one statement can make these changes: a title, a description, or no description."""
    return (changes.keys() <= _TEXTS and bool(changes)) or changes == _NO_DESCRIPTION


def _update_texts(user_id: str, task_id: int, changes: dict[str, Any]) -> TaskUpdated:
    values = {name: changes[name] for name in ("title", "description") if name in changes}
    if "clear" in changes:
        values["description"] = ""
    now = timezone.now()
    statement = queries.update_task[tuple(values)]
    if rows := statement(user_id=user_id, task_id=task_id, now=now, version_limit=version_limit(), **values):
        title, version, updated_at, *are_changed, _ = rows[0]
        fields = [name for name, is_changed in zip(values, are_changed, strict=True) if is_changed]
        data = brief(task_id, title, version, updated_at, fields=fields) | {"undo": undo_names.encode(task_id, version)}
        return TaskUpdated.of(f"Updated {' and '.join(fields)} of task {task_id}: {one_line(title)}.", data)
    return work_on(user_id, [task_id], lambda states: _unchanged(states, task_id, values), lock=False)


def _unchanged(states: list[TaskState], task_id: int, values: Mapping[Any, str]) -> TaskUpdated:
    if not states or states[0].deleted_at:
        raise TaskNotFound(task_id)
    [state] = states
    if is_full(state) and any(getattr(state, name) != value for name, value in values.items()):
        check_versions(states)
    data = brief(task_id, state.title, state.version, state.updated_at, fields=[])
    return TaskUpdated.of(f"Task {task_id} had these values already: {one_line(state.title)}. Nothing changed.", data)


def _update_alike(given: Given, which: Which, changes: dict[str, Any]) -> TaskUpdated:
    """The same change for each of the tasks."""
    clock, now = given.clock(), timezone.now()
    pool = Pool.RESTORE if "restore" in changes else Pool.REOPEN if "reopen" in changes else Pool.CHANGE
    of_series = not changes.keys().isdisjoint(("restore", "reopen", "repeat"))
    several = "task_ids" in given.sent

    def work(states: list[TaskState], saved: Saved | None = None) -> tuple[list[Step], list[int]]:
        there = [state for state in states if state.deleted_at is None or "restore" in changes]
        if not there:
            raise TaskNotFound(*ids)
        check_version(which, there[0], clock)
        before = {one.id: one for one in completing.lock_all(given.user_id, there)} if of_series else {}
        latest = {state.id: state for state in there} | before
        refusals = Refusals(clock)
        edits: dict[int, Edited] = {}
        for state in there:
            try:
                edits[state.id] = _edit(latest[state.id], changes, latest, clock, now)
            except Refused as refused:
                refusals.add(refused, task_id=state.id if several else None)
        still = [task_id for task_id, edited in edits.items() if not edited.moved]
        if still and len(there) == 1:
            refusals.add(Refused("due", _NO_DATE), task_id=still[0] if several else None)
        refusals.raise_if_any()
        steps = [Step(state, latest[state.id], notes=edits[state.id].notes) for state in there]
        others = [Step(before[one], latest[one]) for one in before if one not in edits]
        for step in steps:
            if step.is_changed:
                step.after.updated_at = now
        if not saved and changes.keys() != {"restore"}:
            _check_quotas(given.user_id, steps)
        save_steps(given.user_id, [*steps, *others], saved)
        return steps, still

    ids = [match(given.user_id, which.match, pool, clock)] if which.match else which.ids()
    must_lock = of_series or len(ids) > 1 or given.stores_zone
    foreseen = foresee(changes, clock) if not must_lock and may_write(given.user_id) else None
    with given.storing_zone(clock):
        if foreseen:
            foreseen.expected.update(which.expected())
            steps, still = work_at_once(given.user_id, ids[0], foreseen, work, now=now)
        else:
            steps, still = work_on(given.user_id, ids, work, lock=must_lock)
    found = {step.after.id for step in steps}
    missing = [task_id for task_id in ids if task_id not in found]
    text, data = updated(steps, missing, still, clock, changes) if several else updated_one(steps[0], clock, changes)
    return update_answer(text, data, steps, clock, changes, stored=given.stores_zone)


def _check_quotas(user_id: str, steps: Sequence[Step]) -> None:
    """Check the quotas before these tasks are saved. Those that do not change need nothing.

    Raises:
        QuotaExceeded: nothing was done.
    """
    if changed := [step for step in steps if step.is_changed]:
        check_versions(step.before for step in changed if step.before)
        check_quotas(user_id, writes=len(changed), size=len(changed) * ROW_BYTES)


def _edit(
    state: TaskState, changes: dict[str, Any], latest: dict[int, TaskState], clock: CallClock, now: datetime
) -> Edited:
    """Change one of these tasks. Other tasks of its series may change with it."""
    after = state
    notes: list[str] = []
    if "restore" in changes:
        after, said = completing.restore(after, list(latest.values()))
        notes += said
    if "reopen" in changes:
        after, removed, said = completing.reopen(after, list(latest.values()), now)
        latest |= {one.id: one for one in removed}
        notes += said
    edited = edit(after, changes, clock)
    if "repeat" in changes and (other := completing.other_repeating(edited.state, latest.values())):
        raise Refused("repeat", f"cannot be set, because task {other.id} of the same series repeats; change that one")
    edited.notes[:0] = notes
    latest[state.id] = edited.state
    return edited


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
                edited = edit(before, with_clear(sent), clock)
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
        _check_quotas(given.user_id, steps)
        save_steps(given.user_id, steps)
        return steps

    with given.storing_zone(clock):
        steps = work_on(given.user_id, ids, work, lock=True)
    sent = {name for change in given.sent["tasks"] for name in change.sent()} - {"task_id"}
    text, data = updated(steps, [], [], clock, sent)
    return update_answer(text, data, steps, clock, sent, stored=given.stores_zone)


def _set_zone(given: Given) -> TaskUpdated:
    clock = given.clock()
    if clock.time_zone != given.own_zone:
        check_quotas(given.user_id, writes=1, size=0)
    set_zone(user_id=given.user_id, time_zone=clock.time_zone)
    return TaskUpdated.of(f"Days and times are read in {clock.time_zone} from now on.", clock.answer())
