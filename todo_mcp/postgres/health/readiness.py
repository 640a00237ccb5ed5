"""Whether the database can do the work of calls. /readyz asks, and each worker asks itself every few seconds."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from todo_mcp.core.database_causes import DatabaseCause
from todo_mcp.core.errors import Busy, ConnectionLost
from todo_mcp.postgres import wall
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.health.clocks import clocks
from todo_mcp.postgres.health.diagnosis import diagnose, faults
from todo_mcp.postgres.health.tables import tables
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds until a database that does not answer is given up
KEEP = 0.5  # seconds for which "ready" is not asked again
_PROBE = ("probe",)  # strangers may ask too, so probes together have one share of the places
EVERY = 5.0  # seconds between two looks of a worker
# More than a page of PostgreSQL holds, so the table grows unless it has free pages.
_TRY_TO_WRITE = """
INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at)
SELECT id, 'x', repeat('x', 900), false, now(), now() FROM (SELECT id FROM users LIMIT 1) u, generate_series(1, 9)
"""


class Readiness:
    """Asks the database through the gate. Callers that ask at once share one answer."""

    def __init__(self, gate: DatabaseGate) -> None:
        self._gate = gate
        self._asking: asyncio.Task[str] | None = None
        self._ready_at = -KEEP
        self._wrote_at = time.monotonic()  # the last write that succeeded began then
        self._has_wall = False
        self.remark = ""  # for the operator, beside "ready"

    async def problem(self) -> str:
        """Why the database cannot do the work of calls, in a few words; empty if it can."""
        if (cause := faults.recent()) is not None:
            return _said(cause)
        if time.monotonic() - self._ready_at < KEEP:
            return ""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        problem = await asyncio.shield(self._asking)
        if not problem:
            self._ready_at = time.monotonic()
        return problem

    @property
    def would_wait(self) -> bool:
        """Whether a question would wait for a place now."""
        return self._gate.is_full

    async def _ask(self) -> str:
        try:
            return await self._gate.in_thread(self._look, owner=_PROBE, patience=PATIENCE)
        except ConnectionLost:
            faults.note(DatabaseCause.UNREACHABLE, "no answer to a question about its state")
            return "the database does not answer"
        except Busy:
            return "busy"

    def _look(self) -> str:
        try:
            return self._seen()
        except (DatabaseError, InterfaceError) as error:
            if (cause := diagnose(error)) is None:
                logger.error("defect", extra=describe_error(error))
            return _said(cause or DatabaseCause.OTHER)

    def _seen(self) -> str:
        if self._is_read_only():
            connection.close()  # the address may lead to another server by now
            if self._is_read_only():
                faults.note(DatabaseCause.READ_ONLY)
                return _said(DatabaseCause.READ_ONLY)
        if lacks := tables.problem():
            faults.note(DatabaseCause.WRONG_TABLES, f"it lacks {lacks}")
            return f"migrations are not applied, or tables are missing: the database lacks {lacks}"
        if faults.of_writes_since(self._wrote_at):
            self._try_to_write()
        self._look_at_wall()
        return ""

    def _try_to_write(self) -> None:
        """Add tasks in a transaction that is rolled back."""
        began_at = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_TRY_TO_WRITE)
            transaction.set_rollback(True)
        self._wrote_at = began_at

    def _look_at_wall(self) -> None:
        problem = wall.problem()
        if problem and self._has_wall:  # a server that starts without it has said so
            logger.warning("%s %s", wall.MISSING, problem)
        self._has_wall = not problem
        self.remark = wall.MISSING if problem else ""

    def _is_read_only(self) -> bool:
        with connection.cursor() as cursor:
            before = timezone.now()
            cursor.execute("SELECT current_setting('transaction_read_only')::boolean, clock_timestamp()")
            is_read_only, of_database = cursor.fetchone()
            clocks.compare(before, of_database, timezone.now())
        return bool(is_read_only)


def _said(cause: DatabaseCause) -> str:
    return f"the database cannot be used: {cause.text}"


@asynccontextmanager
async def watching(readiness: Readiness) -> AsyncIterator[None]:
    """Within this context, look at the database and the clock regularly, whether or not anybody asks /readyz."""
    task = asyncio.create_task(_watch(readiness))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _watch(readiness: Readiness) -> None:
    was = ""
    while True:
        clocks.look()
        await asyncio.sleep(EVERY)
        if readiness.would_wait:  # calls need the places more
            continue
        try:
            problem = await readiness.problem()
        except Exception as error:  # such as a gate that closes
            logger.debug("the look at the database failed", extra={"error": type(error).__name__})
            continue
        if problem and not was:
            logger.warning("not ready", extra={"reason": problem})
        elif was and not problem:
            logger.warning("ready again")
        was = problem
