"""Who is calling: one function turns a bearer token into a Principal, for MCP and HTTP alike."""

from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet, Subquery
from django.utils import timezone
from oauth2_provider.models import AccessToken

from todo_mcp.auth.jwt.decoding import looks_like_jwt
from todo_mcp.auth.jwt.issuers import JwtIssuer
from todo_mcp.auth.jwt.tokens import verify
from todo_mcp.auth.principal import Principal
from todo_mcp.auth.remembered_tokens import RememberedToken, remembered_tokens, remembered_zones
from todo_mcp.auth.resource import is_audience
from todo_mcp.auth.token_condition import TokenCondition
from todo_mcp.auth.tokens import TOKEN_MAX, checksum
from todo_mcp.core.envelope import to_json
from todo_mcp.core.errors import Unauthenticated
from todo_mcp.core.token_rules import TokenRule
from todo_mcp.postgres.statements import Parameter, select
from todo_mcp.statistics.token_use import token_uses
from todo_mcp.users.models import User
from todo_mcp.users.services import adopt_time_zone, create_user


def _tokens_by_checksum(user: object) -> QuerySet[Any, Any]:
    target = User.objects.filter(pk=Parameter("target"))
    tokens = AccessToken.objects.filter(token_checksum=Parameter("checksum"))
    rows: QuerySet[Any, Any] = tokens.annotate(
        target_active=Subquery(target.values("is_active")), target_zone=Subquery(target.values("time_zone"))
    ).values_list(
        "id", "scope", "resource", "expires", "user_id", "user__is_active", "application__name", "target_active",
        "user__time_zone", "target_zone",
    )  # fmt: skip
    return rows


_find_token = select(_tokens_by_checksum)


def authenticate(token: str, *, target: str | None = None) -> Principal:
    """The principal behind a bearer token, in one statement; ``target`` is the user whom a service wants to act for.

    Raises:
        Unauthenticated: the token is unknown, revoked, expired or for another audience, or its user is deactivated.
            The error says which only to the log.
        KeysUnavailable: the token is a JWT and cannot be checked now.
    """
    if len(token) > TOKEN_MAX or not token.isascii():
        raise Unauthenticated(TokenRule.MALFORMED)
    if looks_like_jwt(token):
        return _of_jwt(token, target)
    hashed = checksum(token)
    rows = _find_token(checksum=hashed, target=target)
    if rule := _broken_rule(rows):
        remembered_tokens.forget(hashed)
        raise Unauthenticated(rule)
    token_id, scope, resource, _expires, user_id, _is_active, name, target_active, own_zone, target_zone = rows[0]
    token_uses.touch(token_id)
    time_zone = (own_zone if user_id else target_zone) or ""
    principal = Principal(token_id, name or "", user_id, frozenset(scope.split()), target_active, time_zone)
    if target and target_active and user_id is None:
        remembered_zones.add(target, time_zone)
    remembered_tokens.add(hashed, RememberedToken(principal, scope, to_json(resource).decode()))
    return principal


def _broken_rule(rows: list[tuple[Any, ...]]) -> TokenRule | None:
    """The first rule that the record of a token breaks. A revoked token has no record, like an unknown one."""
    if not rows:
        return TokenRule.UNKNOWN
    _id, _scope, resource, expires, _user_id, is_active, *_ = rows[0]
    if expires <= timezone.now():
        return TokenRule.EXPIRED
    if is_active is False:
        return TokenRule.USER_DEACTIVATED
    return None if is_audience(resource) else TokenRule.AUDIENCE


def recall_principal(token: str, *, target: str | None = None) -> tuple[Principal, TokenCondition] | None:
    """The principal of a token that this worker remembers, and the condition under which the token is still valid.

    None if the worker does not remember the token, or the time zone of the user whom a service names. This does not
    query the database. So every statement of the call must carry the condition until it is met. The principal says
    that the user whom a service names is active; the condition checks that too.
    """
    hashed = checksum(token) if token.isascii() else ""
    remembered = remembered_tokens.get(hashed)
    if remembered is None:
        return None
    is_service = remembered.principal.user_id is None
    time_zone = remembered_zones.get(target or "") if is_service else remembered.principal.time_zone
    if time_zone is None:
        return None
    principal = replace(remembered.principal, target_active=True, time_zone=time_zone)
    return principal, TokenCondition(hashed, remembered, time_zone)


def remembered_principal(token: str) -> Principal | None:
    """The principal of a token that this worker remembers. It may have ended meanwhile, so this admits nobody."""
    remembered = remembered_tokens.get(checksum(token)) if token.isascii() else None
    return remembered.principal if remembered else None


def note_use(principal: Principal) -> None:
    """Record the use of a remembered token, after a statement has shown that it is valid."""
    if principal.token_id is not None:
        token_uses.touch(principal.token_id)


def _of_jwt(token: str, target: str | None) -> Principal:
    claims = verify(token)
    if claims.is_service:
        active, zone = _find_user(target) if target else (None, "")
        return Principal(None, claims.client, None, claims.scopes, target_active=active, time_zone=zone)
    zone = admit(claims.subject, claims.issuer, claims.time_zone)
    return Principal(None, claims.client, claims.subject, claims.scopes, time_zone=zone)


def admit(subject: str, issuer: JwtIssuer, time_zone: str) -> str:
    """Check that the person whom an issuer names is an active user; create the user if the issuer may do so.

    Returns the user's time zone. The issuer's ``time_zone`` is stored if the user has none.

    Raises:
        Unauthenticated: the user is unknown or deactivated.
    """
    active, zone = _find_user(subject)
    if active is None and issuer.unknown_subjects == "create":
        active, zone = _create_user(subject)
    if not active:
        rule = TokenRule.USER_UNKNOWN if active is None else TokenRule.USER_DEACTIVATED
        raise Unauthenticated(rule, issuer=issuer.issuer)
    if time_zone and not zone:
        zone = adopt_time_zone(user_id=subject, time_zone=time_zone)
    return zone


def _find_user(user_id: str) -> tuple[bool | None, str]:
    """Whether the user is active (None if there is no such user), and the user's time zone."""
    return User.objects.filter(pk=user_id).values_list("is_active", "time_zone").first() or (None, "")


def _create_user(user_id: str) -> tuple[bool | None, str]:
    try:
        return create_user(user_id=user_id).is_active, ""
    except (ValidationError, IntegrityError):  # the id cannot be stored, or another call created the user first
        return _find_user(user_id)
