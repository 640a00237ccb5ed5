"""A place at the gate, the connection that belongs to it, and the work that uses both."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections

from todo_mcp.core.database_causes import DatabaseCause
from todo_mcp.core.errors import Busy, ConnectionLost
from todo_mcp.postgres.base import DatabaseWrapper
from todo_mcp.postgres.connection import Stopwatch, database_time
from todo_mcp.postgres.greenlets import Work, this_thread
from todo_mcp.postgres.health.diagnosis import faults
from todo_mcp.postgres.places import Owner

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Gate(Protocol):
    """What a place needs of its gate."""

    def take(self) -> DatabaseWrapper: ...
    def leave(self, connection: DatabaseWrapper, owner: Owner) -> None: ...
    async def enter_again(self, owner: Owner) -> None: ...


class Place:
    """A place and its connection, until they are given back.

    If work holds them for ``patience`` seconds, the database is treated as dead and the connection is closed. This
    repeats every ``patience`` seconds.
    """

    connection: DatabaseWrapper | None
    is_held = False  # by a thread
    is_of_thread = False  # the work is a page

    def __init__(self, gate: Gate, owner: Owner, patience: float) -> None:
        self._result: asyncio.Future[Any] | None = None
        self.loop = asyncio.get_running_loop()
        self._gate, self._owner, self._patience = gate, owner, patience
        self._take()

    def _take(self) -> None:
        self.connection = self._gate.take()
        self.connection.is_given_up = False
        self._timer = self.loop.call_later(self._patience, self._give_up_connection)

    def report_to(self, result: "asyncio.Future[Any]") -> None:
        """Set the future that the caller awaits. It fails at once when the database is treated as dead."""
        self._result = result
        result.add_done_callback(_retrieve)

    def give_back(self) -> None:
        if self.connection is not None:
            connection, self.connection = self.connection, None
            self._timer.cancel()
            self._gate.leave(connection, self._owner)

    def unwatch(self) -> None:
        """From now on a thread waits for the connection, and the event loop no longer watches it."""
        if self.connection is not None and self.connection.connection is not None:
            self.connection.connection.unwatch()

    def outside(self, function: Callable[[], T]) -> T:
        """Call the function from a thread while others may use the place. Within a transaction, the thread keeps it."""
        own = connections[DEFAULT_DB_ALIAS]
        if own.in_atomic_block or own.execute_wrappers:  # a wrapper must not see the statements of others
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
        await self._gate.enter_again(self._owner)
        self._take()
        self.unwatch()

    def begin_turn(self) -> None:
        """In a thread: begin to use the connection."""
        assert self.connection is not None
        close_if_stale(self.connection)
        connections[DEFAULT_DB_ALIAS] = self.connection
        self.is_held = True

    def end_turn(self) -> None:
        """In a thread: stop using it."""
        if self.is_held:
            connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()
            del connections[DEFAULT_DB_ALIAS]
            self.is_held = False

    def _give_up_connection(self) -> None:
        assert self.connection is not None
        self.connection.is_given_up = True
        hang_up(self.connection)
        if self._result is not None and not self._result.done():
            self._result.set_exception(ConnectionLost() if self._may_be_done() else Busy())
        self._timer = self.loop.call_later(self._patience, self._give_up_connection)

    def _may_be_done(self) -> bool:
        """Whether changes may be committed. A page may have made some; before its run, an operation has made none."""
        run = self.connection.run if self.connection else None
        return run.may_be_done() if run else self.is_of_thread


class PlacedWork(Work):
    """Work whose Django connection is the connection of its place."""

    def __init__(self, place: Place, function: Callable[[], Any]) -> None:
        assert place.connection is not None
        self.place, self.connection = place, place.connection
        super().__init__(lambda: _call_on(self.connection, function), place.loop)

    def resume(self, value: Any = None) -> None:
        try:
            super().resume(value)
        finally:
            if self.dead:
                self.place.give_back()


def call_in_thread(place: Place, function: Callable[[], T]) -> T:
    """Call the function in this thread, on the connection of the place."""
    database_time.set(Stopwatch())
    place.begin_turn()
    this_thread.place = place
    try:
        return function()
    finally:
        place.end_turn()
        this_thread.place = None


def _call_on(connection: DatabaseWrapper, function: Callable[[], T]) -> T:
    """Call the function on the connection. A stale connection is closed before, a broken one afterwards."""
    database_time.set(Stopwatch())
    close_if_stale(connection)
    try:
        return function()
    finally:
        connection.close_if_unusable_or_obsolete()


def close_if_stale(connection: DatabaseWrapper) -> None:
    """Close a connection that the server has ended; Django then opens a new one."""
    if connection.connection is not None and connection.connection.is_stale():
        logger.debug("the server ended an idle connection; a new one replaces it")
        connection.close()


def hang_up(connection: DatabaseWrapper) -> None:
    """End the connection while a thread or a greenlet waits for it. The wait ends with an error."""
    faults.note(DatabaseCause.UNREACHABLE)
    logger.error("the database does not answer", extra={"cause": DatabaseCause.UNREACHABLE})
    if connection.connection is not None and not connection.connection.closed:
        connection.connection.hang_up()


def _retrieve(future: "asyncio.Future[Any]") -> None:
    """Read the exception. Otherwise asyncio warns about work whose caller has gone away."""
    if not future.cancelled():
        future.exception()
