"""Writes what a worker has counted, every 10 seconds and at its end, through the same gate as the calls."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.db import transaction

from todo_mcp.postgres.background import tried_again_later
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.statistics.recorder import Recorder, recorder
from todo_mcp.statistics.services import add_counts
from todo_mcp.statistics.token_use import TokenUses, token_uses, write_uses

logger = logging.getLogger(__name__)

EVERY = 10.0  # seconds
AT_END = 2.0  # seconds that a worker waits at most before it ends


def flush(counted: Recorder = recorder, used: TokenUses = token_uses) -> None:
    """Write all that was counted, in one transaction. What cannot be written is kept for the next time.

    If the connection breaks in the commit itself, nobody knows whether it was done, and it is counted again.
    """
    counts, uses = counted.take(), used.take()
    if not counts and not uses:
        return
    try:
        with transaction.atomic():
            add_counts(counts)
            write_uses(uses)
    except BaseException:
        counted.put_back(counts)
        used.put_back(uses)
        raise


@asynccontextmanager
async def flushing(gate: DatabaseGate) -> AsyncIterator[None]:
    """Flush regularly within this context, and once when it ends."""
    task = asyncio.create_task(_regularly(gate))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        try:
            async with asyncio.timeout(AT_END):
                await _try(gate)
        except TimeoutError:
            logger.warning("statistics lost at the end: the database does not answer")


async def _regularly(gate: DatabaseGate) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await _try(gate)


async def _try(gate: DatabaseGate) -> None:
    """Flush if there is a place at the gate and the database takes it."""
    with tried_again_later("statistics"):
        await gate.in_thread(flush)
