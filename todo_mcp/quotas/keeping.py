"""Exchanges this worker's counts with the database every second and at its end, through the same gate as the calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from todo_mcp.postgres.background import log_errors
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.quotas.services import exchange
from todo_mcp.quotas.usage import usages

EVERY = 1.0  # seconds
PATIENCE = 30.0  # seconds for an exchange: adding up a gigabyte takes a few
AT_END = 2.0  # seconds that a worker waits for the last exchange


@asynccontextmanager
async def keeping_usage(gate: DatabaseGate) -> AsyncIterator[None]:
    """Exchange regularly within this context, and once at its end."""
    task = asyncio.create_task(_regularly(gate))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        with suppress(TimeoutError):  # a later count finds what was lost
            async with asyncio.timeout(AT_END):
                await _try(gate)


async def _regularly(gate: DatabaseGate) -> None:
    while True:
        await asyncio.sleep(EVERY)
        await _try(gate)


async def _try(gate: DatabaseGate) -> None:
    """Exchange; if the gate or the database does not allow it, the counts wait."""
    with log_errors("counts of usage"):
        await gate.in_thread(lambda: exchange(usages), patience=PATIENCE)
