"""The threads in which all database work is done, and the gate before them.

Django's ORM is synchronous and its connections belong to threads. A fixed set of long-lived threads, one persistent
connection each, takes whole calls: one hop from the event loop and back. The gate lets in no more work than there are
threads; what does not get in within a second is told to come again, instead of piling up.
"""

import asyncio
import contextlib
import contextvars
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from todo_mcp.core.errors import Busy, ConnectionLost
from todo_mcp.monitoring import GATE_REFUSED, GATE_WAITING

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Milliseconds. No statement of a call takes seconds; one that does must not hold its place.
SESSION = {"statement_timeout": 5000, "lock_timeout": 2000, "idle_in_transaction_session_timeout": 10_000}
# Seconds. A statement timeout is PostgreSQL's to keep; one that stands still, or is cut off, keeps nothing.
HANG_UP_AFTER = 8
HANG_UP_AT_CLOSE_AFTER = 2
_THREAD_NAME = "database"


class DatabaseThreads:
    """Runs synchronous functions in ``size`` threads; at most that many at once, each waiting ``wait`` s at most."""

    def __init__(self, size: int, wait: float) -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix=_THREAD_NAME)
        self._gate = asyncio.Semaphore(size)
        self._wait = wait
        self._connections: set[BaseDatabaseWrapper] = set()  # one for each thread that has worked

    async def run(self, function: Callable[[], T], *, patience: float = HANG_UP_AFTER) -> T:
        """The function's result. Work that has begun goes on to its end even if the caller goes away.

        Args:
            patience: after so many seconds the database is taken for dead.

        Raises:
            Busy: no place came free in time; the function was not called.
            ConnectionLost: the database did not answer; its connection was given up, so that the place comes free.
        """
        await self._enter()
        context = contextvars.copy_context()
        used: list[BaseDatabaseWrapper] = []
        future = asyncio.get_running_loop().run_in_executor(
            self._executor, context.run, self._with_connection, function, used
        )
        future.add_done_callback(self._leave)
        done, _ = await asyncio.wait({future}, timeout=patience)
        if not done:
            logger.error("the database does not answer")
            _hang_up(used)
            raise ConnectionLost
        return future.result()

    async def close(self) -> None:
        """Wait for the work at hand, then close every thread's connection."""
        closing = asyncio.create_task(asyncio.to_thread(self._close))
        done, _ = await asyncio.wait({closing}, timeout=HANG_UP_AT_CLOSE_AFTER)
        if not done:
            _hang_up(self._connections)
        await closing

    def _close(self) -> None:
        self._executor.shutdown(wait=True)
        for used in self._connections:
            used.inc_thread_sharing()  # its thread is gone
            used.close()

    async def _enter(self) -> None:
        if not self._gate.locked():
            await self._gate.acquire()
            return
        try:
            with GATE_WAITING.track_inprogress():
                async with asyncio.timeout(self._wait):
                    await self._gate.acquire()
        except TimeoutError:
            GATE_REFUSED.inc()
            raise Busy from None

    def _with_connection(self, function: Callable[[], T], used: list[BaseDatabaseWrapper]) -> T:
        """Call the function on a connection that was alive a moment ago; close it afterwards if it broke."""
        connection = connections[DEFAULT_DB_ALIAS]
        self._connections.add(connection)
        used.append(connection)
        if _is_stale(connection):
            connection.close()
        try:
            return function()
        finally:
            connection.close_if_unusable_or_obsolete()

    def _leave(self, future: "asyncio.Future[Any]") -> None:
        self._gate.release()
        if not future.cancelled():
            future.exception()  # taken, so that an abandoned call leaves no warning


def _is_stale(connection: Any) -> bool:
    """Whether the server has closed the idle connection: without a round trip, by asking the socket.

    An idle connection has nothing to read. If there is something, it is the server's farewell.
    """
    raw = connection.connection
    if raw is None:
        return False
    if raw.closed or raw.broken:
        return True
    poll = select.poll()
    poll.register(raw.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _hang_up(used: Iterable[BaseDatabaseWrapper]) -> None:
    """End the conversation from outside the thread that waits in it: what it waits for comes as an error."""
    for connection in used:
        raw = connection.connection
        if raw is not None and not raw.closed:
            with (
                contextlib.suppress(OSError, psycopg.Error),  # it ended by itself at this moment
                socket.socket(fileno=os.dup(raw.fileno())) as conversation,
            ):
                conversation.shutdown(socket.SHUT_RDWR)


def _limit_session(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Timeouts for what serves calls; migrations and other commands, in the main thread, run without."""
    if threading.current_thread().name.startswith(_THREAD_NAME):
        with connection.cursor() as cursor:
            cursor.execute("; ".join(f"SET {name} = {value}" for name, value in SESSION.items()))


connection_created.connect(_limit_session)
