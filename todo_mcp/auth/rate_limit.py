"""Rate limits: calls of a user, attempts from an address or for a name. Each worker counts for itself."""

import math
import threading
import time
from collections import OrderedDict, defaultdict, deque
from ipaddress import IPv6Address, ip_address, ip_network

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
        self._times: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def seconds_until_allowed(self, *key: str, limit: int, seconds: int) -> int | None:
        """None if the last ``seconds`` hold fewer than ``limit`` events, else the time to wait. Counts nothing."""
        with self._lock:
            times = self._times.get(key)
            now = time.monotonic()
            while times and times[0] <= now - seconds:
                times.popleft()
            return None if not times or len(times) < limit else max(1, math.ceil(times[-limit] + seconds - now))

    def add(self, *key: str, limit: int) -> None:
        """Count one event. At most ``limit`` events are remembered for each key."""
        with self._lock:
            times = self._times.pop(key, None)
            if times is None or times.maxlen != limit:
                times = deque(times or (), maxlen=limit)
            times.append(time.monotonic())
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


calls, attempts = Counts(), Attempts()  # of this worker


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
        RateLimited: the user has made RATE_LIMIT calls in the last minute.
    """
    if not settings.RATE_LIMIT:
        return
    if wait := calls.seconds_until_allowed(user_id, limit=settings.RATE_LIMIT, seconds=MINUTE):
        raise RateLimited(wait)
    calls.add(user_id, limit=settings.RATE_LIMIT)


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
