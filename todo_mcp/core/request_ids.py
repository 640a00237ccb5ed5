"""Ids of requests. An id begins with its time, so that what it names is found by the time."""

import re
import secrets
import time
from datetime import UTC, datetime

_OURS = re.compile(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")


def new_request_id() -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): 32 hexadecimal digits, the first 12 are milliseconds since 1970."""
    milliseconds, random = time.time_ns() // 1_000_000, secrets.randbits(74)
    version, variant = 7 << 76, 2 << 62
    return f"{milliseconds << 80 | version | random >> 62 << 64 | variant | random & (1 << 62) - 1:032x}"


def time_of(request_id: str) -> datetime | None:
    """When ``new_request_id`` made this id. None for the id of a client."""
    if not _OURS.fullmatch(request_id):
        return None
    try:
        return datetime.fromtimestamp(int(request_id[:12], 16) / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # a time after the year 9999
        return None
