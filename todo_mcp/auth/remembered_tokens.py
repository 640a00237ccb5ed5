"""The tokens that a worker has looked up. In later calls, ``TokenCondition`` checks that they have not changed."""

import threading
from dataclasses import dataclass

from todo_mcp.auth.principal import Principal

REMEMBERED_MAX = 2_000  # tokens a worker remembers


@dataclass(frozen=True)
class RememberedToken:
    """A token's principal, and the two columns that the principal was read from, as stored."""

    principal: Principal
    scope: str
    resource: str


class RememberedTokens:
    """Tokens by checksum, for any thread. The token looked up longest ago is forgotten first."""

    def __init__(self, maximum: int = REMEMBERED_MAX) -> None:
        self._maximum = maximum
        self._lock = threading.Lock()
        self._tokens: dict[str, RememberedToken] = {}

    def get(self, checksum: str) -> RememberedToken | None:
        return self._tokens.get(checksum)

    def add(self, checksum: str, token: RememberedToken) -> None:
        with self._lock:
            self._tokens.pop(checksum, None)
            self._tokens[checksum] = token
            if len(self._tokens) > self._maximum:
                del self._tokens[next(iter(self._tokens))]

    def forget(self, checksum: str) -> None:
        self._tokens.pop(checksum, None)

    def clear(self) -> None:
        self._tokens.clear()


remembered_tokens = RememberedTokens()  # this worker's
