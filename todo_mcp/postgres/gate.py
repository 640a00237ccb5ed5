"""The gate before the database: as much work at once as there are connections, each piece on one of its own.

A call of a tool runs on the event loop, which goes on with others while PostgreSQL works (``on_loop``). What computes
for long or blocks in other ways, such as Django's pages, has a thread meanwhile (``in_thread``). Both take a connection
from the same few. What finds none within a second is told to come again, instead of piling up.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.signals import connection_created

from todo_mcp.core.errors import Busy, ConnectionLost
from todo_mcp.postgres.base import DatabaseWrapper
from todo_mcp.postgres.connection import Stopwatch, database_time
from todo_mcp.postgres.greenlets import Work, current_work, this_thread
from todo_mcp.telemetry.metrics import CONNECTIONS, CONNECTIONS_LIMIT, GATE_REFUSED, GATE_WAIT_SECONDS, GATE_WAITING

logger = logging.getLogger(__name__)
T = TypeVar("T")

# Milliseconds. No statement of a call takes seconds; one that does must not hold its place.
SESSION = {"statement_timeout": 5000, "lock_timeout": 2000, "idle_in_transaction_session_timeout": 10_000}
# Seconds. A statement timeout is PostgreSQL's to keep; one that stands still, or is cut off, keeps nothing.
HANG_UP_AFTER = 8
HANG_UP_AT_CLOSE_AFTER = 2
OUTSIDE_MAX = 32  # threads that have given their place to others; whoever does so sees to it that they are no more
COUNT_EVERY = 1  # counting the connections at each call would cost it microseconds


class DatabaseGate:
    """Lets in ``size`` pieces of work at once; each waits ``wait`` seconds at most for its place.

    ``on_loop`` and ``in_thread`` give the function's result. Work that has begun goes on to its end even if the caller
    goes away, and keeps its place until then. After ``patience`` seconds the database is taken for dead.

    Raises:
        Busy: no place came free in time; the function was not called.
        ConnectionLost: the database did not answer; its connection was given up, so that the place comes free.
    """

    def __init__(self, size: int, wait: float) -> None:
        self._size, self._wait = size, wait
        self._places = asyncio.Semaphore(size)
        self._executor = ThreadPoolExecutor(size + OUTSIDE_MAX, thread_name_prefix="database")
        self._connections: list[DatabaseWrapper] = []  # all that were made: no more than places
        self._idle: list[DatabaseWrapper] = []  # the last one used is the first to be used again
        self._counting: asyncio.TimerHandle | None = None
        CONNECTIONS_LIMIT.set(size)

    async def on_loop(self, function: Callable[[], T], *, patience: float = HANG_UP_AFTER) -> T:
        """The function waits for nothing but the database, or says so (``todo_mcp.postgres.greenlets``)."""
        await self._enter()
        place = _Place(self, patience)
        work = _WorkOn(place, function)
        work.executor = self._executor
        place.tell(work.done)
        work.resume()
        result: T = await work.done
        return result

    async def in_thread(self, function: Callable[[], T], *, patience: float = HANG_UP_AFTER) -> T:
        """The function may take its time. While it needs no database for long, it can give its place to others
        (``todo_mcp.postgres.greenlets.outside_the_gate``).
        """
        await self._enter()
        place = _Place(self, patience)
        place.unwatch()
        loop = place.loop
        done: asyncio.Future[T] = loop.create_future()  # not the thread's, which a caller that goes away would cancel
        place.tell(done)

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
        loop.run_in_executor(self._executor, run, _call_in_thread, place, function).add_done_callback(end)
        return await done

    async def close(self) -> None:
        """Wait for the work at hand, then close every connection."""
        if self._counting:
            self._counting.cancel()
        for state in ("in_use", "idle"):
            CONNECTIONS.labels(state).set(0)
        try:
            async with asyncio.timeout(HANG_UP_AT_CLOSE_AFTER):
                await self._empty()
        except TimeoutError:
            for connection in self._connections:
                _hang_up(connection)
            await self._empty()
        self._places.release()  # wakes work that waits to come in again; it gets Busy
        for connection in self._connections:
            if connection.connection is not None:
                connection.connection.unwatch()
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._executor.shutdown(wait=True)
        for connection in self._connections:
            connection.close()

    async def _empty(self) -> None:
        """Take every place; those taken before a timeout stay taken, and nobody comes in any more."""
        while self._size:
            await self._places.acquire()
            self._size -= 1

    async def _enter(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            with GATE_WAITING.track_inprogress(), GATE_WAIT_SECONDS.time():
                async with asyncio.timeout(self._wait):
                    await self._places.acquire()
        except TimeoutError:
            GATE_REFUSED.inc()
            raise Busy from None

    async def enter_again(self) -> None:
        """For work that was admitted before: it waits for as long as it takes, unless the gate closes.

        Raises:
            Busy: the gate is closed.
        """
        if not self._size:
            raise Busy
        await self._places.acquire()
        if not self._size:
            self._places.release()  # wakes the next one
            raise Busy

    def take(self) -> DatabaseWrapper:
        """A connection for a place that was entered."""
        if self._idle:
            return self._idle.pop()
        made = connections.create_connection(DEFAULT_DB_ALIAS)
        assert isinstance(made, DatabaseWrapper)
        made.inc_thread_sharing()  # by turns
        made.serves_calls = True
        self._connections.append(made)
        if self._counting is None:
            self._count()
        return made

    def leave(self, connection: DatabaseWrapper) -> None:
        """Give a place and its connection to the next."""
        self._idle.append(connection)
        self._places.release()

    def _count(self) -> None:
        open_ = sum(connection.connection is not None for connection in self._connections)
        idle = sum(connection.connection is not None for connection in self._idle)
        CONNECTIONS.labels("in_use").set(open_ - idle)
        CONNECTIONS.labels("idle").set(idle)
        self._counting = asyncio.get_running_loop().call_later(COUNT_EVERY, self._count)


class _Place:
    """A place at the gate and the connection that goes with it, until they are given back.

    Each time that ``patience`` seconds have passed, the database is taken for dead.
    """

    connection: DatabaseWrapper | None
    is_held = False  # by a thread

    def __init__(self, gate: DatabaseGate, patience: float) -> None:
        self._done: asyncio.Future[Any] | None = None
        self.loop = asyncio.get_running_loop()
        self._gate, self._patience = gate, patience
        self._take()

    def _take(self) -> None:
        self.connection = self._gate.take()
        self._timer = self.loop.call_later(self._patience, self._lose)

    def tell(self, done: "asyncio.Future[Any]") -> None:
        """What the caller waits for, so that it hears of a dead database at once."""
        self._done = done
        done.add_done_callback(_retrieve)

    def give_back(self) -> None:
        if self.connection is not None:
            connection, self.connection = self.connection, None
            self._timer.cancel()
            self._gate.leave(connection)

    def unwatch(self) -> None:
        """A thread, not the loop, waits for the connection from now on."""
        if self.connection is not None and self.connection.connection is not None:
            self.connection.connection.unwatch()

    def outside(self, function: Callable[[], T]) -> T:
        """In a thread: call the function while others have the place. In a transaction nobody else can have it."""
        own = connections[DEFAULT_DB_ALIAS]
        if own.in_atomic_block or own.execute_wrappers:  # what watches the connection must not watch others' work
            return function()
        self.end_turn()
        self.loop.call_soon_threadsafe(self.give_back)
        try:
            return function()
        finally:
            returning = asyncio.run_coroutine_threadsafe(self._return(), self.loop)
            try:
                returning.result(self._patience)
            except TimeoutError:
                returning.cancel()
                raise Busy from None
            self.begin_turn()

    async def _return(self) -> None:
        await self._gate.enter_again()
        self._take()
        self.unwatch()

    def begin_turn(self) -> None:
        """In a thread: use the connection."""
        assert self.connection is not None
        _drop_if_stale(self.connection)
        connections[DEFAULT_DB_ALIAS] = self.connection
        self.is_held = True

    def end_turn(self) -> None:
        """In a thread: use it no more."""
        if self.is_held:
            connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()
            del connections[DEFAULT_DB_ALIAS]
            self.is_held = False

    def _lose(self) -> None:
        assert self.connection is not None
        _hang_up(self.connection)
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionLost())
        self._timer = self.loop.call_later(self._patience, self._lose)


class _WorkOn(Work):
    """Work for which Django's connection is that of the place."""

    def __init__(self, place: _Place, function: Callable[[], Any]) -> None:
        assert place.connection is not None
        self.place, self.connection = place, place.connection
        super().__init__(lambda: _call_on(self.connection, function), place.loop)

    def resume(self, value: Any = None) -> None:
        try:
            super().resume(value)
        finally:
            if self.dead:
                self.place.give_back()


