"""What calls did to tasks, as the history has it.

A call is the events of one transaction, with one author, of one user's tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tasks.changes.undoing import Change, change_of_row
from tasks.models import SEEN_FIELDS
from todo_mcp.postgres.statements import Parameter, Statement

_FIELDS = ", ".join(f"{table}.{name}" for table in ("older", "part") for name in SEEN_FIELDS)
_SQL = f"""
    SELECT named.pgh_id, named.pgh_created_at, named.user_id, named.pgh_context, part.tasks,
        part.pgh_obj_id, part.version, part.pgh_label, false, older.version, {_FIELDS}
    FROM task_events named
    JOIN LATERAL (
        SELECT event.*, count(*) OVER () AS tasks FROM task_events event
        WHERE event.user_id = named.user_id AND event.pgh_created_at = named.pgh_created_at
            AND event.pgh_context IS NOT DISTINCT FROM named.pgh_context
        ORDER BY event.pgh_id LIMIT %s::bigint
    ) part ON true
    LEFT JOIN LATERAL (
        SELECT version, {", ".join(SEEN_FIELDS)} FROM task_events previous
        WHERE previous.pgh_obj_id = part.pgh_obj_id AND previous.pgh_id < part.pgh_id
        ORDER BY previous.pgh_id DESC LIMIT 1
    ) older ON true
    WHERE named.pgh_id = ANY(%s::bigint[])
    ORDER BY named.pgh_created_at DESC, named.pgh_id DESC, part.pgh_id
"""  # noqa: S608 (names of columns)
_events = Statement(lambda user: (_SQL, [Parameter("events_max"), Parameter("event_ids")]))


@dataclass(frozen=True)
class Call:
    """One call, under the id of one of its events. ``author`` is the metadata of ``history_context``.

    ``changes`` has one entry for each task. ``removed`` are the tasks whose rows the call removed for good. ``more`` is
    the number of further events, which were not read.
    """

    event_id: int
    at: datetime
    user_id: str
    author: dict[str, Any]
    changes: tuple[Change, ...]
    removed: tuple[Change, ...]
    more: int


def read_calls(event_ids: Sequence[int], *, events_max: int | None = None) -> list[Call]:
    """The calls that wrote these events, newest first. One query.

    ``events_max`` limits the events that are read of each call.
    """
    by_call: dict[int, list[tuple[Any, ...]]] = {}
    for row in _events(events_max=events_max, event_ids=list(event_ids)):
        by_call.setdefault(row[0], []).append(row)
    return [_call(parts) for parts in by_call.values()]


def _call(rows: Sequence[tuple[Any, ...]]) -> Call:
    event_id, at, user_id, author, events, *_ = rows[0]
    changes: dict[int, Change] = {}
    removed = []
    for row in rows:
        change = change_of_row(*row[5:])
        if row[7] == "delete":
            removed.append(change)
            continue
        if first := changes.get(change.task_id):  # the call may have changed a task more than once
            change = replace(change, before=first.before, is_thinned=first.is_thinned)
        changes[change.task_id] = change
    return Call(event_id, at, user_id, author or {}, tuple(changes.values()), tuple(removed), events - len(rows))
