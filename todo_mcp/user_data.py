"""A person's rights over all that is kept of them, across the apps: a copy, and to be forgotten."""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.db import transaction

from conversations.retention import erase_conversations, export_conversations
from tasks.retention import erase_tasks, export_tasks
from todo_mcp.auth.tokens import list_tokens
from todo_mcp.core.errors import UserNotFound
from todo_mcp.users.models import User


def export_user(*, user_id: str) -> dict[str, Any]:
    """Everything of a user, fit for JSON with Django's encoder; tokens without their values, which nobody has.

    Raises:
        UserNotFound: there is no such user.
    """
    fields = ("id", "name", "email", "is_active", "is_staff", "is_superuser", "created_at", "last_login")
    user = User.objects.filter(pk=user_id).values(*fields).first()
    if user is None:
        raise UserNotFound
    tokens = list_tokens(user_id=user_id).values("id", "application__name", "scope", "created", "expires")
    return {
        "user": user,
        **export_tasks(user_id=user_id),
        "conversations": export_conversations(user_id=user_id),
        "tokens": [{"name": token.pop("application__name"), **token} for token in tokens],
    }


@transaction.atomic
def delete_user(*, user_id: str) -> dict[str, int]:
    """Erase a user and everything of theirs, history included: all of it or, if anything fails, nothing.

    Returns how many tasks and conversations went.

    Raises:
        UserNotFound: there is no such user.
    """
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise UserNotFound
    erased = {"tasks": erase_tasks(user_id=user_id), "conversations": erase_conversations(user_id=user_id)}
    for sign_ins in (AccessAttempt, AccessFailureLog, AccessLog):
        sign_ins.objects.filter(username=user_id).delete()
    user.delete()  # and, by foreign key, tokens and what the admin recorded of them
    return erased
