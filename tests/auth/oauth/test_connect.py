"""How a client connects: discovery, registration, consent, tokens, calls, refresh, revocation."""

import re

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.auth.oauth_client import BASIC, RESOURCE, Browser, OAuthClient, answered, connected, register
from tests.support.caller import Caller
from tests.support.mcp_messages import REVISIONS
from todo_mcp.auth.tokens import issue_token

pytestmark = pytest.mark.anyio

METADATA = "http://localhost:5000/.well-known/oauth-protected-resource/mcp"


async def test_a_client_can_get_from_the_401_to_its_first_call(browser: Browser, http: httpx2.AsyncClient) -> None:
    refusal = await http.post("/mcp", json={})
    challenge = re.search(r'resource_metadata="([^"]+)", scope="([^"]+)"$', refusal.headers["www-authenticate"])
    assert challenge and challenge[1] == METADATA
    resource = (await http.get(challenge[1])).json()
    assert resource["resource"] == RESOURCE
    issuer = resource["authorization_servers"][0]
    server = (await http.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
    assert server["issuer"] == issuer
    registration = await http.post(
        server["registration_endpoint"],
        json={"redirect_uris": ["http://127.0.0.1:1/cb"], "token_endpoint_auth_method": "none"},
    )
    client = OAuthClient(http, registration.json()["client_id"], "http://127.0.0.1:1/cb")
    redirect = answered(await browser.consent(client.question(scope=challenge[2])))
    assert redirect["state"] == "xyz" and redirect["iss"] == issuer
    tokens = (await client.exchange(redirect["code"])).json()
    assert tokens["token_type"] == "Bearer" and tokens["expires_in"] == 900 and tokens["scope"] == BASIC
    envelope = await Caller(http, tokens["access_token"]).call("2026-07-28", "add_task", title="Buy milk")
    assert envelope["status"] == "success"


async def test_the_metadata_describe_what_the_server_supports(http: httpx2.AsyncClient) -> None:
    server = (await http.get("/.well-known/oauth-authorization-server")).json()
    assert server["code_challenge_methods_supported"] == ["S256"]
    assert server["response_types_supported"] == ["code"]
    assert server["grant_types_supported"] == ["authorization_code", "refresh_token"]
    assert "none" in server["token_endpoint_auth_methods_supported"]
    assert server["client_id_metadata_document_supported"] and server["authorization_response_iss_parameter_supported"]
    assert "tasks:act_as" not in server["scopes_supported"]
    for endpoint in ("authorization", "token", "registration", "revocation", "introspection"):
        assert server[f"{endpoint}_endpoint"].startswith("http://localhost:5000/oauth/")
    for path in ("", "/mcp"):
        resource = (await http.get(f"/.well-known/oauth-protected-resource{path}")).json()
        assert resource["resource"] == RESOURCE and resource["bearer_methods_supported"] == ["header"]


async def test_a_client_can_refresh_and_revoke_its_tokens(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"] and second["scope"] == BASIC
    for pair in (first, second):
        assert (await Caller(http, pair["access_token"]).post("list_tasks")).status_code == 200
    revocation = await http.post("/oauth/revoke", data={"token": second["refresh_token"], "client_id": app.client_id})
    assert revocation.status_code == 200
    for pair in (first, second):
        assert (await Caller(http, pair["access_token"]).post("list_tasks")).status_code == 401
    assert (await app.refresh(second["refresh_token"])).status_code == 400


@pytest.mark.parametrize("door", ["http", *REVISIONS])
async def test_scopes_limit_both_the_listed_tools_and_the_calls(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, door: str
) -> None:
    caller = Caller(http, (await connected(browser, app, scope="tasks:read"))["access_token"])
    if door == "http":
        refusal = await caller.post("add_task", title="x")
    else:
        tools = (await caller.rpc("tools/list", {}, revision=door)).json()["result"]["tools"]
        assert [tool["name"] for tool in tools] == ["list_tasks"]
        refusal = await caller.rpc("tools/call", {"name": "add_task", "arguments": {"title": "x"}}, revision=door)
    assert refusal.status_code == 403
    challenge = f'Bearer error="insufficient_scope", scope="tasks:write", resource_metadata="{METADATA}"'
    assert refusal.headers["www-authenticate"] == challenge


async def test_the_challenge_names_every_scope_that_a_service_needs(orm: Orm, http: httpx2.AsyncClient) -> None:
    token = await orm(lambda: issue_token(service="chat", scopes=["tasks:write"]))
    refusal = await Caller(http, token).post("add_task", title="x", user_id="alice")
    assert refusal.status_code == 403 and 'scope="tasks:write tasks:act_as"' in refusal.headers["www-authenticate"]


async def test_denying_consent_redirects_to_the_client_with_the_issuer(browser: Browser, app: OAuthClient) -> None:
    redirect = answered(await browser.consent(app.question(), "deny"))
    assert redirect == {"error": "access_denied", "state": "xyz", "iss": "http://localhost:5000"}


async def test_a_client_may_omit_resource_scope_and_state(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    response = await browser.consent(app.question(resource=None, scope=None, state=None))
    redirect = answered(response)
    assert "state" not in redirect
    tokens = (await app.exchange(redirect["code"])).json()
    assert tokens["scope"] == BASIC
    assert (await Caller(http, tokens["access_token"]).post("list_tasks")).status_code == 200


async def test_registration_returns_no_credentials_for_managing_the_client(http: httpx2.AsyncClient) -> None:
    public = (await register(http)).json()
    assert not {"client_secret", "registration_access_token", "registration_client_uri"} & set(public)
    confidential = (await register(http, token_endpoint_auth_method="client_secret_post")).json()
    assert confidential["client_secret"] and confidential["client_secret_expires_at"] == 0


@pytest.mark.parametrize("resource", [RESOURCE, f"{RESOURCE}/", "http://localhost:5000", "http://localhost:5000/"])
async def test_a_client_may_name_the_resource_with_or_without_path_and_slash(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, resource: str
) -> None:
    code = answered(await browser.consent(app.question(resource=resource)))["code"]
    tokens = (await app.exchange(code, resource=resource)).json()
    new_tokens = (await app.refresh(tokens["refresh_token"], resource=resource)).json()
    assert (await Caller(http, new_tokens["access_token"]).post("list_tasks")).status_code == 200
    foreign = await app.refresh(new_tokens["refresh_token"], resource="https://evil.example/mcp")
    assert foreign.json()["error"] == "invalid_target"
