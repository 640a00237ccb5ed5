"""A client connects: discovery, registration, consent, tokens, calls, refresh, revocation."""

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


async def test_a_client_finds_its_way_from_the_401_to_a_call(browser: Browser, http: httpx2.AsyncClient) -> None:
    refused = await http.post("/mcp", json={})
    found = re.search(r'resource_metadata="([^"]+)", scope="([^"]+)"$', refused.headers["www-authenticate"])
    assert found and found[1] == METADATA
    resource = (await http.get(found[1])).json()
    assert resource["resource"] == RESOURCE
    issuer = resource["authorization_servers"][0]
    server = (await http.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
    assert server["issuer"] == issuer
    registered = await http.post(
        server["registration_endpoint"],
        json={"redirect_uris": ["http://127.0.0.1:1/cb"], "token_endpoint_auth_method": "none"},
    )
    client = OAuthClient(http, registered.json()["client_id"], "http://127.0.0.1:1/cb")
    back = answered(await browser.consent(client.question(scope=found[2])))
    assert back["state"] == "xyz" and back["iss"] == issuer
    tokens = (await client.exchange(back["code"])).json()
    assert tokens["token_type"] == "Bearer" and tokens["expires_in"] == 900 and tokens["scope"] == BASIC
    envelope = await Caller(http, tokens["access_token"]).call("2026-07-28", "add_task", title="Buy milk")
    assert envelope["status"] == "success"


async def test_the_metadata_say_what_the_server_does(http: httpx2.AsyncClient) -> None:
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


async def test_a_client_refreshes_and_revokes(browser: Browser, app: OAuthClient, http: httpx2.AsyncClient) -> None:
    first = await connected(browser, app)
    second = (await app.refresh(first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"] and second["scope"] == BASIC
    assert (await Caller(http, first["access_token"]).post("list_tasks")).status_code == 401
    assert (await Caller(http, second["access_token"]).post("list_tasks")).status_code == 200
    gone = await http.post("/oauth/revoke", data={"token": second["refresh_token"], "client_id": app.client_id})
    assert gone.status_code == 200
    assert (await Caller(http, second["access_token"]).post("list_tasks")).status_code == 401
    assert (await app.refresh(second["refresh_token"])).status_code == 400


@pytest.mark.parametrize("door", ["http", *REVISIONS])
async def test_what_the_scopes_allow_is_what_is_listed_and_done(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, door: str
) -> None:
    caller = Caller(http, (await connected(browser, app, scope="tasks:read"))["access_token"])
    if door == "http":
        refused = await caller.post("add_task", title="x")
    else:
        listed = (await caller.rpc("tools/list", {}, revision=door)).json()["result"]["tools"]
        assert [tool["name"] for tool in listed] == ["list_tasks"]
        refused = await caller.rpc("tools/call", {"name": "add_task", "arguments": {"title": "x"}}, revision=door)
    assert refused.status_code == 403
    challenge = f'Bearer error="insufficient_scope", scope="tasks:write", resource_metadata="{METADATA}"'
    assert refused.headers["www-authenticate"] == challenge


async def test_a_service_is_told_every_scope_that_it_needs(orm: Orm, http: httpx2.AsyncClient) -> None:
    token = await orm(lambda: issue_token(service="chat", scopes=["tasks:write"]))
    refused = await Caller(http, token).post("add_task", title="x", user_id="alice")
    assert refused.status_code == 403 and 'scope="tasks:write tasks:act_as"' in refused.headers["www-authenticate"]


async def test_a_person_who_denies_is_sent_back_with_the_issuer(browser: Browser, app: OAuthClient) -> None:
    back = answered(await browser.consent(app.question(), "deny"))
    assert back == {"error": "access_denied", "state": "xyz", "iss": "http://localhost:5000"}


async def test_a_client_may_leave_out_the_resource_the_scope_and_the_state(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    response = await browser.consent(app.question(resource=None, scope=None, state=None))
    back = answered(response)
    assert "state" not in back
    tokens = (await app.exchange(back["code"])).json()
    assert tokens["scope"] == BASIC
    assert (await Caller(http, tokens["access_token"]).post("list_tasks")).status_code == 200


async def test_registration_tells_nothing_that_manages_it(http: httpx2.AsyncClient) -> None:
    public = (await register(http)).json()
    assert not {"client_secret", "registration_access_token", "registration_client_uri"} & set(public)
    secret = (await register(http, token_endpoint_auth_method="client_secret_post")).json()
    assert secret["client_secret"] and secret["client_secret_expires_at"] == 0


@pytest.mark.parametrize("named", [RESOURCE, f"{RESOURCE}/", "http://localhost:5000", "http://localhost:5000/"])
async def test_a_client_may_write_our_address_in_its_own_way(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, named: str
) -> None:
    code = answered(await browser.consent(app.question(resource=named)))["code"]
    tokens = (await app.exchange(code, resource=named)).json()
    renewed = (await app.refresh(tokens["refresh_token"], resource=named)).json()
    assert (await Caller(http, renewed["access_token"]).post("list_tasks")).status_code == 200
    foreign = await app.refresh(renewed["refresh_token"], resource="https://evil.example/mcp")
    assert foreign.json()["error"] == "invalid_target"
