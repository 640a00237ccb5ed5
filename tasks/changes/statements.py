"""The statements that read, lock, save and add any number of one user's tasks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Subquery

from tasks.models import SEEN_FIELDS, Task
from tasks.queries import CLOCK_ERROR
from tasks.quotas.versions import version_limit
from tasks.state import COLUMNS, TaskState
from todo_mcp.core.envelope import to_json
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.postgres.statements import USER_ID, Parameter, RecordedStatement, Sql, Statement, UserId, with_returning

_TYPES = {
    "id": "bigint",
    "version": "integer",
    "title": "text",
    "description": "text",
    "completed": "boolean",
    "completed_at": "timestamptz",
    "deleted_at": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
    "due_on": "date",
    "due_at": "timestamptz",
    "priority": "smallint",
    "tags": "text[]",
    "repeat": "text",
    "repeat_on": "date",
    "repeat_time": "time",
    "repeat_zone": "text",
    "series": "bigint",
    "previous": "bigint",
    "checklist": "jsonb",
}
_TIMES = ("created_at", "updated_at")
_ADDED = (*SEEN_FIELDS, *_TIMES, "series", "previous")
Saved = dict[int, tuple[int, datetime]]  # the new version and time of each changed task
Added = list[tuple[int, datetime]]  # the id and time of each new task
SELECTED = ", ".join(f"tasks.{name}" for name in COLUMNS)


def user_sql(user: UserId) -> Sql:
    """The expression of the call's user."""
    if isinstance(user, Subquery):
        sql, params = user.query.sql_with_params()
        return f"({sql})", params
    return "%s", [user]


def of_this_user(user_sql: str) -> str:
    """The condition that a task is the user's, for statements that find tasks by their ids.

    IS TRUE hides it from the planner. It knows the average user, so it might otherwise expect that reading all tasks
    of the user is cheaper.
    """
    return f"(tasks.user_id = {user_sql}) IS TRUE"


def _find(condition: str, ending: str = "", *parameters: str) -> Statement:
    """The tasks of a user that fulfil a condition, by id."""

    def write(user: UserId) -> Sql:
        of_user, params = user_sql(user)
        values = [Parameter(name) for name in parameters]
        sql = f"SELECT {SELECTED} FROM tasks WHERE {of_this_user(of_user)} AND {condition} ORDER BY id {ending}"  # noqa: S608
        return sql, [*params, *values]

    return Statement(write)


