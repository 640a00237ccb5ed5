"""The data and the message of a call that changed tasks."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from tasks import undo_names
from tasks.changes.editing import changed_fields, due_in_words, overdue
from tasks.clock import ASK_FOR_ZONE, CallClock
from tasks.models import PRIORITIES
from tasks.results import TaskUpdated
from tasks.state import TaskState
from todo_mcp.dates.zones import show, show_in_words

NAMED_MAX = 5  # titles that one message names
_SHOWN = ("due", "priority", "tags", "repeat", "checklist")  # fields whose new value an answer has
_USE_CLEAR = "To empty a field, name it in clear."


@dataclass
class Step:
    """What a call did to one task. ``follower`` is the next occurrence, which completing it added or found.

    Both states are complete when ``fields`` is first asked for: it is worked out once.
    """

    before: TaskState | None
    after: TaskState
    follower: TaskState | None = None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def fields(self) -> list[str]:
        """The fields that changed. All that are set, if the task is new."""
        return changed_fields(self.before or TaskState(title=""), self.after)

    @property
    def is_changed(self) -> bool:
        return self.before is None or bool(self.fields)

    @property
    def shows_due(self) -> bool:
        """Whether the message says when the task is due."""
        fields = self.fields
        return "due" in fields or ("repeat" in fields and bool(self.after.repeat))


def one_line(title: str) -> str:
    return " ".join(title.split())


def brief(
    task_id: int, title: str, version: int, updated_at: datetime | None, *, fields: Sequence[str] | None = None
) -> dict[str, Any]:
    """What every answer says of a task that a call changed or meant."""
    named = {} if fields is None else {"updated_fields": fields}
    return {"task_id": task_id, "title": title, **named, "version": version, "updated_at": updated_at}


def entry(step: Step, clock: CallClock, *, sent: Collection[str] = (), with_fields: bool = False) -> dict[str, Any]:
    """One task of the answer, with the values of the fields that changed or were sent."""
    state, changed = step.after, step.fields
    data = brief(state.id, state.title, state.version, state.updated_at, fields=changed if with_fields else None)
    due = state.due_in(clock.zone)
    values = {
        "due": show(due) if due else None,
        "priority": PRIORITIES[state.priority],
        "tags": state.tags,
        "repeat": state.repeat,
        "checklist": [{"text": item["text"], "done": item["done"]} for item in state.checklist],
    }
    data |= {name: values[name] for name in _SHOWN if values[name] and (name in changed or name in sent)}
    if step.follower:
        next_due = step.follower.due_in(clock.zone)
        data["next"] = {"task_id": step.follower.id, **({"due": show(next_due)} if next_due else {})}
    if due and state.repeat and "repeat" in changed:
        data["due"] = show(due)  # the date from which the new rule counts, also if it stays
    return data


def undo_of(steps: Sequence[Step]) -> str | None:
    """The name of the call. None if it changed nothing."""
    changed = next((step.after for step in steps if step.is_changed), None)
    return undo_names.encode(changed.id, changed.version) if changed else None


def names_a_day(steps: Sequence[Step], sent: Collection[str] = ()) -> bool:
    """Whether the answer has a due date that the call set, kept or worked out."""
    is_sent = "due" in sent or "repeat" in sent
    return any(
        step.follower or ((is_sent or step.shows_due) and (step.after.due_on or step.after.due_at)) for step in steps
    )


def clock_part(clock: CallClock, *, is_named: bool, stored: bool = False) -> tuple[dict[str, Any], list[str]]:
    """What the data and the message say about the clock and the zone."""
    notes = [f"Stored the time zone {clock.time_zone} for this person."] if stored else []
    if not is_named and not stored:
        return {}, []
    return clock.answer(), notes if clock.is_known else [ASK_FOR_ZONE]


def tasks_in_words(steps: Sequence[Step], clock: CallClock | None = None) -> str:
    """For example ``3 tasks: Call the bank; Buy milk; Water the plants``; with a clock, also when they are due."""
    titles = [
        one_line(step.after.title) + (due_in_words(step.after, clock) if clock and "due" in step.fields else "")
        for step in steps[:NAMED_MAX]
    ]
    more = len(steps) - len(titles)
    count = f"{len(steps)} task{'' if len(steps) == 1 else 's'}"
    return f"{count}: {'; '.join(titles)}{f' and {more} more' if more else ''}"


def due_notes(step: Step, clock: CallClock) -> list[str]:
    """Sentences about the due date and the repeat that a call has set."""
    notes = list(step.notes)
    if "repeat" in step.fields and step.after.repeat:
        notes.insert(0, f"It repeats: {step.after.repeat}.")
    if "due" in step.fields and overdue(step.after, clock):
        notes.append("It is overdue.")
    return notes


def notes_of_several(steps: Sequence[Step], clock: CallClock) -> list[str]:
    """The sentences about the dates of several tasks, each with its task."""
    said = {step.after.id: sentences(*due_notes(step, clock), next_in_words(step, clock)) for step in steps[:NAMED_MAX]}
    return [f"Task {task_id}: {text}" for task_id, text in said.items() if text]


def next_in_words(step: Step, clock: CallClock) -> str:
    """A sentence about the next occurrence. Empty if there is none."""
    due = step.follower.due_in(clock.zone) if step.follower else None
    if step.follower is None or due is None:
        return ""
    return f"Next: task {step.follower.id}, due {show_in_words(due, clock)}."


def sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def updated(
    steps: Sequence[Step], missing: Sequence[int], still: Collection[int], clock: CallClock, sent: Collection[str]
) -> tuple[str, dict[str, Any]]:
    """The message and the data of a call that changed several tasks.

    Args:
        missing: ids that are no tasks of the person.
        still: ids of tasks that have no due date to move.
    """
    changed = [step for step in steps if step.is_changed]
    text = sentences(
        f"Updated {tasks_in_words(changed, clock)}." if changed else "Nothing changed.",
        f"Not found: {', '.join(map(str, missing))}." if missing else "",
        f"Without a due date to move: {', '.join(map(str, still))}." if still else "",
        *notes_of_several(changed, clock),
    )
    shown = [step for step in steps if step.is_changed or step.after.id not in still]
    return text, {
        "tasks": [entry(step, clock, sent=sent, with_fields=True) for step in shown],
        "not_found": list(missing) or None,
        "not_changed": list(still) or None,
    }


def updated_one(step: Step, clock: CallClock, sent: Collection[str]) -> tuple[str, dict[str, Any]]:
    """The message and the data of a call that changed one task."""
    title, fields = one_line(step.after.title), step.fields
    text = f"Task {step.after.id} had these values already: {title}. Nothing changed."
    if step.is_changed:
        due = due_in_words(step.after, clock) if step.shows_due else ""
        what = {"deleted_at": "Restored", "completed": "Reopened"}.get(fields[0]) if len(fields) == 1 else None
        what = what or f"Updated {' and '.join(fields)} of"
        text = f"{what} task {step.after.id}: {title}{due}."
    notes = due_notes(step, clock) if step.is_changed else []
    return sentences(text, *notes), entry(step, clock, sent=sent, with_fields=True)


def update_answer(
    text: str, data: dict[str, Any], steps: Sequence[Step], clock: CallClock, sent: Collection[str], *, stored: bool
) -> TaskUpdated:
    """The answer of ``update_task``. ``sent`` are the arguments that change tasks."""
    about_clock, said = clock_part(clock, is_named=names_a_day(steps, sent), stored=stored)
    hint = "" if sent else _USE_CLEAR
    return TaskUpdated.of(sentences(text, hint, *said), data | {"undo": undo_of(steps)} | about_clock)
