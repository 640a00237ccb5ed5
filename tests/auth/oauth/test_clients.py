"""Clients with metadata documents: the common ones connect, and no address leads into our own network."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
import urllib3
from django.core.management import call_command
from django.db.models import F
from oauth2_provider import cimd
from oauth2_provider.cimd import CIMDError
from oauth2_provider.models import AccessToken, Application, RefreshToken

from tests.support.application import Orm
from tests.support.auth.id_jags import CompanyClient
from tests.support.auth.issuers import Configure, key_server
from tests.support.auth.oauth_client import Browser, OAuthClient, answered, connected, register, registered
from tests.support.caller import Caller
from todo_mcp.auth.oauth import clients
from todo_mcp.auth.tokens import issue_token

pytestmark = pytest.mark.anyio

DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
DOCUMENTS: dict[str, dict[str, Any]] = {
    "Claude.ai": {
        "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
        "redirect_uris": ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
        "grant_types": ["authorization_code", "refresh_token", JWT_BEARER],
        "token_endpoint_auth_method": "none",
    },
    "Claude Code": {
        "client_id": "https://claude.ai/oauth/claude-code-client-metadata",
        "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    },
    "ChatGPT": {
        "client_id": "https://chatgpt.com/oauth/client.json",
        "redirect_uris": ["https://chatgpt.com/connector/oauth/abc"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
    },
    "VS Code": {
        "client_id": "https://vscode.dev/oauth/client-metadata.json",
        "redirect_uris": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
        "grant_types": ["authorization_code", "refresh_token", DEVICE],
        "token_endpoint_auth_method": "none",
    },
    "Cursor": {
        "client_id": "https://cursor.com/oauth/client.json",
        "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    },
}


@pytest.fixture
def served_documents(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """The documents at the clients' addresses. Only the network is replaced."""
    documents = {document["client_id"]: {"client_name": name, **document} for name, document in DOCUMENTS.items()}
    monkeypatch.setattr(clients.MetadataFetcher, "_fetch", lambda self, client_id, end: (documents[client_id], 300))
    return documents


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_common_client_connects_with_its_document(
    browser: Browser, http: httpx2.AsyncClient, served_documents: dict[str, Any], name: str
) -> None:
    document = DOCUMENTS[name]
    for redirect_uri in document["redirect_uris"]:
        client = OAuthClient(http, document["client_id"], redirect_uri)
        page = await browser.get("/oauth/authorize", params=client.question())
        assert httpx2.URL(document["client_id"]).host in page.text and f"<bdi>{name}</bdi>" in page.text
        tokens = await connected(browser, client)
        assert (await Caller(http, tokens["access_token"]).post("list_tasks")).status_code == 200
        assert (await client.refresh(tokens["refresh_token"])).status_code == 200


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_common_client_signs_in_through_a_company_if_its_document_is_named(
    browser: Browser, http: httpx2.AsyncClient, served_documents: dict[str, Any], configure: Configure, name: str
) -> None:
    document = DOCUMENTS[name]
    client = CompanyClient(http, document["client_id"], "")
    configure(id_jag_clients=["*"])
    assert "the rule jwt_client." in (await client.exchange()).json()["error_description"]
    configure(id_jag_clients=["*", document["client_id"]])
    assert (await Caller(http, await client.token()).post("list_tasks")).status_code == 200
    consented = await connected(browser, OAuthClient(http, document["client_id"], document["redirect_uris"][0]))
    assert (await Caller(http, consented["access_token"]).post("list_tasks")).status_code == 200


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_common_client_can_register(browser: Browser, http: httpx2.AsyncClient, name: str) -> None:
    metadata = {key: value for key, value in DOCUMENTS[name].items() if key != "client_id"}
    client = await registered(http, client_name=name, **metadata)
    assert (await connected(browser, client))["refresh_token"]


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "https://other.example/client"},
        {"redirect_uris": []},
        {"redirect_uris": ["http://evil.example/cb"]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": ["implicit"]},
        {"client_secret": "x"},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"client_name": 7},
    ],
    ids=str,
)
async def test_an_unsupported_document_creates_no_client(
    browser: Browser, http: httpx2.AsyncClient, served_documents: dict[str, Any], orm: Orm, changed: dict[str, Any]
) -> None:
    address = DOCUMENTS["Claude.ai"]["client_id"]
    served_documents[address] = {**served_documents[address], **changed}
    client = OAuthClient(http, address, "https://claude.ai/api/mcp/auth_callback")
    assert (await browser.get("/oauth/authorize", params=client.question())).status_code == 400
    assert await orm(Application.objects.count) == 0


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A local port that no client may reach through the server."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1:{port}/x",
        "https://localhost:{port}/x",
        "https://127.1:{port}/x",
        "https://2130706433:{port}/x",
        "https://0x7f000001:{port}/x",
        "https://0.0.0.0:{port}/x",
        "https://[::1]:{port}/x",
        "https://[::ffff:127.0.0.1]:{port}/x",
        "https://[64:ff9b::7f00:1]:{port}/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://192.168.0.1/x",
        "https://[fd00::1]/x",
        "https://user@127.0.0.1:{port}/x",
        "https://claude.ai@127.0.0.1:{port}/x",
        "https://127.0.0.1:{port}/a/../x",
        "https://127.0.0.1:{port}/x#y",
        "https://127.0.0.1:{port}",
        "https://127.0.0.1:99999/x",
        "HTTPS://127.0.0.1:{port}/x",
        "http://127.0.0.1:{port}/x",
        "file:///etc/passwd",
        "https://",
        "https://x\0y/z",
    ],
)
async def test_no_client_document_is_fetched_from_inside_our_network(
    browser: Browser, http: httpx2.AsyncClient, trap: socket.socket, orm: Orm, address: str
) -> None:
    client = OAuthClient(http, address.format(port=trap.getsockname()[1]))
    page = await browser.get("/oauth/authorize", params=client.question())
    assert page.status_code == 400 and "location" not in page.headers
    assert (await client.exchange("x")).status_code in (400, 401)
    with pytest.raises(BlockingIOError):
        trap.accept()
    assert await orm(Application.objects.count) == 0


