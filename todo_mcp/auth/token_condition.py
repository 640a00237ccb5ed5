"""The condition that a token is still valid and its user still active. The operation's own statements check it."""

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from oauth2_provider.models import AccessToken

from todo_mcp.auth.remembered_tokens import RememberedToken
from todo_mcp.postgres.operation_run import Condition
from todo_mcp.postgres.statements import USER_ID, ConditionParameter
from todo_mcp.users.models import User


class TokenCondition(Condition):
    """The token is as this worker remembers it: not revoked, expired or changed. The call's user is active.

    The user's time zone is also the one that the worker remembers.
    """

    def __init__(self, checksum: str, token: RememberedToken, time_zone: str) -> None:
        values = {
            "id": token.principal.token_id,
            "checksum": checksum,
            "now": timezone.now(),
            "scope": token.scope,
            "resource": token.resource,
            "time_zone": time_zone,
        }
        super().__init__(_user_of_service if token.principal.user_id is None else _user_of_personal, values)


def _user_of_personal() -> QuerySet[Any, Any]:
    return _user(user=OuterRef("pk"))


def _user_of_service() -> QuerySet[Any, Any]:
    return _user(user=None)


def _user(**owner: Any) -> QuerySet[Any, Any]:
    """A query for the user whom the call names. No row if the token or the user is not as remembered."""
    token = AccessToken.objects.filter(
        pk=ConditionParameter("id"),
        token_checksum=ConditionParameter("checksum"),
        expires__gt=ConditionParameter("now"),
        scope=ConditionParameter("scope"),
        resource=ConditionParameter("resource"),
        **owner,
    )
    is_same = Exists(token)
    user = User.objects.filter(is_same, pk=USER_ID, is_active=True, time_zone=ConditionParameter("time_zone"))
    return user.values("pk")
