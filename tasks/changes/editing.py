"""One change of ``update_task``, applied to the state of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, NamedTuple

from tasks.changes import checklists, repeating
from tasks.changes.refusals import Refused
from tasks.models import DESCRIPTION_MAX, PRIORITIES, SEEN_FIELDS, TAGS_MAX
from tasks.search import tag_key
from tasks.state import REPEAT_FIELDS, TaskState
from todo_mcp.dates.phrases import NoDueDate, NotUnderstood, read_due_change
from todo_mcp.dates.zones import Clock, show_in_words

NONE = "none"  # in ``due`` and ``repeat``: empty it
SKIP = "skip"  # in ``due``: go on to the next date of the rule
_MOVES = ("+", "-")
# What a person calls the columns.
_FIELDS = {
    "title": ("title",),
    "description": ("description",),
    "completed": ("completed",),
    "deleted_at": ("deleted_at",),
    "due": ("due_on", "due_at"),
    "priority": ("priority",),
    "tags": ("tags",),
    "repeat": ("repeat",),
    "checklist": ("checklist",),
}
# An argument that sets a field cannot stand beside ``clear`` of the same field.
_SETS = {
    "title": ("title",),
    "description": ("description", "append"),
    "due": ("due", "repeat"),
    "time": (),
    "priority": ("priority",),
    "tags": ("tags", "add_tags", "remove_tags"),
    "repeat": ("repeat",),
    "checklist": ("checklist", "add_items", "remove_items", "check", "uncheck"),
}
# What a phrase for a due date leaves to the task, as columns.
_LEFT: dict[str | None, tuple[str, ...]] = {None: (), "time": ("due_at",), "day": ("due_on", "due_at")}
_seen = attrgetter(*SEEN_FIELDS)


@dataclass
class Edited:
    """The new state, and what the answer says about the change. ``moved`` is False if there was no date to move.

    ``reads`` has the columns of the task on which the new values depend.
    """

    state: TaskState
    notes: list[str] = field(default_factory=list)
    moved: bool = True
    reads: set[str] = field(default_factory=set)


class Foreseen(NamedTuple):
    """What changes write, by column, and what columns of the task must have before for that."""

    values: dict[str, Any]
    expected: dict[str, Any]


def changed_fields(before: TaskState, after: TaskState) -> list[str]:
    """The fields that differ, by the names that callers know."""
    pairs = zip(SEEN_FIELDS, _seen(before), _seen(after), strict=True)
    changed = {column for column, old, new in pairs if old != new}
    named = [name for name, columns in _FIELDS.items() if not changed.isdisjoint(columns)]
    return named or (["repeat"] if changed else [])  # the dates from which a rule counts


def with_clear(sent: dict[str, Any]) -> dict[str, Any]:
    """The same changes, with ``clear`` in place of ``none``.

    Raises:
        Refused: the call also sets a field that it clears.
    """
    empty = [name for name in ("due", "repeat") if sent.get(name, "").lower() == NONE]
    changes = {name: value for name, value in sent.items() if name not in empty}
    clear = list(dict.fromkeys([*changes.pop("clear", ()), *empty]))
    for name in clear:
        if twice := [argument for argument in _SETS[name] if argument in changes]:
            also = f"which {' and '.join(twice)} of this call also sets; send one of the two"
            raise Refused(name, f"is none, {also}") if name in empty else Refused("clear", f"names {name}, {also}")
    return changes | ({"clear": clear} if clear else {})


def foresee(changes: dict[str, Any], clock: Clock) -> Foreseen | None:
    """What these changes will write into a task, if what they depend on is empty. None if an empty task refuses."""
    empty = TaskState(title="")
    try:
        edited = edit(empty, changes, clock)
    except Refused:
        return None
    if not edited.moved:
        return None
    cleared = set(changes.get("clear", ()))
    fields = {name for name, arguments in _SETS.items() if not changes.keys().isdisjoint(arguments)} | cleared
    columns = [column for name in fields for column in _FIELDS.get(name, ())]
    columns += REPEAT_FIELDS if cleared & {"due", "repeat"} else ()
    return Foreseen(
        {name: getattr(edited.state, name) for name in columns}, {name: getattr(empty, name) for name in edited.reads}
    )


def edit(before: TaskState, changes: dict[str, Any], clock: Clock) -> Edited:
    """Apply the arguments of ``update_task`` to a task. ``with_clear`` has made the changes.

    Raises:
        Refused: the task cannot take one of them.
    """
    after = before.copy()
    edited = Edited(after)
    for name in changes.get("clear", ()):
        _clear(edited, name, clock)
    if "title" in changes:
        after.title = changes["title"]
    if "description" in changes:
        after.description = changes["description"]
    if "append" in changes:
        after.description = _appended(after.description, changes["append"])
        edited.reads.add("description")
    if "priority" in changes:
        after.priority = PRIORITIES.index(changes["priority"])
    _edit_tags(edited, changes)
    _edit_checklist(edited, changes)
    if "due" in changes:
        _edit_due(edited, changes["due"], clock, with_repeat="repeat" in changes)
    if "repeat" in changes:
        _edit_repeat(edited, changes["repeat"], clock, due_was_sent="due" in changes)
    if "time" in changes.get("clear", ()) and after.due_at:
        raise Refused("clear", "names time, and due or repeat of this call has one; send one of the two")
    return edited


def _clear(edited: Edited, name: str, clock: Clock) -> None:
    state = edited.state
    if name == "description":
        state.description = ""
    elif name == "priority":
        state.priority = 0
    elif name == "tags":
        state.tags = []
    elif name == "checklist":
        state.checklist = []
    elif name == "repeat":
        state.set_repeat("", None)
    elif name == "due":
        state.set_due(None)
        state.set_repeat("", None)
    else:  # the time
        edited.reads.add("due_at")
        if state.due_at:
            state.set_due(state.due_at.astimezone(state.zone_of_series(clock.zone)).date())
            state.repeat_time, state.repeat_zone = None, ""


def _appended(description: str, text: str) -> str:
    result = f"{description}\n{text}" if description else text
    if len(result) > DESCRIPTION_MAX:
        raise Refused(
            "append", f"would make the description {len(result)} characters long; it has at most {DESCRIPTION_MAX}"
        )
    return result


def _edit_tags(edited: Edited, changes: dict[str, Any]) -> None:
    """Change the tags. They compare without case. A tag that stays keeps its spelling."""
    if "tags" in changes:
        result = unique_tags(changes["tags"])
    elif not changes.keys().isdisjoint(("add_tags", "remove_tags")):
        result = {tag_key(tag): tag for tag in edited.state.tags}
        edited.reads.add("tags")
    else:
        return
    for tag in changes.get("remove_tags", ()):
        result.pop(tag_key(tag), None)
    for tag in changes.get("add_tags", ()):
        result.setdefault(tag_key(tag), tag)
    if len(result) > TAGS_MAX:
        raise Refused("add_tags", f"would make {len(result)} tags; a task has at most {TAGS_MAX}")
    edited.state.tags = list(result.values())


def unique_tags(tags: Sequence[str]) -> dict[str, str]:
    """Tags by what they compare by. Of equal ones, the first stays."""
    result: dict[str, str] = {}
    for tag in tags:
        result.setdefault(tag_key(tag), tag)
    return result


def _edit_checklist(edited: Edited, changes: dict[str, Any]) -> None:
    if changes.keys().isdisjoint(_SETS["checklist"]):
        return
    state = edited.state
    edited.reads.add("checklist")
    if "checklist" in changes:
        state.checklist = checklists.replaced(state.checklist, changes["checklist"])
    names = {"add": "add_items", "remove": "remove_items", "check": "check", "uncheck": "uncheck"}
    if sent := {option: changes[name] for option, name in names.items() if name in changes}:
        state.checklist = checklists.edited(state.checklist, **sent)


def _edit_due(edited: Edited, phrase: str, clock: Clock, *, with_repeat: bool) -> None:
    state = edited.state
    if phrase.lower() == SKIP:
        _skip(edited, clock)
    else:
        # A move keeps the local time of the series; words are read in the person's zone.
        zone = state.zone_of_series(clock.zone) if phrase.startswith(_MOVES) else clock.zone
        try:
            due, left, kept = read_due_change(phrase, Clock(clock.now, zone), state.due_in(zone))
        except NoDueDate:
            edited.moved = False
            return
        except NotUnderstood as error:
            raise Refused("due", str(error)) from None
        state.set_due(due)
        edited.reads.update(_LEFT[left])
        if kept:
            edited.notes.append(f"It keeps its {kept}.")
        if state.repeat and not with_repeat:
            edited.notes.append("Only this date moved; the repeat is unchanged.")


def _skip(edited: Edited, clock: Clock) -> None:
    state = edited.state
    if not state.repeat:
        raise Refused("due", "is skip, and this task does not repeat; send a day")
    if state.completed:
        raise Refused("due", "is skip, and this task is completed; skip the date of the open task of its series")
    following, due = repeating.next_date(state, clock)
    if due is None or following.day is None:
        raise Refused("due", "is skip, and the rule has no next date; delete the task or complete it")
    repeating.move(state, state, following.day)
    state.set_due(due)


def _edit_repeat(edited: Edited, phrase: str, clock: Clock, *, due_was_sent: bool) -> None:
    state = edited.state
    if state.completed:
        raise Refused("repeat", "cannot be set on a completed task; send reopen true too")
    current = state.due_in(clock.zone)
    if current is not None and not due_was_sent:
        series = repeating.change(phrase, clock, current)
    else:
        series = repeating.begin(phrase, clock, current)
    state.set_due(series.due)
    state.set_repeat(str(series.rule), series.due)
    edited.notes.extend(series.notes)


def overdue(state: TaskState, clock: Clock) -> bool:
    """Whether the open task's due date is past."""
    due = state.due_in(clock.zone)
    return due is not None and not state.completed and clock.is_past(due)


def due_in_words(state: TaskState, clock: Clock) -> str:
    """For example ``, due Friday 27 November 2026``. Empty if the task has no due date."""
    due = state.due_in(clock.zone)
    return "" if due is None else f", due {show_in_words(due, clock)}"
