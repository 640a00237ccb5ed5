"""Scopes: unknown ones are ignored, the answer tells what was granted, and nobody grants acting for others."""

from typing import Any

import httpx2
import pytest
from oauth2_provider.models import AccessToken, Grant

from tests.support.application import Orm
from tests.support.auth.oauth_client import BASIC, Browser, OAuthClient, answered, connected, hidden, register
from tests.support.caller import Caller
from todo_mcp.auth.oauth import clients

pytestmark = pytest.mark.anyio

# What a client asks for, and what it is granted.
REQUESTS = [
    ("tasks:read", "tasks:read"),
    ("tasks:read offline_access", "tasks:read"),
    ("openid profile email tasks:write", "tasks:write"),
    ("tasks:write tasks:read", "tasks:write tasks:read"),
    ("tasks:read tasks:read", "tasks:read"),
    ("  tasks:read   conversations:read ", "tasks:read conversations:read"),
    ("tasks:read\ttasks:write\n", BASIC),
    ("openid profile email offline_access", BASIC),
    ("*", BASIC),
    ("tasks:read,tasks:write", BASIC),  # one unknown scope
    ("Tasks:Read", BASIC),  # scopes are case-sensitive (RFC 6749, section 3.3)
    ("\u00e9\u4e2d\U0001f600 admin", BASIC),
    ("x" * 2000, BASIC),
    ("", BASIC),
    ("   ", BASIC),
    (None, BASIC),
    ("tasks:act_as", BASIC),
    ("tasks:read tasks:act_as", "tasks:read"),
    ("tasks:act_as conversations:write offline_access", "conversations:write"),
]
requests = pytest.mark.parametrize(("requested", "granted"), REQUESTS, ids=lambda scope: repr(scope)[:40])


@requests
async def test_the_answer_tells_which_scopes_were_granted(
    browser: Browser, app: OAuthClient, orm: Orm, requested: str | None, granted: str
) -> None:
    page = await browser.get("/oauth/authorize", params=app.question(scope=requested))
    assert page.text.count("<li>") == len(granted.split()), page.text
    code = answered(await browser.submit(page, allow="1"))["code"]
    tokens = (await app.exchange(code, scope="tasks:act_as conversations:write")).json()  # the code decides
    assert tokens["scope"] == granted
    assert await orm(lambda: AccessToken.objects.get().scope) == granted


@pytest.mark.parametrize(("requested", "granted"), [pair for pair in REQUESTS if pair[0] and pair[0].strip()])
async def test_a_changed_consent_form_grants_only_known_scopes(
    browser: Browser, app: OAuthClient, orm: Orm, requested: str, granted: str
) -> None:
    page = await browser.get("/oauth/authorize", params=app.question(scope=None))
    form = {**hidden(page.text), "allow": "1", "scope": requested}
    assert "code" in answered(await browser.post("/oauth/authorize", form))
    assert await orm(lambda: Grant.objects.get().scope) == granted


@pytest.mark.parametrize(
    ("requested", "granted"),
    [
        (None, BASIC),
        ("", BASIC),
        (BASIC, BASIC),
        ("tasks:read offline_access", "tasks:read"),
        ("tasks:read tasks:read", "tasks:read"),
        (" tasks:read  ", "tasks:read"),
        ("openid profile", BASIC),
        ("tasks:act_as", BASIC),
        ("tasks:write tasks:act_as", "tasks:write"),
    ],
)
async def test_a_refresh_ignores_unknown_scopes(
    browser: Browser, app: OAuthClient, requested: str | None, granted: str
) -> None:
    tokens = await connected(browser, app)
    changes = {} if requested is None else {"scope": requested}
    assert (await app.refresh(tokens["refresh_token"], **changes)).json()["scope"] == granted


@pytest.mark.parametrize("requested", ["conversations:read", f"{BASIC} conversations:read", "x conversations:write"])
async def test_a_refresh_cannot_ask_for_more_than_was_granted(
    browser: Browser, app: OAuthClient, requested: str
) -> None:
    tokens = await connected(browser, app)
    refusal = await app.refresh(tokens["refresh_token"], scope=requested)
    assert refusal.status_code == 400 and refusal.json()["error"] == "invalid_scope"
    assert "connect again" in refusal.json()["error_description"]
    assert (await app.refresh(tokens["refresh_token"])).status_code == 200  # the refused use does not count


@requests
async def test_the_answer_to_a_registration_tells_the_known_scopes(
    http: httpx2.AsyncClient, requested: str | None, granted: str
) -> None:
    assert (await register(http, scope=requested)).json()["scope"] == granted


@pytest.mark.parametrize("scope", [["tasks:act_as"], 7, {"a": 1}, True])
async def test_a_scope_of_another_type_counts_as_left_out_of_a_registration(
    http: httpx2.AsyncClient, scope: object
) -> None:
    assert (await register(http, scope=scope)).json()["scope"] == BASIC


async def test_no_client_can_get_acting_for_others(
    browser: Browser, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    greedy: dict[str, Any] = {"scope": "tasks:act_as", "scopes": ["tasks:act_as"], "default_scope": "tasks:act_as"}
    registration = (await register(http, **greedy)).json()
    document = {"client_id": "https://greedy.example/client.json", "redirect_uris": ["https://greedy.example/cb"]}
    monkeypatch.setattr(clients.MetadataFetcher, "_fetch", lambda self, client_id, end: ({**document, **greedy}, 300))
    for client in (
        OAuthClient(http, registration["client_id"]),
        OAuthClient(http, "https://greedy.example/client.json", "https://greedy.example/cb"),
    ):
        tokens = await connected(browser, client, scope="tasks:act_as tasks:read")
        tokens = (await client.refresh(tokens["refresh_token"], scope="tasks:read tasks:act_as")).json()
        assert tokens["scope"] == "tasks:read"
        assert (await Caller(http, tokens["access_token"]).post("list_tasks", user_id="bob")).status_code == 403
    for path in ("oauth-authorization-server", "oauth-protected-resource", "oauth-protected-resource/mcp"):
        assert "act_as" not in (await http.get(f"/.well-known/{path}")).text
