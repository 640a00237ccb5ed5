"""Tokens that this server issues: opaque, revocable at once, stored as SHA-256 hashes in django-oauth-toolkit's tables.

A personal token belongs to a user. A service token belongs to no user; its application's name says which service.
"""

import hashlib
import secrets
import string
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken, set_token_value

from todo_mcp.auth.models import RevokedToken
from todo_mcp.auth.oauth.families import end_families
from todo_mcp.auth.revocation import Cause, is_usable, record_revocation
from todo_mcp.core.errors import UserNotFound
from todo_mcp.users.models import User

PREFIX = "todo_"  # lets people and secret scanners recognise a leaked token
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
ACT_AS = "tasks:act_as"
PERSONAL_NAME = "personal"
BATCH = 200  # tokens that one transaction revokes
TOKEN_MAX = 8 * 1024  # bytes; for every kind of token, JWTs too
_AROUND = string.whitespace + "\"'`,;:"  # what may stand around a value that somebody pastes


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


def token_by_value(value: str) -> int | None:
    """The id of the token with this value, also if it has expired or was revoked. None if it is unknown.

    The value of an app's refresh token finds its access token. Spaces, quotes and ``Authorization: Bearer`` around the
    value do not matter.
    """
    text = value.strip(_AROUND)
    for word in ("authorization", "bearer"):
        if text[: len(word)].lower() == word:
            text = text[len(word) :].strip(_AROUND)
    if not text or len(text) > TOKEN_MAX or not text.isascii():
        return None
    hashed = checksum(text)
    family = RefreshToken.objects.filter(token_checksum=hashed).values_list("token_family", flat=True).first()
    ways: list[tuple[Any, Q]] = [
        (AccessToken, Q(token_checksum=hashed)),
        (AccessToken, Q(refresh_token__token_checksum=hashed)),
        (RevokedToken, Q(token_checksum=hashed) | Q(refresh_checksum=hashed)),
    ]
    if family:  # the app has used this refresh token since
        ways += [(AccessToken, Q(refresh_token__token_family=family)), (RevokedToken, Q(token_family=family))]
    for model, condition in ways:
        token_id = model.objects.filter(condition).order_by("-pk").values_list("pk", flat=True).first()
        if token_id is not None:
            return int(token_id)
    return None


def list_tokens(
    *, user_id: str | None = None, service: str | None = None, application_id: int | None = None
) -> QuerySet[Any]:
    """All tokens that are valid or can be renewed, newest first: of one user, service or OAuth client, or all."""
    tokens: QuerySet[Any] = AccessToken.objects.select_related("application").filter(is_usable()).order_by("-id")
    if user_id is not None:
        tokens = tokens.filter(user_id=user_id)
    if service is not None:
        tokens = tokens.filter(user=None, application__name=service)
    if application_id is not None:
        tokens = tokens.filter(application_id=application_id)
    return tokens


def revoke_token(*, token_id: int, cause: Cause) -> bool:
    """Revoke a token and all tokens of its family, from the next call on. False if the id is unknown."""
    if not AccessToken.objects.filter(pk=token_id).exists():
        return False
    _revoke([token_id], cause)
    return True


def revoke_all(
    *, cause: Cause, user_id: str | None = None, service: str | None = None, application_id: int | None = None
) -> int:
    """Revoke all tokens of a user, a service or an OAuth client, and unused codes. Returns the number of tokens."""
    for column, owner in (("user_id", user_id), ("application_id", application_id)):
        if owner is not None:
            Grant.objects.filter(**{column: owner}).delete()
    tokens = list_tokens(user_id=user_id, service=service, application_id=application_id)
    ids = list(tokens.values_list("pk", flat=True))
    for start in range(0, len(ids), BATCH):
        _revoke(ids[start : start + BATCH], cause)
    return len(ids)


@transaction.atomic
def _revoke(token_ids: list[int], cause: Cause) -> None:
    """Revoke these tokens and all tokens of their families, in one transaction."""
    tokens = RefreshToken.objects.filter(access_token__in=token_ids)
    families = tokens.filter(token_family__isnull=False).values_list("token_family", flat=True)
    end_families(set(families), cause)
    rest = AccessToken.objects.filter(pk__in=token_ids)  # tokens without a family
    record_revocation(rest, cause)
    tokens.filter(revoked=None).update(revoked=timezone.now())
    rest.delete()


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
