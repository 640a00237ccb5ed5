"""Workers tell each other how many calls each user made, so that RATE_LIMIT holds across workers and hosts.

A call only counts in memory. In the background, one statement adds the new counts to the table ``rate_counts`` and
reads those of other workers. While nobody calls, nothing is sent. If the statement fails, the worker counts alone.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import QuerySet
from django.utils import timezone

from todo_mcp.auth.models import RateCount
from todo_mcp.auth.rate_limit import MINUTE, CallCounts, ToldCalls, calls
from todo_mcp.core.errors import Busy
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.health.diagnosis import diagnose
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.telemetry.logs import describe_error

logger = logging.getLogger(__name__)

# Seconds. A call is told within EVERY and heard within another, so workers know each other's calls after a second.
EVERY = 0.5
EVERY_ALONE = 5.0  # after a failure
OVERLAP = 2.0  # a row may become visible this long after its time
OLD = timedelta(minutes=2)
DELETED_MAX = 10_000  # old rows in one statement

_EXCHANGE = """
WITH told AS (
    INSERT INTO rate_counts (worker, round, key, calls, at)
    SELECT %(worker)s, %(round)s, key, calls, clock_timestamp()
    FROM unnest(%(keys)s::bigint[], %(calls)s::integer[]) AS own(key, calls)
), deleted AS (
    DELETE FROM rate_counts WHERE id IN (
        SELECT id FROM rate_counts WHERE at < now() - %(old)s LIMIT %(deleted_max)s FOR UPDATE SKIP LOCKED
    )
)
SELECT worker, round, key, calls, EXTRACT(EPOCH FROM clock_timestamp() - at)::float8
FROM rate_counts
WHERE at > now() - %(since)s AND worker <> %(worker)s
"""


class Exchange:
    """What this worker tells and hears. Only one thread uses it at a time."""

    def __init__(self, counts: CallCounts) -> None:
        self._counts = counts
        self._worker = secrets.randbits(63)
        self._round = 0
        self._heard_at: float | None = None  # monotonic time
        self._failing_since: float | None = None

    def run(self) -> None:
        """Tell and hear, in one statement."""
        own, started = self._counts.take(), time.monotonic()
        seconds = MINUTE if self._heard_at is None else min(MINUTE, started - self._heard_at + OVERLAP)
        self._round += 1
        values: dict[str, Any] = {
            "worker": self._worker,
            "round": self._round,
            "keys": list(own),
            "calls": list(own.values()),
            "old": OLD,
            "deleted_max": DELETED_MAX,
            "since": timedelta(seconds=seconds),
        }
        try:
            with connection.cursor() as cursor:
                cursor.execute(_EXCHANGE, values)
                rows = cursor.fetchall()
        except BaseException as error:
            if isinstance(error, (DatabaseError, InterfaceError)):
                diagnose(error)
            self._failing_since = self._failing_since or started
            if started - self._failing_since < MINUTE:  # older calls count no more
                self._counts.put_back(own)
            raise
        self._heard_at, self._failing_since = started, None
        self._counts.hear(map(ToldCalls._make, rows), settings.RATE_LIMIT)


@asynccontextmanager
async def exchanging(gate: DatabaseGate) -> AsyncIterator[None]:
    """Exchange counts within this context, from the first call on."""
    called = asyncio.Event()
    task = asyncio.create_task(_regularly(gate, Exchange(calls), called))
    try:
        with calls.listening(partial(asyncio.get_running_loop().call_soon_threadsafe, called.set)):
            yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _regularly(gate: DatabaseGate, exchange: Exchange, called: asyncio.Event) -> None:
    is_alone = False
    while True:
        await called.wait()
        called.clear()
        try:
            await gate.in_thread(exchange.run)
        except Exception as error:
            if not isinstance(error, (Busy, DatabaseError, InterfaceError)):
                logger.error("defect", extra=describe_error(error))
            elif not is_alone:
                logger.warning(
                    "RATE_LIMIT holds for each worker alone: counts are not shared", extra=describe_error(error)
                )
            is_alone = True
            called.set()  # the calls are still to be told
        else:
            if is_alone:
                logger.info("RATE_LIMIT holds for all workers together again")
            is_alone = False
        await asyncio.sleep(EVERY_ALONE if is_alone else EVERY)


def _old_counts() -> QuerySet[Any]:
    return RateCount.objects.filter(at__lt=timezone.now() - OLD)


OLD_RATE_COUNTS = Purge("counts of calls", _old_counts, lambda ids: RateCount.objects.filter(pk__in=ids).delete())
