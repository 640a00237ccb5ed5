"""Exchanges this worker's counts with the database every second and at its end, through the same gate as the calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from todo_mcp.postgres.background import attempt, repeated
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.quotas.services import exchange
from todo_mcp.quotas.usage import usages

EVERY = 1.0  # seconds
PATIENCE = 30.0  # seconds for an exchange: adding up a gigabyte takes a few
AT_END = 2.0  # seconds that a worker waits for the last exchange


@asynccontextmanager
async def keeping_usage(gate: DatabaseGate) -> AsyncIterator[None]:
    """Exchange regularly within this context, and once at its end."""
    # If the last exchange is late, a later count finds what was lost.
    async with repeated(lambda: _try(gate), pause=lambda: EVERY, at_end=AT_END):
        yield


async def _try(gate: DatabaseGate) -> None:
    """Exchange; if the gate or the database does not allow it, the counts wait."""
    await attempt(gate, "counts of usage", lambda: exchange(usages), patience=PATIENCE)
