"""Run work once per idempotency key."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from todo_mcp.core.envelope import to_json
from todo_mcp.core.errors import (
    IdempotencyConflict,
    MessageNotFound,
    QuotaExceeded,
    RefConflict,
    UserNotFound,
    VersionConflict,
)
from todo_mcp.idempotency.models import IdempotencyKey
from todo_mcp.postgres.health.causes import violates_user_key
from todo_mcp.postgres.operation_run import Use, current_run, note_use
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.quotas.usage import may_write

WINDOW = timedelta(hours=24)


def run_once(
    *, user_id: str, operation: str, key: str, arguments: Any, work: Callable[[], dict[str, Any]]
) -> tuple[dict[str, Any], bool]:
    """Run the work, or return its earlier result under the same key. The boolean is True for an earlier result.

    The work and its key are one transaction. If several calls with one key run at once, only one of them does the work.
    If the work writes nothing, keeping its result counts as a write. Beyond the quotas, that result is not kept.

    Args:
        arguments: the JSON that two calls must have in common to count as the same call.
        work: returns the result as JSON.

    Raises:
        IdempotencyConflict: the key was used in the last 24 hours with other arguments.
        UserNotFound: there is no such user.
        QuotaExceeded, VersionConflict, MessageNotFound, RefConflict: the work raised it. There is no earlier result.
    """
    fingerprint, run = hashlib.sha256(to_json(arguments)).digest(), current_run()
    records = IdempotencyKey.objects.filter(user_id=user_id, operation=operation, key=key)
    record = records.first()
    if record and not _is_expired(record):
        return _first_result(record, fingerprint), True
    try:
        with transaction.atomic():
            if record:
                record.delete()
            result = work()
            if run and not run.use.writes:
                if not may_write(user_id):
                    return result, False
                note_use(writes=1)
            IdempotencyKey.objects.create(
                user_id=user_id, operation=operation, key=key, fingerprint=fingerprint, result=result
            )
        return result, False
    # A concurrent call with the key may have caused it: it kept its result, used a quota up, or changed what this one
    # expects.
    except (IntegrityError, QuotaExceeded, VersionConflict, MessageNotFound, RefConflict) as error:
        if run:
            run.use = Use()  # it was rolled back
        if violates_user_key(error):  # raised at the commit: the user was erased meanwhile
            raise UserNotFound(user_id) from None
        record = records.first()
        if record is None or _is_expired(record):
            raise
        return _first_result(record, fingerprint), True


def _expired_keys() -> QuerySet[IdempotencyKey]:
    return IdempotencyKey.objects.filter(created_at__lte=timezone.now() - WINDOW)


EXPIRED_KEYS = Purge("idempotency keys", _expired_keys, lambda ids: IdempotencyKey.objects.filter(pk__in=ids).delete())


def _is_expired(record: IdempotencyKey) -> bool:
    return record.created_at <= timezone.now() - WINDOW


def _first_result(record: IdempotencyKey, fingerprint: bytes) -> dict[str, Any]:
    if bytes(record.fingerprint) != fingerprint:
        raise IdempotencyConflict
    result: dict[str, Any] = record.result
    return result
