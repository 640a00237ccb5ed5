"""Writes the counts of a worker every 10 seconds and at its end, through the same gate as the calls."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from django.db import transaction

from todo_mcp.postgres.background import attempt, repeated
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.statistics.recorder import Recorder, recorder
from todo_mcp.statistics.refused_calls import RefusedCalls, refused_calls, write_refused
from todo_mcp.statistics.services import add_counts
from todo_mcp.statistics.token_days import TokenDays, token_days, write_days
from todo_mcp.statistics.token_use import TokenUses, token_uses, write_uses

logger = logging.getLogger(__name__)

EVERY = 10.0  # seconds
AT_END = 2.0  # seconds that a worker waits for the last flush


def flush(
    calls: Recorder = recorder,
    tokens: TokenUses = token_uses,
    days: TokenDays = token_days,
    refused: RefusedCalls = refused_calls,
) -> None:
    """Write all counts and lines in one transaction. What cannot be written stays for the next time.

    If the connection breaks during the commit, the commit may have succeeded. All is then written twice.
    """
    kept: list[tuple[Any, Callable[[Any], None]]] = [
        (calls, add_counts),
        (tokens, write_uses),
        (days, write_days),
        (refused, write_refused),
    ]
    taken = [(kind, write, kind.take()) for kind, write in kept]
    if not any(values for _, _, values in taken):
        return
    try:
        with transaction.atomic():
            for _, write, values in taken:
                write(values)
    except BaseException:
        for kind, _, values in taken:
            kind.put_back(values)
        raise


@asynccontextmanager
async def flushing(gate: DatabaseGate) -> AsyncIterator[None]:
    """Flush regularly within this context, and once at its end."""
    async with repeated(lambda: _try(gate), pause=lambda: EVERY, at_end=AT_END, if_late=_report_loss):
        yield


def _report_loss() -> None:
    logger.warning("statistics lost at the end: the database does not answer")


async def _try(gate: DatabaseGate) -> None:
    """Flush; if the gate or the database does not allow it, the counts wait."""
    await attempt(gate, "statistics", flush)
