"""When a token was last used. Each worker keeps it in memory and writes it with the statistics, to keep calls cheap."""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone

from todo_mcp.statistics.models import TokenUse

INTERVAL = timedelta(minutes=5)  # between two uses of a token that a worker records

# Only for tokens that exist. The statement skips a token that is just being revoked, and does not wait for it.
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
    """The uses that a worker has seen, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorded: dict[int, datetime] = {}
        self._unwritten: dict[int, datetime] = {}

    def touch(self, token_id: int) -> None:
        """Record that the token is used now."""
        now = timezone.now()
        recorded = self._recorded.get(token_id)
        if recorded is None or now - recorded >= INTERVAL:
            with self._lock:
                self._recorded[token_id] = self._unwritten[token_id] = now

    def take(self) -> dict[int, datetime]:
        """Return the uses that are not written yet. From now on they count as written."""
        oldest = timezone.now() - INTERVAL
        with self._lock:
            self._recorded = {token_id: at for token_id, at in self._recorded.items() if at > oldest}
            uses, self._unwritten = self._unwritten, {}
        return uses

    def put_back(self, uses: Mapping[int, datetime]) -> None:
        """Keep uses that could not be written for the next time."""
        with self._lock:
            self._unwritten = {**uses, **self._unwritten}


token_uses = TokenUses()  # this worker's


def write_uses(uses: Mapping[int, datetime]) -> None:
    """Write the uses in one statement; those of deleted tokens are dropped."""
    if uses:
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [list(uses), list(uses.values())])


def last_used(token_ids: Iterable[int]) -> dict[int, datetime]:
    """When each of these tokens was last used, to within 5 minutes. Unused tokens are left out. One query."""
    return dict(TokenUse.objects.filter(token_id__in=list(token_ids)).values_list("token_id", "last_used_at"))
