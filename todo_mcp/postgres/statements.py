"""Queries that Django's ORM compiles once and PostgreSQL plans once.

Django takes ten times as long to build and compile a queryset as to run it (docs/performance.md). So the
statements of calls are written with a ``Parameter`` in place of each value. Each is compiled at its first use, and then
runs as a prepared statement. Models still own the names of tables and columns.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, IntegrityError, ProgrammingError, connections, models
from django.db.models.expressions import Expression, RawSQL, Subquery
from django.db.models.lookups import Exact
from django.db.models.sql import InsertQuery, UpdateQuery

from todo_mcp.postgres.history import current_metadata
from todo_mcp.postgres.operation_run import Unmet, current_run
from todo_mcp.postgres.prepared import CHANGED, LOST, preparing

Sql = tuple[str, Sequence[Any]]  # with a %s for each parameter, and the parameters

_METADATA = "pghistory.context_metadata"  # the setting from which pghistory's triggers read who makes a change


class Parameter(Expression):
    """Stands for a value that is known when the statement runs."""

    def __init__(self, name: str, output_field: "models.Field[Any, Any] | None" = None) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


class ConditionParameter(Parameter):
    """A parameter of a condition. Its value comes from the condition, so it may have the name of another parameter."""


USER_ID = Parameter("user_id")
UserId = Parameter | Subquery  # the id of the call's user, or the query that selects it under a condition


class CompiledSql:
    """SQL with a ``%s`` for each parameter, and the source of each parameter's value."""

    def __init__(self, text: str, params: Sequence[Any]) -> None:
        self.text = text
        self._constants = dict(enumerate(params))
        self._slots = [_slot(param, position) for position, param in enumerate(params)]
        self.has_condition = any(source == _CONDITION for source, _ in self._slots)

    def values(self, values: Mapping[str, Any], of_condition: Mapping[str, Any]) -> list[Any]:
        """The values of the parameters in their order."""
        sources: tuple[Mapping[Any, Any], ...] = (values, of_condition, self._constants)
        return [sources[source][key] for source, key in self._slots]


_VALUES, _CONDITION, _CONSTANTS = range(3)  # the sources of values


def _slot(param: Any, position: int) -> tuple[int, str | int]:
    """The source of a parameter's value, and its key there."""
    if isinstance(param, ConditionParameter):
        return _CONDITION, param.name
    return (_VALUES, param.name) if isinstance(param, Parameter) else (_CONSTANTS, position)


class Statement:
    """A statement with parameters. Called with their values by name, it returns the rows.

    ``write`` makes the SQL. It takes the expression for the user's id: the parameter ``user_id``, or the query of a
    condition.
    """

    def __init__(self, write: Callable[[UserId], Sql]) -> None:
        self._write = write
        self._compiled: dict[Callable[[], Any] | None, CompiledSql] = {}  # by the query of the condition

    def __call__(self, **values: Any) -> list[tuple[Any, ...]]:
        run = current_run()
        condition = run.begin_compiled() if run else None
        if condition is None:
            sql = self._sql(None)
            return _fetch(sql.text, sql.values(values, {}))
        sql = self._sql(condition.user)
        if not sql.has_condition:
            raise Unmet  # the statement does not use the user's id, so it cannot carry the condition
        try:
            rows = _fetch(sql.text, sql.values(values, condition.values))
        except (IntegrityError, ProgrammingError) as error:
            if _lacks_user(error.__cause__):
                raise Unmet from None
            raise
        condition.is_met = bool(rows)
        return rows

    def _sql(self, user: Callable[[], models.QuerySet[Any, Any]] | None) -> CompiledSql:
        """The SQL for the parameter ``user_id``, or for the query of a condition."""
        sql = self._compiled.get(user)
        if sql is None:
            sql = self._compiled[user] = CompiledSql(*self._write(Subquery(user()) if user else USER_ID))
        return sql


class RecordedStatement(Statement):
    """A statement that changes rows whose history is kept. It carries the metadata of ``history_context``.

    Its last column is for quotas, and is not returned: the bytes that a changed row stores. It is null in a row that
    the statement did not change.
    """

    def __call__(self, **values: Any) -> list[tuple[Any, ...]]:
        run = current_run()
        if run:
            run.check_change()
        rows = super().__call__(**values, metadata=current_metadata())
        if run and (sizes := [row[-1] for row in rows if row[-1] is not None]):
            run.note_change()
            run.use.writes += len(sizes)
            run.use.size += sum(sizes)
        return [row[:-1] for row in rows]


def select(rows: Callable[[UserId], models.QuerySet[Any, Any]], *, limit: str = "") -> Statement:
    """The rows of a ``values_list`` queryset. ``limit`` names the parameter with the maximum number of rows, if any.

    The limit is a subquery, so PostgreSQL does not see the number when it plans. If the limit exceeds the planner's
    estimate, PostgreSQL reads and sorts every row. Its estimate is wrong for very large users.
    """

    def write(user: UserId) -> Sql:
        sql, params = rows(user).query.sql_with_params()
        return (f"{sql} LIMIT (SELECT %s::bigint)", [*params, Parameter(limit)]) if limit else (sql, params)

    return Statement(write)


def update(
    rows: Callable[[UserId], models.QuerySet[Any]],
    returning: Sequence[str],
    *,
    also: Sequence[str] = (),
    **values: Any,
) -> RecordedStatement:
    """UPDATE … RETURNING, which the ORM lacks. Returns these columns of each changed row, then the SQL of ``also``."""
    return RecordedStatement(lambda user: _update(rows(user), returning, also, values))


