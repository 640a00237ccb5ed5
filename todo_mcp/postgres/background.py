"""Background work of a worker, which is repeated later if it fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from django.db import DatabaseError, InterfaceError

from todo_mcp.core.errors import Busy
from todo_mcp.postgres.gate import HANG_UP_AFTER, DatabaseGate
from todo_mcp.postgres.health.diagnosis import LINE_EVERY, diagnose
from todo_mcp.telemetry.logs import describe_error

T = TypeVar("T")

logger = logging.getLogger(__name__)
_logged_at: dict[str, float] = {}  # by work: the time of its last warning


@asynccontextmanager
async def repeated(
    work: Callable[[], Awaitable[None]],
    *,
    pause: Callable[[], float],
    at_end: float,
    if_late: Callable[[], object] = lambda: None,
) -> AsyncIterator[None]:
    """Do the work regularly within this context, and once at its end.

    Args:
        pause: the seconds between two times.
        at_end: the seconds that the last time may take. After them, ``if_late`` is called.
    """
    task = asyncio.create_task(_repeat(work, pause))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        try:
            async with asyncio.timeout(at_end):
                await work()
        except TimeoutError:
            if_late()


async def _repeat(work: Callable[[], Awaitable[None]], pause: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(pause())
        await work()


async def attempt(
    gate: DatabaseGate, work: str, function: Callable[[], T], *, patience: float = HANG_UP_AFTER
) -> T | None:
    """Call the function through the gate. None if the gate or the database does not allow it: the caller repeats it.

    Args:
        work: the plural noun that the log uses.
    """

    def run() -> T | None:
        with _log_errors(work):  # in the thread, because the search for the cause may ask the database
            return function()
        return None

    with _log_errors(work):
        return await gate.in_thread(run, patience=patience)
    return None


@contextmanager
def _log_errors(work: str) -> Iterator[None]:
    """Log an error that this context raises, and suppress it.

    While the database cannot be used, each kind of work logs that once a minute.
    """
    try:
        yield
    except Busy:
        logger.info("%s wait: busy", work)
    except (DatabaseError, InterfaceError) as error:
        if (cause := diagnose(error)) is None:
            logger.error("defect", extra=describe_error(error))
        elif time.monotonic() - _logged_at.get(work, -LINE_EVERY) >= LINE_EVERY:
            _logged_at[work] = time.monotonic()
            extra = {"cause": cause, **describe_error(error)}
            logger.warning("%s wait: the database cannot be used", work, extra=extra)
    except Exception as error:
        logger.error("defect", extra=describe_error(error))
