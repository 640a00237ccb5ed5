"""Database errors after which a repetition of the same work may succeed."""

import random
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError

from todo_mcp.postgres.greenlets import sleep
from todo_mcp.postgres.prepared import CHANGED, LOST

T = TypeVar("T")

ATTEMPTS = 3
RETRIABLE = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
NOT_PREPARED = LOST | CHANGED  # a prepared statement could not run
TIMED_OUT = frozenset({"57014", "55P03"})  # query_canceled, lock_not_available


def retrying(work: Callable[[], T]) -> T:
    """Do a transaction. Repeat it if PostgreSQL rolled it back for another one, or has lost a prepared statement.

    At most 3 attempts, with jitter.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return work()
        except DatabaseError as error:
            if attempt == ATTEMPTS or sqlstate_of(error) not in RETRIABLE | NOT_PREPARED:
                raise
            sleep(random.uniform(0.005, 0.02) * attempt)  # noqa: S311 (jitter, not a secret)
    raise AssertionError("unreachable")


def sqlstate_of(error: Exception) -> str:
    """PostgreSQL's code of the error; empty if there is none, as for a broken connection."""
    return getattr(error.__cause__, "sqlstate", None) or ""
