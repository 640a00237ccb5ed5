"""Log and count refused credentials. Anybody can cause a refusal, so neither the log nor the memory may grow with them.

A line names the rule and, if the token names a configured one, the issuer. It contains nothing else of the token.
"""

import logging
import threading
import time
from collections import deque

from todo_mcp.core.errors import Unauthenticated
from todo_mcp.telemetry.metrics import UNAUTHENTICATED

logger = logging.getLogger(__name__)

LINES_MAX = 10  # within PERIOD, in each worker
PERIOD = 1.0  # seconds


class LimitedLog:
    """Writes at most ``LINES_MAX`` lines within any ``PERIOD``. The next line says how many were suppressed before it.

    If no further line comes, a timer writes that number. Thread-safe.
    """

    def __init__(self, logger: logging.Logger = logger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._times: deque[float] = deque([-PERIOD] * LINES_MAX, maxlen=LINES_MAX)  # of the last lines
        self._suppressed = 0
        self._timer: threading.Timer | None = None

    def write(self, message: str, **fields: str) -> None:
        """Write a line with these fields, or count it as suppressed."""
        with self._lock:
            if not self._may_write():
                self._suppressed += 1
                self._report_later()
                return
            suppressed, self._suppressed = self._suppressed, 0
        self._logger.info(message, extra={**fields, "suppressed": suppressed} if suppressed else fields)

    def _may_write(self) -> bool:
        now = time.monotonic()
        if now - self._times[0] < PERIOD:
            return False
        self._times.append(now)
        return True

    def _report_later(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(PERIOD, self._report)
            self._timer.daemon = True
            self._timer.start()

    def _report(self) -> None:
        with self._lock:
            self._timer = None
            if not self._suppressed:
                return
            if not self._may_write():
                self._report_later()
                return
            suppressed, self._suppressed = self._suppressed, 0
        self._logger.info("unauthenticated requests not logged", extra={"suppressed": suppressed})


_log = LimitedLog()  # of this worker


def record_refusal(error: Unauthenticated) -> None:
    """Count a request whose credentials are refused, and log it. Call this once for each refusal."""
    UNAUTHENTICATED.labels(error.rule).inc()
    issuer = {"issuer": error.issuer} if error.issuer else {}
    _log.write("unauthenticated", rule=error.rule, **issuer)
