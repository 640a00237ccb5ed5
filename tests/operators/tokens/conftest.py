"""Tokens and an OAuth client for the pages of operators."""

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken, Application, RefreshToken, set_token_value

from tests.support.operators import sign_in
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User


@pytest.fixture
def client(operator: User) -> Client:
    return sign_in(operator)


@pytest.fixture
def token(alice: User) -> AccessToken:
    """A token that an operator issued for alice."""
    issue_token(user_id="alice", name="phone")
    return AccessToken.objects.get(user="alice")


@pytest.fixture
def assistant() -> Application:
    """A client with a metadata document."""
    return Application.objects.create(
        name="Assistant",
        client_id="https://assistant.example.com/client.json",
        registration_source=Application.RegistrationSource.CIMD,
        redirect_uris="https://assistant.example.com/a https://assistant.example.com/b",
    )


def connect(application: Application, user: User, *, days_ago: int = 0) -> AccessToken:
    """The tokens of this client for this user, who consented so many days ago."""
    record = AccessToken(
        user=user, application=application, scope="tasks:read", expires=timezone.now() + timedelta(minutes=15)
    )
    set_token_value(record, uuid.uuid4().hex)
    record.save()
    refresh = RefreshToken(user=user, application=application, access_token=record, token_family=uuid.uuid4())
    set_token_value(refresh, uuid.uuid4().hex)
    refresh.save()
    RefreshToken.objects.filter(pk=refresh.pk).update(created=timezone.now() - timedelta(days=days_ago))
    return record
