"""How often something may be done, counted in one worker: calls of a user, attempts from an address or for a name."""

import math
import threading
import time
from collections import OrderedDict, defaultdict, deque
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

from todo_mcp.core.errors import RateLimited

KEYS_MAX = 10_000  # strangers choose addresses and names; what was not seen for longest is forgotten first
MINUTE, HOUR = 60, 3600  # seconds
SITE = 16  # addresses of one site that may each make as many attempts as are allowed


class Counts:
    """When things were done, by key, as long as they count: a window of time that ends now. For any thread."""

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        self._keys_max = keys_max
        self._lock = threading.Lock()
        self._times: OrderedDict[tuple[str, ...], deque[float]] = OrderedDict()

    def wait(self, *key: str, limit: int, seconds: int) -> int | None:
        """None while there are fewer than ``limit`` within ``seconds``, else the seconds until there are."""
        with self._lock:
            times = self._times.get(key)
            now = time.monotonic()
            while times and times[0] <= now - seconds:
                times.popleft()
            return None if not times or len(times) < limit else max(1, math.ceil(times[-limit] + seconds - now))

    def add(self, *key: str, limit: int) -> None:
        """Count one; no more than ``limit`` are remembered."""
        with self._lock:
            times = self._times.pop(key, None)
            if times is None or times.maxlen != limit:
                times = deque(times or (), maxlen=limit)
            times.append(time.monotonic())
            self._times[key] = times
            if len(self._times) > self._keys_max:
                self._times.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._times.clear()


class Attempts:
    """Counts by purpose, each with room of its own: who fills one with invented names empties no other."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counts] = defaultdict(Counts)

    def wait(self, purpose: str, who: str, *, limit: int, seconds: int) -> int | None:
        """As ``Counts.wait``."""
        return self._counts[purpose].wait(who, limit=limit, seconds=seconds)

    def add(self, purpose: str, who: str, *, limit: int) -> None:
        """As ``Counts.add``."""
        self._counts[purpose].add(who, limit=limit)

    def clear(self) -> None:
        """Forget all."""
        self._counts.clear()


calls, attempts = Counts(), Attempts()  # this worker's


def client_address(request: HttpRequest) -> str:
    """Whom we count: the caller's address, or the /64 of an IPv6 address, which one household or server has."""
    return network_of(request.META.get("REMOTE_ADDR", ""))


def network_of(address: str, *, ipv4: int = 32, ipv6: int = 64) -> str:
    """An address as it is counted: the first bits of it. All that is no address is counted as one."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "0.0.0.0"  # noqa: S104 (nothing listens there)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    bits = ipv6 if isinstance(parsed, IPv6Address) else ipv4
    return str(ip_network((parsed, bits), strict=False).network_address)


def site_of(address: str) -> str:
    """What one customer of a network has at most, whose many addresses are no many people: a /24, or an IPv6 /48."""
    return network_of(address, ipv4=24, ipv6=48)


def check_rate(user_id: str) -> None:
    """Count one call of the user; there is no limit unless the operator sets RATE_LIMIT.

    Raises:
        RateLimited: the user has made RATE_LIMIT calls in the last minute.
    """
    if not settings.RATE_LIMIT:
        return
    if wait := calls.wait(user_id, limit=settings.RATE_LIMIT, seconds=MINUTE):
        raise RateLimited(wait)
    calls.add(user_id, limit=settings.RATE_LIMIT)


def within(purpose: str, who: str, *, limit: int, seconds: int = HOUR) -> int | None:
    """Count an attempt: None while there are no more than ``limit`` in ``seconds``, else the seconds to wait."""
    wait = attempts.wait(purpose, who, limit=limit, seconds=seconds)
    if wait is None:
        attempts.add(purpose, who, limit=limit)
    return wait


def within_address(purpose: str, address: str, *, limit: int, seconds: int = HOUR) -> int | None:
    """Count an attempt from an address; all of its site together may make ``SITE`` times as many."""
    wait = within(f"{purpose} from a site", site_of(address), limit=SITE * limit, seconds=seconds)
    return wait or within(purpose, network_of(address), limit=limit, seconds=seconds)
