"""Places for what strangers cause and what takes long, shared out so that no one site has them all."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from todo_mcp.core.errors import TooManyAttempts

FOR_THE_KNOWN = 2  # places more, for those whose name has signed in from there before; one of a site


@dataclass(frozen=True)
class Attempt:
    """A request under way: from which site, and whether the name has signed in from this address before."""

    site: str
    is_known: bool


_UNKNOWN = Attempt(site="", is_known=False)
this_attempt: ContextVar[Attempt] = ContextVar("this_attempt", default=_UNKNOWN)


class Places:
    """So many places at once, and so many of them for one site."""

    def __init__(self, size: int, *, of_a_site: int) -> None:
        self._size, self._of_a_site = size, of_a_site
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self._known: set[str] = set()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place within this context.

        Raises:
            TooManyAttempts: there is none.
        """
        attempt = this_attempt.get()
        with self._lock:
            uses_known = attempt.is_known and attempt.site not in self._known and len(self._known) < FOR_THE_KNOWN
            if uses_known:
                self._known.add(attempt.site)
            elif self._taken.total() < self._size and self._taken[attempt.site] < self._of_a_site:
                self._taken[attempt.site] += 1
            else:
                raise TooManyAttempts(1)
        try:
            yield
        finally:
            with self._lock:
                if uses_known:
                    self._known.discard(attempt.site)
                else:
                    self._taken -= Counter([attempt.site])
