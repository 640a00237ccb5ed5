"""Who is calling: the principal of a token, and of an operator at the command line."""

from dataclasses import dataclass

from django.conf import settings

from todo_mcp.auth.tokens import ACT_AS
from todo_mcp.core.errors import Forbidden, InvalidArguments, ScopeMissing, UserNotFound
from todo_mcp.users.models import User

LOCAL = "manage.py"


@dataclass(frozen=True)
class Principal:
    """A caller whose token was valid when it was looked up.

    ``token_id`` is None for a JWT, and for ``local_principal``, which has no token. ``user_id`` is None for a service.
    ``target_active`` says whether the user that a service named is active; None if there is no such user.
    ``time_zone`` is the zone of the user whose data the call is about; empty if it is not known.
    """

    token_id: int | None
    token_name: str
    user_id: str | None
    scopes: frozenset[str]
    target_active: bool | None = None
    time_zone: str = ""

    def require(self, scope: str) -> None:
        """Check the scopes of the token. A service also needs ``tasks:act_as``.

        Raises:
            ScopeMissing: the token lacks one of them.
        """
        needed = [scope] if self.user_id is not None else [scope, ACT_AS]
        if missing := [name for name in needed if name not in self.scopes]:
            raise ScopeMissing(missing[0], needed=" ".join(needed))

    def require_service(self) -> None:
        """Check that the caller may read the rows of all users. ``require`` has checked its scopes.

        Raises:
            Forbidden: it is a person.
        """
        if self.user_id is not None:
            raise Forbidden("This needs a service token with the scope tasks:act_as, and this token is a person's.")

    def acting_for(self, user_id: str | None) -> str:
        """The user whose data the call is about: the caller, or the user that a service names.

        Raises:
            Forbidden: another user's id with a personal token (whether or not that user exists), or a deactivated user.
            InvalidArguments: a service named no user.
            UserNotFound: a service named a user who does not exist.
        """
        if self.user_id is not None:
            if user_id not in (None, "me", self.user_id):
                raise Forbidden("This token acts for its own user only. Leave user_id out, or send your own id.")
            return self.user_id
        if user_id is None or user_id == "me":
            raise InvalidArguments({"user_id": "is required with a service token, which has no user of its own"})
        if self.target_active is None:
            raise UserNotFound(user_id)
        if not self.target_active:
            raise Forbidden("This user is deactivated. An operator can activate the user again.")
        return user_id


def local_principal(user_id: str) -> Principal:
    """The principal of an operator who acts for a user at the command line, without a token.

    Raises:
        UserNotFound: there is no such user.
    """
    zone = User.objects.filter(pk=user_id).values_list("time_zone", flat=True).first()
    if zone is None:
        raise UserNotFound(user_id)
    scopes = frozenset(settings.SCOPES)
    return Principal(token_id=None, token_name=LOCAL, user_id=user_id, scopes=scopes, time_zone=zone)
