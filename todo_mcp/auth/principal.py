"""Who is calling: one function turns a bearer token into a Principal, for MCP and HTTP alike."""

import threading
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone
from oauth2_provider.models import AccessToken

from todo_mcp.auth.jwt.tokens import looks_like_jwt, verify
from todo_mcp.auth.resource import is_audience
from todo_mcp.auth.tokens import ACT_AS, TOKEN_MAX, checksum
from todo_mcp.core.envelope import to_json
from todo_mcp.core.errors import Forbidden, InvalidArguments, ScopeMissing, Unauthenticated, UserNotFound
from todo_mcp.postgres.statements import USER, Guard, Parameter, select
from todo_mcp.statistics.token_use import token_uses
from todo_mcp.users.models import User
from todo_mcp.users.services import create_user

LOCAL = "manage.py"
REMEMBERED_MAX = 2_000  # tokens a worker remembers


@dataclass(frozen=True)
class Principal:
    """A caller whose token was good at the time of asking.

    ``token_id`` is None for a JWT, and where no token was needed (``local_principal``). ``user_id`` is None for a
    service; ``target_active`` says of the user whom a service named whether that user is active, or is None where
    there is no such user.
    """

    token_id: int | None
    token_name: str
    user_id: str | None
    scopes: frozenset[str]
    target_active: bool | None = None

    def require(self, scope: str) -> None:
        """Raises ScopeMissing where the token lacks the scope, or a service's that of acting for others."""
        needed = [scope] if self.user_id is not None else [scope, ACT_AS]
        if missing := [name for name in needed if name not in self.scopes]:
            raise ScopeMissing(missing[0], needed=" ".join(needed))

    def acting_for(self, user_id: str | None) -> str:
        """The user whose data the call is about: the caller's own, or the one that a service names.

        Raises:
            Forbidden: another user's id with a personal token (whether or not that user exists), or a deactivated user.
            InvalidArguments, UserNotFound: what a service left out, or got wrong.
        """
        if self.user_id is not None:
            if user_id not in (None, "me", self.user_id):
                raise Forbidden("This token acts for its own user only. Leave user_id out, or send your own id.")
            return self.user_id
        if user_id is None or user_id == "me":
            raise InvalidArguments({"user_id": "is required with a service token, which has no user of its own"})
        if self.target_active is None:
            raise UserNotFound
        if not self.target_active:
            raise Forbidden("This user is deactivated. An operator can activate the user again.")
        return user_id


def local_principal(user_id: str) -> Principal:
    """A user whom an operator speaks for at the command line, where no token is needed.

    Raises:
        UserNotFound: there is no such user.
    """
    if not User.objects.filter(pk=user_id).exists():
        raise UserNotFound
    return Principal(token_id=None, token_name=LOCAL, user_id=user_id, scopes=frozenset(settings.SCOPES))


def _living_token() -> QuerySet[Any, Any]:
    target = User.objects.filter(pk=Parameter("target")).values("is_active")
    living = AccessToken.objects.filter(token_checksum=Parameter("checksum"), expires__gt=Parameter("now"))
    found: QuerySet[Any, Any] = living.annotate(target_active=Subquery(target)).values_list(
        "id", "scope", "resource", "user_id", "user__is_active", "application__name", "target_active"
    )
    return found


_find_token = select(_living_token)


def authenticate(token: str, *, target: str | None = None) -> Principal:
    """The principal behind a bearer token, in one statement; ``target`` is the user whom a service wants to act for.

    Raises:
        Unauthenticated: unknown, revoked or expired token, one for another audience, or a deactivated user; all alike.
        KeysUnavailable: a JWT that cannot be checked now.
    """
    if len(token) > TOKEN_MAX or not token.isascii():
        raise Unauthenticated
    if looks_like_jwt(token):
        return _of_jwt(token, target)
    hashed = checksum(token)
    rows = _find_token(checksum=hashed, now=timezone.now(), target=target)
    if not rows:
        _remembered.pop(hashed, None)
        raise Unauthenticated
    token_id, scope, resource, user_id, is_active, name, target_active = rows[0]
    if is_active is False or not is_audience(resource):
        _remembered.pop(hashed, None)
        raise Unauthenticated
    token_uses.touch(token_id)
    principal = Principal(token_id, name or "", user_id, frozenset(scope.split()), target_active)
    _remember(hashed, _Remembered(principal, scope, to_json(resource).decode()))
    return principal


@dataclass(frozen=True)
class _Remembered:
    principal: Principal
    scope: str
    resource: str


_remembered: dict[str, _Remembered] = {}  # by checksum, the oldest first
_remembering = threading.Lock()


def _remember(hashed: str, found: _Remembered) -> None:
    with _remembering:
        _remembered.pop(hashed, None)
        _remembered[hashed] = found
        if len(_remembered) > REMEMBERED_MAX:
            del _remembered[next(iter(_remembered))]


def assume(token: str, *, target: str | None = None) -> tuple[Principal, Guard] | None:
    """The principal as it was when this worker last looked the token up, and the guard that holds while it is still so.

    Nothing is asked of the database, so nothing may be told or done but under the guard: it makes sure, in the
    operation's own statement, that the token has not been revoked, expired or changed, and that the user is active.
    None where the token is not remembered.
    """
    hashed = checksum(token) if token.isascii() else ""
    found = _remembered.get(hashed)
    if found is None:
        return None
    principal = found.principal
    guard = Guard(
        _service_of if principal.user_id is None else _user_of,
        token_id=principal.token_id,
        token_checksum=hashed,
        token_at=timezone.now(),
        token_scope=found.scope,
        token_resource=found.resource,
    )
    return replace(principal, target_active=True), guard


def note_use(principal: Principal) -> None:
    """An assumed principal has proved to be right."""
    if principal.token_id is not None:
        token_uses.touch(principal.token_id)


def _still(**whose: Any) -> QuerySet[Any, Any]:
    """The user of a call, if active and if the token is what it was."""
    token = AccessToken.objects.filter(
        pk=Parameter("token_id"),
        token_checksum=Parameter("token_checksum"),
        expires__gt=Parameter("token_at"),
        scope=Parameter("token_scope"),
        resource=Parameter("token_resource"),
        **whose,
    )
    return User.objects.filter(Exists(token), pk=Parameter(USER), is_active=True).values_list("pk")


_user_of = select(lambda: _still(user=OuterRef("pk")))
_service_of = select(lambda: _still(user=None))


def _of_jwt(token: str, target: str | None) -> Principal:
    claims = verify(token)
    if claims.is_service:
        active = _is_active(target) if target else None
        return Principal(None, claims.client, None, claims.scopes, target_active=active)
    active = _is_active(claims.subject)
    if active is None and claims.issuer.unknown_subjects == "create":
        active = _created(claims.subject)
    if not active:
        raise Unauthenticated
    return Principal(None, claims.client, claims.subject, claims.scopes)


def _is_active(user_id: str) -> bool | None:
    """None where there is no such user."""
    return User.objects.filter(pk=user_id).values_list("is_active", flat=True).first()


def _created(user_id: str) -> bool | None:
    try:
        return create_user(user_id=user_id).is_active
    except (ValidationError, IntegrityError):  # no id that we can store; or another call was first
        return _is_active(user_id)
