"""Refusals of bad requests from strangers: one format, a description that helps, and nothing stored."""

import logging
from typing import Any

import httpx2
import pytest
from axes.models import AccessAttempt, AccessFailureLog

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, OAuthClient, answered, hidden, register
from todo_mcp.users.models import ID_MAX, User

pytestmark = pytest.mark.anyio

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def description_of(response: httpx2.Response, error: str, status: int = 400) -> str:
    """Return the description of a refusal. The refusal must have the format of RFC 6749, section 5.2."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert set(body) == {"error", "error_description"} and body["error"] == error, body
    assert body["error_description"].endswith(".")
    return str(body["error_description"])


@pytest.mark.parametrize(
    ("form", "error", "words"),
    [
        ({}, "invalid_request", "grant_type"),
        ({"grant_type": "x"}, "unsupported_grant_type", "authorization_code and refresh_token"),
        ({"grant_type": "password"}, "unsupported_grant_type", "authorization_code"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "unsupported_grant_type", "refresh_token"),
        ({"grant_type": "authorization_code"}, "invalid_request", "code"),
        ({"grant_type": "authorization_code", "code": "x", "code_verifier": "x"}, "invalid_grant", "already used"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant", "refresh token"),
        ({"grant_type": "refresh_token"}, "invalid_request", "refresh"),
    ],
    ids=str,
)
async def test_the_token_endpoint_says_what_is_wrong(
    app: OAuthClient, http: httpx2.AsyncClient, form: dict[str, str], error: str, words: str
) -> None:
    refusal = await http.post("/oauth/token", data={"client_id": app.client_id, **form})
    assert words in description_of(refusal, error)
    assert refusal.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["token", "revoke"])
async def test_the_refusal_of_an_unknown_client_says_so(http: httpx2.AsyncClient, path: str) -> None:
    form = {"grant_type": "authorization_code", "code": "x", "token": "x"}
    for client_id in ("unknown", "x" * 300, "https://unknown.invalid/" + "x" * 300):
        refusal = await http.post(f"/oauth/{path}", data={**form, "client_id": client_id})
        assert "unknown" in description_of(refusal, "invalid_client", 401)


@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
async def test_a_repeated_parameter_is_refused(http: httpx2.AsyncClient, app: OAuthClient, path: str) -> None:
    body = f"grant_type=refresh_token&refresh_token=x&token=x&client_id=unknown&client_id={app.client_id}"
    assert "repeated" in description_of(
        await http.post(f"/oauth/{path}", content=body, headers=FORM), "invalid_request"
    )


@pytest.mark.parametrize(
    "path", ["/oauth/token", "/oauth/revoke", "/oauth/authorize", "/oauth/sign-in", "/admin/login/"]
)
@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("", "a=%00", "NUL"),
        ("a=%00", "", "NUL"),
        ("", "%00=a", "NUL"),
        ("", "&" * 1500, "too many"),
        ("&" * 1500, "", "too many"),
    ],
)
async def test_unreadable_parameters_are_refused_without_an_error_in_the_log(
    http: httpx2.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    query: str,
    body: str,
    words: str,
) -> None:
    refusal = await http.post(f"{path}?{query}", content=body, headers=FORM)
    assert words in description_of(refusal, "invalid_request")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("path", ["/oauth/sign-in", "/admin/login/"])
async def test_a_name_longer_than_any_user_id_is_neither_tried_nor_stored(
    http: httpx2.AsyncClient, person: User, orm: Orm, path: str
) -> None:
    browser = Browser(http)
    page = await browser.get(path)
    refusal = await browser.post(
        path, {**hidden(page.text, path if "admin" in path else ""), **_credentials("x" * 256)}
    )
    assert refusal.status_code == 200 and f"at most {ID_MAX} characters" in refusal.text
    assert await orm(lambda: AccessAttempt.objects.count() + AccessFailureLog.objects.count()) == 0
    wrong = await browser.post(
        path, {**hidden(page.text, path if "admin" in path else ""), **_credentials("x" * ID_MAX)}
    )
    assert wrong.status_code == 200 and "characters" not in wrong.text
    assert await orm(AccessAttempt.objects.count) == 1


def _credentials(name: str) -> dict[str, str]:
    return {"username": name, "password": "wrong"}


@pytest.mark.parametrize("uid", ["AA", "YWxpY2U", "x" * 3000, "YWxpY2UA", "_w"])
@pytest.mark.parametrize("token", ["x", "set-password", "a-" + "x" * 3000])
async def test_an_invalid_reset_link_is_shown_as_used_up(
    http: httpx2.AsyncClient, person: User, uid: str, token: str
) -> None:
    page = await http.get(f"/oauth/password/reset/{uid}/{token}")
    assert page.status_code == 200 and "used up" in page.text


@pytest.mark.parametrize("challenge", ["x" * 42, "x" * 44, "x" * 129, "x" * 42 + "+", "x" * 42 + "\u00e9"])
async def test_a_code_challenge_that_is_not_a_sha256_hash_is_refused(
    browser: Browser, app: OAuthClient, challenge: str
) -> None:
    redirect = answered(await browser.get("/oauth/authorize", params=app.question(code_challenge=challenge)))
    assert redirect["error"] == "invalid_request" and "43 characters" in redirect["error_description"]
    page = await browser.get("/oauth/authorize", params=app.question())
    form = {**hidden(page.text), "allow": "1", "code_challenge": challenge}
    assert answered(await browser.post("/oauth/authorize", form))["error"] == "invalid_request"


async def test_a_redirect_that_is_too_long_to_send_is_refused(
    http: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    description_of(await http.get("/oauth/authorize?state=" + "%ff" * 4000), "invalid_request")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("metadata", "error", "words"),
    [
        ({"client_name": 7}, "invalid_client_metadata", "client_name must be a string"),
        ({"client_name": "x" * 300}, "invalid_client_metadata", "255 characters"),
        ({"grant_types": "authorization_code"}, "invalid_client_metadata", "grant_types must be an array"),
        ({"grant_types": ["implicit"]}, "invalid_client_metadata", "grant_types must hold authorization_code"),
        ({"redirect_uris": {}}, "invalid_client_metadata", "redirect_uris must be an array"),
        ({"redirect_uris": None}, "invalid_redirect_uri", "redirect_uris must hold an https address"),
        ({"redirect_uris": ["https://app.example/" + "x" * 3000]}, "invalid_redirect_uri", "https"),
        ({"token_endpoint_auth_method": ["none"]}, "invalid_client_metadata", "must be a string"),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_registration_says_what_is_wrong(
    http: httpx2.AsyncClient, metadata: dict[str, Any], error: str, words: str
) -> None:
    assert words in description_of(await register(http, **metadata), error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an object"),
        (b"[" * 5000 + b"]" * 5000, "nested"),
        (b'{"a": 1, "a": 2}', "same key twice"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "' + b"x" * 20_000 + b'"}', "larger than"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_registration_says_what_is_wrong_with_the_body(http: httpx2.AsyncClient, body: bytes, words: str) -> None:
    assert words in description_of(await http.post("/oauth/register", content=body), "invalid_client_metadata")


async def test_a_registration_cannot_be_managed(http: httpx2.AsyncClient, app: OAuthClient) -> None:
    for method in ("GET", "PUT", "DELETE", "POST"):
        refusal = await http.request(method, f"/oauth/register/{app.client_id}", json={})
        assert refusal.status_code == 405
