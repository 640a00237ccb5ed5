"""The statements that read, lock, save and add any number of one user's tasks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Subquery

from tasks.models import SEEN_FIELDS, Task
from tasks.quotas.versions import version_limit
from tasks.state import COLUMNS, TaskState
from todo_mcp.core.envelope import to_json
from todo_mcp.postgres.operation_run import note_use
from todo_mcp.postgres.statements import Parameter, RecordedStatement, Sql, Statement, UserId, with_returning

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
_ADDED = (*SEEN_FIELDS, "created_at", "updated_at", "series", "previous")
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
    changes = ", ".join(f"{name} = new.{name}" for name in names)
    sql = (
        f"UPDATE tasks SET {changes} "  # noqa: S608 (names of columns)
        f"FROM jsonb_to_recordset(%s::jsonb) AS new({_records(('id', 'version', *names))}) "
        f"WHERE tasks.id = new.id AND tasks.version = new.version AND {of_this_user(of_user)}"
    )
    return with_returning(sql, [Parameter("rows"), *params], ["tasks.id", "tasks.version"], Task)


def _write_change(user: UserId) -> Sql:
    """``jsonb_populate_record`` makes the row with the values of the JSON. If the row had them, it is the same."""
    of_user, params = user_sql(user)
    columns = ", ".join(SEEN_FIELDS)
    update, update_params = with_returning(
        f"UPDATE tasks SET ({columns}, updated_at) = "  # noqa: S608 (names of columns)
        f"(SELECT {columns}, %s FROM jsonb_populate_record(tasks, %s::jsonb)) "
        "FROM old WHERE tasks.id = old.id AND tasks.version = old.version "
        "AND tasks IS NOT DISTINCT FROM jsonb_populate_record(tasks, %s::jsonb) "
        "AND tasks IS DISTINCT FROM jsonb_populate_record(tasks, %s::jsonb) "
        "AND tasks.version < tasks.thinned + %s",
        [*map(Parameter, ("now", "values", "expected", "values", "version_limit"))],
        ["tasks.version"],
        Task,
    )
    sql = (
        f"WITH old AS (SELECT {SELECTED} FROM tasks WHERE {of_this_user(of_user)} AND id = %s::bigint), "  # noqa: S608
        f"changed AS ({update}) SELECT old.*, changed.version, changed.stored FROM old LEFT JOIN changed ON true"
    )
    return sql, [*params, Parameter("task_id"), *update_params]


def _write_add(user: UserId) -> Sql:
    of_user, params = user_sql(user)
    origin = ("conversation_id", "message_id")
    sql = (
        f"INSERT INTO tasks (user_id, {', '.join((*origin, *_ADDED))}) "  # noqa: S608 (names of columns)
        f"SELECT {of_user}, %s::bigint, %s::bigint, {', '.join(f'new.{name}' for name in _ADDED)} "
        f"FROM ROWS FROM (jsonb_to_recordset(%s::jsonb) AS ({_records(_ADDED)})) WITH ORDINALITY AS new "
        "ORDER BY new.ordinality"
    )
    values = [*(Parameter(name) for name in origin), Parameter("rows")]
    return with_returning(sql, [*params, *values], ["id"], Task)


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
) -> tuple[list[TaskState], dict[int, int]]:
    """Read one task of the user, and change it in the same statement if it is as expected.

    Args:
        values: the new values of columns.
        expected: the values that columns must have before.

    Returns:
        The task as it was, if it is there, and its new version, if it changed.
    """
    rows = _change(
        user_id=user_id,
        task_id=task_id,
        values=_json(values),
        expected=_json(expected),
        now=now,
        version_limit=version_limit(),
    )
    states = [TaskState.of_row(row[:-1]) for row in rows]
    return states, {state.id: row[-1] for state, row in zip(states, rows, strict=True) if row[-1]}


def followers(user_id: str, states: Sequence[TaskState]) -> list[TaskState]:
    """The tasks that follow these ones in their series."""
    series = [state.series or state.id for state in states]
    rows = _followers(user_id=user_id, ids=[state.id for state in states], series=series)
    return [TaskState.of_row(row) for row in rows]


def lock_series(user_id: str, series: Sequence[int]) -> list[TaskState]:
    """All tasks of these series, locked. A series has the id of its first task."""
    return [TaskState.of_row(row) for row in _lock_series(user_id=user_id, ids=list(series), series=list(series))]


def save(user_id: str, states: Sequence[TaskState]) -> dict[int, int]:
    """Save the tasks that still have their version. Returns the new version of each saved task."""
    names = ("id", "version", *SEEN_FIELDS, "updated_at")
    # The history keeps this order, so that a list by last change has the newest of them first.
    rows = [{name: getattr(state, name) for name in names} for state in sorted(states, key=lambda one: one.id)]
    return {task_id: version for task_id, version, _ in _save(user_id=user_id, rows=_json(rows))}


def add(user_id: str, states: Sequence[TaskState], *, conversation_id: int | None, message_id: int | None) -> list[int]:
    """Add tasks. Returns their ids in the same order."""
    rows = _json([{name: getattr(state, name) for name in _ADDED} for state in states])
    added = _add(user_id=user_id, conversation_id=conversation_id, message_id=message_id, rows=rows)
    note_use(tasks=len(added))
    return sorted(task_id for task_id, _ in added)  # they were added in this order, so their ids ascend


def _json(value: object) -> str:
    return to_json(value).decode()
