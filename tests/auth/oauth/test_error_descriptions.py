"""Every error of the authorization server says what is wrong and what to do. This walks all paths to an error."""

import base64
import re
from typing import Any

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, OAuthClient, answered, connected, register, registered
from todo_mcp.auth.oauth.errors import repeated
from todo_mcp.auth.tokens import issue_token

pytestmark = pytest.mark.anyio

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CODE = {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "x"}
PAIR = ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"]


def checked(body: dict[str, Any], error: str, words: str) -> None:
    """The error has a description in the characters of RFC 6749, section 5.2, that holds the words."""
    assert body["error"] == error, body
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{25,}\.", body["error_description"]), body
    assert words in body["error_description"], body


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"response_type": None}, "invalid_request", "Send response_type=code"),
        ({"response_type": "token"}, "unsupported_response_type", "Send"),
        ({"response_type": "id_token"}, "unsupported_response_type", "Send"),
        ({"response_type": "code token"}, "unsupported_response_type", "Send"),
        ({"response_type": "none"}, "unsupported_response_type", "Send"),
        ({"response_type": "xcode"}, "unsupported_response_type", "Send"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request", "Send a code_challenge"),
        ({"code_challenge": None}, "invalid_request", "Send a code_challenge"),
        ({"code_challenge": "short"}, "invalid_request", "43 characters"),
        ({"code_challenge_method": "plain"}, "invalid_request", "S256"),
        ({"code_challenge_method": "S512"}, "invalid_request", "S256"),
        ({"code_challenge_method": None}, "invalid_request", "S256"),
        ({"resource": "https://evil.example/mcp"}, "invalid_target", "Send resource=http://localhost:5000/mcp"),
        ({"resource": "not an address"}, "invalid_target", "Send resource="),
    ],
    ids=str,
)
async def test_an_error_of_the_authorization_endpoint_that_goes_to_the_client(
    browser: Browser, app: OAuthClient, changed: dict[str, str | None], error: str, words: str
) -> None:
    redirect = answered(await browser.get("/oauth/authorize", params=app.question(**changed)))
    checked(redirect, error, words)
    assert redirect["state"] == "xyz" and redirect["iss"] == "http://localhost:5000"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"client_id": None}, "client_id is missing. Register"),
        ({"client_id": "unknown"}, "client_id is unknown. Remove this server in the app and add it again"),
        ({"client_id": "https://unknown.invalid/client.json"}, "It must arrive within 3 s"),
        ({"redirect_uri": "callback"}, "not a complete address. Send one that the client has registered"),
        ({"redirect_uri": "https://evil.example/"}, "not registered for this client. Send it exactly as registered"),
        ({"redirect_uri": None}, "redirect_uri is missing. Send one"),
    ],
    ids=str,
)
async def test_an_error_of_the_authorization_endpoint_that_the_person_sees(
    browser: Browser, http: httpx2.AsyncClient, changed: dict[str, str | None], words: str
) -> None:
    client = await registered(http, redirect_uris=PAIR)
    page = await browser.get("/oauth/authorize", params=client.question(**changed))
    assert page.status_code == 400 and words in page.text


async def test_a_repeated_parameter_of_the_authorization_endpoint(browser: Browser, app: OAuthClient) -> None:
    for name, value in app.question().items():
        page = await browser.get("/oauth/authorize", params=[*app.question().items(), (name, value)])
        assert page.status_code in (200, 400)
        if name in ("client_id", "response_type", "redirect_uri", "scope", "state"):
            assert page.status_code == 400 and f"The parameter {name} is repeated. Send it once." in page.text


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


