"""Operators of the admin and where its lists are."""

from django.contrib.auth.models import Permission
from django.test import Client

from tests.factories import UserFactory
from todo_mcp.users.models import User

LISTS = {
    "tasks": "/admin/tasks/task/",
    "conversations": "/admin/conversations/conversation/",
    "users": "/admin/users/user/",
    "tokens": "/admin/oauth2_provider/accesstoken/",
}


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def staff_with(*permissions: str) -> Client:
    """An operator who is no superuser and may do this much."""
    user = UserFactory.create(id="dave", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return sign_in(user)
