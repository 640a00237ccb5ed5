"""The cast of the sign-in tests, and a server for client documents."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from oauth2_provider import cimd

from tests.auth.conftest import browser as browser
from tests.auth.conftest import configure as configure
from tests.auth.conftest import nothing_failed as nothing_failed
from tests.auth.conftest import person as person
from tests.auth.oauth_client import OAuthClient, registered
from tests.security.documents import DocumentServer, certificates, document_server


@pytest.fixture
async def app(http: httpx2.AsyncClient) -> OAuthClient:
    """A public client that has registered itself."""
    return await registered(http)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of "localhost", by a CA that this process trusts."""
    trusted, certificate = certificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    return certificate


@pytest.fixture
def documents(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DocumentServer]:
    """A server on this computer, whose address counts as a public one; nothing else of a fetch is changed."""
    monkeypatch.setattr(cimd, "_ip_is_public", lambda ip: True)
    with document_server(certificate) as server:
        yield server
