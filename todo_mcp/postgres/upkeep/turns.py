"""Turns: of all processes that use a database, one at a time migrates it, or prepares it for `make run`."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from django.db import connection

# The keys of PostgreSQL's advisory locks; arbitrary numbers.
SETUP = 708633
MIGRATIONS = 708634
PAUSE = 0.2  # seconds
_NO_LIMITS = """
    SELECT set_config(name, '0', true) FROM pg_settings
    WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""


@contextmanager
def turn(key: int) -> Iterator[None]:
    """Wait for this process's turn. It ends with this context, or with the process.

    A connection of its own holds the lock, in a transaction, so it works behind a pooler too. It asks again and again,
    each time in a new transaction. A transaction that waits for its turn could have had a snapshot when the other
    process began CREATE INDEX CONCURRENTLY. That statement would wait for its end, and both would wait forever.
    """
    with closing(connection.copy()) as other:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            while True:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [key])
                if cursor.fetchone()[0]:
                    break
                other.rollback()
                time.sleep(PAUSE)
            cursor.execute(_NO_LIMITS)
        yield
