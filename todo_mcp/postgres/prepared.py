"""Whether this process prepares statements.

A pooler in transaction mode lends any of its PostgreSQL sessions to each transaction. That session may not know a
statement that was prepared in another one. ``DATABASE_POOLER`` announces such a pooler. If it is not set, the first
error reveals the pooler, and from then on the process prepares nothing.
"""

import logging
import secrets
import threading
from typing import Any

import psycopg
from django.conf import settings

logger = logging.getLogger(__name__)

LOST = frozenset({"26000", "42P05"})  # invalid_sql_statement_name, duplicate_prepared_statement
CHANGED = frozenset({"0A000"})  # feature_not_supported: a migration changed a column of the result


class Preparing:
    """``choice`` is psycopg's argument ``prepare``: None prepares after PREPARE_AFTER uses, False never."""

    def __init__(self) -> None:
        # Before libpq 17, psycopg removes a statement with DEALLOCATE. Its error may follow a change that is committed,
        # and the repetition would make the change twice.
        self.choice: bool | None = None if psycopg.capabilities.has_send_close_prepared() else False
        self._first = threading.Lock()  # never released: only one thread gets it

    def stop(self, sqlstate: str | None) -> None:
        """Prepare no further statement, on any connection of this process. The first call logs a warning."""
        self.choice = False
        if self._first.acquire(blocking=False):
            logger.warning(
                "DATABASE_POOLER is %s, but DATABASE_URL seems to lead to a pooler in transaction mode. "
                "This worker prepares no more statements. Set DATABASE_POOLER=transaction, see docs/scaling.md",
                settings.DATABASE_POOLER,
                extra={"sqlstate": sqlstate},
            )


preparing = Preparing()


def name_uniquely(connection: "psycopg.Connection[Any]") -> None:
    """Let no other connection use the names of this one's statements.

    psycopg counts from 0 on each connection. Two clients of one pooler would then use one name for two statements.
    PostgreSQL would run the wrong one, with the parameters of the other.
    """
    connection._prepared._prepared_idx = secrets.randbits(64)
