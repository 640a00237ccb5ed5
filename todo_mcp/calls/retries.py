"""Database errors after which a repetition of the same work may succeed."""

import logging
import random
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError

from todo_mcp.postgres.greenlets import sleep
from todo_mcp.postgres.health.causes import sqlstate_of
from todo_mcp.postgres.prepared import CHANGED, LOST

logger = logging.getLogger(__name__)
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
            state = sqlstate_of(error)
            if attempt == ATTEMPTS or state not in RETRIABLE | NOT_PREPARED:
                logger.debug("the transaction failed", extra={"sqlstate": state, "attempt": attempt})
                raise
            seconds = random.uniform(0.005, 0.02) * attempt  # noqa: S311 (jitter, not a secret)
            waits = round(seconds * 1000)
            logger.debug("the transaction runs again", extra={"sqlstate": state, "attempt": attempt, "wait_ms": waits})
            sleep(seconds)
    raise AssertionError("unreachable")
