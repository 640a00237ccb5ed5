"""Synchronous code on the event loop's own thread: a greenlet runs it, and gives the thread back while it waits.

Code that only computes and asks PostgreSQL needs no thread of its own. Handing it to one costs more than the code
itself takes, for the two threads then contend for the interpreter (docs/performance.md). What waits says so here:
``todo_mcp.postgres`` for the database, ``without_blocking`` for what is slow in another way.
"""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Protocol, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")


class Work(greenlet):
    """A function that runs on the event loop. Inside of it no loop is running, as in any synchronous code.

    ``done`` is its result. To begin it, and to go on after ``pause``, call ``resume`` from the loop.
    ``executor`` has the threads for what blocks; without one they are the loop's.
    """

    executor: Executor | None = None

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(function)
        self.gr_context = contextvars.copy_context()
        self.loop = loop
        self.done: asyncio.Future[Any] = loop.create_future()

    def resume(self, value: Any = None) -> None:
        """Run until the function ends or waits; ``value`` is what ``pause`` returns."""
        assert not self.dead
        asyncio._set_running_loop(None)
        try:
            result = self.switch(value) if self else self.switch()
        except BaseException as error:
            if not self.done.done():
                self.done.set_exception(error)
        else:
            if self.dead and not self.done.done():
                self.done.set_result(result)
        finally:
            asyncio._set_running_loop(self.loop)

    def pause(self) -> Any:
        """Within the function: give the thread back until ``resume`` is called; its value."""
        assert self.parent is not None
        return self.parent.switch()


def current_work() -> Work | None:
    """The work that we are in; None in a thread of its own."""
    found = getcurrent()
    return found if isinstance(found, Work) else None


def without_blocking(function: Callable[[], T]) -> T:
    """The result of a function that waits for something other than the database: where we are on the loop, a thread
    calls it meanwhile.
    """
    work = current_work()
    if work is None:
        return function()
    called = work.loop.run_in_executor(work.executor, function)
    called.add_done_callback(lambda _: work.resume())
    work.pause()
    return called.result()


class Place(Protocol):
    """What a thread holds while it may use the database; ``is_held`` is False once it gave that to others."""

    is_held: bool

    def outside(self, function: Callable[[], T]) -> T:
        """Call the function while others have the place."""


class _Thread(threading.local):
    place: Place | None = None


this_thread = _Thread()


def outside_the_gate(function: Callable[[], T]) -> T:
    """The result of a function that takes long and asks no database; others have this thread's place meanwhile.

    Where there is no gate, as in a command, the function is simply called.
    """
    place = this_thread.place
    return function() if place is None else place.outside(function)


def sleep(seconds: float) -> None:
    """Wait, as ``time.sleep`` does; on the loop others go on meanwhile."""
    work = current_work()
    if work is None:
        time.sleep(seconds)
    else:
        work.loop.call_later(seconds, work.resume)
        work.pause()
