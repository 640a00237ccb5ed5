"""Alice with a password, her browser, and a client that has registered itself."""

import json
from typing import Any

import httpx2
import pytest
from django.core.cache import cache

from tests.auth.issuers import Configure, issuer
from tests.auth.oauth_client import PASSWORD, Browser, OAuthClient, registered
from tests.conftest import Orm
from todo_mcp.auth.jwt.issuers import parse_issuers
from todo_mcp.users.models import User


@pytest.fixture(autouse=True)
def nothing_failed() -> None:
    """Each test begins with no failed fetches on record."""
    cache.clear()


@pytest.fixture
async def person(http: httpx2.AsyncClient, orm: Orm) -> User:
    return await orm(lambda: User.objects.create_user("alice", PASSWORD, name="Alice", email="alice@example.com"))


@pytest.fixture
async def browser(http: httpx2.AsyncClient, person: User) -> Browser:
    """Alice's, signed in."""
    browser = Browser(http)
    response = await browser.sign_in("alice")
    assert response.status_code == 302, response.text
    return browser


@pytest.fixture
async def client(http: httpx2.AsyncClient) -> OAuthClient:
    return await registered(http)


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Makes the issuer, so changed, the only one."""

    def configure(**changed: Any) -> None:
        settings.JWT_ISSUERS = parse_issuers(json.dumps([issuer(**changed)]), list(settings.SCOPES))

    return configure
