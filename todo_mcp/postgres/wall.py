"""The wall between users: row-level security of PostgreSQL.

Each statement of an operation runs as a role that sees only rows of the user ``app.user_id``. So a query that forgets
its filter finds no row of another user. The role cannot log in and owns nothing. The application's login owns the
tables and may take the role. Policies do not bind an owner, so the admin, commands and migrations work as before.

PostgreSQL applies a policy before anything else in a statement. So a statement of its own sets the role and the user.
Both statements go in one message: one round trip and one transaction. Then a pooled session is the login again.
"""

import time
from contextvars import ContextVar
from functools import cache
from typing import Any

import psycopg
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connections
from psycopg import pq
from psycopg._preparing import Prepare
from psycopg.abc import PQGen
from psycopg.errors import InsufficientPrivilege, error_from_result
from psycopg.generators import fetch, fetch_many, send
from psycopg.pq.abc import PGresult

from todo_mcp.configuration.distribution import command
from todo_mcp.postgres.upkeep.migrating import execute_when_free

_CHANGED = ("tasks", "task_tags", "conversations", "messages", "idempotency_keys")
_DATA = (*_CHANGED, "task_events")
OWNERS = {**dict.fromkeys(_DATA, "user_id"), "users": "id"}  # tables, and the column that says whose a row is
_USER = "current_setting('app.user_id', true)"
_TOKENS = "oauth2_provider_accesstoken"  # it has no policy: a service token has no user
_GRANTS = (
    f"SELECT, INSERT, UPDATE, DELETE ON {', '.join(_CHANGED)}",
    "SELECT, INSERT ON task_events",
    # What a statement reads to check the token and the user. A call may also set the user's time zone.
    "SELECT (id, is_active, time_zone), UPDATE (time_zone) ON users",
    f"SELECT (id, token_checksum, expires, scope, resource, user_id) ON {_TOKENS}",
    "EXECUTE ON FUNCTION tasks_found",
)

MISSING = "The database does not keep users apart: row-level security is not in force."

ASK_AGAIN = 5.0  # seconds; a migration may raise the wall under a running server
# Roles belong to the whole cluster, so the name contains the database's. The search of tasks knows this name too.
_ROLE = "('calls_of_' || current_database())::name"
_TAKE_ROLE = b"SELECT set_config('role', $1, true), set_config('app.user_id', $2, true)"
_KEY = (_TAKE_ROLE, (0, 0))  # of that statement among psycopg's prepared ones; a rollback removes all of them
_TURN = "PERFORM pg_advisory_xact_lock(hashtext('todo_mcp.postgres.wall'))"  # two migrations may run at once


def role_of(connection: "psycopg.Connection[Any]") -> str | None:
    """The role for the statements of operations. None if the wall does not stand."""
    if not settings.ROW_LEVEL_SECURITY:
        return None
    cursor = psycopg.Cursor(connection)  # without the wall, and without a span of its own
    [row] = cursor.execute(
        f"""
        SELECT (SELECT r.rolname::text FROM pg_roles r
        WHERE r.rolname = {_ROLE} AND NOT (r.rolcanlogin OR r.rolsuper OR r.rolbypassrls)
            AND pg_has_role(r.oid, %s)
            AND (SELECT count(*) FROM pg_policy p JOIN pg_class t ON t.oid = p.polrelid
                WHERE t.oid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) name) AND t.relrowsecurity
                    AND p.polname = 'own_rows' AND has_any_column_privilege(r.oid, t.oid, 'SELECT')) = %s)
        """,  # noqa: S608 (a constant)
        [_privilege_to_set(connection), list(OWNERS), len(OWNERS)],
    ).fetchall()
    role: str | None = row[0]
    return role


def problem() -> str:
    """Why the database does not keep users apart, and what to do. Empty if it does."""
    if not settings.ROW_LEVEL_SECURITY:
        return "ROW_LEVEL_SECURITY is off."
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    with connection.wrap_database_errors:
        role = role_of(connection.connection)
    if role:
        return _hole(role)
    privilege = _privilege_to_set(connection.connection)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT {_ROLE}::text, role.oid IS NOT NULL, role.rolcanlogin OR role.rolsuper OR role.rolbypassrls,
                login.rolname::text, login.rolsuper OR CASE
                WHEN role.oid IS NULL THEN login.rolcreaterole
                ELSE pg_has_role(role.oid, %s) OR pg_has_role(role.oid, 'MEMBER WITH ADMIN OPTION')
                    OR (login.rolcreaterole AND %s) END
            FROM pg_roles login LEFT JOIN pg_roles role ON role.rolname = {_ROLE} WHERE login.rolname = current_user
            """,  # noqa: S608 (a constant)
            [privilege, privilege == "MEMBER"],  # before PostgreSQL 16, who may create roles may grant any
        )
        role, exists, is_strong, login, can_migrate = cursor.fetchone()
    if is_strong:
        alter = f'ALTER ROLE "{role}" NOLOGIN NOSUPERUSER NOBYPASSRLS'
        return f"The role of calls may do more than calls. As a superuser, run {alter}."
    if can_migrate:
        return f"Run `{command('migrate')}`."
    create = "" if exists else f'CREATE ROLE "{role}"; '
    return (
        f'The login "{login}" may not take the role of calls. As a superuser, run {create}GRANT "{role}" TO "{login}". '
        f"Then run `{command('migrate')}`."
    )


def _hole(role: str) -> str:
    """What to do about a policy that shows rows of other users to the role. Empty if there is none."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            """
            SELECT format('DROP POLICY %%I ON %%s', polname, polrelid::regclass)
            FROM pg_policy p JOIN pg_roles r ON r.rolname = %s
            WHERE polrelid IN (SELECT to_regclass(name) FROM unnest(%s::text[]) name) AND polpermissive
                AND polroles && ARRAY[0, r.oid]
                AND (polname <> 'own_rows' OR pg_get_expr(polqual, polrelid) NOT LIKE '%%app.user_id%%')
            LIMIT 1
            """,
            [role, list(OWNERS)],
        )
        found = cursor.fetchone()
    return f"A policy shows rows of other users. Run {found[0]}, then `{command('migrate')}`." if found else ""


def binds_login() -> bool:
    """Whether the policies also bind the login, because it is not the owner of the tables."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT row_security_active('users')")
        [(is_bound,)] = cursor.fetchall()
    return bool(is_bound)


