"""Tokens that this server issues: opaque, revocable at once, stored as SHA-256 hashes in django-oauth-toolkit's tables.

A personal token belongs to a user. A service token belongs to no user; its application's name says which service.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken, revoke_access_token, set_token_value

from todo_mcp.auth.models import Successor
from todo_mcp.auth.oauth.families import end_family
from todo_mcp.core.errors import UserNotFound
from todo_mcp.users.models import User

PREFIX = "todo_"  # lets people and secret scanners recognise a leaked token
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
ACT_AS = "tasks:act_as"
PERSONAL_NAME = "personal"
TOKEN_MAX = 8 * 1024  # bytes; for every kind of token, JWTs too


def issue_token(
    *,
    user_id: str | None = None,
    service: str | None = None,
    scopes: Sequence[str] | None = None,
    expires_in: timedelta | None = None,
    name: str = "",
) -> str:
    """Issue a token for a user or for a service. Only this return value holds it; it cannot be read again.

    Args:
        scopes: by default reading and writing tasks and conversations, and for a service also ``tasks:act_as``.
        expires_in: by default never.
        name: the name of a personal token in lists, such as the name of a device.

    Raises:
        ValueError: not exactly one of user and service, an unknown scope, or ``tasks:act_as`` for a user.
        UserNotFound: the user does not exist.
    """
    if (user_id is None) == (service is None) or (service is not None and not service.strip()):
        raise ValueError("Name either a user or a service.")
    if user_id is not None and not User.objects.filter(pk=user_id).exists():
        raise UserNotFound(user_id)
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
    """A random value that cannot be guessed. The authorization server uses this function for its tokens too."""
    return PREFIX + secrets.token_urlsafe(32)


def find_token(token: str) -> AccessToken | None:
    """The record of a valid token. None if it is unknown, revoked or expired, or if its user is deactivated."""
    record = (
        AccessToken.objects.select_related("user", "application")
        .filter(token_checksum=checksum(token), expires__gt=timezone.now())
        .first()
    )
    return record if record and (record.user is None or record.user.is_active) else None


def is_usable() -> Q:
    """A filter for access tokens that are valid, and for the last ones that a client can still renew."""
    was_renewed = Exists(Successor.objects.filter(predecessor__access_token=OuterRef("pk")))
    renewable = Q(refresh_token__isnull=False, refresh_token__revoked=None) & Q(~was_renewed)
    return Q(expires__gt=timezone.now()) | renewable


def list_tokens(*, user_id: str | None = None, service: str | None = None) -> QuerySet[Any]:
    """All tokens that are valid or can be renewed, newest first. Optionally only those of one user or one service."""
    tokens: QuerySet[Any] = AccessToken.objects.select_related("application").filter(is_usable()).order_by("-id")
    if user_id is not None:
        tokens = tokens.filter(user_id=user_id)
    if service is not None:
        tokens = tokens.filter(user=None, application__name=service)
    return tokens


def revoke_token(*, token_id: int) -> bool:
    """Revoke a token and all tokens of its family, from the next call on. False if the id is unknown."""
    records = AccessToken.objects.filter(pk=token_id)
    if not records.exists():
        return False
    for family in list(RefreshToken.objects.filter(access_token=token_id).values_list("token_family", flat=True)):
        end_family(family)
    for record in records:  # a token without a family
        revoke_access_token(record)
    return True


def revoke_all(*, user_id: str | None = None, service: str | None = None) -> int:
    """Revoke all tokens of a user or of a service, and a user's unused codes. Returns the number of tokens."""
    if user_id is not None:
        Grant.objects.filter(user_id=user_id).delete()
    ids = list(list_tokens(user_id=user_id, service=service).values_list("pk", flat=True))
    return sum(revoke_token(token_id=token_id) for token_id in ids)


def checksum(token: str) -> str:
    """The hexadecimal SHA-256 under which django-oauth-toolkit stores and finds a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _application(user_id: str | None, name: str) -> Application:
    """The OAuth client record for a token from ``issue_token``. It has no redirect URI, so no flow can use it."""
    application = Application.objects.filter(
        user_id=user_id, name=name, redirect_uris="", registration_source="manual"
    ).first()
    return application or Application.objects.create(
        user_id=user_id,
        name=name,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
    )


def _checked_scopes(scopes: Sequence[str] | None, *, for_service: bool) -> list[str]:
    allowed = [scope for scope in settings.SCOPES if for_service or scope != ACT_AS]
    if scopes is None:
        return allowed
    if refused := [scope for scope in scopes if scope not in allowed] or (["(none)"] if not scopes else []):
        raise ValueError(f"Scope {', '.join(refused)} is not allowed here; choose from {', '.join(allowed)}.")
    return [scope for scope in allowed if scope in scopes]
