"""Writes the counts of a worker every 10 seconds and at its end, through the same gate as the calls."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.db import transaction

from todo_mcp.postgres.background import attempt, repeated
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.statistics.recorder import Recorder, recorder
from todo_mcp.statistics.services import add_counts
from todo_mcp.statistics.token_days import TokenDays, token_days, write_days
from todo_mcp.statistics.token_use import TokenUses, token_uses, write_uses

logger = logging.getLogger(__name__)

EVERY = 10.0  # seconds
AT_END = 2.0  # seconds that a worker waits for the last flush


def flush(calls: Recorder = recorder, tokens: TokenUses = token_uses, days: TokenDays = token_days) -> None:
    """Write all counts in one transaction. Counts that cannot be written stay for the next time.

    If the connection breaks during the commit, the commit may have succeeded. The counts are then written twice.
    """
    counts, uses, did = calls.take(), tokens.take(), days.take()
    if not (counts or uses or did):
        return
    try:
        with transaction.atomic():
            add_counts(counts)
            write_uses(uses)
            write_days(did)
    except BaseException:
        calls.put_back(counts)
        tokens.put_back(uses)
        days.put_back(did)
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
