"""What the operator learns about a fault of the database: a metric by cause, and a log line once a minute."""

import logging
import threading
import time

import psycopg
from django.db import DatabaseError, InterfaceError

from todo_mcp.core.database_causes import DatabaseCause
from todo_mcp.postgres.health.causes import CannotConnect, cause_of, cause_of_text, sqlstate_of
from todo_mcp.postgres.health.tables import tables
from todo_mcp.telemetry.metrics import DATABASE_FAULTS

logger = logging.getLogger(__name__)

LINE_EVERY = 60.0  # seconds, for each cause
REASON_MAX = 500  # characters
UNREADY_SECONDS = 3.0
# A statement that only reads does not meet these faults. So for some seconds /readyz believes the calls that met them;
# after that it tries to write.
_OF_WRITES = (DatabaseCause.READ_ONLY, DatabaseCause.DISK_FULL, DatabaseCause.ACCESS)
# These are errors of one call, not of the database.
_OF_CALLS = (DatabaseCause.TIMEOUT, DatabaseCause.CONFLICT)
_ERRORS = (DatabaseCause.DISK_FULL, DatabaseCause.STORAGE, DatabaseCause.WRONG_TABLES)


class Faults:
    """The faults that this worker has met."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: dict[tuple[DatabaseCause, bool], float] = {}  # the time of the last line
        self._met: dict[DatabaseCause, float] = {}

    def note(self, cause: DatabaseCause, reason: str = "", sqlstate: str = "") -> None:
        """Count a fault, and log it if its last line is a minute old.

        Args:
            reason: libpq's message, or names of our own tables. It contains no user's data.
        """
        DATABASE_FAULTS.labels(cause).inc()
        now, key = time.monotonic(), (cause, bool(reason))
        with self._lock:
            self._met[cause] = now
            if cause in _OF_CALLS or now - self._written.get(key, -LINE_EVERY) < LINE_EVERY:
                return
            self._written[key] = now
        level = logging.ERROR if cause in _ERRORS else logging.WARNING
        extra = {"cause": str(cause), "sqlstate": sqlstate, "reason": " ".join(reason.split())[:REASON_MAX]}
        said = {name: value for name, value in extra.items() if value}
        logger.log(level, "the database cannot be used: %s", cause.text, extra=said)

    def recent(self) -> DatabaseCause | None:
        """A fault of writing that this worker has just met."""
        return self.of_writes_since(time.monotonic() - UNREADY_SECONDS)

    def of_writes_since(self, since: float) -> DatabaseCause | None:
        """A fault of writing that this worker has met since this monotonic time."""
        return next((cause for cause in _OF_WRITES if self._met.get(cause, since) > since), None)


faults = Faults()  # of this worker


def note_no_connection(error: psycopg.Error) -> DatabaseCause:
    """Note that a connection could not be made. Returns why."""
    cause = cause_of_text(str(error))
    faults.note(cause, str(error))
    return cause


def diagnose(error: DatabaseError | InterfaceError) -> DatabaseCause | None:
    """Why the database could not do the work; it is noted. None if the error is a defect of this program."""
    cause = cause_of(error)
    if cause is DatabaseCause.WRONG_TABLES and not tables.are_wrong():
        return None
    if cause and not isinstance(error.__cause__, CannotConnect):  # noted by ``note_no_connection``
        faults.note(cause, sqlstate=sqlstate_of(error))
    return cause
