"""The tasks that a person has when a scenario begins, and any task as a person sees it."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tasks.models import PRIORITIES, Task
from tasks.state import TaskState

BERLIN = ZoneInfo("Europe/Berlin")
# A Thursday. PostgreSQL's own clock must be later than this: the history has its time.
MOMENT = "2026-03-12T09:05"
ADDED = "2026-03-02T12:00"
# Their ids are 1, 2, 3 … Bob has the same ones, with other ids.
HOME: Sequence[Mapping[str, Any]] = (
    {"title": "Call the bank about the card", "due": "2026-03-12", "tags": ["money"]},
    {"title": "Pay the electricity bill", "due": "2026-03-10", "priority": "high", "tags": ["money"]},
    {"title": "Dentist", "due": "2026-03-17T10:30"},
    {"title": "Water the plants", "due": "2026-03-12", "repeat": "FREQ=DAILY;INTERVAL=3;X-AFTER=COMPLETION"},
    {"title": "Shopping list", "checklist": ["[ ] milk", "[ ] bread", "[x] eggs"]},
    {"title": "Write the report", "due": "2026-03-13", "priority": "high", "tags": ["work"], "description": "Q1 only"},
    {"title": "Put out the bins", "due": "2026-03-16T08:00", "repeat": "FREQ=WEEKLY;BYDAY=MO"},
    {"title": "Renew papers", "description": "The passport ends in May. Photos are at the station."},
    {"title": "Prepare the slides", "due": "2026-03-12T15:00", "tags": ["work"]},
    {"title": "Ask the bank for a loan", "tags": ["money"]},
    {"title": "Buy a present for Mia", "completed": "2026-03-05T18:00"},
    {"title": "Order the old newsletter", "deleted": "2026-03-11T20:00"},
)


def task_of(seen: Mapping[str, Any], *, id: int, user_id: str) -> Task:
    """The row of a task that looks like this."""
    state = TaskState(title=seen["title"], description=seen.get("description", ""))
    due = _due(seen.get("due"))
    state.set_due(due)
    state.set_repeat(seen.get("repeat", ""), due)
    added = moment_of(seen.get("added", ADDED))
    completed, deleted = _moment(seen.get("completed")), _moment(seen.get("deleted"))
    return Task(
        id=id,
        user_id=user_id,
        title=state.title,
        description=state.description,
        due_on=state.due_on,
        due_at=state.due_at,
        repeat=state.repeat,
        repeat_on=state.repeat_on,
        repeat_time=state.repeat_time,
        repeat_zone=state.repeat_zone,
        priority=PRIORITIES.index(seen.get("priority", "none")),
        tags=seen.get("tags", []),
        checklist=[{"text": item[4:], "done": item.startswith("[x]")} for item in seen.get("checklist", [])],
        completed=completed is not None,
        completed_at=completed,
        deleted_at=deleted,
        created_at=added,
        updated_at=deleted or completed or added,
    )


def seen(task: Task) -> dict[str, Any]:
    """A task as a person in Berlin sees it, in the form of ``HOME``, with its version."""
    due = show(task.due_at) if task.due_at else task.due_on.isoformat() if task.due_on else None
    values = {
        "title": task.title,
        "description": task.description,
        "due": due,
        "repeat": task.repeat,
        "priority": "" if task.priority == 0 else PRIORITIES[task.priority],
        "tags": task.tags,
        "checklist": [f"[{'x' if item['done'] else ' '}] {item['text']}" for item in task.checklist],
        "completed": show(task.completed_at) if task.completed_at else None,
        "deleted": show(task.deleted_at) if task.deleted_at else None,
        "version": task.version,
    }
    return {name: value for name, value in values.items() if value}


def moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def show(moment: datetime) -> str:
    return f"{moment.astimezone(BERLIN):%Y-%m-%dT%H:%M}"


def _moment(text: str | None) -> datetime | None:
    return moment_of(text) if text else None


def _due(text: str | None) -> date | datetime | None:
    if text is None:
        return None
    return moment_of(text) if "T" in text else date.fromisoformat(text)
