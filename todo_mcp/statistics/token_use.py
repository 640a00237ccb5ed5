"""When a token was last used: kept in memory by each worker, written with the statistics, so a call costs no more."""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from todo_mcp.statistics.models import TokenUse

INTERVAL = timedelta(minutes=5)  # a worker notes a token's use at most so often

# Of the tokens that are still there; one that is just being revoked is not waited for.
_WRITE = """
INSERT INTO token_uses (token_id, last_used_at)
SELECT token.id, used.at
FROM unnest(%s::bigint[], %s::timestamptz[]) AS used(id, at)
JOIN oauth2_provider_accesstoken AS token ON token.id = used.id
ORDER BY token.id
FOR KEY SHARE OF token SKIP LOCKED
ON CONFLICT (token_id) DO UPDATE SET last_used_at = GREATEST(token_uses.last_used_at, EXCLUDED.last_used_at)
"""


class TokenUses:
    """The uses that a worker knows of, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[int, datetime] = {}
        self._unwritten: dict[int, datetime] = {}

    def touch(self, token_id: int) -> None:
        """The token is used now."""
        now = timezone.now()
        noted = self._noted.get(token_id)
        if noted is None or now - noted >= INTERVAL:
            with self._lock:
                self._noted[token_id] = self._unwritten[token_id] = now

    def take(self) -> dict[int, datetime]:
        """The uses that are not written yet."""
        old = timezone.now() - INTERVAL
        with self._lock:
            self._noted = {token_id: at for token_id, at in self._noted.items() if at > old}
            taken, self._unwritten = self._unwritten, {}
        return taken

    def put_back(self, uses: Mapping[int, datetime]) -> None:
        """Keep for the next time what could not be written."""
        with self._lock:
            self._unwritten = {**uses, **self._unwritten}


token_uses = TokenUses()  # this worker's


def write_uses(uses: Mapping[int, datetime]) -> None:
    """Write them in one statement; uses of tokens that are gone are dropped."""
    if uses:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [list(uses), list(uses.values())])


def last_used(token_ids: Iterable[int]) -> dict[int, datetime]:
    """When each of these tokens was last used, to within 5 minutes; without those that never were. One query."""
    return dict(TokenUse.objects.filter(token_id__in=list(token_ids)).values_list("token_id", "last_used_at"))
