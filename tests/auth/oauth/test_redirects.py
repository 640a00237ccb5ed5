"""Redirect URIs: every private-use scheme works to the end, and schemes that run or read something are refused."""

import html
import re
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest
from oauth2_provider.models import Application

from tests.support.application import Orm
from tests.support.auth.oauth_client import Browser, OAuthClient, connected, register, registered
from tests.support.caller import Caller
from todo_mcp.auth.oauth import clients
from todo_mcp.auth.oauth.redirects import REFUSED, refusal

pytestmark = pytest.mark.anyio

PRIVATE_USE = [
    "vscode://vscode.github-authentication/did-authenticate",
    "vscode-insiders://publisher.extension/callback",
    "cursor://anysphere.cursor-mcp/oauth/callback",
    "com.example.app:/oauth2redirect",
    "com.example.app:/oauth2redirect/example-provider",
    "com.example.app://callback",
    "myapp:callback",
    "myapp:/callback",
    "myapp://callback",
    "myapp:///callback",
    "myapp:////callback",
    "myapp://",
    "myapp:",
    "MyApp://Callback/Path",
    "my+app-2.x://a_b/c;d=1/~e",
    "web+app://callback",
    "msal0a1b2c3d://auth",
    "ms-app://s-1-15-2-1234",
    "exp://192.168.0.1:8081/--/callback",
    "raycast://oauth?package_name=todo",
    "claude://callback?fixed=1&again=2",
    "zed://[::1]:1/callback",
    "x" * 60 + "://" + "y" * 1900,
]


def answer_of(response: httpx2.Response, uri: str) -> dict[str, str]:
    """The parameters that are sent to this redirect URI. Its own spelling and parameters must be unchanged."""
    assert response.status_code == 302, response.text
    target, _, query = response.headers["location"].partition("?")
    own_target, _, own_query = uri.partition("?")
    assert target == own_target and query.startswith(own_query)
    return {name: values[0] for name, values in parse_qs(query).items()}


@pytest.mark.parametrize("uri", PRIVATE_USE, ids=lambda uri: uri[:60])
async def test_a_client_with_only_a_private_use_scheme_connects(
    browser: Browser, http: httpx2.AsyncClient, uri: str
) -> None:
    registration = await register(http, redirect_uris=[uri])
    assert registration.status_code == 201, registration.text
    assert registration.json()["redirect_uris"] == [uri]
    client = OAuthClient(http, registration.json()["client_id"], uri)

    page = await browser.get("/oauth/authorize", params=client.question())
    shown = html.unescape(re.sub(r"<[^>]*>", "", page.text))
    assert f"opens {uri.partition(':')[0].lower()}: links" in shown and uri.partition("?")[0][:100] in shown

    denied = answer_of(await browser.submit(page, deny="1"), uri)
    assert denied["error"] == "access_denied" and denied["state"] == "xyz" and denied["iss"] == "http://localhost:5000"
    refused = answer_of(await browser.get("/oauth/authorize", params=client.question(code_challenge="x")), uri)
    assert refused["error"] == "invalid_request" and refused["iss"] == "http://localhost:5000"

    allowed = answer_of(await browser.submit(page, allow="1"), uri)
    assert allowed["state"] == "xyz" and allowed["iss"] == "http://localhost:5000"
    tokens = await client.exchange(allowed["code"])
    assert tokens.status_code == 200, tokens.text
    assert (await Caller(http, tokens.json()["access_token"]).post("list_tasks")).status_code == 200


async def test_a_document_may_have_only_a_private_use_scheme(
    browser: Browser, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"client_id": "https://app.example/client.json", "redirect_uris": ["myapp:callback", "myapp:///cb"]}
    monkeypatch.setattr(clients.MetadataFetcher, "_fetch", lambda self, client_id, end: (document, 300))
    for uri in document["redirect_uris"]:
        client = OAuthClient(http, "https://app.example/client.json", uri)
        assert (await connected(browser, client))["refresh_token"]


@pytest.mark.parametrize(
    ("registered_uri", "asked"),
    [
        ("myapp://callback", "MyApp://callback"),
        ("MyApp://callback", "myapp://callback"),
        ("myapp://callback", "myapp://callback/"),
        ("myapp://callback", "myapp://Callback"),
        ("myapp://callback", "myapp://callback?x=1"),
        ("myapp://callback", "myapp://callback?"),
        ("myapp://callback", "myapp:callback"),
        ("myapp:/callback", "myapp:///callback"),
        ("myapp:///callback", "myapp:/callback"),
        ("myapp://callback:1/a", "myapp://callback:2/a"),
        ("myapp://callback/a", "myapp://callback/b/../a"),
        ("myapp://callback/a", "myapp://callback/%61"),
        ("myapp://callback", "other://callback"),
        ("myapp://callback", "javascript:alert(1)"),
        ("myapp://callback", "myapp://callback#x"),
        ("myapp://callback", "myapp://callback\\x"),
    ],
)
async def test_a_private_use_uri_must_match_exactly(
    browser: Browser, http: httpx2.AsyncClient, registered_uri: str, asked: str
) -> None:
    client = await registered(http, redirect_uris=[registered_uri])
    page = await browser.get("/oauth/authorize", params=client.question(redirect_uri=asked))
    assert page.status_code == 400 and "location" not in page.headers and "cannot be connected" in page.text
    good = await browser.get("/oauth/authorize", params=client.question())
    manipulated = await browser.submit(good, allow="1", redirect_uri=asked)
    assert manipulated.status_code == 400 and "location" not in manipulated.headers
    code = answer_of(await browser.submit(good, allow="1"), registered_uri)["code"]
    refusal = await client.exchange(code, redirect_uri=asked)
    assert refusal.status_code == 400 and refusal.json()["error"] == "invalid_grant"
    assert "redirect_uri" in refusal.json()["error_description"]


