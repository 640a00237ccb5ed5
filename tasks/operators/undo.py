"""Undo calls from the history, for operators: what would change, and the change itself.

Calls are taken back one after the other, the newest first, each in a transaction of its own. A task that is not as its
call had left it stays as it is.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import OperationalError, transaction
from django.utils import timezone

from tasks import undo_names
from tasks.changes import statements, undoing
from tasks.changes.undoing import Change
from tasks.clock import zone_of
from tasks.history import Change as Line
from tasks.history import differences
from tasks.models import SEEN_FIELDS, Task
from tasks.operators.calls import Call, read_calls
from tasks.state import COLUMNS, TaskState
from todo_mcp.postgres.history import history_note
from todo_mcp.telemetry.logs import describe_error
from todo_mcp.users.models import User

logger = logging.getLogger(__name__)

CALLS_MAX = 1000  # that are undone at once
SECONDS_MAX = 20.0  # that one request spends on undoing; a page has 30
NAMED_MAX = 5  # tasks that a message names
CHANGED = "changed since this call"
GONE = "no longer exists"
THINNED = "its version before this call has thinned out"
TOGETHER = "goes together with a task that changed since"
MAY_NOT_DELETE = "undoing would delete it, and you may not delete tasks"


@dataclass(frozen=True)
class TaskPreview:
    """A task as it is and as it will be."""

    task_id: int
    user_id: str
    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class LeftOut:
    """A task of one call that stays as it is."""

    task_id: int
    user_id: str
    title: str
    at: datetime
    reason: str


@dataclass
class Outcome:
    """The number of calls that are taken back, for which tasks, and what is left out.

    ``not_reached`` is the number of calls that were not tried, because the time was over or the database was busy.
    """

    calls: int = 0
    not_reached: int = 0
    task_ids: dict[int, str] = field(default_factory=dict)  # with the owner of each
    left_out: list[LeftOut] = field(default_factory=list)

    def in_words(self) -> str:
        """For example `2 calls, for 3 tasks`."""
        calls, tasks = self.calls, len(self.task_ids)
        return f"{calls} call{'s'[: calls > 1]}, for {tasks} task{'s'[: tasks > 1]}"

    def left_out_in_words(self) -> str:
        """The first tasks that stay as they are, by their numbers and reasons."""
        named = [f"task {one.task_id} ({one.reason})" for one in self.left_out[:NAMED_MAX]]
        more = len(self.left_out) - NAMED_MAX
        return ", ".join(named) + (f", and {more} more" if more > 0 else "")

    def add(self, call: Call, left: Sequence[Change], refused: Mapping[int, str]) -> None:
        self.calls += bool(left)
        self.task_ids |= dict.fromkeys((change.task_id for change in left), call.user_id)
        titles = {change.task_id: change.after["title"] for change in call.changes}
        self.left_out += [LeftOut(one, call.user_id, titles[one], call.at, why) for one, why in refused.items()]


def preview(event_ids: Sequence[int], *, may_delete: bool) -> tuple[Outcome, list[TaskPreview]]:
    """What undoing the calls of these events would do. Three queries, whatever the number of calls."""
    calls, now = read_calls(event_ids), timezone.now()
    rows = Task.objects.filter(pk__in=[change.task_id for call in calls for change in call.changes])
    before = {row.pk: TaskState(**{name: getattr(row, name) for name in COLUMNS}) for row in rows}
    after, outcome = dict(before), Outcome()
    for call in calls:
        left, refused = _split(call, after, may_delete=may_delete)
        outcome.add(call, left, refused)
        for change in left:
            after[change.task_id] = undoing.taken_back(change, after[change.task_id], now)
    zones = zones_of(outcome.task_ids.values())
    previews = [
        TaskPreview(one, user_id, before[one].title, _lines(before[one], after[one], zones[user_id]))
        for one, user_id in outcome.task_ids.items()
    ]
    return outcome, previews


def undo_calls(event_ids: Sequence[int], *, may_delete: bool) -> Outcome:
    """Undo the calls of these events, for every task that is as its call had left it.

    It stops after ``SECONDS_MAX``, or if the database refuses. What was undone before stays undone.
    """
    outcome, calls, end = Outcome(), read_calls(event_ids), time.monotonic() + SECONDS_MAX
    for number, call in enumerate(calls):
        try:
            if time.monotonic() > end:
                raise OperationalError("the time is over")
            _undo(call, outcome, may_delete=may_delete)
        except OperationalError as error:
            logger.warning("undo stopped", extra={"not_reached": len(calls) - number, **describe_error(error)})
            outcome.not_reached = len(calls) - number
            break
    return outcome


def _undo(call: Call, outcome: Outcome, *, may_delete: bool) -> None:
    if not call.changes:
        return
    name = undo_names.encode(call.changes[0].task_id, call.changes[0].version)
    ids = [change.task_id for change in call.changes]
    with transaction.atomic(), history_note(**{undoing.UNDOES: name}):
        states = {one.id: one for one in statements.read(call.user_id, ids, lock=True)}
        left, refused = _split(call, states, may_delete=may_delete)
        if left:
            undoing.undo(call.user_id, left, states, timezone.now())
    outcome.add(call, left, refused)


def _split(call: Call, states: Mapping[int, TaskState], *, may_delete: bool) -> tuple[list[Change], dict[int, str]]:
    """The changes that can be taken back, and the tasks that must stay as they are, each with the reason."""
    refused = {
        change.task_id: reason
        for change in call.changes
        if (reason := _reason(change, states.get(change.task_id), may_delete=may_delete))
    }
    family = [states[change.task_id] for change in call.changes if change.task_id in states]
    for other in undoing.together(call.changes, family, list(refused)):
        refused.setdefault(int(other or 0), TOGETHER)
    return [change for change in call.changes if change.task_id not in refused], refused


def _reason(change: Change, state: TaskState | None, *, may_delete: bool) -> str:
    """Why this change cannot be taken back; empty if it can be."""
    if state is None:
        return GONE
    if change.is_thinned:
        return THINNED
    if undoing.has_changed(change, state):
        return CHANGED
    deletes = not state.deleted_at and (change.before is None or bool(change.before["deleted_at"]))
    return MAY_NOT_DELETE if deletes and not may_delete else ""


def _lines(before: TaskState, after: TaskState, zone: ZoneInfo) -> list[Line]:
    older, newer = ({name: getattr(state, name) for name in SEEN_FIELDS} for state in (before, after))
    return list(differences(older, newer, zone))


def zones_of(user_ids: Iterable[str]) -> Mapping[str, ZoneInfo]:
    """The zone of each of these users."""
    zones: defaultdict[str, ZoneInfo] = defaultdict(lambda: zone_of(""))
    users = User.objects.filter(pk__in=set(user_ids)).values_list("pk", "time_zone")
    zones |= {pk: zone_of(name) for pk, name in users}
    return zones
