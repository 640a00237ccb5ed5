"""Compare the clock of the worker with its past and with PostgreSQL's. A call never does this."""

import logging
import time
from datetime import datetime

from django.utils import timezone

from todo_mcp.telemetry.metrics import CLOCK_DIFFERENCE, CLOCK_JUMPS

logger = logging.getLogger(__name__)

JUMP = 1.0  # seconds backwards; corrections by NTP are smaller
DIFFERENCE = 5.0  # seconds
LINE_EVERY = 60.0  # seconds
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # it goes on while the machine sleeps


class Clocks:
    """The clock of this worker."""

    def __init__(self) -> None:
        self._ahead: float | None = None  # the worker's clock minus a clock that nobody sets
        self._written = -LINE_EVERY

    def look(self) -> None:
        """Look for a jump since the last look."""
        ahead = timezone.now().timestamp() - time.clock_gettime(_STEADY)
        before, self._ahead = self._ahead, ahead
        if before is not None and before - ahead >= JUMP:
            CLOCK_JUMPS.inc()
            logger.warning("the clock of this machine jumped back", extra={"seconds": round(before - ahead, 1)})

    def compare(self, before: datetime, of_database: datetime, after: datetime) -> None:
        """Compare with the time that PostgreSQL said between two looks at the worker's clock."""
        if of_database < before:
            difference = (before - of_database).total_seconds()
        else:
            difference = max((of_database - after).total_seconds(), 0.0)
        CLOCK_DIFFERENCE.set(difference)
        if difference >= DIFFERENCE and time.monotonic() - self._written >= LINE_EVERY:
            self._written = time.monotonic()
            logger.warning(
                "the clock of this machine differs from PostgreSQL's", extra={"seconds": round(difference, 1)}
            )


clocks = Clocks()
