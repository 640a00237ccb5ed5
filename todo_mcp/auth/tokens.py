"""Tokens that we issue: opaque, stored as a SHA-256 hash in django-oauth-toolkit's tables, revocable at once.

A personal token belongs to a user. A service token belongs to no user; its application's name says which service.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken, revoke_access_token, set_token_value

from todo_mcp.core.errors import UserNotFound
from todo_mcp.users.models import User

PREFIX = "todo_"  # lets people and secret scanners recognise a leaked token
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
ACT_AS = "tasks:act_as"
PERSONAL_NAME = "personal"
TOKEN_MAX = 8 * 1024  # bytes; of any token, a JWT too


def issue_token(
    *,
    user_id: str | None = None,
    service: str | None = None,
    scopes: Sequence[str] | None = None,
    expires_in: timedelta | None = None,
    name: str = "",
) -> str:
    """Make a token for a user, or for a service; it is shown here and never again.

    Args:
        scopes: by default reading and writing tasks and conversations, and for a service also ``tasks:act_as``.
        expires_in: by default never.
        name: what a personal token is called in lists, such as the device it is for.

    Raises:
        ValueError: neither or both of user and service, an unknown scope, or ``tasks:act_as`` for a user.
        UserNotFound: there is no such user.
    """
    if (user_id is None) == (service is None) or (service is not None and not service.strip()):
        raise ValueError("Name either a user or a service.")
    if user_id is not None and not User.objects.filter(pk=user_id).exists():
        raise UserNotFound
    token = new_token()
    record = AccessToken(
        user_id=user_id,
        application=_application(user_id, service or name or PERSONAL_NAME),
        scope=" ".join(_checked_scopes(scopes, for_service=service is not None)),
        expires=NEVER if expires_in is None else timezone.now() + expires_in,
    )
    set_token_value(record, token)
    record.save(force_insert=True)
    return token


def new_token(request: object = None) -> str:
    """A value that nobody can guess; the authorization server makes its tokens with it too."""
    return PREFIX + secrets.token_urlsafe(32)


def find_token(token: str) -> AccessToken | None:
    """The living record of a token, or None where it is unknown, revoked, expired or its user deactivated."""
    record = (
        AccessToken.objects.select_related("user", "application")
        .filter(token_checksum=checksum(token), expires__gt=timezone.now())
        .first()
    )
    return record if record and (record.user is None or record.user.is_active) else None


def is_usable() -> Q:
    """Of access tokens: those that may still be used, or that a client can renew."""
    return Q(expires__gt=timezone.now()) | Q(refresh_token__revoked=None, refresh_token__isnull=False)


def list_tokens(*, user_id: str | None = None, service: str | None = None) -> QuerySet[Any]:
    """The tokens that may still be used or renewed, newest first; of one user or one service where that is named."""
    tokens: QuerySet[Any] = AccessToken.objects.select_related("application").filter(is_usable()).order_by("-id")
    if user_id is not None:
        tokens = tokens.filter(user_id=user_id)
    if service is not None:
        tokens = tokens.filter(user=None, application__name=service)
    return tokens


def revoke_token(*, token_id: int) -> bool:
    """End a token, and the refresh token that could renew it: refused from the next call on. False if there is none."""
    record = AccessToken.objects.filter(pk=token_id).first()
    if record is None:
        return False
    families = list(RefreshToken.objects.filter(access_token=record).values_list("token_family", flat=True))
    revoke_access_token(record)
    for family in families:  # with what a race of two refreshes left beside it
        RefreshToken.revoke_family(family)
    return True


def revoke_all(*, user_id: str | None = None, service: str | None = None) -> int:
    """End every token of a user or of a service, and codes that could still become one; returns how many tokens."""
    if user_id is not None:
        Grant.objects.filter(user_id=user_id).delete()
    ids = list(list_tokens(user_id=user_id, service=service).values_list("pk", flat=True))
    return sum(revoke_token(token_id=token_id) for token_id in ids)


def checksum(token: str) -> str:
    """What the token is stored and looked up by: hexadecimal SHA-256, as django-oauth-toolkit computes it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _application(user_id: str | None, name: str) -> Application:
    """The OAuth client that a token of ours is filed under. It has no redirect URI, so no flow can use it."""
    found = Application.objects.filter(
        user_id=user_id, name=name, redirect_uris="", registration_source="manual"
    ).first()
    return found or Application.objects.create(
        user_id=user_id,
        name=name,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    )


def _checked_scopes(scopes: Sequence[str] | None, *, for_service: bool) -> list[str]:
    allowed = [scope for scope in settings.SCOPES if for_service or scope != ACT_AS]
    if scopes is None:
        return allowed
    if wrong := [scope for scope in scopes if scope not in allowed] or (["(none)"] if not scopes else []):
        raise ValueError(f"Scope {', '.join(wrong)} is not allowed here; choose from {', '.join(allowed)}.")
    return [scope for scope in allowed if scope in scopes]
