"""What a worker has looked up: tokens, and the time zones of users for whom services act.

In later calls, ``TokenCondition`` checks that neither has changed.
"""

import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

from todo_mcp.auth.principal import Principal

REMEMBERED_MAX = 2_000  # tokens a worker remembers
ZONES_MAX = 20_000  # users whose zone a worker remembers

ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class RememberedToken:
    """A token's principal, and the two columns that the principal was read from, as stored."""

    principal: Principal
    scope: str
    resource: str


class Remembered(Generic[ValueT]):
    """Values by key, for any thread. The value looked up longest ago is forgotten first."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._values: dict[str, ValueT] = {}

    def __contains__(self, key: str | None) -> bool:
        return key in self._values

    def get(self, key: str) -> ValueT | None:
        return self._values.get(key)

    def add(self, key: str, value: ValueT) -> None:
        with self._lock:
            self._values.pop(key, None)
            self._values[key] = value
            if len(self._values) > self._maximum:
                del self._values[next(iter(self._values))]

    def forget(self, key: str) -> None:
        self._values.pop(key, None)

    def clear(self) -> None:
        self._values.clear()


# This worker's: tokens by checksum, and time zones by user.
remembered_tokens: Remembered[RememberedToken] = Remembered(REMEMBERED_MAX)
remembered_zones: Remembered[str] = Remembered(ZONES_MAX)