def test_a_document_that_arrives_byte_by_byte_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "FETCH_SECONDS", 0.3)
    with key_server() as server:
        server.slow = True
        response = urllib3.request("GET", server.url, preload_content=False, timeout=3.0)
        with pytest.raises(CIMDError, match="in time"):
            clients.MetadataFetcher()._read_document(response)
        response.close()


def test_a_slow_name_lookup_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "FETCH_SECONDS", 0.1)
    lookup_may_end = threading.Event()
    monkeypatch.setattr(cimd, "_resolve_and_validate", lambda host, port: lookup_may_end.wait(5))
    with pytest.raises(CIMDError, match="in time"):
        clients.MetadataFetcher().fetch("https://slow.example/x")
    lookup_may_end.set()


async def test_only_entitled_callers_can_introspect_a_token(
    browser: Browser, http: httpx2.AsyncClient, orm: Orm, app: OAuthClient
) -> None:
    token = (await connected(browser, app))["access_token"]
    service = await orm(lambda: issue_token(service="chat"))
    request = {"data": {"token": token}}
    introspection = await http.post("/oauth/introspect", headers={"Authorization": f"Bearer {service}"}, **request)  # type: ignore[arg-type]
    assert (
        introspection.json()["active"]
        and introspection.json()["sub"] == "alice"
        and introspection.json()["client_id"] == app.client_id
    )
    unknown = await http.post(
        "/oauth/introspect", headers={"Authorization": f"Bearer {service}"}, data={"token": "todo_x"}
    )
    assert unknown.json() == {"active": False}
    other = (await register(http, token_endpoint_auth_method="client_secret_basic")).json()
    foreign = await http.post("/oauth/introspect", auth=(other["client_id"], other["client_secret"]), **request)  # type: ignore[arg-type]
    assert foreign.json() == {"active": False}
    for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Authorization": "Basic eDp5"}):
        assert (await http.post("/oauth/introspect", headers=headers, **request)).status_code == 401  # type: ignore[arg-type]


async def test_a_client_with_a_secret_can_introspect_its_own_token(browser: Browser, http: httpx2.AsyncClient) -> None:
    registration = (await register(http, token_endpoint_auth_method="client_secret_post")).json()
    secret = {"client_secret": registration["client_secret"]}
    client = OAuthClient(http, registration["client_id"], registration["redirect_uris"][0])
    code = answered(await browser.consent(client.question()))["code"]
    assert (await client.exchange(code, client_secret="wrong")).status_code == 401
    token = (await client.exchange(code, **secret)).json()["access_token"]
    form = {"token": token, "client_id": client.client_id, **secret}
    assert (await http.post("/oauth/introspect", data=form)).json()["active"]


async def test_purge_removes_unused_clients(browser: Browser, http: httpx2.AsyncClient, orm: Orm) -> None:
    used_client, unused_client = await registered(http), await registered(http)
    await connected(browser, used_client)

    def purge_after(days: int) -> set[str]:
        Application.objects.update(updated=F("updated") - timedelta(days=days))
        RefreshToken.objects.update(revoked=F("revoked") - timedelta(days=days))
        AccessToken.objects.update(expires=F("expires") - timedelta(days=days))
        call_command("purge")
        return set(Application.objects.values_list("client_id", flat=True))

    assert await orm(lambda: purge_after(29)) == {used_client.client_id, unused_client.client_id}
    assert await orm(lambda: purge_after(2)) == {used_client.client_id}
    await orm(lambda: purge_after(90))
    assert await orm(lambda: purge_after(31)) == set()
    assert await orm(AccessToken.objects.count) == 0