def _records(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {_TYPES[name]}" for name in names)


def _write_save(user: UserId) -> Sql:
    of_user, params = user_sql(user)
    names = (*SEEN_FIELDS, "updated_at")
    changes = ", ".join(f"{name} = new.{name}" for name in SEEN_FIELDS)
    sql = (
        f"UPDATE tasks SET {changes}, updated_at = GREATEST(new.updated_at, tasks.updated_at) "  # noqa: S608 (columns)
        f"FROM jsonb_to_recordset(%s::jsonb) AS new({_records(('id', 'version', *names))}) "
        f"WHERE tasks.id = new.id AND tasks.version = new.version AND {of_this_user(of_user)}"
    )
    return with_returning(sql, [Parameter("rows"), *params], ["tasks.id", "tasks.version", "tasks.updated_at"], Task)


def _write_change(user: UserId) -> Sql:
    """``jsonb_populate_record`` makes the row with the values of the JSON. If the row had them, it is the same."""
    of_user, params = user_sql(user)
    columns = ", ".join(SEEN_FIELDS)
    update, update_params = with_returning(
        f"UPDATE tasks SET ({columns}, updated_at) = "  # noqa: S608 (names of columns)
        f"(SELECT {columns}, GREATEST(%s, tasks.updated_at) FROM jsonb_populate_record(tasks, %s::jsonb)) "
        "FROM old WHERE tasks.id = old.id AND tasks.version = old.version "
        "AND tasks IS NOT DISTINCT FROM jsonb_populate_record(tasks, %s::jsonb) "
        "AND tasks IS DISTINCT FROM jsonb_populate_record(tasks, %s::jsonb) "
        "AND tasks.version < tasks.thinned + %s",
        [*map(Parameter, ("now", "values", "expected", "values", "version_limit"))],
        ["tasks.version", "tasks.updated_at"],
        Task,
    )
    sql = (
        f"WITH old AS (SELECT {SELECTED} FROM tasks WHERE {of_this_user(of_user)} AND id = %s::bigint), "  # noqa: S608
        f"changed AS ({update}) SELECT old.*, changed.version, changed.updated_at, changed.stored "
        "FROM old LEFT JOIN changed ON true"
    )
    return sql, [*params, Parameter("task_id"), *update_params]


def _write_add(user: UserId) -> Sql:
    of_user, params = user_sql(user)
    origin = ("conversation_id", "message_id")
    sql = (
        f"INSERT INTO tasks (user_id, {', '.join((*origin, *_ADDED))}) "  # noqa: S608 (names of columns)
        f"SELECT {of_user}, %s::bigint, %s::bigint, "
        f"{', '.join('added.at' if name in _TIMES else f'new.{name}' for name in _ADDED)} "
        f"FROM ROWS FROM (jsonb_to_recordset(%s::jsonb) AS ({_records(_ADDED)})) WITH ORDINALITY AS new, "
        # as queries.add_task does
        "LATERAL (SELECT GREATEST(new.created_at, (SELECT max(created_at) FROM tasks WHERE user_id = %s "
        "AND deleted_at IS NULL AND created_at > new.created_at "
        f"AND created_at < new.created_at + {CLOCK_ERROR})) AS at) AS added "
        "ORDER BY new.ordinality"
    )
    values = [*(Parameter(name) for name in origin), Parameter("rows"), USER_ID]
    return with_returning(sql, [*params, *values], ["id", "created_at"], Task)


_read = _find("id = ANY(%s::bigint[])", "", "ids")
_lock = _find("id = ANY(%s::bigint[])", "FOR UPDATE", "ids")
_followers = _find("previous = ANY(%s::bigint[]) AND series = ANY(%s::bigint[])", "", "ids", "series")
_lock_series = _find("(id = ANY(%s::bigint[]) OR series = ANY(%s::bigint[]))", "FOR UPDATE", "ids", "series")
_save = RecordedStatement(_write_save)
_change = RecordedStatement(_write_change)
_add = RecordedStatement(_write_add)


def read(user_id: str, ids: Sequence[int], *, lock: bool = False) -> list[TaskState]:
    """These tasks of the user, in any state, by id. With ``lock``, no one else changes them in this transaction."""
    statement = _lock if lock else _read
    return [TaskState.of_row(row) for row in statement(user_id=user_id, ids=list(ids))]


def change(
    user_id: str, task_id: int, values: Mapping[str, Any], expected: Mapping[str, Any], now: datetime
) -> tuple[list[TaskState], Saved]:
    """Read one task of the user, and change it in the same statement if it is as expected.

    Args:
        values: the new values of columns.
        expected: the values that columns must have before.

    Returns:
        The task as it was, if it is there, and its new version and time, if it changed.
    """
    rows = _change(
        user_id=user_id,
        task_id=task_id,
        values=_json(values),
        expected=_json(expected),
        now=now,
        version_limit=version_limit(),
    )
    states = [TaskState.of_row(row[:-2]) for row in rows]
    return states, {state.id: row[-2:] for state, row in zip(states, rows, strict=True) if row[-1]}


def followers(user_id: str, states: Sequence[TaskState]) -> list[TaskState]:
    """The tasks that follow these ones in their series."""
    series = [state.series or state.id for state in states]
    rows = _followers(user_id=user_id, ids=[state.id for state in states], series=series)
    return [TaskState.of_row(row) for row in rows]


def lock_series(user_id: str, series: Sequence[int]) -> list[TaskState]:
    """All tasks of these series, locked. A series has the id of its first task."""
    return [TaskState.of_row(row) for row in _lock_series(user_id=user_id, ids=list(series), series=list(series))]


def save(user_id: str, states: Sequence[TaskState]) -> Saved:
    """Save the tasks that still have their version."""
    names = ("id", "version", *SEEN_FIELDS, "updated_at")
    # The history keeps this order, so that a list by last change has the newest of them first.
    rows = [{name: getattr(state, name) for name in names} for state in sorted(states, key=lambda one: one.id)]
    saved = _save(user_id=user_id, rows=_json(rows))
    return {task_id: (version, updated_at) for task_id, version, updated_at, _ in saved}


def add(user_id: str, states: Sequence[TaskState], *, conversation_id: int | None, message_id: int | None) -> Added:
    """Add tasks. Returns their ids and times in the same order."""
    rows = _json([{name: getattr(state, name) for name in _ADDED} for state in states])
    added = _add(user_id=user_id, conversation_id=conversation_id, message_id=message_id, rows=rows)
    note_use(tasks=len(added))
    return sorted((task_id, at) for task_id, at, _ in added)  # they were added in this order, so their ids ascend


def _json(value: object) -> str:
    return to_json(value).decode()
