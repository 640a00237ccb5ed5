"""Alice with a password, her browser, and a client that has registered itself."""

from collections.abc import Iterator

import httpx2
import pytest
from django.core.cache import cache

from tests.auth.oauth_client import PASSWORD, Browser, OAuthClient, registered
from tests.conftest import Orm
from todo_mcp.auth import rate_limit
from todo_mcp.users.models import User


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    """Each test begins with no attempts and no failed fetches on record."""
    rate_limit._limiter.storage.reset()
    cache.clear()
    yield


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