def raise_wall() -> str:
    """Create the role, its grants and the policies. With the setting off, remove the policies.

    Returns what is missing, as ``problem`` does.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        missing = "SELECT count(*) FROM unnest(%s::text[]) name WHERE to_regclass(name) IS NULL"
        cursor.execute(missing, [[*OWNERS, _TOKENS]])
        [(count,)] = cursor.fetchall()
    if count:  # only some apps are migrated
        return ""
    if settings.ROW_LEVEL_SECURITY:
        try:
            execute_when_free(connection, [_grants(_privilege_to_set(connection.connection))])
        except ProgrammingError as error:
            if not isinstance(error.__cause__, InsufficientPrivilege):
                raise
            return problem()
    for table in OWNERS:
        execute_when_free(connection, [_policy(table) if settings.ROW_LEVEL_SECURITY else _no_policy(table)])
    connection.connection.role = None  # it may be another one now
    return problem()


def _privilege_to_set(connection: "psycopg.Connection[Any]") -> str:
    return "SET" if connection.info.server_version >= 160000 else "MEMBER"


def _grants(privilege: str) -> str:
    """Who creates a role may not take it in PostgreSQL 16 and newer, unless the role is granted."""
    options = "WITH SET TRUE, INHERIT FALSE" if privilege == "SET" else ""
    grants = "".join(f"EXECUTE format('GRANT {grant} TO %I', role);" for grant in _GRANTS)
    return f"""
    DO $$ DECLARE role name := {_ROLE};
    BEGIN
        {_TURN};
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I', role);
        END IF;
        IF NOT pg_has_role(role, '{privilege}') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER {options}', role);
        END IF;
        IF NOT has_schema_privilege(role, current_schema(), 'USAGE') THEN
            EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), role);
        END IF;
        {grants}
    END $$
    """


def _policy(table: str) -> str:
    """CASE hides the comparison from the planner, and the subquery reads the setting once in a statement.

    For a mere comparison, PostgreSQL reads all rows of the user by an index, to find few rows by their ids. Only the
    list of conversations needs one: its own filter is hidden from the planner, which would sort.
    """
    column = OWNERS[table]
    is_own = f"{column} = {_USER}" if table == "conversations" else f"CASE {column} WHEN (SELECT {_USER}) THEN true END"
    sql = f"""
    DO $$ BEGIN
        {_TURN};
        IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = '{table}'::regclass AND polname = 'own_rows') THEN
            CREATE POLICY own_rows ON {table} USING ({is_own});
        END IF;
        IF NOT (SELECT relrowsecurity FROM pg_class WHERE oid = '{table}'::regclass) THEN
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        END IF;
    END $$
    """  # noqa: S608 (constants)
    return sql


def _no_policy(table: str) -> str:
    return f"""
    DO $$ BEGIN
        {_TURN};
        IF EXISTS (SELECT FROM pg_policy WHERE polrelid = '{table}'::regclass AND polname = 'own_rows') THEN
            DROP POLICY own_rows ON {table};
            ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
        END IF;
    END $$
    """


class behind_wall:
    """Within this context, statements see only rows of the user. None: those of all users."""

    def __init__(self, user_id: str | None) -> None:
        self._id = user_id

    def __enter__(self) -> None:
        self._outer = _user_id.set(self._id)

    def __exit__(self, *raised: object) -> None:
        _user_id.reset(self._outer)
        connection = connections[DEFAULT_DB_ALIAS]
        if connection.in_atomic_block and connection.connection.info.transaction_status == _IN_TRANSACTION:
            connection.connection.execute("SELECT set_config('role', 'none', true)")  # a caller's transaction goes on


_user_id: ContextVar[str | None] = ContextVar("behind_wall", default=None)
_SEVERITY = pq.DiagnosticField.SEVERITY_NONLOCALIZED
_IN_TRANSACTION = pq.TransactionStatus.INTRANS


def _role_and_user(connection: Any) -> list[bytes] | None:
    """The role and the user for the next statement. None outside of an operation, or without a wall."""
    user_id = _user_id.get()
    if user_id is None or connection.pgconn.transaction_status == pq.TransactionStatus.INERROR:
        return None  # after an error, only the end of the transaction can follow
    if connection.role is None or (not connection.role and time.monotonic() >= connection.role_until):
        connection.role = (role_of(connection) or "").encode()
        connection.role_until = time.monotonic() + ASK_AGAIN
    return [connection.role, user_id.encode()] if connection.role else None


class _Cursor(psycopg.Cursor[Any]):
    _behind: list[bytes] | None = None  # the role and the user

    def execute(self, *arguments: Any, **options: Any) -> "_Cursor":
        self._behind = _role_and_user(self._conn)
        return super().execute(*arguments, **options)

    def executemany(self, *arguments: Any, **options: Any) -> None:
        if _role_and_user(self._conn):
            raise psycopg.NotSupportedError("An operation executes one statement at a time.")
        super().executemany(*arguments, **options)


class Walled(_Cursor):
    """A cursor with parameters and prepared statements. In an operation, each statement runs behind the wall."""

    def _maybe_prepare_gen(self, pgq: Any, *, prepare: bool | None = None, binary: bool | None = None) -> PQGen[None]:
        """Send the statement that takes the role, this one, and one Sync."""
        if self._behind is None:
            yield from super()._maybe_prepare_gen(pgq, prepare=prepare, binary=binary)
            return
        choice, name = self._get_prepared(pgq, prepare)
        self._pgconn.enter_pipeline_mode()
        sent = self._take_role(may_prepare=prepare is not False)
        if choice is Prepare.SHOULD:
            self._send_prepare(name, pgq)
            sent += 1
        if choice is Prepare.NO:
            self._execute_send(pgq, binary=binary, force_extended=True)
        else:
            self._send_query_prepared(name, pgq, binary=binary)
        self._pgconn.pipeline_sync()
        *before, results = yield from self._answers(sent + 1)
        for answers in before:
            self._check_results(answers)
        key = self._conn._prepared.maybe_add_to_cache(pgq, choice, name)
        if key is not None:
            self._conn._prepared.validate(key, choice, name, results)
        self._check_results(results)
        self._set_results(results)

    def _take_role(self, *, may_prepare: bool) -> int:
        """Returns the number of messages that PostgreSQL will answer."""
        prepared = self._conn._prepared
        if not may_prepare or prepared.prepare_threshold is None:
            self._pgconn.send_query_params(_TAKE_ROLE, self._behind)
            return 1
        is_new = _KEY not in prepared._names
        if is_new:
            name = prepared._names[_KEY] = b"take_role_%d" % prepared._prepared_idx  # see ``prepared.name_uniquely``
            self._pgconn.send_prepare(name, _TAKE_ROLE)
        else:
            name = prepared._names[_KEY]
            prepared._names.move_to_end(_KEY)
        self._pgconn.send_query_prepared(name, self._behind)
        return 2 if is_new else 1

    def _answers(self, number: int) -> PQGen[list[list[PGresult]]]:
        """The results of each message. An error of the commit, after the last, comes at the Sync."""
        answers: list[list[PGresult]] = []
        try:
            yield from send(self._pgconn)
            for _ in range(number - 1):
                answers.append((yield from fetch_many(self._pgconn)))
            first = yield from fetch(self._pgconn)
            if first.status == pq.ExecStatus.FATAL_ERROR and first.error_field(_SEVERITY) != b"ERROR":
                raise error_from_result(first)  # the session has ended, and to read on would hide why
            answers.append([first, *(yield from fetch_many(self._pgconn))])
            end = yield from fetch_many(self._pgconn)
            if end[0].status == pq.ExecStatus.FATAL_ERROR:
                answers[-1] += end
                end = yield from fetch_many(self._pgconn)
            if end[0].status != pq.ExecStatus.PIPELINE_SYNC:  # as after COPY, which needs another protocol
                raise psycopg.NotSupportedError("An operation executes statements with one answer.")
        except BaseException:
            self._pgconn.finish()  # nobody knows what is left to read
            raise
        self._pgconn.exit_pipeline_mode()
        return answers


class _WalledText(_Cursor):
    """The same for Django's cursors, which write the parameters into the text of the statement."""

    def _execute_send(self, query: Any, **options: Any) -> None:
        text = query.query
        if self._behind:
            literals = tuple(map(pq.Escaping(self._pgconn).escape_literal, self._behind))
            query.query = b"SELECT set_config('role', %s, true), set_config('app.user_id', %s, true);" % literals + text
        super()._execute_send(query, **options)
        query.query = text  # for the log of queries

    def _set_results(self, results: list[PGresult]) -> None:
        super()._set_results(results[1:] if self._behind else results)


@cache
def walled(cursor: type["psycopg.Cursor[Any]"]) -> type["psycopg.Cursor[Any]"]:
    """A subclass of this class of Django's cursors, behind the wall."""
    return type(f"Walled{cursor.__name__}", (_WalledText, cursor), {})
