"""The lines of the Activity page: each call in words, with what it changed and who did it."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString

from tasks.changes.undoing import Change
from tasks.history import Change as Line
from tasks.history import differences
from tasks.operators.activity_form import activity_url
from tasks.operators.authors import author_in_words
from tasks.operators.calls import Call, read_calls
from tasks.operators.undo import zones_of
from todo_mcp.auth.revocation import known_tokens

TASKS_SHOWN = 3  # of a call on one line
AROUND = timedelta(minutes=10)  # between the start of a request and its change, and between clocks of servers


@dataclass(frozen=True)
class TaskLine:
    """What a call did to one task. Without ``is_there``, the task is removed for good."""

    task_id: int
    title: str
    lines: Sequence[Line]
    is_there: bool = True


@dataclass(frozen=True)
class CallLine:
    """One call. ``more`` is the number of tasks that are not shown. ``has_token`` says whether its token has a page."""

    event_id: int
    at: datetime
    user_id: str
    author: SafeString
    by: dict[str, Any]
    has_token: bool
    tasks: Sequence[TaskLine]
    more: int
    may_be_undone: bool

    @property
    def request_url(self) -> str:
        return request_url(self.by["request_id"], self.at)


def lines_of(event_ids: Sequence[int]) -> list[CallLine]:
    """The calls of these events, newest first. Three queries at most."""
    calls = read_calls(event_ids, events_max=TASKS_SHOWN)
    tokens = known_tokens(call.author["token"] for call in calls if call.author.get("token"))
    services = [pk for pk, is_of_service in tokens.items() if is_of_service]
    zones = zones_of(call.user_id for call in calls)
    return [_line(call, tokens, author_in_words(call.author, services), zones[call.user_id]) for call in calls]


def request_url(request_id: str, at: datetime) -> str:
    """The Activity page with what this request changed. The time lets the page find it by its index."""
    return activity_url(request=request_id, since=at - AROUND, until=at + AROUND)


def _line(call: Call, tokens: Container[int], author: SafeString, zone: ZoneInfo) -> CallLine:
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
        has_token=call.author.get("token") in tokens,
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