def update_changed(
    row: Callable[[UserId], models.QuerySet[Any]], returning: Sequence[str], names: Sequence[str], **values: Any
) -> RecordedStatement:
    """Change fields of one row, and tell which changed. If all have their new values already, nothing changes.

    Each name is a field and the parameter with its new value. Returns the ``returning`` columns of the changed row.
    For each name, whether the field changed comes after them.
    """
    if len(names) == 1:
        new = {names[0]: Parameter(names[0])}
        # A row with the new value is not waited for. If another transaction is changing it, that change comes after.
        return update(lambda user: row(user).exclude(**new), returning, also=["true"], **new, **values)

    def write(user: UserId) -> Sql:
        """The first part locks the row. All comparisons are with that row, which may be newer than the snapshot."""
        model = row(user).model
        fields = [model._meta.get_field(name) for name in (model._meta.pk.name, *names)]
        lock, lock_params = row(user).order_by().values_list(*[field.name for field in fields]).query.sql_with_params()
        columns = _columns(model, [field.name for field in fields])
        key, *old = [
            RawSQL(_old(column), (), output_field=field)  # noqa: S611 (a column of a model)
            for column, field in zip(columns, fields, strict=True)
        ]
        new = {name: Parameter(name, field) for name, field in zip(names, fields[1:], strict=True)}
        is_same = models.Q(*[Exact(*pair) for pair in zip(old, new.values(), strict=True)])
        changed = model._base_manager.filter(pk=key).exclude(is_same)
        are_changed = [f"{column} IS DISTINCT FROM {_old(column)}" for column in columns[1:]]
        sql, params = _update(changed, returning, are_changed, {**new, **values})
        return f"WITH old AS ({lock} FOR UPDATE) {sql}", [*lock_params, *params]

    return RecordedStatement(write)


def _update(
    rows: models.QuerySet[Any], returning: Sequence[str], also: Sequence[str], values: Mapping[str, Any]
) -> Sql:
    query: UpdateQuery = rows.query.chain(UpdateQuery)  # type: ignore[assignment]
    query.add_update_values(dict(values))
    sql, params = query.get_compiler(rows.db).as_sql()
    return with_returning(sql, params, [*_columns(rows.model, returning), *also], rows.model)


def _old(column: str) -> str:
    """The column of the locked row. Without ``old.``, a wrong name would mean a column of each row of the table."""
    return f"(SELECT old.{column} FROM old)"  # noqa: S608 (a column of a model)


def insert(
    row: Callable[[UserId], models.Model], columns: Sequence[str], *, fields: Sequence[str] = ()
) -> RecordedStatement:
    """INSERT … RETURNING of a model instance whose fields hold parameters. Returns these columns.

    With ``fields``, other fields get the defaults of the database.
    """

    def write(user: UserId) -> Sql:
        instance = row(user)
        query = InsertQuery(type(instance))
        inserted = [
            field
            for field in instance._meta.concrete_fields
            if not isinstance(field, models.AutoField) and (not fields or field.name in fields)
        ]
        query.insert_values(inserted, [instance])
        [(sql, params)] = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return with_returning(sql, params, _columns(type(instance), columns), type(instance))

    return RecordedStatement(write)


def _columns(model: type[models.Model], names: Iterable[str]) -> list[str]:
    """The quoted columns of these fields."""
    column_of = {field.name: str(field.column) for field in model._meta.concrete_fields}
    return [connections[DEFAULT_DB_ALIAS].ops.quote_name(column_of[name]) for name in names]


def with_returning(sql: str, params: Sequence[Any], columns: Sequence[str], model: type[models.Model]) -> Sql:
    """Add RETURNING with these columns. It also sets the author for the triggers: PostgreSQL evaluates it first.

    The last column is ``stored``, the bytes that the row stores: the SQL that ``STORED`` of the model has, or 0.
    """
    set_author = f"set_config('{_METADATA}', %s, true)"
    stored = f"{getattr(model, 'STORED', 0)} AS stored"
    return f"{sql} RETURNING {', '.join([*columns, set_author, stored])}", [*params, Parameter("metadata")]


def _fetch(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in its transaction if there is one; prepared after PREPARE_AFTER uses.

    Results come in binary: psycopg reads a time ten times as fast from binary as from text.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    started = time.monotonic()
    # Only ``calls.retries`` repeats a transaction. In any other one, a lost prepared statement would be an error.
    prepare = False if connection.in_atomic_block and current_run() is None else preparing.choice
    rows: list[tuple[Any, ...]]
    with connection.wrap_database_errors:
        try:
            rows = connection.connection.bare_cursor.execute(sql, params, prepare=prepare, binary=True).fetchall()
        except psycopg.DatabaseError as error:
            if not _can_repeat(connection, error):
                raise
            rows = connection.connection.bare_cursor.execute(sql, params, prepare=False, binary=True).fetchall()
    if connection.queries_logged:
        connection.queries_log.append({"sql": sql, "time": f"{time.monotonic() - started:.3f}"})
    return rows


def _lacks_user(error: BaseException | None) -> bool:
    """Whether an INSERT had the user NULL. Any other column that lacks a value is a defect.

    Behind the wall, the policy refuses such a row before the column does.
    """
    if isinstance(error, psycopg.errors.NotNullViolation):
        return error.diag.column_name == "user_id"
    return isinstance(error, psycopg.errors.InsufficientPrivilege)


def _can_repeat(connection: Any, error: psycopg.DatabaseError) -> bool:
    """Whether a prepared statement could not run, so that a repetition of it alone may succeed.

    It has done nothing then. In a transaction it cannot be repeated alone: the whole transaction has failed.
    """
    if error.sqlstate in LOST:
        preparing.stop(error.sqlstate)
        return not connection.in_atomic_block
    if error.sqlstate not in CHANGED or connection.in_atomic_block:
        return False
    connection.close()  # psycopg would use its old plan again
    connection.connect()
    return True