class _Connections:
    """Where Django keeps the connection of each thread; a ``_WorkOn`` finds its own there."""

    def __init__(self, of_threads: Any) -> None:
        object.__setattr__(self, "_of_threads", of_threads)

    def __getattr__(self, alias: str) -> Any:
        work = current_work()
        if isinstance(work, _WorkOn):
            return work.connection
        if this_thread.place is not None and not this_thread.place.is_held:
            raise Busy  # it has given its place to others, and did not get one again
        return getattr(self._of_threads, alias)

    def __setattr__(self, alias: str, connection: Any) -> None:
        setattr(self._of_threads, alias, connection)

    def __delattr__(self, alias: str) -> None:
        delattr(self._of_threads, alias)


connections._connections = _Connections(connections._connections)  # type: ignore[attr-defined]


def _call_in_thread(place: _Place, function: Callable[[], T]) -> T:
    database_time.set(Stopwatch())
    place.begin_turn()
    this_thread.place = place
    try:
        return function()
    finally:
        place.end_turn()
        this_thread.place = None


def _call_on(connection: DatabaseWrapper, function: Callable[[], T]) -> T:
    """Call the function on a connection that was alive a moment ago; close it afterwards if it broke."""
    database_time.set(Stopwatch())
    _drop_if_stale(connection)
    try:
        return function()
    finally:
        connection.close_if_unusable_or_obsolete()


def _drop_if_stale(connection: DatabaseWrapper) -> None:
    if connection.connection is not None and connection.connection.is_stale():
        connection.close()


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Look at the exception, so that work whose caller has gone away leaves no warning."""
    if not future.cancelled():
        future.exception()


def _hang_up(connection: DatabaseWrapper) -> None:
    """End the conversation from outside of who waits in it: what it waits for comes as an error."""
    logger.error("the database does not answer")
    if connection.connection is not None and not connection.connection.closed:
        connection.connection.hang_up()


def _limit_session(sender: Any, connection: Any, **kwargs: Any) -> None:
    """Timeouts for what serves calls; migrations and other commands run without."""
    if getattr(connection, "serves_calls", False) and not settings.TRANSACTION_POOLING:
        # Not by a cursor of Django's, which what made us connect may watch.
        connection.connection.execute("; ".join(f"SET {name} = {value}" for name, value in SESSION.items()))


connection_created.connect(_limit_session)
