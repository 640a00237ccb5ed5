"""Which connections a process keeps when file descriptors run low."""

from typing import Protocol

REFUSALS_MAX = 32  # connections at once that are told that there are too many


class Waiting(Protocol):
    """A connection whose client owes us something."""

    def abort(self) -> None:
        """Close it at once."""


class Connections:
    """The connections of this process whose client we wait for, the longest wait first.

    ``limit`` leaves file descriptors for the database, logs and everything else.
    """

    def __init__(self) -> None:
        self.limit = 1 << 20
        self._waiting: dict[Waiting, None] = {}
        self._refused = 0

    def wait_for(self, connection: Waiting) -> None:
        """It is this client's turn: to send, or to read."""
        self._waiting[connection] = None

    def serve(self, connection: Waiting) -> None:
        """It is our turn; or the connection is gone."""
        self._waiting.pop(connection, None)

    def make_room(self, count: int) -> bool:
        """Whether one more than ``count`` connections can stay: close the one that waits longest if need be."""
        if count <= self.limit:
            return True
        longest = next(iter(self._waiting), None)
        if longest is None:
            return False
        self.serve(longest)
        longest.abort()
        return True

    def end_waiting(self) -> None:
        """Close all of them: nothing of theirs is being worked on."""
        for connection in list(self._waiting):
            connection.abort()

    def may_refuse(self) -> bool:
        """Whether another refused client may have a moment to read why."""
        return self._refused < REFUSALS_MAX

    def count_refused(self, change: int) -> None:
        self._refused += change


connections = Connections()
