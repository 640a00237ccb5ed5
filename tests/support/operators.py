"""Operators of the admin, and the paths of its lists."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import Permission
from django.test import Client

from tests.support.factories import UserFactory
from todo_mcp.users.models import User

LISTS = {
    "tasks": "/admin/tasks/task/",
    "conversations": "/admin/conversations/conversation/",
    "users": "/admin/users/user/",
    "tokens": "/admin/oauth2_provider/accesstoken/",
}

ACTIVITY = "/admin/tasks/taskevent/"


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def staff_with(*permissions: str) -> Client:
    """The client of an operator who has only these permissions."""
    user = UserFactory.create(id="dave", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return sign_in(user)


def act(client: Client, name: str, action: str, *keys: Any, confirmed: bool = False, **more: str) -> Any:
    """Send an action on rows as the list's form does, or, if ``confirmed``, as the page does that asks."""
    if confirmed:
        return client.post(question(name, action, *keys), more)
    data = {"action": action, "_selected_action": [str(key) for key in keys], "index": "0", **more}
    return client.post(LISTS[name], data)


def question(name: str, action: str, *keys: Any, **more: str) -> str:
    """The address of the page that asks whether to act on these rows."""
    return f"{LISTS[name]}confirm/?{urlencode({'action': action, 'row': keys, **more}, doseq=True)}"
