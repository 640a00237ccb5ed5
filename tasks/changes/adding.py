"""Add tasks: ``add_task``."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from tasks import queries, undo_names
from tasks.changes import repeating, statements
from tasks.changes.answers import (
    Step,
    clock_part,
    due_notes,
    entry,
    names_a_day,
    notes_of_several,
    one_line,
    sentences,
    tasks_in_words,
    undo_of,
)
from tasks.changes.editing import NONE, due_in_words, unique_tags
from tasks.changes.given import Given
from tasks.changes.refusals import Refusals, Refused
from tasks.clock import CallClock
from tasks.models import PRIORITIES, Task
from tasks.results import TEXT, TaskAdded, as_json
from tasks.state import TaskState
from todo_mcp.core.errors import ConversationNotFound, InvalidArguments, UserNotFound
from todo_mcp.dates.phrases import NotUnderstood, read_due
from todo_mcp.dates.zones import Clock, Due
from todo_mcp.idempotency.services import run_once
from todo_mcp.postgres.health.causes import violated_constraint, violates_user_key
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.quotas.usage import ROW_BYTES, check_quotas

CONVERSATION_OF_USER = "tasks_conversation_user"  # the foreign key, made in migration 0001
_NO_MESSAGE = {"message_id": "is not a message of this conversation"}
_TEXTS = {"title", "description", "conversation_id", "message_id"}
_BESIDE_TASKS = ("time_zone", "idempotency_key", "conversation_id", "message_id")


def new_task(sent: dict[str, Any], clock: Clock, now: datetime) -> tuple[TaskState, list[str]]:
    """The task, and what the answer says about its dates.

    Raises:
        Refused: ``due`` or ``repeat`` is not understood.
    """
    state = TaskState(
        title=sent["title"],
        description=sent.get("description", ""),
        priority=PRIORITIES.index(sent.get("priority", NONE)),
        tags=list(unique_tags(sent.get("tags", ())).values()),
        checklist=[{"text": text, "done": False} for text in sent.get("checklist", ())],
        created_at=now,
        updated_at=now,
    )
    due = _read_due(sent["due"], clock) if sent.get("due", NONE).lower() != NONE else None
    state.set_due(due)
    if sent.get("repeat", NONE).lower() == NONE:
        return state, []
    series = repeating.begin(sent["repeat"], clock, due)
    state.set_due(series.due)
    state.set_repeat(str(series.rule), series.due)
    return state, list(series.notes)


def _read_due(phrase: str, clock: Clock) -> Due:
    try:
        return read_due(phrase, clock)
    except NotUnderstood as error:
        raise Refused("due", str(error)) from None


def add(given: Given) -> TaskAdded:
    """Add one task or several, once for each idempotency key.

    Raises:
        InvalidArguments: names each wrong field.
        ConversationNotFound, UserNotFound: there is no such one.
        IdempotencyConflict: the key was used with other arguments.
    """
    with _known_violations(given):
        return _add_text(given) if given.sent.keys() <= _TEXTS and "title" in given.sent else _add_checked(given)


@contextmanager
def _known_violations(given: Given) -> Iterator[None]:
    """A user, conversation or message was removed after the checks. Any other violation is a defect.

    PostgreSQL checks some of these foreign keys only at the commit.
    """
    try:
        yield
    except IntegrityError as error:
        if violates_user_key(error):
            raise UserNotFound(given.user_id) from None
        constraint, conversation_id = violated_constraint(error), given.get("conversation_id")
        if conversation_id and constraint == CONVERSATION_OF_USER:
            raise ConversationNotFound(conversation_id) from None
        if constraint.startswith("tasks_message_id_"):
            raise InvalidArguments(_NO_MESSAGE) from None
        raise


def _add_checked(given: Given) -> TaskAdded:
    if "tasks" in given.sent:
        given.refuse_beside("tasks", _BESIDE_TASKS, "cannot stand beside tasks; put it into each of them")
    elif "title" not in given.sent:
        raise InvalidArguments({"title": "is required, or send tasks"})
    clock = given.clock()
    key = given.get("idempotency_key")
    if key is None:
        return _add(given, clock)
    result, repeated = run_once(
        user_id=given.user_id,
        operation="add_task",
        key=key,
        arguments=_fingerprint(given),
        work=lambda: as_json(_add(given, clock)),
    )
    return TaskAdded.of(_repeated(result) if repeated else result.pop(TEXT), result)


def _add_text(given: Given) -> TaskAdded:
    """Add one task with a title and a description: most calls."""
    _check_message(given.user_id, given.get("conversation_id"), given.get("message_id"))
    now, title = timezone.now(), given.sent["title"]
    [(task_id, at)] = _insert(given, [TaskState(title, given.sent.get("description", ""), created_at=now)])
    data = {
        "task_id": task_id,
        "title": title,
        "created_at": at,
        "version": 1,
        "updated_at": at,
        "undo": undo_names.encode(task_id, 1),
    }
    return TaskAdded.of(f"Added task {task_id}: {one_line(title)}.", data)


def _add(given: Given, clock: CallClock) -> TaskAdded:
    now = timezone.now()
    several = "tasks" in given.sent
    states: list[TaskState] = []
    notes: list[list[str]] = []
    refusals = Refusals(clock)
    for place, sent in enumerate([task.sent() for task in given.sent["tasks"]] if several else [given.sent]):
        try:
            state, said = new_task(sent, clock, now)
        except Refused as refused:
            refusals.add(refused, prefix=f"tasks.{place}." if several else "")
        else:
            states.append(state)
            notes.append(said)
    refusals.raise_if_any()
    _check_message(given.user_id, given.get("conversation_id"), given.get("message_id"))
    with given.storing_zone(clock):
        for state, (task_id, at) in zip(states, _insert(given, states), strict=True):
            state.id, state.created_at, state.updated_at = task_id, at, at
    steps = [Step(None, state, notes=said) for state, said in zip(states, notes, strict=True)]
    about_clock, said = clock_part(clock, is_named=names_a_day(steps), stored=given.stores_zone)
    undo = {"undo": undo_of(steps)}
    if several:
        text = f"Added {tasks_in_words(steps, clock)}."
        said = notes_of_several(steps, clock) + said
        data: dict[str, Any] = {"tasks": [_entry(step, clock) for step in steps]}
    else:
        [step] = steps
        text = f"Added task {step.after.id}: {one_line(step.after.title)}{due_in_words(step.after, clock)}."
        said = due_notes(step, clock) + said
        data = _entry(step, clock)
    return TaskAdded.of(sentences(text, *said), data | undo | about_clock)


def _entry(step: Step, clock: CallClock) -> dict[str, Any]:
    return entry(step, clock) | {"created_at": step.after.created_at}


def _insert(given: Given, states: list[TaskState]) -> statements.Added:
    """Insert the tasks. Returns their ids and times.

    Raises:
        QuotaExceeded: nothing was added.
    """
    origin = {name: given.get(name) for name in ("conversation_id", "message_id")}
    [first, *others] = states
    check_quotas(given.user_id, writes=len(states), size=sum(map(_size, states)), tasks=len(states))
    if not others and _is_plain(first):
        texts = {"title": first.title, "description": first.description, "now": first.created_at}
        [(task_id, at, _)] = queries.add_task(user_id=given.user_id, **texts, **origin)
        note_use(tasks=1)
        return [(task_id, at)]
    return statements.add(given.user_id, states, **origin)


def _size(state: TaskState) -> int:
    """About how many bytes the task will store."""
    return ROW_BYTES + len(state.title) + len(state.description) + sum(len(item["text"]) for item in state.checklist)


def _is_plain(state: TaskState) -> bool:
    """Whether the task has a title and a description, and nothing else."""
    return not (state.due_on or state.due_at or state.priority or state.tags or state.checklist)


def _check_message(user_id: str, conversation_id: int | None, message_id: int | None) -> None:
    if message_id is None:
        return
    if conversation_id is None:
        raise InvalidArguments({"message_id": "needs the conversation_id too"})
    messages = Task._meta.get_field("message").related_model._default_manager
    if not messages.filter(pk=message_id, conversation_id=conversation_id, user_id=user_id).exists():
        raise InvalidArguments(_NO_MESSAGE)


def _fingerprint(given: Given) -> Any:
    """What two calls must have in common. A call without new arguments has the one of releases before."""
    sent = given.for_key()
    if sent.keys() <= _TEXTS:
        return [sent["title"], sent.get("description", ""), sent.get("conversation_id"), sent.get("message_id")]
    return sent


def _repeated(result: dict[str, Any]) -> str:
    result.pop(TEXT, None)
    which = f"{len(result['tasks'])} tasks" if "tasks" in result else f"task {result['task_id']}"
    return f"This idempotency_key already added {which}; this is that result and nothing was added."
