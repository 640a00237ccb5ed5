"""What a database error means: its cause, whether it proves that nothing was done, and which constraint it names."""

import re

import psycopg
from django.db import InterfaceError, OperationalError

from todo_mcp.core.database_causes import DatabaseCause

_BY_SQLSTATE = {
    "25006": DatabaseCause.READ_ONLY,  # read_only_sql_transaction
    "25P03": DatabaseCause.TIMEOUT,  # idle_in_transaction_session_timeout
    "25P04": DatabaseCause.TIMEOUT,  # transaction_timeout
    "3D000": DatabaseCause.NO_DATABASE,  # invalid_catalog_name
    "3F000": DatabaseCause.WRONG_TABLES,  # invalid_schema_name
    "40001": DatabaseCause.CONFLICT,  # serialization_failure
    "40P01": DatabaseCause.CONFLICT,  # deadlock_detected
    "42501": DatabaseCause.ACCESS,  # insufficient_privilege
    "42703": DatabaseCause.WRONG_TABLES,  # undefined_column
    "42883": DatabaseCause.WRONG_TABLES,  # undefined_function
    "42P01": DatabaseCause.WRONG_TABLES,  # undefined_table
    "53100": DatabaseCause.DISK_FULL,  # disk_full
    "53300": DatabaseCause.NO_SLOT,  # too_many_connections
    "55P03": DatabaseCause.TIMEOUT,  # lock_not_available
    "57014": DatabaseCause.TIMEOUT,  # query_canceled
    "57P03": DatabaseCause.STARTING,  # cannot_connect_now
}
_BY_CLASS = {
    "08": DatabaseCause.LOST,  # connection_exception, as poolers send it
    "28": DatabaseCause.ACCESS,  # invalid_authorization_specification
    "53": DatabaseCause.RESOURCES,  # insufficient_resources
    "57": DatabaseCause.STOPPED,  # operator_intervention
    "58": DatabaseCause.STORAGE,  # system_error
}
# libpq gives no SQLSTATE for a connection that was not made. A server may translate these texts; then it is OTHER.
_BY_TEXT = (
    (DatabaseCause.NO_SLOT, "too many|slots are reserved|connection limit|no more connections"),
    (DatabaseCause.READ_ONLY, "session is read-only|server is in hot standby"),
    (DatabaseCause.LOST, "closed the connection|closed unexpectedly|reset by peer|Broken pipe|unexpected eof|"
     "EOF detected"),
    (DatabaseCause.TLS, "support SSL|SSL error|SSL connection|SSL negotiation|certificate|no encryption"),
    (DatabaseCause.STARTING, "starting up|shutting down|in recovery mode|not yet accepting connections"),
    (DatabaseCause.NO_DATABASE, r"database \S+ does not exist|not currently accepting connections|no such database"),
    (DatabaseCause.ACCESS, r"authentication|pg_hba\.conf|role \S+ (does not exist|is not permitted)|permission denied|"
     "password"),
    (DatabaseCause.DISK_FULL, "No space left"),
    (DatabaseCause.UNREACHABLE, "timeout expired|refused|No route|unreachable|resolve host|not a host name|"
     "No such file|translate host name|timed out"),
)  # fmt: skip


class CannotConnect(psycopg.OperationalError):
    """A connection could not be made, so nothing was sent. The message is libpq's; it contains no password."""


def sqlstate_of(error: BaseException) -> str:
    """PostgreSQL's code of the error; empty if there is none, as for a broken connection."""
    return getattr(error.__cause__, "sqlstate", None) or ""


def cause_of(error: BaseException) -> DatabaseCause | None:
    """Why the database could not do the work. None if the error may be a defect of this program.

    For ``WRONG_TABLES``, too, it may be one: ``tables.are_wrong`` knows.
    """
    state = sqlstate_of(error)
    if state == "42501" and "row-level security" in str(error):
        return None  # a statement wrote a row of another user
    if state == "22023" and "calls_of_" in str(error):  # invalid_parameter_value
        return DatabaseCause.ACCESS  # the role of ``postgres.wall`` is gone
    cause = _BY_SQLSTATE.get(state) or _BY_CLASS.get(state[:2])
    if cause or not isinstance(error, (InterfaceError, OperationalError)):
        return cause
    if isinstance(error.__cause__, CannotConnect):
        return cause_of_text(str(error))
    if state:
        return None if state.startswith("54") else DatabaseCause.OTHER  # program_limit_exceeded
    return DatabaseCause.LOST


def cause_of_text(message: str) -> DatabaseCause:
    """The cause in libpq's message about a connection that was not made. Of several hosts, the most telling one."""
    for cause, texts in _BY_TEXT:
        if re.search(texts, message):
            return cause
    return DatabaseCause.OTHER


def proves_nothing_done(error: BaseException) -> bool:
    """Whether the error proves that the statement and its transaction did nothing.

    An ERROR of PostgreSQL does. A FATAL one ends the connection, and after a PANIC the commit may be on disk. A pooler
    reports a lost connection in class 08. Without any answer, the statement may have been done.
    """
    if isinstance(error.__cause__, CannotConnect):
        return True
    state = sqlstate_of(error)
    if not state or state.startswith("08") or state == "40003":  # statement_completion_unknown
        return False
    diagnostics = getattr(error.__cause__, "diag", None)
    severity = getattr(diagnostics, "severity_nonlocalized", None) or getattr(diagnostics, "severity", None)
    return bool(severity == "ERROR")


def violated_constraint(error: BaseException) -> str:
    """The name of the violated constraint; empty if there is none. The error's message quotes what callers sent."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""


def violates_user_key(error: BaseException) -> bool:
    """Whether a row belongs to a user who does not exist. Django names such a foreign key after its column."""
    is_key = isinstance(error.__cause__, psycopg.errors.ForeignKeyViolation)
    return is_key and re.search("_user_id_[0-9a-f]+_fk_users_id$", violated_constraint(error)) is not None