@pytest.mark.parametrize(
    ("path", "form", "status", "error", "words"),
    [
        ("token", {"grant_type": None}, 400, "invalid_request", "grant_type is missing. Send it in the body"),
        ("token", {"grant_type": ""}, 400, "invalid_request", "grant_type is missing"),
        ("token", {"grant_type": "password"}, 400, "unsupported_grant_type", "authorization_code and refresh_token"),
        ("token", {**CODE, "code": None}, 400, "invalid_request", "code is missing. Send the code"),
        ("token", CODE, 400, "invalid_grant", "Connect again"),
        ("token", {**CODE, "client_id": None}, 401, "invalid_client", "Send its client_id"),
        ("token", {**CODE, "client_id": "unknown"}, 401, "invalid_client", "register again"),
        ("token", {**CODE, "client_id": "x" * 300}, 401, "invalid_client", "register again"),
        ("token", {**CODE, "client_secret": "wrong"}, 401, "invalid_client", "client_secret"),
        ("token", {**REFRESH, "refresh_token": None}, 400, "invalid_request", "newest refresh token"),
        ("token", {**REFRESH, "refresh_token": ""}, 400, "invalid_grant", "Connect again"),
        ("token", REFRESH, 400, "invalid_grant", "Connect again"),
        ("token", {**REFRESH, "client_id": "unknown"}, 401, "invalid_client", "register again"),
        ("revoke", {"token": None}, 400, "invalid_request", "token is missing. Send"),
        ("revoke", {"token": "x", "client_id": None}, 401, "invalid_client", "client_id"),
        ("revoke", {"token": "x", "client_id": "unknown"}, 401, "invalid_client", "register again"),
        ("introspect", {"token": "x"}, 401, "invalid_client", "Send a service token"),
        ("introspect", {"token": None, "client_id": None}, 401, "invalid_client", "Send a service token"),
    ],
    ids=str,
)
async def test_an_error_of_an_endpoint_for_programs(
    app: OAuthClient,
    http: httpx2.AsyncClient,
    path: str,
    form: dict[str, str | None],
    status: int,
    error: str,
    words: str,
) -> None:
    complete = {"client_id": app.client_id, **form}
    refusal = await http.post(
        f"/oauth/{path}", data={name: value for name, value in complete.items() if value is not None}
    )
    assert refusal.status_code == status
    checked(refusal.json(), error, words)


@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
async def test_a_request_in_the_wrong_form(app: OAuthClient, http: httpx2.AsyncClient, path: str, orm: Orm) -> None:
    service = {"Authorization": f"Bearer {await orm(lambda: issue_token(service='chat'))}"}
    headers = service if path == "introspect" else {}
    form = {"client_id": app.client_id, **REFRESH, "token": "x"}
    as_json = await http.post(f"/oauth/{path}", json=form, headers=headers)
    assert as_json.status_code == 400
    checked(as_json.json(), "invalid_request", "Send")
    twice = await http.post(f"/oauth/{path}", content="token=x&token=x&a=1", headers=FORM)
    checked(twice.json(), "invalid_request", "The parameter token is repeated. Send it once.")
    odd = await http.post(f"/oauth/{path}", content="%22%5C=x&%22%5C=x", headers=FORM)
    checked(odd.json(), "invalid_request", "repeated. Send it once.")
    if path != "introspect":
        in_address = await http.post(f"/oauth/{path}?a=1", data=form)
        checked(in_address.json(), "invalid_request", "Send the parameters in the body")


async def test_a_repeated_name_is_shown_only_if_it_is_plain() -> None:
    assert repeated("scope") == "The parameter scope is repeated. Send it once."
    for name in ('a"b', "a\\b", "\u00e9", "x" * 41, ""):
        assert repeated(name) == "The parameter of this name is repeated. Send it once."


