"""Django's connections in a server: work uses the connection of its place, and statements have time limits."""

from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.signals import connection_created

from todo_mcp.core.errors import Busy
from todo_mcp.postgres.greenlets import current_work, this_thread
from todo_mcp.postgres.place import PlacedWork

# Milliseconds. A statement of a call normally takes milliseconds. One that takes seconds must not hold its place.
SESSION_LIMITS = {"statement_timeout": 5000, "lock_timeout": 2000, "idle_in_transaction_session_timeout": 10_000}


class PlaceConnections:
    """Replaces the storage in which Django keeps the connection of each thread. A ``PlacedWork`` gets its own."""

    def __init__(self, of_threads: Any) -> None:
        object.__setattr__(self, "_of_threads", of_threads)

    def __getattr__(self, alias: str) -> Any:
        work = current_work()
        if isinstance(work, PlacedWork):
            return work.connection
        if this_thread.place is not None and not this_thread.place.is_held:
            raise Busy  # this thread gave its place to others, and did not get one again
        return getattr(self._of_threads, alias)

    def __setattr__(self, alias: str, connection: Any) -> None:
        setattr(self._of_threads, alias, connection)

    def __delattr__(self, alias: str) -> None:
        delattr(self._of_threads, alias)


def install() -> None:
    """Let this process use the gate. A second call does nothing."""
    if not isinstance(connections._connections, PlaceConnections):  # type: ignore[attr-defined]
        connections._connections = PlaceConnections(connections._connections)  # type: ignore[attr-defined]
    connection_created.connect(_limit_session)


def _limit_session(sender: Any, connection: Any, **kwargs: Any) -> None:
    """Set time limits if the connection serves calls. Migrations and other commands have no limits."""
    if getattr(connection, "serves_calls", False) and not settings.TRANSACTION_POOLING:
        # Bypass Django's cursor: the caller may have wrapped it.
        connection.connection.execute("; ".join(f"SET {name} = {value}" for name, value in SESSION_LIMITS.items()))
