"""psycopg's synchronous connection. In a ``Work`` it releases the thread until PostgreSQL has answered."""

import asyncio
import contextlib
import os
import select
import socket
import time
from contextvars import ContextVar
from functools import cached_property, partial
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.waiting import Ready, Wait

from todo_mcp.postgres.greenlets import Work, current_work
from todo_mcp.postgres.wall import Walled


class Stopwatch:
    """Adds up the seconds that code spends within it."""

    seconds = 0.0
    _started = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self.seconds += time.perf_counter() - self._started


# Runs while the caller waits for PostgreSQL. Each work at the gate has its own.
database_time: ContextVar[Stopwatch] = ContextVar("database_time", default=Stopwatch())  # noqa: B039 (commands share one)


class Connection(psycopg.Connection[Any]):
    """A connection that one thread or one ``Work`` uses at a time.

    The event loop watches a duplicate of the socket: libpq closes its own when the server is gone, and does not say so.
    """

    bare_cursor_class: type[psycopg.Cursor[Any]] = Walled
    role: bytes | None = None  # of ``postgres.wall``; empty if there is no wall, None if that is not known yet
    role_until = 0.0  # when to ask again whether there is a wall
    _watched: int | None = None  # the duplicate
    _waiting: Work | None = None
    _poll: "select.poll | None" = None

    @cached_property
    def bare_cursor(self) -> psycopg.Cursor[Any]:
        """For statements that bypass Django's cursors. One cursor is enough: each result is read to its end."""
        return self.bare_cursor_class(self)

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Run psycopg's generator, and return its result."""
        work = current_work()
        with database_time.get():
            if work is None or timeout is not None:
                return super().wait(gen, interval, timeout)
            try:
                ready = self._until(next(gen), work)
                while True:
                    wait_for = gen.send(ready)
                    self.unwatch()  # after an error libuv stops watching a socket, without a callback
                    ready = self._until(wait_for, work)
            except StopIteration as end:
                result: RV = end.value
                return result

    def close(self) -> None:
        self.unwatch()
        super().close()

    def unwatch(self) -> None:
        """Stop the event loop from watching the connection, before a thread uses it."""
        work = current_work()
        if work is None:
            self._unwatch()
        elif self._watched is not None:
            work.on_loops_stack(self._unwatch)

    def _unwatch(self) -> None:
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
            os.close(self._watched)
            self._watched = None

    def is_stale(self) -> bool:
        """Whether the server has ended the idle connection. It looks at the socket, without a round trip.

        An idle connection has nothing to read. If something is there, it is the server's last message.
        """
        if self.closed or self.broken:
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def is_writable(self) -> bool:
        """Whether the server allows changes; one round trip."""
        with self.cursor() as cursor:
            row = cursor.execute("SHOW transaction_read_only").fetchone()
        return row is not None and row[0] == "off"

    def hang_up(self) -> None:
        """Shut the socket down while a thread or a greenlet waits for it. The wait ends with an error."""
        with (
            contextlib.suppress(OSError, psycopg.Error),  # the connection has just ended
            socket.socket(fileno=os.dup(self.fileno())) as duplicate,
        ):
            duplicate.shutdown(socket.SHUT_RDWR)
        if self._waiting:
            self._loop.call_soon(self._on_ready, Ready.R)  # even if the socket is not watched

    def _until(self, wait_for: Wait, work: Work) -> Ready:
        """Wait until the socket is ready to read or to write."""
        self._waiting = work
        is_watched = self._watched is not None and wait_for is Wait.R
        ready: Ready = work.pause(None if is_watched else partial(self._watch, work.loop, wait_for))
        return ready

    def _watch(self, loop: asyncio.AbstractEventLoop, wait_for: Wait) -> None:
        if self._watched is None:
            self._loop = loop
            self._watched = os.dup(self.fileno())
            loop.add_reader(self._watched, self._on_ready, Ready.R)
        if wait_for & Wait.W:
            loop.add_writer(self._watched, self._on_ready, Ready.W)

    def _on_ready(self, ready: Ready) -> None:
        if ready is Ready.W and self._watched is not None:
            self._loop.remove_writer(self._watched)
        work, self._waiting = self._waiting, None
        if work is not None:
            work.resume(ready)
        elif ready is Ready.R:  # the connection is idle: see ``is_stale``
            self.unwatch()
