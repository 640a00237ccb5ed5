"""The cause that an error of the database names, and whether it proves that nothing was done."""

import logging
import re

import psycopg
import pytest
from django.db import DataError, InternalError, OperationalError, ProgrammingError, connection
from psycopg import errors

from tests.support.server_process import ROOT
from todo_mcp.core.database_causes import DatabaseCause
from todo_mcp.postgres.health.causes import CannotConnect, cause_of, cause_of_text, proves_nothing_done
from todo_mcp.postgres.health.diagnosis import LINE_EVERY, Faults

AT = 'connection failed: connection to server at "10.0.0.5", port 5432 failed: '
MESSAGES = [
    ("Connection refused\n\tIs the server running on that host?", "unreachable"),
    ("No route to host", "unreachable"),
    ("timeout expired", "unreachable"),
    ("FATAL:  the database system is starting up", "starting"),
    ("FATAL:  the database system is in recovery mode", "starting"),
    ("FATAL:  the database system is shutting down", "starting"),
    ("FATAL:  sorry, too many clients already", "no_slot"),
    ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", "no_slot"),
    ('FATAL:  too many connections for role "todo"', "no_slot"),
    ('FATAL:  too many connections for database "todo"', "no_slot"),
    ("server does not support SSL, but SSL was required", "tls"),
    ("SSL error: certificate verify failed", "tls"),
    ('server certificate for "a" does not match host name "b"', "tls"),
    ('root certificate file "/nowhere" does not exist', "tls"),
    ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "todo", database "todo", no encryption', "tls"),
    ("SSL SYSCALL error: EOF detected", "lost"),
    ("SSL error: unexpected eof while reading", "lost"),
    ("server closed the connection unexpectedly", "lost"),
    ('FATAL:  password authentication failed for user "todo"', "access"),
    ("fe_sendauth: no password supplied", "access"),
    ('FATAL:  role "todo" does not exist', "access"),
    ('FATAL:  permission denied for database "todo"', "access"),
    ('FATAL:  database "todo" does not exist', "no_database"),
    ('FATAL:  database "todo" is not currently accepting connections', "no_database"),
    ("session is read-only", "read_only"),
    ("server is in hot standby mode", "read_only"),
    ("FATAL:  could not write init file: No space left on device", "disk_full"),
    ("FATAL:  Datenbank existiert nicht", "other"),
]


@pytest.mark.parametrize(("message", "cause"), MESSAGES)
def test_a_message_of_libpq_names_its_cause(message: str, cause: str) -> None:
    assert cause_of_text(AT + message) == cause


def _raised(kind: type[Exception], cause: Exception) -> Exception:
    error = kind("it failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("kind", "cause", "expected"),
    [
        (InternalError, errors.ReadOnlySqlTransaction(), "read_only"),
        (InternalError, errors.IdleInTransactionSessionTimeout(), "timeout"),
        (InternalError, errors.TransactionTimeout(), "timeout"),
        (OperationalError, errors.DiskFull(), "disk_full"),
        (OperationalError, errors.TooManyConnections(), "no_slot"),
        (OperationalError, errors.OutOfMemory(), "resources"),
        (OperationalError, errors.AdminShutdown(), "stopped"),
        (OperationalError, errors.IoError(), "storage"),
        (OperationalError, errors.LockNotAvailable(), "timeout"),
        (OperationalError, errors.DeadlockDetected(), "conflict"),
        (OperationalError, errors.ProtocolViolation(), "lost"),
        (OperationalError, psycopg.OperationalError("consuming input failed"), "lost"),
        (OperationalError, CannotConnect("Connection refused"), "other"),  # its text is in the outer error
        (ProgrammingError, errors.UndefinedTable(), "wrong_tables"),
        (ProgrammingError, errors.InsufficientPrivilege(), "access"),
        (InternalError, errors.DataCorrupted(), None),
        (OperationalError, errors.ProgramLimitExceeded(), None),
        (ProgrammingError, errors.SyntaxError(), None),
    ],
)
def test_an_error_names_its_cause_or_is_a_defect(kind: type[Exception], cause: Exception, expected: str | None) -> None:
    assert cause_of(_raised(kind, cause)) == expected


def test_a_row_of_another_user_is_a_defect() -> None:
    error = ProgrammingError('new row violates row-level security policy for table "tasks"')
    error.__cause__ = errors.InsufficientPrivilege()
    assert cause_of(error) is None


@pytest.mark.django_db
def test_a_wall_whose_role_is_gone_is_a_fault_of_access() -> None:
    with pytest.raises(DataError) as refused, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('role', 'calls_of_nothing', true)")
    assert cause_of(refused.value) == "access" and proves_nothing_done(refused.value)


@pytest.mark.django_db
def test_only_an_error_of_postgresql_proves_that_nothing_was_done() -> None:
    with pytest.raises(ProgrammingError) as refused, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")
    assert proves_nothing_done(refused.value)
    assert proves_nothing_done(_raised(OperationalError, CannotConnect("Connection refused")))
    for unknown in (psycopg.OperationalError("lost"), errors.ConnectionFailure(), errors.AdminShutdown()):
        assert not proves_nothing_done(_raised(OperationalError, unknown))


def test_a_cause_is_logged_once_a_minute_and_a_full_disk_is_an_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, now = Faults(), [1000.0]
    monkeypatch.setattr("todo_mcp.postgres.health.diagnosis.time.monotonic", lambda: now[0])
    caplog.set_level(logging.INFO, "todo_mcp")
    for _ in range(3):
        faults.note(DatabaseCause.NO_SLOT, "FATAL:  sorry,\n too many clients already")
        faults.note(DatabaseCause.DISK_FULL)
        faults.note(DatabaseCause.TIMEOUT)
    assert [(record.levelname, record.cause) for record in caplog.records] == [  # type: ignore[attr-defined]
        ("WARNING", "no_slot"),
        ("ERROR", "disk_full"),
    ]
    assert caplog.records[0].reason == "FATAL: sorry, too many clients already"  # type: ignore[attr-defined]
    now[0] += LINE_EVERY
    faults.note(DatabaseCause.NO_SLOT, "again")
    assert len(caplog.records) == 3


def test_every_cause_is_in_the_documents() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text().split("<!-- causes -->")[1]
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == [str(cause) for cause in DatabaseCause]
