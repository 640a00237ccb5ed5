"""Recent calls that were refused or failed, one line each. A call only appends to memory; the flush writes the lines.

The bounds are for each user and hour in a worker, for the memory of a worker, and for the table in an hour.
"""

import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.statistics.models import RefusedCall

RETENTION = timedelta(days=7)
EACH_MAX = 25  # calls that a worker keeps of one user in an hour; of a service that named no user, of one token
UNWRITTEN_MAX = 250  # calls that a worker keeps between two flushes
TABLE_MAX = 300  # rows that an hour adds to the table; workers that flush at the same moment may exceed it once
FIELDS_MAX = 10

# Only for users who exist. The statement skips a user who is just being erased, and does not wait.
_WRITE = """
WITH given AS (
    SELECT * FROM unnest(
        %(at)s::timestamptz[], %(user_id)s::text[], %(token_id)s::bigint[], %(token_name)s::text[], %(client)s::text[],
        %(tool)s::text[], %(outcome)s::text[], %(transport)s::text[], %(fields)s::text[], %(request_id)s::text[]
    ) AS call(at, user_id, token_id, token_name, client, tool, outcome, transport, fields, request_id)
), owner AS (
    SELECT id FROM users WHERE id IN (SELECT user_id FROM given) ORDER BY id FOR KEY SHARE SKIP LOCKED
)
INSERT INTO refused_calls (
    at, user_id, token_id, token_name, client, tool, outcome, transport, fields, request_id
)
SELECT at, user_id, token_id, token_name, client, tool, outcome, transport, string_to_array(fields, ','), request_id
FROM given
WHERE user_id IS NULL OR user_id IN (SELECT id FROM owner)
ORDER BY at
LIMIT GREATEST(0, %(table_max)s - (SELECT count(*) FROM refused_calls WHERE at > now() - interval '1 hour'))
"""


class Refusal(NamedTuple):
    """A call that was refused or failed. The fields have the names of ``RefusedCall``."""

    at: datetime
    user_id: str | None
    token_id: int | None
    token_name: str
    client: str
    tool: str
    outcome: str
    transport: str
    fields: tuple[str, ...]
    request_id: str


class RefusedCalls:
    """The refused calls of a worker that are not written yet, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unwritten: list[Refusal] = []
        self._hour: datetime | None = None
        self._kept: Counter[tuple[str | None, str]] = Counter()

    def add(self, call: Refusal) -> None:
        """Keep the call, unless a limit is reached. The statistics count it in any case."""
        caller = (call.user_id, "" if call.user_id else call.token_name)
        hour = call.at.replace(minute=0, second=0, microsecond=0)
        with self._lock:
            if hour != self._hour:
                self._hour = hour
                self._kept.clear()
            if len(self._unwritten) < UNWRITTEN_MAX and self._kept[caller] < EACH_MAX:
                self._kept[caller] += 1
                self._unwritten.append(call)

    def take(self) -> list[Refusal]:
        """The calls since the last call of ``take``."""
        with self._lock:
            calls, self._unwritten = self._unwritten, []
        return calls

    def put_back(self, calls: Sequence[Refusal]) -> None:
        """Keep calls that could not be written for the next time."""
        with self._lock:
            self._unwritten = [*calls, *self._unwritten][:UNWRITTEN_MAX]


refused_calls = RefusedCalls()  # this worker's


def write_refused(calls: Sequence[Refusal]) -> None:
    """Write the calls in one statement. Those of erased users are dropped, and those past ``TABLE_MAX``."""
    if not calls:
        return
    columns: dict[str, Any] = dict(zip(Refusal._fields, map(list, zip(*calls, strict=True)), strict=True))
    columns["fields"] = [",".join(names[:FIELDS_MAX]) for names in columns["fields"]]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, {**columns, "table_max": TABLE_MAX})


def refused_calls_of_request(request_id: str) -> QuerySet[RefusedCall]:
    """The kept calls of this request, newest first. By an index."""
    return RefusedCall.objects.filter(request_id=request_id).order_by("-id")


def _old() -> QuerySet[Any]:
    return RefusedCall.objects.filter(at__lt=timezone.now() - RETENTION)


OLD_REFUSED_CALLS = Purge("refused calls", _old, lambda ids: RefusedCall.objects.filter(pk__in=ids).delete())
