"""What ``purge`` removes of OAuth: unused self-registered clients, old codes, ended refresh tokens."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken

from todo_mcp.auth.models import UsedAssertion, UsedCode
from todo_mcp.postgres.upkeep.purging import Purge

UNUSED_DAYS = 30  # without a token, a code or a change of the registration
REPLAY_DAYS = 7  # how long reuse of a code or refresh token revokes its family; later the value is just unknown


def _unused_clients() -> QuerySet[Any]:
    """Only self-registered clients: those that an operator made stay."""
    in_use = [Exists(model.objects.filter(application=OuterRef("pk"))) for model in (AccessToken, RefreshToken, Grant)]
    clients: QuerySet[Any] = Application.objects.exclude(
        registration_source=Application.RegistrationSource.MANUAL
    ).filter(updated__lt=timezone.now() - timedelta(days=UNUSED_DAYS))
    return clients.exclude(in_use[0] | in_use[1] | in_use[2])


def _ended_refresh_tokens() -> QuerySet[Any]:
    now = timezone.now()
    lifetime = timedelta(seconds=settings.OAUTH2_PROVIDER["REFRESH_TOKEN_EXPIRE_SECONDS"])
    old = Q(revoked__lt=now - timedelta(days=REPLAY_DAYS))
    lapsed = Q(revoked=None, access_token__expires__lt=now - lifetime)
    orphaned = Q(revoked=None, access_token=None, created__lt=now - lifetime)
    ended = RefreshToken.objects.filter(old | lapsed | orphaned)
    tokens: QuerySet[Any] = RefreshToken.objects.filter(pk__in=ended.values("pk"))
    return tokens


def _old_codes() -> QuerySet[Any]:
    codes: QuerySet[Any] = Grant.objects.filter(expires__lt=timezone.now() - timedelta(days=1))
    return codes


def _used_codes() -> QuerySet[UsedCode]:
    return UsedCode.objects.filter(used_at__lt=timezone.now() - timedelta(days=REPLAY_DAYS))


def _used_assertions() -> QuerySet[UsedAssertion]:
    return UsedAssertion.objects.filter(kept_until__lt=timezone.now())


# In this order: a client is unused once its tokens are gone.
OLD_CODES = Purge("authorization codes", _old_codes, lambda ids: Grant.objects.filter(pk__in=ids).delete())
USED_CODES = Purge("used codes", _used_codes, lambda ids: UsedCode.objects.filter(pk__in=ids).delete())
USED_ASSERTIONS = Purge(
    "used identity assertions", _used_assertions, lambda ids: UsedAssertion.objects.filter(pk__in=ids).delete()
)
ENDED_REFRESH_TOKENS = Purge(
    "ended refresh tokens",
    _ended_refresh_tokens,
    lambda ids: RefreshToken.objects.filter(pk__in=ids).delete(),
    with_rows_of=("refresh_token_successors",),
)
UNUSED_CLIENTS = Purge("unused clients", _unused_clients, lambda ids: Application.objects.filter(pk__in=ids).delete())