NAMED = [scheme for schemes in REFUSED.values() for scheme in schemes.split()]
UNSAFE = [f"{scheme}:x" for scheme in NAMED] + [f"{scheme}://x/y" for scheme in NAMED]
UNSAFE += ["JavaScript:alert(1)", "javascript://%0aalert(1)", "data:text/html,<script>", "file:///etc/passwd"]
UNSAFE += ["ms-msdt:/id", "ms-settings:", "MS-Word:ofe", "http://evil.example/cb", "HTTP://0.0.0.0/", "http:x"]
NOT_URIS = ["", " ", "callback", "/callback", "//host/cb", "://x", "1app://x", "my_app://x", "C:/Users/x", "c:\\x"]
NOT_URIS += ["localhost:3000/callback", "example.com:8443/cb", "https:", "https://", "https:/x", "https:x", "http://"]
NOT_URIS += ["myapp://x#y", "myapp://x#", "https://app.example/#", "myapp://user@host/x", "https://u:p@app.example/"]
NOT_URIS += ["myapp://a b", " myapp://x", "myapp://x\n", "my\tapp://x", "myapp://\u00e9", "myapp:\0", "myapp:\u202ex"]
NOT_URIS += ["java\nscript:alert(1)", "\x01javascript:alert(1)", "myapp://x\\y", "myapp://[", "myapp://%zz"]
NOT_URIS += ["https://*.example.com/cb", "https://[::1", "https://app.example:99999x/", 'myapp:"x"']
NOT_URIS += ["myapp://" + "x" * 2048]


@pytest.mark.parametrize("uri", UNSAFE + NOT_URIS, ids=lambda uri: repr(uri)[:40])
async def test_other_uris_are_refused(uri: str) -> None:
    assert refusal(uri)


@pytest.mark.parametrize("uri", UNSAFE[::7] + UNSAFE[-10:], ids=lambda uri: repr(uri)[:40])
async def test_the_refusal_names_the_scheme_and_the_uri(http: httpx2.AsyncClient, orm: Orm, uri: str) -> None:
    refused = await register(http, redirect_uris=[uri])
    body = refused.json()
    assert refused.status_code == 400 and body["error"] == "invalid_redirect_uri"
    assert f"The redirect URI {uri} " in body["error_description"]
    assert re.search(rf"scheme {re.escape(uri.partition(':')[0].lower())}\b|has no host", body["error_description"])
    assert await orm(Application.objects.count) == 0


@pytest.mark.parametrize(
    ("uris", "kept"),
    [
        (["javascript:alert(1)", "https://app.example/cb"], ["https://app.example/cb"]),
        (["myapp:cb", "http://evil.example/", "http://localhost/cb"], ["myapp:cb", "http://localhost/cb"]),
        ([7, None, ["https://x.example"], "urn:ietf:wg:oauth:2.0:oob", "myapp:cb"], ["myapp:cb"]),
        (["https://app.example/cb#x", "https://app.example/cb"], ["https://app.example/cb"]),
    ],
)
async def test_a_list_keeps_the_uris_that_are_allowed(
    browser: Browser, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, uris: list[Any], kept: list[str]
) -> None:
    assert (await register(http, redirect_uris=uris)).json()["redirect_uris"] == kept
    document = {"client_id": "https://app.example/client.json", "redirect_uris": uris}
    monkeypatch.setattr(clients.MetadataFetcher, "_fetch", lambda self, client_id, end: (document, 300))
    for uri in uris:
        client = OAuthClient(http, "https://app.example/client.json", str(uri))
        page = await browser.get("/oauth/authorize", params=client.question())
        assert page.status_code == (200 if uri in kept else 400)


async def test_a_document_without_a_good_uri_is_refused_with_its_reason(
    browser: Browser, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"client_id": "https://app.example/client.json", "redirect_uris": ["vbscript:x"]}
    monkeypatch.setattr(clients.MetadataFetcher, "_fetch", lambda self, client_id, end: (document, 300))
    client = OAuthClient(http, "https://app.example/client.json", "vbscript:x")
    for _ in range(2):  # the second time, the failure is remembered
        page = await browser.get("/oauth/authorize", params=client.question())
        assert page.status_code == 400 and "vbscript:x has the scheme vbscript" in page.text


async def test_the_consent_page_escapes_and_shortens_the_address(browser: Browser, http: httpx2.AsyncClient) -> None:
    uri = "myapp://host/'*!$&(%3Cscript%3E)/" + "x" * 500
    client = await registered(http, redirect_uris=[uri])
    page = (await browser.get("/oauth/authorize", params=client.question())).text
    assert "<bdi>myapp://host/&#x27;*!$&amp;(%3Cscript%3E)/xxx" in page and "<script" not in page
    assert "x" * 200 not in re.sub(r"<input[^>]*>", "", page).split("<h2>")[1].split("</dl>")[0]
