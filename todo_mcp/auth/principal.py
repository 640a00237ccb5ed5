"""Who is calling: one function turns a bearer token into a Principal, for MCP and HTTP alike."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, Subquery, Value
from django.utils import timezone
from oauth2_provider.models import AccessToken

from todo_mcp.auth.token_use import token_uses
from todo_mcp.auth.tokens import ACT_AS, checksum
from todo_mcp.core.errors import Forbidden, InvalidArguments, ScopeMissing, Unauthenticated, UserNotFound
from todo_mcp.users.models import User

TOKEN_MAX = 8 * 1024  # bytes
LOCAL = "manage.py"


@dataclass(frozen=True)
class Principal:
    """A caller whose token was good at the time of asking.

    ``token_id`` is None where no token was needed (``local_principal``). ``user_id`` is None for a service;
    ``target_active`` says of the user whom a service named whether that user is active, or is None where there is
    no such user.
    """

    token_id: int | None
    token_name: str
    user_id: str | None
    scopes: frozenset[str]
    target_active: bool | None = None

    def require(self, scope: str) -> None:
        """Raises ScopeMissing where the token does not carry the scope."""
        if scope not in self.scopes:
            raise ScopeMissing(scope)

    def acting_for(self, user_id: str | None) -> str:
        """The user whose data the call is about: the caller's own, or the one that a service names.

        Raises:
            Forbidden: another user's id with a personal token (whether or not that user exists), or a deactivated user.
            InvalidArguments, ScopeMissing, UserNotFound: what a service left out, may not do, or got wrong.
        """
        if self.user_id is not None:
            if user_id not in (None, "me", self.user_id):
                raise Forbidden("This token acts for its own user only. Leave user_id out, or send your own id.")
            return self.user_id
        self.require(ACT_AS)
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


def authenticate(token: str, *, target: str | None = None) -> Principal:
    """The principal behind a bearer token, in one statement; ``target`` is the user whom a service wants to act for.

    Raises:
        Unauthenticated: unknown, revoked or expired token, or a deactivated user; all alike.
    """
    if len(token) > TOKEN_MAX or not token.isascii():
        raise Unauthenticated
    named = User.objects.filter(pk=target).values("is_active") if target else None
    row: dict[str, Any] | None = (
        AccessToken.objects.filter(token_checksum=checksum(token), expires__gt=timezone.now())
        .annotate(target_active=Subquery(named) if named is not None else Value(None, BooleanField()))
        .values("id", "scope", "user_id", "user__is_active", "application__name", "target_active")
        .first()
    )
    if row is None or row["user__is_active"] is False:
        raise Unauthenticated
    token_uses.touch(row["id"])
    return Principal(
        token_id=row["id"],
        token_name=row["application__name"] or "",
        user_id=row["user_id"],
        scopes=frozenset(row["scope"].split()),
        target_active=row["target_active"],
    )
