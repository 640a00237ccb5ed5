"""How often something may be done, counted in one worker: calls of a user, attempts from an address."""

import math
import time

from django.conf import settings
from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from todo_mcp.core.errors import RateLimited

_limiter = MovingWindowRateLimiter(MemoryStorage())


def check_rate(user_id: str) -> None:
    """Count one call of the user; there is no limit unless the operator sets RATE_LIMIT.

    Raises:
        RateLimited: the user has made RATE_LIMIT calls in the last minute.
    """
    if settings.RATE_LIMIT and (wait := _hit(RateLimitItemPerMinute(settings.RATE_LIMIT), "call", user_id)):
        raise RateLimited(wait)


def within(purpose: str, who: str, *, an_hour: int) -> int | None:
    """Count one attempt: None while there are no more than so many an hour, else the seconds to wait."""
    return _hit(RateLimitItemPerHour(an_hour), purpose, who)


def _hit(limit: RateLimitItem, *key: str) -> int | None:
    if _limiter.hit(limit, *key):
        return None
    reset, _ = _limiter.get_window_stats(limit, *key)
    return max(1, math.ceil(reset - time.time()))
