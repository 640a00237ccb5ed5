"""Fixtures for sign-in and tokens: Alice's browser, a registered client, an issuer, and client documents."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.core.cache import cache
from oauth2_provider import cimd

from tests.support.application import Orm
from tests.support.auth.client_documents import DocumentServer, certificates, document_server
from tests.support.auth.issuers import Configure, issuer
from tests.support.auth.oauth_client import PASSWORD, Browser, OAuthClient, registered
from todo_mcp.auth.jwt.issuers import parse_issuers
from todo_mcp.telemetry import refused_tokens
from todo_mcp.telemetry.logs import Formatter
from todo_mcp.telemetry.refused_tokens import LimitedLog
from todo_mcp.users.models import User

RefusalLines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """Each test starts with no recorded failed fetches."""
    cache.clear()


@pytest.fixture
async def person(http: httpx2.AsyncClient, orm: Orm) -> User:
    return await orm(lambda: User.objects.create_user("alice", PASSWORD, name="Alice", email="alice@example.com"))


@pytest.fixture
async def browser(http: httpx2.AsyncClient, person: User) -> Browser:
    """Alice's browser, signed in."""
    browser = Browser(http)
    response = await browser.sign_in("alice")
    assert response.status_code == 302, response.text
    return browser


@pytest.fixture
async def app(http: httpx2.AsyncClient) -> OAuthClient:
    """A public client that has registered itself."""
    return await registered(http)


@pytest.fixture
def configure(settings: Any) -> Configure:
    """Make the test issuer, with these changes, the only one."""

    def configure(**changes: Any) -> None:
        settings.JWT_ISSUERS = parse_issuers(json.dumps([issuer(**changes)]), list(settings.SCOPES))

    return configure


@pytest.fixture
def refusal_lines(monkeypatch: pytest.MonkeyPatch) -> RefusalLines:
    """The log lines about refused credentials since the test began. The limit starts anew."""
    handler = _Lines()
    logger = logging.Logger(refused_tokens.__name__)  # of this test: the timer of another test's limit may still run
    logger.addHandler(handler)
    monkeypatch.setattr(refused_tokens, "_log", LimitedLog(logger))
    return lambda: [json.loads(line) for line in handler.lines]


class _Lines(logging.Handler):
    """Formats each record at once, because the request's id is known only then."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate for "localhost", from a CA that this process trusts."""
    ca_file, certificate = certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    return certificate


@pytest.fixture
def documents(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DocumentServer]:
    """A local server whose address counts as public. Nothing else of a fetch is changed."""
    monkeypatch.setattr(cimd, "_ip_is_public", lambda ip: True)
    with document_server(certificate) as server:
        yield server
