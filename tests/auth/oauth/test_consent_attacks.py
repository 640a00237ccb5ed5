"""Attacks on the authorization server: codes, verifiers, redirects, forms, frames, sessions."""

from datetime import timedelta
from typing import Any

import httpx2
import pytest
from django.db.models import F
from oauth2_provider.models import AccessToken, Grant

from tests.support.application import Orm
from tests.support.auth.oauth_client import (
    REDIRECT_URI,
    Browser,
    OAuthClient,
    answered,
    hidden,
    registered,
)

pytestmark = pytest.mark.anyio

REGISTERED = "https://app.example/cb?fixed=1"


async def code_of(browser: Browser, client: OAuthClient) -> str:
    return answered(await browser.consent(client.question()))["code"]


async def test_a_code_works_only_once(browser: Browser, app: OAuthClient) -> None:
    code = await code_of(browser, app)
    assert (await app.exchange(code)).status_code == 200
    replay = await app.exchange(code)
    assert replay.status_code == 400 and replay.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"redirect_uri": "http://127.0.0.1:33418/other"},
        {"redirect_uri": "http://127.0.0.1:33419/callback"},
        {"code": "guessed"},
        {"client_id": "unknown"},
        {"resource": "https://evil.example/mcp"},
        {"grant_type": "password", "username": "alice", "password": "correct horse battery staple"},
        {"grant_type": "client_credentials"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "device_code": "x"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "x"},
    ],
    ids=lambda changed: "-".join(f"{name}={value[:30]}" for name, value in changed.items()),
)
async def test_a_token_request_with_a_wrong_parameter_is_refused(
    browser: Browser, app: OAuthClient, orm: Orm, changed: dict[str, str]
) -> None:
    answer = await app.exchange(await code_of(browser, app), **changed)
    assert 400 <= answer.status_code < 500, answer.text
    assert await orm(AccessToken.objects.count) == 0


async def test_another_clients_code_and_an_expired_code_are_refused(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient, orm: Orm
) -> None:
    other = await registered(http)
    other.verifier = app.verifier
    assert (await other.exchange(await code_of(browser, app))).status_code == 400
    code = await code_of(browser, app)
    await orm(lambda: Grant.objects.update(expires=F("expires") - timedelta(seconds=61)))
    assert (await app.exchange(code)).status_code == 400


@pytest.mark.parametrize(
    "uri",
    [
        "https://APP.example.evil.example/cb?fixed=1",
        "https://app.example/CB?fixed=1",
        "https://app.example/cb/?fixed=1",
        "https://app.example/cb/../evil?fixed=1",
        "https://app.example/cb/%2e%2e/evil?fixed=1",
        "https://app.example:8443/cb?fixed=1",
        "http://app.example/cb?fixed=1",
        "https://app.example/cb",
        "https://app.example/cb?fixed=1&more=2",
        "https://app.example/cb?fixed=1#fragment",
        "https://app.example/cb?fixed=1#",
        "https://user@app.example/cb?fixed=1",
        "https://app.example@evil.example/cb?fixed=1",
        "https://app.example\\@evil.example/cb?fixed=1",
        "//app.example/cb?fixed=1",
        "/oauth/connections",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://evil.example/?https://app.example/cb?fixed=1",
        "https://app.example/cb?fixed=1 https://evil.example/",
        "",
    ],
)
async def test_nothing_redirects_to_an_unregistered_address(
    browser: Browser, http: httpx2.AsyncClient, orm: Orm, uri: str
) -> None:
    client = await registered(http, redirect_uris=[REGISTERED, "https://app.example/second"])
    page = await browser.get("/oauth/authorize", params=client.question(redirect_uri=uri))
    assert page.status_code == 400 and "location" not in page.headers and "cannot be connected" in page.text
    good_page = await browser.get("/oauth/authorize", params=client.question())
    response = await browser.post("/oauth/authorize", {**hidden(good_page.text), "allow": "1", "redirect_uri": uri})
    assert response.status_code != 302 or "code" not in response.headers["location"]
    assert await orm(Grant.objects.count) == 0


async def test_a_native_app_may_use_another_port_but_only_of_its_own_computer(
    browser: Browser, app: OAuthClient
) -> None:
    other_port = app.question(redirect_uri="http://127.0.0.1:50000/callback")
    assert (await browser.get("/oauth/authorize", params=other_port)).status_code == 200
    for host in ("localhost", "127.0.0.2", "127.0.0.1.evil.example", "0.0.0.0"):
        question = app.question(redirect_uri=f"http://{host}:33418/callback")
        assert (await browser.get("/oauth/authorize", params=question)).status_code == 400


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target"),
        ({"resource": "http://localhost:5000/mcp#x"}, "invalid_target"),
        ({"response_type": "token"}, "unsupported_response_type|unauthorized_client"),
        ({"response_type": "code token"}, "unsupported_response_type|unauthorized_client"),
        ({"response_type": "id_token"}, "unsupported_response_type|unauthorized_client"),
    ],
)
async def test_an_error_redirects_to_the_client_with_state_and_issuer(
    browser: Browser, app: OAuthClient, changed: dict[str, str | None], error: str
) -> None:
    redirect = answered(await browser.get("/oauth/authorize", params=app.question(**changed)))
    assert (
        redirect["error"] in error.split("|")
        and redirect["state"] == "xyz"
        and redirect["iss"] == "http://localhost:5000"
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"redirect_uri": "https://evil.example/cb"},
        {"redirect_uri": "https://evil.example/cb", "allow": "", "deny": "1"},
        {"resource": "https://evil.example/mcp"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"client_id": "unknown"},
        {"response_type": "token"},
    ],
    ids=str,
)
async def test_a_manipulated_consent_form_yields_no_code(
    browser: Browser, app: OAuthClient, orm: Orm, changed: dict[str, str]
) -> None:
    page = await browser.get("/oauth/authorize", params=app.question())
    response = await browser.post("/oauth/authorize", {**hidden(page.text), "allow": "1", **changed})
    assert response.status_code < 500, response.text
    assert "evil.example" not in response.headers.get("location", "")
    assert "code=" not in response.headers.get("location", "") and await orm(Grant.objects.count) == 0


