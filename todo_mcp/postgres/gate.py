"""The gate before the database. It admits as much work at once as there are connections: each has its own.

Work belongs to an owner, such as the user of a call. ``places.Places`` shares the places among the owners.

A tool call runs on the event loop, which serves others while PostgreSQL works (``on_loop``). Work that computes for
long, or blocks in other ways, such as Django's pages, runs in a thread (``in_thread``). Both use the same pool of
connections. Work that gets no connection within a second fails with ``Busy`` and does not queue up.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import DEFAULT_DB_ALIAS, connections

from todo_mcp.core.errors import Busy
from todo_mcp.postgres.base import DatabaseWrapper
from todo_mcp.postgres.place import Place, PlacedWork, call_in_thread, hang_up
from todo_mcp.postgres.places import Owner, Places
from todo_mcp.telemetry.metrics import CONNECTIONS, CONNECTIONS_LIMIT, GATE_REFUSED, GATE_WAIT_SECONDS, GATE_WAITING

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Seconds. PostgreSQL enforces a statement timeout itself, but not if it hangs or cannot be reached.
HANG_UP_AFTER = 8
HANG_UP_AT_CLOSE_AFTER = 2
OUTSIDE_MAX = 32  # threads that have given their place to others; the limits of such work add up to less
COUNT_EVERY = 1  # seconds; counting the connections at each call would cost it microseconds


class DatabaseGate:
    """Admits ``size`` functions at once. Each waits at most ``wait`` seconds for its place.

    ``on_loop`` and ``in_thread`` return the function's result. If the caller goes away, work that has begun runs to its
    end and keeps its place until then. After ``patience`` seconds the gate treats the database as dead. ``owner`` says
    whose share of the places the work uses; None is the server itself.

    Raises:
        Busy: the owner got no place in time, so the function was not called. Or the database did not answer, and
            nothing was done.
        ConnectionLost: the database did not answer, and something may have been done. In both cases the connection was
            closed, so that the place becomes free.
    """

    def __init__(self, size: int, wait: float) -> None:
        self._wait = wait
        self._places = Places(size)
        self._executor = ThreadPoolExecutor(size + OUTSIDE_MAX, thread_name_prefix="database")
        self._connections: list[DatabaseWrapper] = []  # all, at most one for each place
        self._idle: list[DatabaseWrapper] = []  # the one used last is taken first
        self._counting: asyncio.TimerHandle | None = None
        self._logs = logger.isEnabledFor(logging.DEBUG)
        CONNECTIONS_LIMIT.set(size)

    async def on_loop(self, function: Callable[[], T], *, owner: Owner = None, patience: float = HANG_UP_AFTER) -> T:
        """Call the function on the event loop. It waits only for the database, or through ``postgres.greenlets``."""
        await self._enter(owner)
        place = Place(self, owner, patience)
        work = PlacedWork(place, function)
        work.executor = self._executor
        place.report_to(work.done)
        work.resume()
        result: T = await work.done
        return result

    async def in_thread(self, function: Callable[[], T], *, owner: Owner = None, patience: float = HANG_UP_AFTER) -> T:
        """Call the function in a thread. It may take long.

        While it needs no database, it can give its place to others (``greenlets.outside_the_gate``).
        """
        await self._enter(owner)
        place = Place(self, owner, patience)
        place.is_of_thread = True
        place.unwatch()
        loop = place.loop
        done: asyncio.Future[T] = loop.create_future()  # a caller that goes away would cancel the thread's future
        place.report_to(done)

        def end(called: "asyncio.Future[T]") -> None:
            place.give_back()
            error = called.exception()
            if done.done():
                return
            if error:
                done.set_exception(error)
            else:
                done.set_result(called.result())

        run = contextvars.copy_context().run
        loop.run_in_executor(self._executor, run, call_in_thread, place, function).add_done_callback(end)
        return await done

    @property
    def is_full(self) -> bool:
        """Whether further work would have to wait now."""
        return self._places.are_taken

    async def close(self) -> None:
        """Wait for the work that has begun, then close every connection."""
        if self._counting:
            self._counting.cancel()
        for state in ("in_use", "idle"):
            CONNECTIONS.labels(state).set(0)
        try:
            async with asyncio.timeout(HANG_UP_AT_CLOSE_AFTER):
                await self._places.close()
        except TimeoutError:
            for connection in self._connections:
                hang_up(connection)
            await self._places.close()
        for connection in self._connections:
            if connection.connection is not None:
                connection.connection.unwatch()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    async def _enter(self, owner: Owner) -> None:
        if self._places.take(owner):
            if self._logs:
                logger.debug("the gate had a free place", extra=self._state())
            return
        started = time.monotonic()
        try:
            with GATE_WAITING.track_inprogress(), GATE_WAIT_SECONDS.time():
                await self._places.wait(owner, self._wait)
        except Busy:
            GATE_REFUSED.inc()
            if self._logs:
                logger.debug("the gate refused work", extra={"waited_ms": _since(started), **self._state()})
            raise
        if self._logs:
            logger.debug("the gate let work wait", extra={"waited_ms": _since(started), **self._state()})

    def _state(self) -> dict[str, int]:
        return {"idle": len(self._idle), "size": self._places.size}

    async def enter_again(self, owner: Owner) -> None:
        """Wait without a limit for a place, for work that was admitted before.

        Raises:
            Busy: the gate is closed.
        """
        await self._places.wait(owner)

    def take(self) -> DatabaseWrapper:
        """Take a connection, for work that was admitted."""
        if self._idle:
            return self._idle.pop()
        connection = connections.create_connection(DEFAULT_DB_ALIAS)
        assert isinstance(connection, DatabaseWrapper)
        connection.inc_thread_sharing()  # threads use it one after the other
        connection.serves_calls = True
        self._connections.append(connection)
        if self._counting is None:
            self._count()
        return connection

    def leave(self, connection: DatabaseWrapper, owner: Owner) -> None:
        """Give a place and its connection back, for the next work."""
        self._idle.append(connection)
        self._places.give_back(owner)

    def _count(self) -> None:
        open_ = sum(connection.connection is not None for connection in self._connections)
        idle = sum(connection.connection is not None for connection in self._idle)
        CONNECTIONS.labels("in_use").set(open_ - idle)
        CONNECTIONS.labels("idle").set(idle)
        self._counting = asyncio.get_running_loop().call_later(COUNT_EVERY, self._count)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
