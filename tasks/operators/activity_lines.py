"""The lines of the Activity page: each call in words, with what it changed and who did it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString

from tasks.changes.undoing import Change
from tasks.history import Change as Line
from tasks.history import differences
from tasks.operators.authors import author_in_words, tokens_of_services
from tasks.operators.calls import Call, read_calls
from tasks.operators.undo import zones_of

TASKS_SHOWN = 3  # of a call on one line


@dataclass(frozen=True)
class TaskLine:
    """What a call did to one task. Without ``is_there``, the task is removed for good."""

    task_id: int
    title: str
    lines: Sequence[Line]
    is_there: bool = True


@dataclass(frozen=True)
class CallLine:
    """One call. ``more`` is the number of tasks that are not shown."""

    event_id: int
    at: datetime
    user_id: str
    author: SafeString
    by: dict[str, Any]
    tasks: Sequence[TaskLine]
    more: int
    may_be_undone: bool


def lines_of(event_ids: Sequence[int]) -> list[CallLine]:
    """The calls of these events, newest first. Three queries at most."""
    calls = read_calls(event_ids, events_max=TASKS_SHOWN)
    services = tokens_of_services(call.author for call in calls)
    zones = zones_of(call.user_id for call in calls)
    return [_line(call, author_in_words(call.author, services), zones[call.user_id]) for call in calls]


def _line(call: Call, author: SafeString, zone: ZoneInfo) -> CallLine:
    changed = [TaskLine(one.task_id, one.after["title"], _in_words(one, zone)) for one in call.changes]
    removed = [
        TaskLine(one.task_id, one.after["title"], [Line("Removed for good")], is_there=False) for one in call.removed
    ]
    return CallLine(
        event_id=call.event_id,
        at=call.at,
        user_id=call.user_id,
        author=author,
        by=call.author,
        tasks=[*changed, *removed],
        more=call.more,
        may_be_undone=bool(changed),
    )


def _in_words(change: Change, zone: ZoneInfo) -> list[Line]:
    if change.before is None:
        return [Line("Added")]
    if change.is_thinned and all(value is None for value in change.before.values()):
        return [Line("Changed")]
    return list(differences(change.before, change.after, zone)) or [Line("Saved without changes")]
