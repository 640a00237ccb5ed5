"""The moments at which the tests read phrases."""

from datetime import datetime

from todo_mcp.dates.zones import Clock, find_zone

WEEK = ("23", "24", "25", "26", "27", "28", "29")  # Monday to Sunday, in November 2026


def clock(now: str, zone: str = "Europe/Berlin") -> Clock:
    """A clock that shows this local time, such as `2026-11-25T10:00`, or an instant with an offset."""
    moment = datetime.fromisoformat(now)
    return Clock(moment if moment.tzinfo else moment.replace(tzinfo=find_zone(zone)), find_zone(zone))


WEDNESDAY = clock("2026-11-25T10:00")
AFTERNOON = clock("2026-11-25T15:05")
