"""The official SDK's client signs in through a company's identity provider, without a consent page."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from mcp.client import Client
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.test_oauth import TOOLS, Storage
from tests.support.auth.identity_provider import EXCHANGE, ID_JAG, ID_TOKEN, IdentityProvider, identity_provider
from tests.support.mcp_messages import HANDSHAKE, MODERN
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio

AT_PROVIDER = "assistant-at-the-provider"


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def base(database: Database, provider: IdentityProvider, tmp_path: Path) -> Iterator[str]:
    """A server of two workers that takes the provider's assertions and creates unknown people."""
    issuer = {"issuer": provider.url, "family": "RS", "jwks_url": f"{provider.url}/keys"}
    issuer |= {"unknown_subjects": "create"}
    issuers = json.dumps([{**issuer, "id_jag_clients": ["*"]}])
    server = ServerProcess(database, tmp_path / "log", workers=2, JWT_ISSUERS=issuers)
    provider.audience = server.url.replace("127.0.0.1", "localhost")
    yield provider.audience
    server.close()


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
@pytest.mark.parametrize("mode", [HANDSHAKE[-1], MODERN])
async def test_the_sdk_signs_a_person_in_and_renews_until_the_provider_refuses(
    base: str, provider: IdentityProvider, mode: str, method: str
) -> None:
    metadata = httpx2.get(f"{base}/.well-known/oauth-authorization-server").json()
    assert metadata["authorization_grant_profiles_supported"] == ["urn:ietf:params:oauth:grant-profile:id-jag"]
    registration = {"grant_types": metadata["grant_types_supported"][-1:], "client_name": "Assistant"}
    client = httpx2.post(metadata["registration_endpoint"], json=registration).json()
    provider.clients[AT_PROVIDER] = client["client_id"]
    person = f"{mode} {method}"  # unknown to the server
    provider.people.add(person)
    id_token = provider.sign_in(person, AT_PROVIDER)

    async def id_jag(audience: str, resource: str) -> str:
        form = {"grant_type": EXCHANGE, "requested_token_type": ID_JAG, "subject_token_type": ID_TOKEN}
        form |= {"audience": audience, "resource": resource, "subject_token": id_token, "client_id": AT_PROVIDER}
        async with httpx2.AsyncClient() as http:
            answer = await http.post(f"{provider.url}/token", data=form)
        answer.raise_for_status()
        return str(answer.json()["access_token"])

    storage = Storage()
    auth = IdentityAssertionOAuthProvider(
        server_url=f"{base}/mcp",
        storage=storage,
        client_id=client["client_id"],
        client_secret=client["client_secret"],
        issuer=base,
        assertion_provider=id_jag,
        scope="tasks:read tasks:write",
        token_endpoint_auth_method="client_secret_basic" if method == "client_secret_basic" else "client_secret_post",
    )
    async with (
        httpx2.AsyncClient(auth=auth, timeout=60) as http,
        Client(
            streamable_http_client(f"{base}/mcp", http_client=http), mode="auto" if mode == MODERN else "legacy"
        ) as session,
    ):
        assert [tool.name for tool in (await session.list_tools()).tools] == TOOLS
        added = await session.call_tool("add_task", {"title": "From the company"})
        assert (added.structured_content or {})["status"] == "success"
        assert provider.issued == 1 and storage.tokens and storage.tokens.refresh_token is None
        assert storage.tokens.scope == "tasks:read tasks:write" and storage.tokens.expires_in == 900
        first, auth._expiry = storage.tokens, 1.0  # the client thinks that its token has expired
        assert ((await session.call_tool("list_tasks", {})).structured_content or {})["data"]["total"] == 1
        assert provider.issued == 2 and storage.tokens.access_token != first.access_token
    provider.people.clear()  # the person is switched off
    auth._expiry = 1.0
    async with httpx2.AsyncClient(auth=auth, timeout=60) as http:
        with pytest.raises(httpx2.HTTPStatusError, match=f"400 Bad Request.*{provider.url}"):
            await http.post(f"{base}/api/tools/list_tasks", json={})
    assert provider.issued == 2


async def test_an_assertion_works_once_whichever_worker_gets_it(base: str, provider: IdentityProvider) -> None:
    registration = {"grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"]}
    client = httpx2.post(f"{base}/oauth/register", json=registration).json()
    provider.clients[AT_PROVIDER], provider.people = client["client_id"], {"another-person"}
    form = {"grant_type": EXCHANGE, "requested_token_type": ID_JAG, "subject_token_type": ID_TOKEN}
    form |= {"audience": base, "resource": f"{base}/mcp", "client_id": AT_PROVIDER}
    form |= {"subject_token": provider.sign_in("another-person", AT_PROVIDER)}
    assertion = provider.exchange(form)[1]["access_token"]
    request = {"grant_type": registration["grant_types"][0], "assertion": assertion}
    credentials = (client["client_id"], client["client_secret"])
    answers = [httpx2.post(f"{base}/oauth/token", data=request, auth=credentials) for _ in range(12)]
    assert [answer.status_code for answer in answers] == [200] + [400] * 11
