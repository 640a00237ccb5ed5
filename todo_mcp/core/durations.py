"""Durations as people write them in commands and settings."""

import re
from datetime import timedelta

EXAMPLES = "90m, 12h, 30d or 4w"
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_duration(text: str) -> timedelta:
    """Parse a whole number of minutes, hours, days or weeks, such as ``EXAMPLES``.

    Raises:
        ValueError: the text is anything else.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", text)
    if not match:
        raise ValueError(f"{text!r} is not a duration; write {EXAMPLES}")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})
