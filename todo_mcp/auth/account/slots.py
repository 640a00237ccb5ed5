"""Slots for slow work that strangers can cause. They are shared out so that no single site can take them all."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from todo_mcp.core.errors import TooManyAttempts

RESERVED_SLOTS = 2  # additional slots for known addresses only; at most one for each site


@dataclass(frozen=True)
class RequestSource:
    """The origin of the current request.

    ``site`` is the caller's network (``rate_limit.site_of``). ``is_known`` is True if the user name of the request has
    signed in from this address before.
    """

    site: str
    is_known: bool


_UNKNOWN = RequestSource(site="", is_known=False)
request_source: ContextVar[RequestSource] = ContextVar("request_source", default=_UNKNOWN)


class Slots:
    """A pool of ``size`` slots, of which one site can hold ``per_site``. ``RESERVED_SLOTS`` are added to the pool."""

    def __init__(self, size: int, *, per_site: int) -> None:
        self._size, self._per_site = size, per_site
        self._lock = threading.Lock()
        self._used_by_site: Counter[str] = Counter()
        self._sites_with_reserved_slot: set[str] = set()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold a slot within this context. The site comes from ``request_source``.

        Raises:
            TooManyAttempts: no slot is free for this site.
        """
        source = request_source.get()
        reserved = self._sites_with_reserved_slot
        with self._lock:
            is_reserved = source.is_known and source.site not in reserved and len(reserved) < RESERVED_SLOTS
            if is_reserved:
                reserved.add(source.site)
            elif self._used_by_site.total() < self._size and self._used_by_site[source.site] < self._per_site:
                self._used_by_site[source.site] += 1
            else:
                raise TooManyAttempts(1)
        try:
            yield
        finally:
            with self._lock:
                if is_reserved:
                    reserved.discard(source.site)
                else:
                    self._used_by_site -= Counter([source.site])
