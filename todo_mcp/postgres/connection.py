"""psycopg's synchronous connection; in a ``Work`` it gives the thread back until PostgreSQL has answered."""

import contextlib
import os
import select
import socket
import time
from contextvars import ContextVar
from functools import cached_property
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.waiting import Ready, Wait

from todo_mcp.postgres.greenlets import Work, current_work


class Stopwatch:
    """Adds up the seconds that are spent within it."""

    seconds = 0.0
    _began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self.seconds += time.perf_counter() - self._began


# Runs while we wait for PostgreSQL; each piece of work that the gate lets in has its own.
database_time: ContextVar[Stopwatch] = ContextVar("database_time", default=Stopwatch())  # noqa: B039 (of commands)


class Connection(psycopg.Connection[Any]):
    """A connection that one thread or one ``Work`` uses at a time.

    The event loop watches a duplicate of the socket, for libpq closes its own without a word when the server is gone.
    """

    bare_cursor_class: type[psycopg.Cursor[Any]] = psycopg.Cursor
    _watched: int | None = None  # the duplicate
    _waiting: Work | None = None
    _poll: "select.poll | None" = None

    @cached_property
    def bare_cursor(self) -> psycopg.Cursor[Any]:
        """For statements that pass Django's cursors by; one does for all, for each is read to its end."""
        return self.bare_cursor_class(self)

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """What psycopg's generator returns in the end."""
        work = current_work()
        with database_time.get():
            if work is None or timeout is not None:
                return super().wait(gen, interval, timeout)
            try:
                ready = self._until(next(gen), work)
                while True:
                    wanted = gen.send(ready)
                    self.unwatch()  # libuv stops watching a socket in error, and does not say so
                    ready = self._until(wanted, work)
            except StopIteration as end:
                result: RV = end.value
                return result

    def close(self) -> None:
        self.unwatch()
        super().close()

    def unwatch(self) -> None:
        """Before a thread uses the connection: the event loop no longer looks at it."""
        if self._watched is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
            os.close(self._watched)
            self._watched = None

    def is_stale(self) -> bool:
        """Whether the server has ended the idle connection: without a round trip, by asking the socket.

        An idle connection has nothing to read. If there is something, it is the server's farewell.
        """
        if self.closed or self.broken:
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def hang_up(self) -> None:
        """End the conversation from outside of who waits in it: what it waits for comes as an error."""
        with (
            contextlib.suppress(OSError, psycopg.Error),  # it ended by itself at this moment
            socket.socket(fileno=os.dup(self.fileno())) as conversation,
        ):
            conversation.shutdown(socket.SHUT_RDWR)
        if self._waiting:
            self._loop.call_soon(self._on_ready, Ready.R)  # whether or not the socket is still watched

    def _until(self, wanted: Wait, work: Work) -> Ready:
        """Wait for the socket to be ready for what is wanted of it."""
        if self._watched is None:
            self._loop = work.loop
            self._watched = os.dup(self.fileno())
            self._loop.add_reader(self._watched, self._on_ready, Ready.R)
        if wanted & Wait.W:
            self._loop.add_writer(self._watched, self._on_ready, Ready.W)
        self._waiting = work
        ready: Ready = work.pause()
        return ready

    def _on_ready(self, ready: Ready) -> None:
        if ready is Ready.W and self._watched is not None:
            self._loop.remove_writer(self._watched)
        work, self._waiting = self._waiting, None
        if work is not None:
            work.resume(ready)
        elif ready is Ready.R:  # nobody asked: see ``is_stale``
            self.unwatch()
