"""When tokens, sign-ins and what django-axes keeps of them have had their time."""

from datetime import timedelta
from typing import Any

from axes.helpers import get_cool_off
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from todo_mcp.postgres.purging import Purge

ATTEMPTS_KEPT = timedelta(days=1)  # once they lock nobody any more
LOGS_KEPT = timedelta(days=90)


def _expired_tokens() -> QuerySet[Any]:
    """Past their time, and not what a refresh token was last used for: that one still protects against its reuse."""
    renewing = RefreshToken.objects.filter(access_token=OuterRef("pk"))  # no join: one cannot be locked
    expired: QuerySet[Any] = AccessToken.objects.filter(~Exists(renewing), expires__lt=timezone.now())
    return expired


def _old_sessions() -> QuerySet[Session]:
    return Session.objects.filter(expire_date__lt=timezone.now())


def _old_attempts() -> QuerySet[Any]:
    cool_off = get_cool_off()
    assert cool_off is not None
    old: QuerySet[Any] = AccessAttempt.objects.filter(attempt_time__lt=timezone.now() - cool_off - ATTEMPTS_KEPT)
    return old


def _purge_log(name: str, model: Any) -> Purge:
    return Purge(
        name,
        lambda: model.objects.filter(attempt_time__lt=timezone.now() - LOGS_KEPT),
        lambda ids: model.objects.filter(pk__in=ids).delete(),
    )


EXPIRED_TOKENS = Purge("expired tokens", _expired_tokens, lambda ids: AccessToken.objects.filter(pk__in=ids).delete())
OLD_SESSIONS = Purge("ended sessions", _old_sessions, lambda ids: Session.objects.filter(pk__in=ids).delete())
OLD_ATTEMPTS = Purge("wrong passwords", _old_attempts, lambda ids: AccessAttempt.objects.filter(pk__in=ids).delete())
OLD_FAILURES = _purge_log("log entries of wrong passwords", AccessFailureLog)
OLD_SIGN_INS = _purge_log("log entries of sign-ins", AccessLog)