async def test_every_authorization_asks_for_consent_whatever_the_client_sends(
    browser: Browser, app: OAuthClient
) -> None:
    assert (await app.exchange(await code_of(browser, app))).status_code == 200
    for prompt in ({"approval_prompt": "auto"}, {"prompt": "none"}):
        page = await browser.get("/oauth/authorize", params={**app.question(), **prompt})
        assert page.status_code == 200 or "code=" not in page.headers["location"]


async def test_prompt_none_without_a_session_gets_login_required(app: OAuthClient, http: httpx2.AsyncClient) -> None:
    redirect = answered(await http.get("/oauth/authorize", params={**app.question(), "prompt": "none"}))
    assert redirect == {"error": "login_required", "state": "xyz", "iss": "http://localhost:5000"}


@pytest.mark.parametrize("path", ["token", "revoke", "introspect", "authorize"])
async def test_a_nul_character_is_refused(app: OAuthClient, path: str) -> None:
    for name, value in app.question(token="x", code="x", grant_type="authorization_code").items():
        question = {**app.question(), name: f"{value}\0"}
        assert (await app.http.post(f"/oauth/{path}", data=question)).status_code in (400, 403)
        assert (await app.http.get(f"/oauth/{path}", params=question)).status_code in (302, 400, 405)
    basic = await app.http.post(f"/oauth/{path}", data={"token": "x", "grant_type": "x"}, auth=("a\0", "b"))
    assert 400 <= basic.status_code < 500


async def test_consent_is_accepted_only_from_our_own_form(browser: Browser, app: OAuthClient, orm: Orm) -> None:
    page = await browser.get("/oauth/authorize", params=app.question())
    fields = {**hidden(page.text), "allow": "1"}
    without_token = {name: value for name, value in fields.items() if name != "csrfmiddlewaretoken"}
    assert (await browser.post("/oauth/authorize", without_token)).status_code == 403
    foreign = await browser.post("/oauth/authorize", fields, Origin="https://evil.example")
    assert foreign.status_code == 403
    stranger = Browser(browser._http)
    stranger.cookies["csrftoken"] = browser.cookies["csrftoken"]
    signed_out = await stranger.post("/oauth/authorize", fields)
    assert signed_out.headers["location"].startswith("/oauth/sign-in")
    assert await orm(Grant.objects.count) == 0


@pytest.mark.parametrize("path", ["authorize", "sign-in", "connections", "password", "password/reset"])
async def test_no_page_can_be_framed_or_cached(browser: Browser, app: OAuthClient, path: str) -> None:
    page = await browser.get(f"/oauth/{path}", params=app.question())
    assert page.headers["x-frame-options"] == "DENY" and page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "script" not in policy.replace("script-src 'self'", "")


async def test_signing_in_changes_the_session(http: httpx2.AsyncClient, person: Any, app: OAuthClient) -> None:
    """Session fixation: a session id that an attacker planted before the sign-in is worthless after it."""
    browser = Browser(http)
    browser.cookies["sessionid"] = "planted-by-the-attacker-0123456789"
    await browser.sign_in("alice")
    assert browser.cookies["sessionid"] != "planted-by-the-attacker-0123456789"
    attacker = Browser(http)
    attacker.cookies["sessionid"] = "planted-by-the-attacker-0123456789"
    page = await attacker.get("/oauth/authorize", params=app.question())
    assert page.headers["location"].startswith("/oauth/sign-in")


@pytest.mark.parametrize("to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_sign_in_and_sign_out_redirect_only_to_our_own_pages(
    http: httpx2.AsyncClient, person: Any, to: str
) -> None:
    browser = Browser(http)
    response = await browser.sign_in("alice", to=to)
    assert response.headers["location"] == "/oauth/connections"
    page = await browser.get("/oauth/connections")
    token = hidden(page.text, "/oauth/sign-out")
    assert (await browser.post("/oauth/sign-out", {**token, "next": to})).headers["location"] == "/oauth/sign-in"


async def test_five_wrong_passwords_lock_the_sign_in(http: httpx2.AsyncClient, person: Any) -> None:
    browser = Browser(http)
    for _ in range(5):
        response = await browser.sign_in("alice", "wrong")
    assert response.status_code == 429
    assert (await browser.sign_in("alice")).status_code == 429


async def test_the_consent_page_shows_the_redirect_address(browser: Browser, http: httpx2.AsyncClient) -> None:
    client = await registered(http, client_name="<b>Claude</b>\u202e\0", redirect_uris=["https://evil.example/cb"])
    page = (await browser.get("/oauth/authorize", params=client.question())).text
    assert "evil.example" in page and "&lt;b&gt;Claude" in page and "<b>" not in page
    assert "See your tasks" in page and "Alice" in page and "nobody has checked it" in page
    assert "\u202e" not in page and REDIRECT_URI not in page
