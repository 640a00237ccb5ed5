"""How many calls a user may make in a minute, in one worker; off unless the operator sets RATE_LIMIT."""

import math
import time

from django.conf import settings
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from todo_mcp.core.errors import RateLimited

_limiter = MovingWindowRateLimiter(MemoryStorage())


def check_rate(user_id: str) -> None:
    """Count one call of the user.

    Raises:
        RateLimited: the user has made RATE_LIMIT calls in the last minute.
    """
    if not settings.RATE_LIMIT:
        return
    limit = RateLimitItemPerMinute(settings.RATE_LIMIT)
    if not _limiter.hit(limit, user_id):
        reset, _ = _limiter.get_window_stats(limit, user_id)
        raise RateLimited(max(1, math.ceil(reset - time.time())))
