"""What each token did, by day and client. Counted in memory, and written with the statistics."""

import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from todo_mcp.core.errors import TodoError
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.statistics.models import TokenDay
from todo_mcp.statistics.recorder import OTHER
from todo_mcp.statistics.services import FAILURES, RETENTION

CLIENTS_MAX = 20  # names of clients of a token on a day; callers choose these names, and must not fill the table
DAY = 24 * 3600  # seconds
READS, WRITES, REFUSED, FAILED = range(4)  # the places in a list of counts

Key = tuple[int, str | None, int]  # the token, its user (None for a service) and the day, as a number since 1970
Counts = dict[Key, dict[str, list[int]]]

# A user who is being erased is locked. Their counts are dropped, because their rows go too.
_ADD = """
WITH given AS (
    SELECT * FROM unnest(
        %s::bigint[], %s::text[], %s::date[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]
    ) AS one(token_id, user_id, day, client, reads, writes, refused, failed)
), present AS (
    SELECT id FROM users WHERE id IN (SELECT user_id FROM given) FOR KEY SHARE SKIP LOCKED
), placed AS (
    SELECT given.*, stored.id IS NOT NULL AS is_stored,
        row_number() OVER (
            PARTITION BY given.token_id, given.day, stored.id IS NULL, given.client = %s ORDER BY given.client
        ) + (
            SELECT count(*) FROM token_days AS other
            WHERE other.token_id = given.token_id AND other.day = given.day AND other.client <> %s
        ) AS place
    FROM given LEFT JOIN token_days AS stored USING (token_id, day, client)
)
INSERT INTO token_days AS total (token_id, user_id, day, client, reads, writes, refused, failed)
SELECT token_id, user_id, day, CASE WHEN is_stored OR place <= %s THEN client ELSE %s END,
    sum(reads), sum(writes), sum(refused), sum(failed)
FROM placed WHERE user_id IS NULL OR user_id IN (SELECT id FROM present)
GROUP BY 1, 2, 3, 4 ORDER BY 1, 3, 4
ON CONFLICT (token_id, day, client) DO UPDATE SET
    reads = total.reads + EXCLUDED.reads, writes = total.writes + EXCLUDED.writes,
    refused = total.refused + EXCLUDED.refused, failed = total.failed + EXCLUDED.failed
"""


class TokenDays:
    """The calls that a worker has not written yet, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counts = {}

    def count(
        self, token_id: int | None, user_id: str | None, client: str, error: TodoError | None, *, read_only: bool
    ) -> None:
        """Count one call. A JWT has no id, and is not counted.

        ``client`` is stored unchanged, so it must be clean (``calls.call.clean_client``).
        """
        if token_id is None:
            return
        kind = READS if read_only else WRITES
        if error is not None:
            kind = FAILED if error.name in FAILURES else REFUSED
        key = (token_id, user_id, int(time.time()) // DAY)
        with self._lock:
            self._of(key, client)[kind] += 1

    def take(self) -> Counts:
        """The counts since the last call of ``take``."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return counts

    def put_back(self, counts: Mapping[Key, dict[str, list[int]]]) -> None:
        """Add counts that could not be written to the next ones."""
        with self._lock:
            for key, clients in counts.items():
                for client, numbers in clients.items():
                    row = self._of(key, client)
                    row[:] = [old + new for old, new in zip(row, numbers, strict=True)]

    def _of(self, key: Key, client: str) -> list[int]:
        clients = self._counts.setdefault(key, {})
        if client not in clients and len(clients) >= CLIENTS_MAX:
            client = OTHER
        return clients.setdefault(client, [0, 0, 0, 0])


token_days = TokenDays()  # this worker's


def write_days(counts: Mapping[Key, dict[str, list[int]]]) -> None:
    """Add the counts to the stored ones in one statement. Those of erased users are dropped.

    Beyond ``CLIENTS_MAX`` names for a token and day, the client is ``(other)``. Workers that write at the same time can
    each add a few names more.
    """
    rows = [
        (token_id, user_id, datetime.fromtimestamp(day * DAY, UTC).date(), client, *numbers)
        for (token_id, user_id, day), clients in counts.items()
        for client, numbers in clients.items()
    ]
    if rows:
        columns: list[Any] = [list(column) for column in zip(*rows, strict=True)]
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [*columns, OTHER, OTHER, CLIENTS_MAX, OTHER])


def days_of(token_id: int) -> QuerySet[TokenDay]:
    """What this token did, the latest day first. At most ``RETENTION`` days with about ``CLIENTS_MAX`` rows each."""
    return TokenDay.objects.filter(token_id=token_id).order_by("-day", "client")


def _old() -> QuerySet[Any]:
    return TokenDay.objects.filter(day__lt=(timezone.now() - RETENTION).date())


# As long as the call statistics, which an operator reads next to them. A leak is usually found within weeks.
OLD_TOKEN_DAYS = Purge("days of tokens", _old, lambda ids: TokenDay.objects.filter(pk__in=ids).delete())
