"""What a worker has counted and not yet written. Counting is an addition in memory: no call waits for it."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

KEYS_MAX = 1000  # distinct keys between two flushes
CLIENTS_MAX = 200  # distinct clients in an hour
OTHER = "(other)"  # the client of what is past either limit: callers choose these names, and must not fill the table


class Key(NamedTuple):
    """What makes calls alike; in the order of the table's unique constraint."""

    hour: datetime
    tool: str
    outcome: str
    client: str
    revision: str
    transport: str


@dataclass
class Count:
    """Calls that are alike."""

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
    """Counts, from any thread."""

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
        """Count one call. ``client`` must have been cleaned (``calls.clean_client``): it is stored as it is."""
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        key = Key(hour, tool, outcome, client, revision, transport)
        milliseconds = seconds * 1000
        count = Count(1, milliseconds, milliseconds, request_id if milliseconds else "")
        with self._lock:
            self._add(self._within_limits(key), count)

    def take(self) -> dict[Key, Count]:
        """All that was counted since the last time."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken

    def put_back(self, counts: Mapping[Key, Count]) -> None:
        """Count again what was taken and could not be written."""
        with self._lock:
            for key, count in counts.items():
                self._add(key, count)

    def _within_limits(self, key: Key) -> Key:
        if key.hour != self._hour:
            self._hour = key.hour
            self._clients.clear()
        known = key.client in self._clients
        if key in self._counts or (len(self._counts) < KEYS_MAX and (known or len(self._clients) < CLIENTS_MAX)):
            self._clients.add(key.client)
            return key
        return key._replace(client=OTHER)

    def _add(self, key: Key, count: Count) -> None:
        self._counts.setdefault(key, Count()).add(count)


recorder = Recorder()  # this worker's
