"""Synchronous code on the event loop's own thread: a greenlet runs it, and releases the thread while it waits.

Code that only computes and queries PostgreSQL needs no thread of its own. Handing it to a thread costs more than the
code itself, because two threads contend for the interpreter (docs/performance.md). Code that waits must release the
thread: ``postgres.connection`` does so for the database, ``without_blocking`` for anything else.
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
    """A function that runs on the event loop. Inside it, asyncio reports no running loop, as in other synchronous code.

    ``done`` is its result. Call ``resume`` from the loop to start it, and to continue it after ``pause``. ``executor``
    has the threads for ``without_blocking``; the default is the loop's executor.
    """

    executor: Executor | None = None

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(function)
        self.gr_context = contextvars.copy_context()
        self.loop = loop
        self.done: asyncio.Future[Any] = loop.create_future()

    def resume(self, value: Any = None) -> None:
        """Run until the function ends or calls ``pause``, which returns ``value``."""
        assert not self.dead
        asyncio._set_running_loop(None)
        try:
            result = self._switch_and_serve(value)
        except BaseException as error:
            if not self.done.done():
                self.done.set_exception(error)
        else:
            if self.dead and not self.done.done():
                self.done.set_result(result)
        finally:
            asyncio._set_running_loop(self.loop)

    def _switch_and_serve(self, value: Any) -> Any:
        """Switch to the function, and call what it wants to be called on this stack. Returns its result at its end."""
        request = self.switch(value) if self else self.switch()
        while not self.dead and request is not None:
            function, continues = request
            try:
                function()
            except Exception as error:
                request = self.throw(error)
            else:
                if not continues:
                    break
                request = self.switch()
        return request

    def pause(self, first: Callable[[], object] | None = None) -> Any:
        """Within the function: release the thread until ``resume`` is called; returns its value.

        ``first`` is called at once, on the loop's own stack (see ``on_loops_stack``).
        """
        assert self.parent is not None
        return self.parent.switch((first, False) if first else None)

    def on_loops_stack(self, function: Callable[[], object]) -> None:
        """Within the function: call another one on the loop's own stack. Whatever adds or removes a socket must do so.

        libuv keeps a pointer into its stack while it calls back, and a greenlet overwrites that stack. If a greenlet
        then adds or removes a socket, libuv reads and writes through that pointer, and the process may crash.
        """
        assert self.parent is not None
        self.parent.switch((function, True))


def current_work() -> Work | None:
    """The work that the caller runs in. None if it runs in no work, for example in a thread."""
    current = getcurrent()
    return current if isinstance(current, Work) else None


def without_blocking(function: Callable[[], T]) -> T:
    """Call a function that waits for something other than the database. On the event loop, a thread calls it."""
    work = current_work()
    if work is None:
        return function()
    called = work.loop.run_in_executor(work.executor, function)
    called.add_done_callback(lambda _: work.resume())
    work.pause()
    return called.result()


class HeldPlace(Protocol):
    """What a thread holds while it may use the database; ``is_held`` is False while others have it."""

    is_held: bool

    def outside(self, function: Callable[[], T]) -> T:
        """Call the function while others may have the place."""


class _Thread(threading.local):
    place: HeldPlace | None = None


this_thread = _Thread()


def outside_the_gate(function: Callable[[], T]) -> T:
    """Call a function that takes long and uses no database, while others may have this thread's place.

    Without a gate, as in a command, it is a plain call.
    """
    place = this_thread.place
    return function() if place is None else place.outside(function)


def sleep(seconds: float) -> None:
    """Wait, as ``time.sleep`` does; on the event loop other work goes on."""
    work = current_work()
    if work is None:
        time.sleep(seconds)
    else:
        work.loop.call_later(seconds, work.resume)
        work.pause()
