"""Which connections a process closes when file descriptors run low."""

from typing import Protocol

REFUSALS_MAX = 32  # surplus connections at a time that get an answer before they are closed


class Waiting(Protocol):
    """A connection that waits for its client."""

    def abort(self) -> None:
        """Close it at once."""


class Connections:
    """The connections of this process that wait for their clients, the longest wait first.

    ``limit`` is the number of client connections; it leaves file descriptors for the database, logs and other uses.
    """

    def __init__(self) -> None:
        self.limit = 1 << 20
        self._waiting: dict[Waiting, None] = {}
        self._refused = 0

    def add_waiting(self, connection: Waiting) -> None:
        """Call this when the server begins to wait for this client to send or to read."""
        self._waiting[connection] = None

    def remove_waiting(self, connection: Waiting) -> None:
        """Call this when the server begins to work on this connection, or the connection is gone."""
        self._waiting.pop(connection, None)

    def make_room(self, count: int) -> bool:
        """Whether ``count`` connections can stay, if necessary after closing the one that has waited longest."""
        if count <= self.limit:
            return True
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self.remove_waiting(longest)
        longest.abort()
        return True

    def abort_waiting(self) -> None:
        """Close all connections that wait for their clients."""
        for connection in list(self._waiting):
            connection.abort()

    def may_refuse(self) -> bool:
        """Whether one more surplus connection may get an answer."""
        return self._refused < REFUSALS_MAX

    def count_refused(self, change: int) -> None:
        self._refused += change


connections = Connections()
