"""Queries that Django's ORM writes once and PostgreSQL plans once.

Building a queryset and compiling it to SQL takes Django ten times as long as running it (docs/performance.md). A
statement on the way of every call is therefore written with ``Parameter`` in place of its values, compiled at its first
use, and run after that as a prepared statement. It stays the ORM's: models own the names of tables and columns.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, models
from django.db.models.expressions import Expression
from django.db.models.sql import InsertQuery, UpdateQuery

from todo_mcp.core.errors import RuleBroken
from todo_mcp.postgres.history import current_metadata

# A migration changed a column, or somebody said DEALLOCATE: told before the statement does anything.
_PLAN_LOST = (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidSqlStatementName)
USER = "user_id"  # the parameter that names whose rows a statement is about
_METADATA = "pghistory.context_metadata"  # where pghistory's triggers look for who makes a change
_CHANGE = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


class Parameter(Expression):
    """Stands for a value that is known when the query is run."""

    def __init__(self, name: str, output_field: "models.Field[Any, Any] | None" = None) -> None:
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        return "%s", (self,)


class Compiled:
    """A statement with parameters; called with their values by name, it gives the rows."""

    def __init__(self, write: Callable[[], tuple[str, Sequence[Any]]]) -> None:
        self._write = write
        self._written: dict[Compiled | None, tuple[str, Sequence[Any]]] = {}  # by the condition of the guard

    def __call__(self, **values: Any) -> list[tuple[Any, ...]]:
        run = _run.get()
        guard = run.guard if run else None
        if run:
            run.begin_compiled()
        if guard is None or guard.met:
            return _fetch(*_filled(self.written(), values))
        try:
            rows = _fetch(*_filled(self.written(guard.condition), {**values, **guard.values}))
        except IntegrityError as error:
            if isinstance(error.__cause__, psycopg.errors.NotNullViolation):
                raise Unmet from None
            raise
        guard.met = bool(rows)
        return rows

    def written(self, condition: "Compiled | None" = None) -> tuple[str, Sequence[Any]]:
        """The statement and its parameters; under a condition, that in place of each user id."""
        if condition not in self._written:
            sql, params = self._write()
            self._written[condition] = _under(condition, sql, params) if condition else (sql, params)
        return self._written[condition]


class Unmet(Exception):
    """Under a guard that is not met, or that a statement cannot be put under: nothing was done."""


class Guard:
    """A condition that must be true of the user of a call at the very moment of its statements.

    ``condition`` selects the user's id, if the condition is true, and so takes the place of the id in each statement:
    where it is false the user is NULL, who has no rows and can get none. So what must be true and what is done are one
    statement. Once a statement has given a row the guard is ``met``, and what follows needs it no more.
    """

    def __init__(self, condition: Compiled, **values: Any) -> None:
        self.condition = condition
        self.values = values
        self.met = False


class Run:
    """One run of an operation. It holds the operation's statements to the rules of ``core.operations.operation``."""

    def __init__(self, guard: Guard | None) -> None:
        self.guard = guard
        self._is_compiled = self._is_mixed = self._has_committed = False

    def begin_compiled(self) -> None:
        """A compiled statement follows."""
        self._is_compiled = True

    def check_change(self) -> None:
        """A statement that changes rows follows.

        Raises:
            RuleBroken: an earlier change is committed already, so a run that is repeated would do it twice.
        """
        if self._has_committed:
            raise RuleBroken("An operation makes all its changes in one transaction.")

    def note_change(self) -> None:
        """A statement has changed rows."""
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.in_atomic_block:
            connection.on_commit(self._note_commit)
        else:
            self._note_commit()

    def watch(self, execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        """Run a statement of Django's cursors.

        Raises:
            Unmet: there is a guard, and no statement has met it yet.
            RuleBroken: the operation began with a compiled statement.
        """
        if self._is_compiled and not self._is_mixed:
            raise RuleBroken("An operation that begins with a compiled statement makes compiled statements only.")
        if self.guard:
            raise Unmet
        self._is_mixed = True
        if not _CHANGE.match(sql):
            return execute(sql, *arguments)
        self.check_change()
        result = execute(sql, *arguments)
        self.note_change()
        return result

    def _note_commit(self) -> None:
        self._has_committed = True


_run: ContextVar[Run | None] = ContextVar("operation_run", default=None)


@contextmanager
def operation_run(guard: Guard | None) -> Iterator[None]:
    """One run of an operation. Under a guard, its compiled statements carry the guard's condition."""
    run = Run(guard)
    outer = _run.set(run)
    try:
        with connections[DEFAULT_DB_ALIAS].execute_wrapper(run.watch):
            yield
    finally:
        _run.reset(outer)


def select(rows: Callable[[], models.QuerySet[Any, Any]], *, limit: str = "") -> Compiled:
    """The rows of a ``values_list`` queryset; as many as the parameter ``limit`` says, where one is named.

    PostgreSQL does not see that number when it plans: of one that it takes for more than there is it would rather read
    and sort all, which of a user with a million tasks it does not know.
    """

    def write() -> tuple[str, Sequence[Any]]:
        sql, params = rows().query.sql_with_params()
        return (f"{sql} LIMIT (SELECT %s::bigint)", [*params, Parameter(limit)]) if limit else (sql, params)

    return Compiled(write)


def update(rows: Callable[[], models.QuerySet[Any]], returning: Sequence[str], **values: Any) -> "Recorded":
    """UPDATE … RETURNING, which the ORM does not have: these columns of each row that was changed."""

    def write() -> tuple[str, Sequence[Any]]:
        found = rows()
        query: UpdateQuery = found.query.chain(UpdateQuery)  # type: ignore[assignment]
        query.add_update_values(values)
        sql, params = query.get_compiler(found.db).as_sql()
        return _returning(sql, params, found.model, returning)

    return Recorded(write)


def insert(row: Callable[[], models.Model], returning: Sequence[str]) -> "Recorded":
    """INSERT … RETURNING of a model instance whose fields hold parameters."""

    def write() -> tuple[str, Sequence[Any]]:
        new = row()
        query = InsertQuery(type(new))
        fields = [field for field in new._meta.concrete_fields if not isinstance(field, models.AutoField)]
        query.insert_values(fields, [new])
        [(sql, params)] = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()
        return _returning(sql, params, type(new), returning)

    return Recorded(write)


class Recorded(Compiled):
    """A statement that changes rows whose history is kept: it carries the metadata of ``history_context`` with it."""

    def __call__(self, **values: Any) -> list[tuple[Any, ...]]:
        run = _run.get()
        if run:
            run.check_change()
        rows = super().__call__(**values, metadata=current_metadata())
        if run and rows:
            run.note_change()
        return rows


def _returning(
    sql: str, params: Sequence[Any], model: type[models.Model], names: Sequence[str]
) -> tuple[str, Sequence[Any]]:
    """Add RETURNING. It is evaluated before the triggers fire, so that is where they are told who makes the change."""
    column_of = {field.name: str(field.column) for field in model._meta.concrete_fields}
    columns = [connections[DEFAULT_DB_ALIAS].ops.quote_name(column_of[name]) for name in names]
    said = f"set_config('{_METADATA}', %s, true)"
    return f"{sql} RETURNING {', '.join([*columns, said])}", [*params, Parameter("metadata")]


def _under(condition: Compiled, sql: str, params: Sequence[Any]) -> tuple[str, list[Any]]:
    """The statement with the condition in place of each user id.

    Raises:
        Unmet: it names no user.
    """
    condition_sql, condition_params = condition.written()
    pieces = sql.split("%s")
    written = [pieces[0]]
    kept: list[Any] = []
    for param, piece in zip(params, pieces[1:], strict=True):
        is_user = isinstance(param, Parameter) and param.name == USER
        written += [f"({condition_sql})" if is_user else "%s", piece]
        kept += condition_params if is_user else [param]
    if len(kept) == len(params):
        raise Unmet
    return "".join(written), kept


def _filled(written: tuple[str, Sequence[Any]], values: dict[str, Any]) -> tuple[str, list[Any]]:
    sql, params = written
    return sql, [values[param.name] if isinstance(param, Parameter) else param for param in params]


def _fetch(sql: str, params: list[Any]) -> list[tuple[Any, ...]]:
    """Run a statement on Django's connection, in its transaction if there is one; prepared after PREPARE_AFTER uses.

    Results come in binary: psycopg reads a time from that ten times as fast as from text.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    started = time.monotonic()
    rows: list[tuple[Any, ...]]
    with connection.wrap_database_errors:
        try:
            rows = connection.connection.bare_cursor.execute(sql, params, binary=True).fetchall()
        except _PLAN_LOST:
            if connection.in_atomic_block:
                raise  # the rollback forgets what was prepared
            connection.close()
            connection.connect()
            rows = connection.connection.bare_cursor.execute(sql, params, binary=True).fetchall()
    if connection.queries_logged:
        connection.queries_log.append({"sql": sql, "time": f"{time.monotonic() - started:.3f}"})
    return rows
