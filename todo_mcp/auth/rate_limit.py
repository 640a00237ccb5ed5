"""Rate limits: calls of a user, attempts from an address or for a name. All counts are in memory.

Each worker counts attempts for itself. Workers tell each other their counts of calls: ``rate_exchange``.
"""

import math
import threading
import time
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network
from itertools import repeat
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest

from todo_mcp.core.errors import RateLimited

KEYS_MAX = 10_000  # strangers can invent addresses and names; the keys unused for longest are forgotten first
MINUTE, HOUR = 60, 3600  # seconds
SITE_FACTOR = 16  # a site may make this many times the attempts of one address


class Counts:
    """The times of recent events for each key, for limits over a sliding window. Thread-safe."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._lock = threading.Lock()
        self._times: OrderedDict[tuple[str | int, ...], deque[float]] = OrderedDict()

    def seconds_until_allowed(self, *key: str | int, limit: int, seconds: int) -> int | None:
        """None if the last ``seconds`` hold fewer than ``limit`` events, else the time to wait. Counts nothing."""
        with self._lock:
            times = self._times.get(key)
            now = time.monotonic()
            while times and times[0] <= now - seconds:
                times.popleft()
            if not times or len(times) < limit:
                return None
            self._times.move_to_end(key)  # a key that is over its limit is in use
            return max(1, math.ceil(times[-limit] + seconds - now))

    def add(self, *key: str | int, limit: int) -> None:
        """Count one event. At most ``limit`` events are remembered for each key."""
        with self._lock:
            times = self._times.pop(key, None)
            if times is None or times.maxlen != limit:
                times = deque(times or (), maxlen=limit)
            times.append(time.monotonic())
            self._put(key, times)

    def _put(self, key: tuple[str | int, ...], times: deque[float]) -> None:
        self._times[key] = times
        if len(self._times) > self._keys_max:
            self._times.popitem(last=False)

    def clear(self) -> None:
        """Forget all events."""
        with self._lock:
            self._times.clear()


class Attempts:
    """Separate counts for each purpose: filling one with invented names pushes no keys out of another."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counts] = defaultdict(Counts)

    def seconds_until_allowed(self, purpose: str, key: str, *, limit: int, seconds: int) -> int | None:
        """See ``Counts.seconds_until_allowed``."""
        return self._counts[purpose].seconds_until_allowed(key, limit=limit, seconds=seconds)

    def add(self, purpose: str, key: str, *, limit: int) -> None:
        """See ``Counts.add``."""
        self._counts[purpose].add(key, limit=limit)

    def clear(self) -> None:
        """Forget all events."""
        self._counts.clear()


class ToldCalls(NamedTuple):
    """What another worker told: calls with this key, in one of its rounds, some seconds ago."""

    worker: int
    round: int
    key: int
    calls: int
    age: float


class CallCounts(Counts):
    """The calls of each user: those of this worker, and those that other workers have told it.

    A key is a hash of the user's id. So what workers tell each other names nobody, and any id has a key.
    """

    def __init__(self) -> None:
        super().__init__()
        self._untold: Counter[int] = Counter()
        self._heard: dict[int, tuple[int, float]] = {}  # by worker: its last round, and when that was heard
        self._on_first: Callable[[], object] = lambda: None

    @staticmethod
    @lru_cache(KEYS_MAX)
    def key_of(user_id: str) -> int:
        return int.from_bytes(blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), signed=True)

    @contextmanager
    def listening(self, on_first: Callable[[], object]) -> Iterator[None]:
        """Within this context, call ``on_first`` when there is something to tell. Any thread may call it."""
        self._on_first = on_first
        try:
            if self._untold:
                on_first()
            yield
        finally:
            self._on_first = lambda: None

    def add(self, *key: str | int, limit: int) -> None:
        """See ``Counts.add``."""
        super().add(*key, limit=limit)
        with self._lock:
            is_first = not self._untold
            if len(self._untold) < self._keys_max:
                self._untold[int(key[0])] += 1
        if is_first:
            self._on_first()

    def take(self) -> dict[int, int]:
        """The calls that are not told yet, by key. From now on they count as told."""
        with self._lock:
            calls, self._untold = self._untold, Counter()
        return calls

    def put_back(self, calls: Mapping[int, int]) -> None:
        """Keep calls that could not be told for the next time."""
        with self._lock:
            self._untold.update(calls)

    def hear(self, rows: Iterable[ToldCalls], limit: int) -> None:
        """Count the calls of other workers. Rows may come again: a round that was heard counts once."""
        now = time.monotonic()
        heard = {worker: last for worker, last in self._heard.items() if last[1] > now - 2 * MINUTE}
        earlier: defaultdict[int, list[float]] = defaultdict(list)
        for row in rows:
            if row.worker not in self._heard or row.round > self._heard[row.worker][0]:
                earlier[row.key] += repeat(now - max(0.0, row.age), min(row.calls, limit))
                heard[row.worker] = max(heard.get(row.worker, (0, 0.0)), (row.round, now))
        self._heard = heard
        for key, times in earlier.items():
            with self._lock:
                self._put((key,), deque(sorted([*self._times.pop((key,), ()), *times]), maxlen=limit))

    def clear(self) -> None:
        """Forget all events."""
        super().clear()
        self._heard.clear()
        self.take()


calls, attempts = CallCounts(), Attempts()  # of this worker


def client_address(request: HttpRequest) -> str:
    """The caller's address as it is counted. An IPv6 address counts as its /64, which one household or server has."""
    return network_of(request.META.get("REMOTE_ADDR", ""))


def network_of(address: str, *, ipv4: int = 32, ipv6: int = 64) -> str:
    """The network of an address: its first 32 or 64 bits by default. All invalid addresses become ``0.0.0.0``."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "0.0.0.0"  # noqa: S104 (nothing listens there)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    bits = ipv6 if isinstance(parsed, IPv6Address) else ipv4
    return str(ip_network((parsed, bits), strict=False).network_address)


def site_of(address: str) -> str:
    """The site of an address: its IPv4 /24 or IPv6 /48. That is the most addresses that one customer usually has."""
    return network_of(address, ipv4=24, ipv6=48)


def check_rate(user_id: str) -> None:
    """Count one call of the user. Without the setting RATE_LIMIT there is no limit.

    Raises:
        RateLimited: the user has made RATE_LIMIT calls in the last minute, through any worker.
    """
    if not settings.RATE_LIMIT:
        return
    key = calls.key_of(user_id)
    if wait := calls.seconds_until_allowed(key, limit=settings.RATE_LIMIT, seconds=MINUTE):
        raise RateLimited(wait)
    calls.add(key, limit=settings.RATE_LIMIT)


def count_attempt(purpose: str, key: str, *, limit: int, seconds: int = HOUR) -> int | None:
    """Count an attempt and return None. Over ``limit`` in ``seconds``, count nothing and return the seconds to wait."""
    wait = attempts.seconds_until_allowed(purpose, key, limit=limit, seconds=seconds)
    if wait is None:
        attempts.add(purpose, key, limit=limit)
    return wait


def count_attempt_from_address(purpose: str, address: str, *, limit: int, seconds: int = HOUR) -> int | None:
    """Count an attempt from an address, as ``count_attempt`` does. Its site may make ``SITE_FACTOR`` times as many."""
    wait = count_attempt(f"{purpose} from a site", site_of(address), limit=SITE_FACTOR * limit, seconds=seconds)
    return wait or count_attempt(purpose, network_of(address), limit=limit, seconds=seconds)
