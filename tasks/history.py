"""Read the versions of a task, and revert the task to one of them. A revert itself adds a version."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import OuterRef
from django.utils import timezone

from tasks.changes import completing, statements
from tasks.changes.answers import Step
from tasks.changes.working import save_steps
from tasks.clock import zone_of
from tasks.models import PRIORITIES, SEEN_FIELDS, Task, TaskEvent
from tasks.operators.authors import author_in_words, tokens_of_services
from tasks.operators.words import due_in_words, items_in_words, repeat_in_words
from tasks.state import TaskState
from todo_mcp.core.errors import TaskNotFound, VersionConflict

HISTORY_MAX = 100  # latest entries that a task's page shows
VERSIONS_OF_ONE = 10  # first versions of a task that a transcript shows
CALLS_MAX = 50  # calls that a page of a transcript shows
REVERT_FIELDS = tuple(name for name in SEEN_FIELDS if name != "deleted_at")  # the fields that a revert restores


@dataclass(frozen=True)
class Change:
    """One line of a task's history: what happened, and the field's text before and after, if it has any."""

    what: str
    before: str | None = None
    after: str | None = None


def changes(older: dict[str, Any] | None, newer: dict[str, Any], zone: ZoneInfo) -> Iterator[Change]:
    """The changes between two events of a task. Without an older event, there is one entry for the newer event."""
    if newer["pgh_label"] != "update" or older is None:
        yield Change({"insert": "Added", "delete": "Removed for good"}.get(newer["pgh_label"], "Changed"))
        return
    yield from differences(older, newer, zone)


def differences(older: dict[str, Any], newer: dict[str, Any], zone: ZoneInfo) -> Iterator[Change]:
    """The differences between two versions of a task. Due dates are shown in this zone."""
    if bool(older["deleted_at"]) != bool(newer["deleted_at"]):
        yield Change("Deleted" if newer["deleted_at"] else "Restored")
    if older["completed"] != newer["completed"]:
        yield Change("Completed" if newer["completed"] else "Reopened")
    for name, before, after in _texts(older, newer, zone):
        if before != after:
            yield Change(name, before, after)


def _texts(older: dict[str, Any], newer: dict[str, Any], zone: ZoneInfo) -> Iterator[tuple[str, str, str]]:
    """The fields in words, before and after."""
    for field in ("title", "description", "user_id"):
        if field in older:
            yield field.removesuffix("_id").capitalize(), older[field], newer[field]
    due, new_due = (due_in_words(row["due_on"], row["due_at"], zone) for row in (older, newer))
    yield "Due", due, new_due
    yield "Priority", PRIORITIES[older["priority"]], PRIORITIES[newer["priority"]]
    yield "Tags", ", ".join(older["tags"]), ", ".join(newer["tags"])
    if older["repeat"] != newer["repeat"] or due == new_due:  # another date of the same rule is seen in the due date
        yield "Repeat", repeat_in_words(older), repeat_in_words(newer)
    if older["checklist"] != newer["checklist"]:
        yield "Checklist", *items_in_words(older["checklist"], newer["checklist"])


def history(*, user_id: str, task_id: int, zone: ZoneInfo) -> tuple[list[dict[str, Any]], bool]:
    """The latest entries of a task's history, newest first, and whether older ones exist. Two queries,
    and one more if the latest entries are of a release that did not record services.

    An entry is what one call did, also if it changed the task more than once. ``others`` is the number of further tasks
    that the call changed. An entry is ``revertible`` if a revert to it would change the task.
    """
    rows: list[dict[str, Any]] = list(_versions(task_id).order_by("-pgh_id")[: HISTORY_MAX + 1])
    calls = [call for call in _calls(rows) if call[0] is not rows[-1] or len(rows) <= HISTORY_MAX]
    others = _others(user_id, task_id, [newest for newest, *_ in calls])
    services = tokens_of_services(newest["pgh_context"] for newest, *_ in calls)
    events = [
        {
            "version": newest["pgh_id"],
            "at": newest["pgh_created_at"],
            "by": newest["pgh_context"] or {},
            "author": author_in_words(newest["pgh_context"], services),
            "changes": list(changes(older, newest, zone)),
            "others": others[_call_of(newest)],
            "revertible": any(
                newest[name] != rows[0][name] for name in REVERT_FIELDS if name not in ("completed_at", "repeat_on")
            ),
            "undoable": newest["pgh_label"] != "delete" and not _has_thinned(first, older),
        }
        for newest, first, older in calls
    ]
    return events, len(rows) > HISTORY_MAX


def first_calls(*, user_id: str, task_ids: Sequence[int]) -> tuple[list[dict[str, Any]], bool]:
    """What the first calls did to each of these tasks, oldest first, and whether later ones exist. Two queries,
    and one more if a call is of a release that did not record services.

    It reads at most VERSIONS_OF_ONE versions of a task, and returns at most CALLS_MAX calls of all tasks.
    """
    tasks, are_cut = _with_versions(user_id, task_ids)
    calls = [(task, *call) for task in tasks for call in _calls(task["versions"])]
    calls.sort(key=lambda call: call[1]["pgh_id"])
    services = tokens_of_services(newest["pgh_context"] for _, newest, *_ in calls[:CALLS_MAX])
    entries = [
        {
            "at": newest["pgh_created_at"],
            "task_id": task["pk"],
            "title": task["title"],
            "by": newest["pgh_context"] or {},
            "author": author_in_words(newest["pgh_context"], services),
            "changes": list(changes(older, newest, zone_of(task["user__time_zone"]))),
        }
        for task, newest, _, older in calls[:CALLS_MAX]
    ]
    return entries, are_cut or len(calls) > CALLS_MAX


def _with_versions(user_id: str, task_ids: Sequence[int]) -> tuple[list[dict[str, Any]], bool]:
    """The tasks with their first ``versions``, newest first, and whether any task has more of them."""
    first = TaskEvent.objects.filter(pgh_obj_id=OuterRef("pk")).order_by("pgh_id").values("pgh_id")
    ids = ArraySubquery(first[: VERSIONS_OF_ONE + 1])
    found = Task.objects.filter(user_id=user_id, pk__in=task_ids).annotate(ids=ids)
    rows: Any = found.values("pk", "title", "user__time_zone", "ids")
    tasks: list[dict[str, Any]] = list(rows)
    wanted = [event_id for task in tasks for event_id in task["ids"][:VERSIONS_OF_ONE]]
    events = TaskEvent.objects.filter(pgh_id__in=wanted, user_id=user_id).order_by("-pgh_id")
    versions = defaultdict(list)
    for event in events.values(*_COLUMNS, "pgh_obj_id"):
        versions[event["pgh_obj_id"]].append(event)
    for task in tasks:
        task["versions"] = versions[task["pk"]]
    return tasks, any(len(task["ids"]) > VERSIONS_OF_ONE for task in tasks)


def _calls(rows: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]]:
    """The last and the first event of each call, and the event before the call. The rows are given newest first."""
    calls: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]] = []
    for row, older in zip(rows, [*rows[1:], None], strict=True):
        if calls and _call_of(calls[-1][0]) == _call_of(row) and row["pgh_label"] == "update":
            calls[-1] = calls[-1][0], row, older
        elif calls and _call_of(calls[-1][0]) == _call_of(row):  # added and changed by one call
            calls[-1] = row | {"pgh_id": calls[-1][0]["pgh_id"]}, row, older
        else:
            calls.append((row, row, older))
    return calls


def _has_thinned(first: dict[str, Any], older: dict[str, Any] | None) -> bool:
    """Whether the version before a call is gone. ``first`` is the first event of the call, ``older`` the one before."""
    if first["pgh_label"] != "update":
        return False
    return older is None or bool(first["version"] > older["version"] + 1)


def _call_of(row: dict[str, Any]) -> tuple[datetime, str]:
    """The events of one transaction have one time. Its author makes it certain."""
    return row["pgh_created_at"], repr(sorted((row["pgh_context"] or {}).items()))


def _others(user_id: str, task_id: int, rows: Sequence[dict[str, Any]]) -> Counter[tuple[datetime, str]]:
    """How many other tasks each of these calls changed."""
    of_calls = TaskEvent.objects.filter(user_id=user_id, pgh_created_at__in={row["pgh_created_at"] for row in rows})
    found = of_calls.exclude(pgh_obj_id=task_id).order_by("pgh_created_at").values("pgh_created_at", "pgh_context")
    return Counter(_call_of(row) for row in found)


def version(*, user_id: str, task_id: int, version_id: int) -> dict[str, Any]:
    """One version of a task, with all fields that the history shows or a revert restores.

    Raises:
        TaskNotFound: this user's task has no such version.
    """
    row: dict[str, Any] | None = _versions(task_id).filter(pgh_id=version_id, user_id=user_id).first()
    if row is None:
        raise TaskNotFound(task_id)
    return row


def revert_task(*, user_id: str, task_id: int, version_id: int, expected_version: int | None = None) -> None:
    """Set a task's visible fields to those of one of its versions. For operators: it is not a tool.

    As when a task is reopened, at most one open task of a series repeats afterwards.

    Raises:
        TaskNotFound: this user has no such task, the task is deleted, or it has no such version.
        VersionConflict: the task no longer has the version that is expected.
    """
    target = version(user_id=user_id, task_id=task_id, version_id=version_id)
    with transaction.atomic():
        found = statements.read(user_id, [task_id])
        family = completing.lock_all(user_id, found) if found else []
        before = next((one for one in family if one.id == task_id and one.deleted_at is None), None)
        if before is None:
            raise TaskNotFound(task_id)
        if expected_version not in (None, before.version):
            raise VersionConflict("The task has changed meanwhile.")
        save_steps(user_id, _reverted(before, target, family))


def _reverted(before: TaskState, target: dict[str, Any], family: Sequence[TaskState]) -> list[Step]:
    """The task as it was, and its next occurrence, which goes if the task is open again and nobody has changed it."""
    now = timezone.now()
    after = before.copy()
    for name in REVERT_FIELDS:
        setattr(after, name, target[name])
    after.updated_at = now
    removed: list[TaskState] = []
    if before.completed and not after.completed:
        _, removed, _ = completing.reopen(before, family, now)
    if not after.completed:
        gone = {one.id for one in removed}
        completing.keep_one_repeating(after, [one for one in family if one.id not in gone])
    of_id = {one.id: one for one in family}
    return [Step(before, after), *(Step(of_id[one.id], one) for one in removed)]


_COLUMNS = ("pgh_id", "version", "pgh_created_at", "pgh_label", "pgh_context", *REVERT_FIELDS, "deleted_at", "user_id")


def _versions(task_id: int) -> Any:
    return TaskEvent.objects.filter(pgh_obj_id=task_id).values(*_COLUMNS)
