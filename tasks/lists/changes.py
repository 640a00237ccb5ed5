"""The latest change of a task: what it was, and the name by which the person can undo it.

An index of tasks by their last change would make each change as dear as all other indexes together. So the list by last
change reads the user's events, latest first, and leaves out those that a later event of the same task follows.
"""

from datetime import datetime
from typing import Any, NamedTuple

from tasks import undo_names
from tasks.lists.shapes import Shape
from tasks.models import SEEN_FIELDS

_LATEST = (
    "SELECT e.pgh_id, e.pgh_created_at FROM task_events e WHERE e.pgh_obj_id = t.id ORDER BY e.pgh_id DESC LIMIT 1"
)
_BEFORE = "(e.pgh_created_at, e.pgh_id) < (%(after_at)s::timestamptz, %(after_id)s::bigint)"
_ORDER = "e.pgh_created_at DESC, e.pgh_id DESC"
_CHANGED = ", ".join(f"CASE WHEN e.{name} IS DISTINCT FROM p.{name} THEN '{name}' END" for name in SEEN_FIELDS)
# The name of a field in an answer, where it differs from the column's.
_SHOWN_AS = {
    "due_on": "due", "due_at": "due", "repeat_on": "repeat", "repeat_time": "repeat", "repeat_zone": "repeat",
}  # fmt: skip

COLUMNS = ("event.label", "event.transport", "event.deleted", "event.completed", "event.changed")
JOIN = f"""LEFT JOIN LATERAL (
    SELECT e.pgh_label AS label, e.pgh_context ->> 'transport' AS transport, e.deleted_at IS NOT NULL AS deleted,
        e.completed, array_remove(ARRAY[{_CHANGED}], NULL) AS changed
    FROM task_events e LEFT JOIN LATERAL (
        SELECT * FROM task_events p WHERE p.pgh_obj_id = e.pgh_obj_id AND p.pgh_id < e.pgh_id
        ORDER BY p.pgh_id DESC LIMIT 1
    ) p ON true
    WHERE e.pgh_id = page.event_id LIMIT 1
) event ON true"""


class LastChange(NamedTuple):
    """The columns of ``COLUMNS``, for one task."""

    label: str
    transport: str | None
    deleted: bool
    completed: bool
    changed: list[str]

    def text(self) -> str:
        if self.label == "insert":
            return "added"
        if "deleted_at" in self.changed and self.deleted:
            return "deleted"
        if "completed" in self.changed and self.completed:
            return "completed"
        names = dict.fromkeys(_SHOWN_AS.get(name, name) for name in self.changed)
        if "completed" in names:
            names.pop("completed_at", None)
        return f"changed: {', '.join(names)}" if names else "changed"


def narrow_page(shape: Shape, may_overflow: bool) -> str:
    """The page among the rows of ``narrow``."""
    where = [
        "t.ok",
        *(["NOT (SELECT yes FROM many)"] if may_overflow else []),
        *([_BEFORE] if shape.after else []),
    ]
    return (
        "SELECT t.id, true AS matches, false AS is_end, false AS is_bare, "
        "e.pgh_created_at AS event_at, e.pgh_id AS event_id "
        f"FROM narrow t CROSS JOIN LATERAL ({_LATEST}) e WHERE {' AND '.join(where)} "
        f"ORDER BY {_ORDER} LIMIT (SELECT %(limit)s::bigint + 1)"
    )


def page(shape: Shape, conditions: str, budget: int, guard: str) -> str:
    """The page, from the user's events. ``conditions`` are those of the task."""
    where = "e.user_id = (SELECT id FROM me)" + guard + (f" AND {_BEFORE}" if shape.after else "")
    return (
        "SELECT id, matches, is_end, false AS is_bare, event_at, event_id FROM ("
        f"SELECT e.pgh_obj_id AS id, e.pgh_created_at AS event_at, e.pgh_id AS event_id, t.matches IS TRUE AS matches, "
        f"row_number() OVER () = {budget} AS is_end "
        "FROM (SELECT e.pgh_obj_id, e.pgh_created_at, e.pgh_id FROM task_events e "
        f"WHERE {where} ORDER BY {_ORDER} LIMIT (SELECT {budget})) e "
        "LEFT JOIN LATERAL ("
        f"SELECT ({conditions}) AND e.pgh_id = (SELECT latest.pgh_id FROM ({_LATEST}) latest) AS matches FROM tasks t "
        "WHERE t.id = e.pgh_obj_id AND t.user_id = (SELECT id FROM me) LIMIT 1) t ON true"
        ") t WHERE matches OR is_end LIMIT (SELECT %(limit)s::bigint + 1)"
    )


def shown(change: LastChange, task_id: int, version: int, at: datetime, now: datetime) -> dict[str, Any]:
    """What a row says about its latest change."""
    result: dict[str, Any] = {"last_change": change.text()}
    if change.transport and now - at < undo_names.WINDOW:  # an operator's change has no transport
        result["undo"] = undo_names.encode(task_id, version)
    return result
