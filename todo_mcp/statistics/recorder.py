"""The counts of a worker that are not written yet. Counting is an addition in memory, so no call waits for it."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

KEYS_MAX = 1000  # distinct keys between two flushes
CLIENTS_MAX = 200  # distinct clients in an hour
OTHER = "(other)"  # the client of calls past either limit: callers choose these names, and must not fill the table


class Key(NamedTuple):
    """Calls with the same key are counted together. The fields have the order of the table's unique constraint."""

    hour: datetime
    tool: str
    outcome: str
    client: str
    revision: str
    transport: str


@dataclass
class Count:
    """The calls of one key."""

    calls: int = 0
    milliseconds_total: float = 0.0
    milliseconds_max: float = 0.0
    slowest_request_id: str = ""

    def add(self, other: "Count") -> None:
        self.calls += other.calls
        self.milliseconds_total += other.milliseconds_total
        if other.milliseconds_max > self.milliseconds_max:
            self.milliseconds_max = other.milliseconds_max
            self.slowest_request_id = other.slowest_request_id


class Recorder:
    """Counts calls, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[Key, Count] = {}
        self._clients: set[str] = set()
        self._hour: datetime | None = None

    def record(
        self,
        *,
        tool: str,
        outcome: str,
        transport: str,
        client: str = "",
        revision: str = "",
        seconds: float = 0.0,
        request_id: str = "",
    ) -> None:
        """Count one call. ``client`` is stored unchanged, so it must be clean (``calls.call.clean_client``)."""
        key = Key(_hour(int(time.time()) // 3600), tool, outcome, client, revision, transport)
        milliseconds = seconds * 1000
        with self._lock:
            count = self._counts.get(key) or self._counts.setdefault(self._within_limits(key), Count())
            count.calls += 1
            count.milliseconds_total += milliseconds
            if milliseconds > count.milliseconds_max:
                count.milliseconds_max = milliseconds
                count.slowest_request_id = request_id

    def take(self) -> dict[Key, Count]:
        """The counts since the last call of ``take``."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return counts

    def put_back(self, counts: Mapping[Key, Count]) -> None:
        """Add counts that could not be written to the next ones."""
        with self._lock:
            for key, count in counts.items():
                self._counts.setdefault(key, Count()).add(count)

    def _within_limits(self, key: Key) -> Key:
        if key.hour != self._hour:
            self._hour = key.hour
            self._clients.clear()
        is_listed = key.client in self._clients
        if len(self._counts) < KEYS_MAX and (is_listed or len(self._clients) < CLIENTS_MAX):
            self._clients.add(key.client)
            return key
        return key._replace(client=OTHER)


@lru_cache(maxsize=1)
def _hour(number: int) -> datetime:
    """The start of an hour, by its number since 1970."""
    return datetime.fromtimestamp(number * 3600, UTC)


recorder = Recorder()  # this worker's
