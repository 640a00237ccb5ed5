"""What ``purge`` removes of sign-in: expired tokens, ended sessions, and the records of django-axes."""

from datetime import timedelta
from typing import Any

from axes.helpers import get_cool_off
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from todo_mcp.postgres.upkeep.purging import Purge

ATTEMPTS_RETENTION = timedelta(days=1)  # after the lock has ended
LOGS_RETENTION = timedelta(days=90)


def _expired_tokens() -> QuerySet[Any]:
    """Expired access tokens without a live refresh token. The others say how long their refresh token lives."""
    # A subquery: rows of an outer join cannot be locked.
    refresh_tokens = RefreshToken.objects.filter(access_token=OuterRef("pk"), revoked=None)
    tokens: QuerySet[Any] = AccessToken.objects.filter(~Exists(refresh_tokens), expires__lt=timezone.now())
    return tokens


def _old_sessions() -> QuerySet[Session]:
    return Session.objects.filter(expire_date__lt=timezone.now())


def _old_attempts() -> QuerySet[Any]:
    cool_off = get_cool_off()
    assert cool_off is not None
    rows: QuerySet[Any] = AccessAttempt.objects.filter(attempt_time__lt=timezone.now() - cool_off - ATTEMPTS_RETENTION)
    return rows


def _purge_log(name: str, model: Any) -> Purge:
    return Purge(
        name,
        lambda: model.objects.filter(attempt_time__lt=timezone.now() - LOGS_RETENTION),
        lambda ids: model.objects.filter(pk__in=ids).delete(),
    )


EXPIRED_TOKENS = Purge(
    "expired tokens",
    _expired_tokens,
    lambda ids: AccessToken.objects.filter(pk__in=ids).delete(),
    with_rows_of=("token_uses",),
)
OLD_SESSIONS = Purge("ended sessions", _old_sessions, lambda ids: Session.objects.filter(pk__in=ids).delete())
OLD_ATTEMPTS = Purge(
    "wrong passwords",
    _old_attempts,
    lambda ids: AccessAttempt.objects.filter(pk__in=ids).delete(),
    with_rows_of=("axes_accessattemptexpiration",),
)
OLD_FAILURES = _purge_log("log entries of wrong passwords", AccessFailureLog)
OLD_SIGN_INS = _purge_log("log entries of sign-ins", AccessLog)
