"""Run a piece of work once under a key."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from psycopg.errors import ForeignKeyViolation

from todo_mcp.core.envelope import to_json
from todo_mcp.core.errors import IdempotencyConflict, UserNotFound
from todo_mcp.idempotency.models import IdempotencyKey
from todo_mcp.postgres.purging import Purge

WINDOW = timedelta(hours=24)


def run_once(
    *, user_id: str, operation: str, key: str, arguments: Any, work: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """The result of the work, and whether it is an earlier one under the same key.

    The work and its key are one transaction; of concurrent calls with one key, one does the work.

    Args:
        arguments: what must be the same for the call to be the same; JSON.
        work: gives the result, as JSON.

    Raises:
        IdempotencyConflict: the key was used in the last 24 hours with other arguments.
        UserNotFound: there is no such user.
    """
    fingerprint = hashlib.sha256(to_json(arguments)).digest()
    for _ in range(2):  # the second time the key of a concurrent call is there
        stored = IdempotencyKey.objects.filter(user_id=user_id, operation=operation, key=key).first()
        if stored and not _is_expired(stored):
            return _same_result(stored, fingerprint), True
        try:
            with transaction.atomic():
                if stored:
                    stored.delete()
                result = work()
                IdempotencyKey.objects.create(
                    user_id=user_id, operation=operation, key=key, fingerprint=fingerprint, result=result
                )
            return result, False
        except IntegrityError as error:
            if isinstance(error.__cause__, ForeignKeyViolation):  # at the commit: the user was erased since
                raise UserNotFound from None
            conflict = error
    raise conflict


def _expired() -> QuerySet[IdempotencyKey]:
    return IdempotencyKey.objects.filter(created_at__lte=timezone.now() - WINDOW)


EXPIRED_KEYS = Purge("idempotency keys", _expired, lambda ids: IdempotencyKey.objects.filter(pk__in=ids).delete())


def _is_expired(stored: IdempotencyKey) -> bool:
    return stored.created_at <= timezone.now() - WINDOW


def _same_result(stored: IdempotencyKey, fingerprint: bytes) -> dict[str, Any]:
    if bytes(stored.fingerprint) != fingerprint:
        raise IdempotencyConflict
    result: dict[str, Any] = stored.result
    return result