async def test_errors_of_a_client_with_a_secret(http: httpx2.AsyncClient, app: OAuthClient) -> None:
    registration = (await register(http, token_endpoint_auth_method="client_secret_basic")).json()
    client_id, secret = registration["client_id"], registration["client_secret"]
    for form, headers in (
        ({"client_id": client_id}, {}),
        ({"client_id": client_id, "client_secret": "wrong"}, {}),
        ({}, basic(client_id, "wrong")),
        ({}, basic("unknown", secret)),
        ({}, {"Authorization": "Basic !"}),
        ({}, {"Authorization": "Basic eA=="}),
        ({"client_id": app.client_id}, basic(client_id, secret)),  # two clients
    ):
        for path in ("token", "revoke", "introspect"):
            refusal = await http.post(f"/oauth/{path}", data={**CODE, "token": "x", **form}, headers=headers)
            assert refusal.status_code == 401, (path, form, headers)
            checked(refusal.json(), "invalid_client", "Send")
    introspection = await http.post("/oauth/introspect", headers=basic(client_id, secret))
    checked(introspection.json(), "invalid_request", "The parameter token is missing")


async def test_errors_of_a_real_code(browser: Browser, http: httpx2.AsyncClient) -> None:
    client = await registered(http, redirect_uris=PAIR)
    code = answered(await browser.consent(client.question()))["code"]
    for changed, error, words in (
        ({"code_verifier": ""}, "invalid_grant", "code_verifier does not fit"),
        ({"code_verifier": "x" * 43}, "invalid_grant", "code_verifier does not fit"),
        ({"redirect_uri": PAIR[1]}, "invalid_grant", "Send exactly that one"),
        ({"redirect_uri": ""}, "invalid_grant", "Send exactly that one"),
        ({"resource": "https://evil.example"}, "invalid_target", "Send resource="),
    ):
        checked((await client.exchange(code, **changed)).json(), error, words)
    tokens = (await client.exchange(code)).json()
    for changed, error, words in (
        ({"scope": "conversations:read"}, "invalid_scope", "Ask for fewer scopes"),
        ({"resource": "https://evil.example"}, "invalid_target", "Send resource="),
    ):
        checked((await client.refresh(tokens["refresh_token"], **changed)).json(), error, words)
    checked((await client.exchange(code)).json(), "invalid_grant", "already used")


async def test_errors_of_a_refresh_token_that_ended(
    browser: Browser, app: OAuthClient, http: httpx2.AsyncClient
) -> None:
    tokens = await connected(browser, app)
    await http.post("/oauth/revoke", data={"token": tokens["refresh_token"], "client_id": app.client_id})
    refusal = await app.refresh(tokens["refresh_token"])
    checked(refusal.json(), "invalid_grant", "Connect again, and then always use the newest refresh token")


@pytest.mark.parametrize(
    ("metadata", "error", "words"),
    [
        ({"redirect_uris": []}, "invalid_redirect_uri", "must hold an https address"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri", "The redirect URI 7 is not a string. Register an https"),
        ({"redirect_uris": ['\u00e9"\\']}, "invalid_redirect_uri", "The redirect URI ??? does not begin with a scheme"),
        ({"redirect_uris": ["localhost:3000/cb"]}, "invalid_redirect_uri", "Register an https address"),
        ({"redirect_uris": ["myapp:" + "x" * 9999]}, "invalid_redirect_uri", "is longer than 2048 characters"),
        ({"redirect_uris": ["http://app.example/"]}, "invalid_redirect_uri", "http://app.example/ has the scheme http"),
        ({"redirect_uris": "https://app.example/"}, "invalid_client_metadata", "redirect_uris must be an array"),
        ({"grant_types": ["password"]}, "invalid_client_metadata", "must hold authorization_code"),
        ({"client_name": []}, "invalid_client_metadata", "client_name must be a string"),
        ({"token_endpoint_auth_method": "tls"}, "invalid_client_metadata", "client_secret_basic, not tls"),
        ({"token_endpoint_auth_method": "\u00e9"}, "invalid_client_metadata", "must be one of none"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_an_error_of_a_registration(
    http: httpx2.AsyncClient, metadata: dict[str, Any], error: str, words: str
) -> None:
    refusal = await register(http, **metadata)
    assert refusal.status_code == 400
    checked(refusal.json(), error, words)
