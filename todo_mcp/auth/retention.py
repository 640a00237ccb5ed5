"""When tokens and sign-ins of the admin have had their time."""

from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from todo_mcp.purging import Purge


def _expired_tokens() -> QuerySet[Any]:
    """Past their time, and not what a refresh token was last used for: that one still protects against its reuse."""
    renewing = RefreshToken.objects.filter(access_token=OuterRef("pk"))  # no join: one cannot be locked
    expired: QuerySet[Any] = AccessToken.objects.filter(~Exists(renewing), expires__lt=timezone.now())
    return expired


def _old_sessions() -> QuerySet[Session]:
    return Session.objects.filter(expire_date__lt=timezone.now())


EXPIRED_TOKENS = Purge("expired tokens", _expired_tokens, lambda ids: AccessToken.objects.filter(pk__in=ids).delete())
OLD_SESSIONS = Purge("ended sessions", _old_sessions, lambda ids: Session.objects.filter(pk__in=ids).delete())
