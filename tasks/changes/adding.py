"""New tasks from the arguments of ``add_task``."""

from datetime import datetime
from typing import Any

from tasks.changes import repeating
from tasks.changes.editing import NONE, unique_tags
from tasks.changes.refusals import Refused
from tasks.models import PRIORITIES
from tasks.state import TaskState
from todo_mcp.dates.phrases import NotUnderstood, read_due
from todo_mcp.dates.zones import Clock, Due


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
