"""No input of a stranger to the sign-in, its pages and OAuth gets an answer of 500 or above.

The requests go to the real application: every route of the URL configuration, every method and every field, with one
nasty value at a time. No answer may have a status of 500 or above, and the log may have no line at ERROR.
"""

import base64
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_from_bytes

import httpx2
import pytest
from django.urls import URLPattern, URLResolver

from tests.support.application import Orm
from tests.support.auth.client_documents import DocumentServer
from tests.support.auth.oauth_client import PASSWORD, REDIRECT_URI, RESOURCE, Browser, OAuthClient
from todo_mcp.auth.account import attempts
from todo_mcp.auth.oauth import clients
from todo_mcp.auth.oauth import limits as oauth_limits
from todo_mcp.auth.oauth import urls as oauth_urls
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio

FORM = "application/x-www-form-urlencoded"
AUTHORIZATION = {
    "response_type": "code",
    "client_id": "{client}",
    "redirect_uri": REDIRECT_URI,
    "scope": "tasks:read",
    "state": "xyz",
    "code_challenge": "x" * 43,
    "code_challenge_method": "S256",
    "resource": RESOURCE,
    "prompt": "consent",
    "nonce": "n",
    "claims": "{}",
    "response_mode": "query",
    "ui_locales": "en",
    "allow": "1",
}
CLIENT = {"client_id": "{client}", "client_secret": "x"}
TOKEN = {
    "grant_type": "authorization_code",
    "code": "x",
    "refresh_token": "x",
    "redirect_uri": REDIRECT_URI,
    "code_verifier": "x" * 43,
    "scope": "tasks:read",
    "resource": RESOURCE,
    "device_code": "x",
    "username": "alice",
    "password": "x",
    **CLIENT,
}
SIGN_IN = {"username": "alice", "password": "wrong", "next": "/"}
# The fields that each route reads. The values are valid or pass most checks.
FIELDS: dict[str, dict[str, str]] = {
    "oauth/authorize": AUTHORIZATION,
    "oauth/token": TOKEN,
    "oauth/revoke": {"token": "x", "token_type_hint": "access_token", **CLIENT},
    "oauth/introspect": {"token": "x", "token_type_hint": "access_token", **CLIENT},
    "oauth/register": {},
    "oauth/register/<str:client_id>": {},
    "oauth/sign-in": SIGN_IN,
    "oauth/sign-out": {"next": "/"},
    "oauth/connections": {"application_id": "1"},
    "oauth/time-zone": {"time_zone": "Europe/Berlin"},
    "oauth/password": {"old_password": "x", "new_password1": "y", "new_password2": "z"},
    "oauth/password/reset": {"email": "alice@example.com"},
    "oauth/password/reset/sent": {},
    "oauth/password/reset/<uidb64>/<token>": {"new_password1": "x", "new_password2": "x"},
    ".well-known/oauth-authorization-server": {"x": "x"},
    ".well-known/oauth-protected-resource": {"x": "x"},
    ".well-known/oauth-protected-resource/mcp": {"x": "x"},
    "admin/login/": SIGN_IN,
}
READS_QUERY = {"oauth/authorize", "oauth/sign-in", "oauth/sign-out", "admin/login/"}
# The routes that treat a signed-in user differently.
FOR_USERS = ("oauth/authorize", "oauth/connections", "oauth/password", "oauth/sign-out", "oauth/time-zone")
QUERY_MAX = 15_000  # a request line may not be longer
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X" * 100)

LONG = 70_000  # longer than every column, index and token, and within the limit of a body
TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "x" * 129,
    "x" * 256,
    "x" * 300,
    "x" * 3000,
    "x" * LONG,
    "9" * 5000,
    "-1",
    "1e400",
    "NaN",
    "null",
    "[]",
    "{}",
    "[" * 3000,
    '{"a":' * 2000,
    "\x01\x1b\x7f\x85\u2028\u202e\ufeff",
    "\r\nSet-Cookie: a=b",
    "\U0001f404" * 300,
    "\u0130\u1e9e\ufb01\u0345",  # their length or their letters change when their case is changed
    "%",
    "%zz",
    "%00",
    "+",
    "a=b&c=d;e",
    "' OR 1=1 --",
    "{{ 7 * 7 }}",
    "../../../etc/passwd",
    "https://[",
    "https://[::1",
    "https://a..b/x",
    "https://x:99999/x",
    "https://\uff0e/x",
    "http://localhost:x/",
    "//evil.example",
    "javascript:alert(1)",
    "http://127.0.0.1:33418/callback#x",
    "S256",
    "plain",
    "token",
    "none",
    "login",
    "create",
    "password",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
)
RAW = tuple(quote(text, safe="") for text in TEXTS) + tuple(
    quote_from_bytes(data, safe="")
    for data in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"a\xe2\x82")
)


def routes(patterns: Iterable[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern):
            yield path


@dataclass
class Fuzz:
    """Sends requests, and records those that fail."""

    http: httpx2.AsyncClient
    caplog: pytest.LogCaptureFixture
    client_id: str
    cookies: dict[str, str]
    count: int = 0
    failures: list[str] = field(default_factory=list)

    async def send(self, method: str, url: str, body: bytes | str = b"", **headers: str) -> httpx2.Response:
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        raw_headers = [
            (name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in {**cookie, **headers}.items()
        ]
        response = await self.http.request(method, url, content=body, headers=raw_headers)
        self.http.cookies.clear()
        self.count += 1
        records = [record for record in self.caplog.records if record.levelno >= logging.ERROR]
        errors = [f"{record.getMessage()}: {record.exc_info and record.exc_info[1]!r}" for record in records]
        self.caplog.clear()
        if response.status_code >= 500 or errors:
            self.failures.append(f"{response.status_code} {errors} {method} {url[:90]} {headers} {str(body)[:400]}")
        return response

    def fields(self, route: str) -> dict[str, str]:
        """The good values, encoded as in a query or a form."""
        good = {name: value.replace("{client}", self.client_id) for name, value in FIELDS[route].items()}
        return {name: quote(value, safe="") for name, value in good.items()}

    async def query(self, path: str, fields: dict[str, str]) -> None:
        await self.send("GET", f"/{path}?{_pairs(fields)}")

    async def form(self, path: str, fields: dict[str, str]) -> None:
        token = {"csrfmiddlewaretoken": self.cookies["csrftoken"]}
        await self.send("POST", f"/{path}", _pairs({**fields, **token}), content_type=FORM)

    def check(self, least: int) -> None:
        assert self.count >= least
        assert not self.failures, "\n" + "\n".join(self.failures[:40]) + f"\n{len(self.failures)} of {self.count}"


def _pairs(fields: dict[str, str]) -> str:
    return "&".join(f"{name}={value}" for name, value in fields.items())


@pytest.fixture(autouse=True)
def cheap(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No slow hashes, and no limit that would stop the later requests from being processed."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]
    settings.AXES_FAILURE_LIMIT = 10**9
    for name in ("NEW_CLIENTS_AN_HOUR", "CLIENTS_AN_HOUR"):
        monkeypatch.setattr(clients, name, 10**6)
    for name in ("ADDRESS_MAX", "NAME_MAX"):
        monkeypatch.setattr(attempts, name, 10**6)
    for name in ("CLIENT_ADDRESS_MAX", "CLIENT_NAME_MAX"):
        monkeypatch.setattr(oauth_limits, name, 10**6)


@pytest.fixture
async def fuzz(
    request: Any, http: httpx2.AsyncClient, person: User, app: OAuthClient, caplog: pytest.LogCaptureFixture
) -> Fuzz:
    """Requests of a stranger, or of a signed-in user if the parameter is "person"."""
    browser = Browser(http)
    await browser.get("/oauth/sign-in")
    if getattr(request, "param", "") == "person":
        await browser.sign_in("alice", PASSWORD)
    caplog.clear()
    return Fuzz(http, caplog, app.client_id, browser.cookies)


def test_the_fields_of_every_route_are_listed_here() -> None:
    assert set(FIELDS) == {*routes(oauth_urls.urlpatterns), "admin/login/"}


@pytest.mark.parametrize(
    ("fuzz", "route"),
    [("stranger", route) for route, fields in FIELDS.items() if fields and "<" not in route]
    + [("person", route) for route in FOR_USERS],
    indirect=["fuzz"],
)
async def test_no_value_of_a_parameter_causes_a_server_error(fuzz: Fuzz, route: str) -> None:
    good = fuzz.fields(route)
    for name in good:
        variants = [{**good, name: nasty} for nasty in RAW]
        variants.append({key: value for key, value in good.items() if key != name})
        variants.append({**good, f"{name}={good[name]}&{name}": "other"})
        for fields in variants:
            if route in READS_QUERY and len(fields.get(name, "")) < QUERY_MAX:
                await fuzz.query(route, fields)
            await fuzz.form(route, fields)
    for nasty in RAW:
        await fuzz.form(route, {**good, nasty: nasty})
    fuzz.check(least=len(RAW))


IDS = ("alice", "\0", "a\0", "x" * 255, "x" * 3000, "\u202e", "\U0001f404" * 100)
UIDS = (*(base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode() for text in IDS), "_w", "7aCA", "A", "=", "-")
RESET_TOKENS = ("set-password", "a-b", "x", "-", "1" * 13 + "-x", "1" * 14 + "-x", "zzzzzzzzzzzzz-" + "x" * 3000)


async def test_no_reset_link_causes_a_server_error(fuzz: Fuzz) -> None:
    path = "oauth/password/reset/{}/{}"
    for uid in (*UIDS, *RAW):
        for token in RESET_TOKENS if uid in UIDS else RESET_TOKENS[:2]:
            if uid and len(uid) < QUERY_MAX:
                await fuzz.query(path.format(uid, token), {})
                await fuzz.form(path.format(uid, token), {"new_password1": "x", "new_password2": "x"})
    for token in RAW:
        if token and len(token) < QUERY_MAX:
            await fuzz.query(path.format(UIDS[0], token), {})
    fuzz.check(least=100)


async def test_no_path_causes_a_server_error(fuzz: Fuzz) -> None:
    for prefix in (
        "oauth/",
        "oauth/register/",
        ".well-known/",
        ".well-known/oauth-protected-resource/",
        "admin/login/",
    ):
        for nasty in RAW:
            if len(nasty) < QUERY_MAX:
                for method in ("GET", "POST", "DELETE"):
                    await fuzz.send(method, f"/{prefix}{nasty}")
    fuzz.check(least=500)


async def test_no_method_and_no_kind_of_body_causes_a_server_error(fuzz: Fuzz) -> None:
    boundary = "multipart/form-data; boundary=b"
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n--b--\r\n'
    bodies: list[tuple[str, bytes]] = [
        (FORM, b""),
        (FORM, b"\xff\xfe\0%%%=&&&;==%ff"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(1200))),
        (FORM, b"&" * 5000),
        (f"{FORM}; charset=utf-16", b"grant_type=x"),
        (f"{FORM}; charset=unicode_escape", b"grant_type=\\ud800&username=\\ud800&token=\\ud800"),
        (f"{FORM}; charset=idna", b"grant_type=x"),
        (f"{FORM}; charset=base64", b"grant_type=x"),
        (f"{FORM}; charset=unknown", b"grant_type=x"),
        (f"{FORM}; charset=UTF-8", b"grant_type=x"),
        ("application/json", b"{}"),
        ("application/json", b"["),
        ("text/plain", b"x=y"),
        ("multipart/form-data", b"--x"),
        ("multipart/form-data; boundary=", b"--x"),
        ("multipart/form-data; boundary=\xe9", b"--x"),
        (boundary, b""),
        (boundary, b"--b\r\n"),
        (
            boundary,
            b"--b\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--b--",
        ),
        (boundary, part.format("username", "a\0b").encode()),
        (boundary, part.format("username", "x" * 3000).encode()),
        (boundary, part.format("grant_type", "\ud800").encode("utf-8", "surrogatepass")),
        (boundary, part.format('a"; filename="../x\0', "file").encode()),
        (boundary, b"".join(part.format(f"a{n}", "x")[:-7].encode() for n in range(1200)) + b"--b--\r\n"),
        (f"{boundary}; charset=unicode_escape", part.format("token", "\\ud800").encode()),
        (f"{boundary}; charset=punycode", part.format("token", "x-" + "9" * 2000).encode()),
        ("", b"x"),
        ("x" * 3000, b"x"),
        ("\xff", b"x"),
    ]
    for route in FIELDS:
        path = route.replace("<str:client_id>", "x").replace("<uidb64>", UIDS[0]).replace("<token>", "a-b")
        for method in METHODS:
            await fuzz.send(method, f"/{path}")
            await fuzz.send(method, f"/{path}?{_pairs(fuzz.fields(route))}&x=%00")
        for content_type, body in bodies:
            headers = {"content_type": content_type, "x_csrftoken": fuzz.cookies["csrftoken"]}
            for method in ("POST", "GET"):
                await fuzz.send(method, f"/{path}?client_id=%5Cud800", body, **headers)
    many = "&".join(f"a{number}=1" for number in range(1200))
    for route in FIELDS:
        await fuzz.send("GET", f"/{route.partition('<')[0]}?{many}")
    fuzz.check(least=1000)


async def test_no_header_causes_a_server_error(fuzz: Fuzz, orm: Orm, app: OAuthClient) -> None:
    token = await orm(lambda: issue_token(service="chat"))

    def basic(pair: bytes) -> str:
        return "Basic " + base64.b64encode(pair).decode()

    client_id = app.client_id.encode()
    values = ("", "\x01", "x" * 3000, "\xff\xfe", "a=b; c=d", "*/*;q=x", "https://[")
    credentials = (
        *("Basic", "Basic ", "Basic !", "Basic =", "Basic AA==", "Bearer", "Bearer ", "Bearer x y", f"bearer {token}"),
        *(basic(pair) for pair in (b"", b":", b"\0:\0", b"a%00:b", b"a%ed%a0%80:b", b"\xff:\xff", b"x" * 3000 + b":y")),
        *(basic(client_id + rest) for rest in (b"", b":", b":x", b":%00", b":\xff", b"%00:x")),
        basic(b"https%3A%2F%2F%5B:x"),
        "Digest " + "x" * 3000,
    )
    cookies = dict(fuzz.cookies)
    for route in (
        "oauth/authorize",
        "oauth/token",
        "oauth/revoke",
        "oauth/introspect",
        "oauth/sign-in",
        "admin/login/",
    ):
        path = f"/{route}"
        body = _pairs({**fuzz.fields(route), "csrfmiddlewaretoken": cookies["csrftoken"]})
        fuzz.cookies = cookies
        for value in credentials:
            await fuzz.send("POST", path, body, content_type=FORM, authorization=value)
        for name in ("user_agent", "accept", "accept_language", "referer", "origin", "x_forwarded_for", "x_csrftoken"):
            for value in values:
                await fuzz.send("POST", path, body, content_type=FORM, **{name: value})
        for value in (*values, "x" * 32, "x" * 64):
            for name in ("sessionid", "csrftoken", "messages"):
                fuzz.cookies = {**cookies, name: value}
                await fuzz.send("GET", path)
                await fuzz.send("POST", path, body, content_type=FORM)
    fuzz.check(least=500)


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**400, 1e308, "", [], {}, [[]], [None], [7], [{}], {"a": None}, {"x": ["y"]}),
    *(["authorization_code"], ["refresh_token"], ["authorization_code", None, {}, []], "authorization_code"),
    *("\0", "\ud800", ["\ud800"], ["\0"], ["https://\ud800/"], "x" * 300, ["x" * 300], "x" * 15_000, ["x"] * 3000),
    *([REDIRECT_URI] * 2, [REDIRECT_URI] * 500, ["https://[", "https://[::1", "https://x:99999/"], ["https:"]),
    *(["https://app.example/" + "x" * 14_000], ["https://app.example/cb?" + "&" * 9000], ["https://\uff0e/"]),
    *(
        ["https://a..b/cb"],
        ["https://app.example:x/"],
        ["cursor:"],
        ["cursor://\0"],
        "none",
        ["none"],
        "private_key_jwt",
    ),
)
CLIENT_METADATA = {
    "client_name": "Test app",
    "redirect_uris": [REDIRECT_URI],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "none",
    "token_endpoint_auth_methods_supported": ["none"],
    "scope": "tasks:read",
    "client_id": "x",
    "client_secret": "x",
    "skip_authorization": True,
}


async def test_no_client_metadata_causes_a_server_error(fuzz: Fuzz) -> None:
    for name in [*CLIENT_METADATA, "\0\ud800", "x" * 3000]:
        for value in VALUES:
            body = json.dumps({**CLIENT_METADATA, name: value})
            answer = await fuzz.send("POST", "/oauth/register", body, content_type="application/json")
            result = answer.json()
            if answer.status_code == 201:
                assert result["client_id"] != "x" and answer.headers["cache-control"] == "no-store"
            else:
                assert answer.status_code == 400, (name, value)
                assert result["error"] in ("invalid_client_metadata", "invalid_redirect_uri")
                assert result["error_description"]
    fuzz.check(least=500)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value)[:30])
async def test_no_value_in_a_client_document_causes_a_server_error(
    http: httpx2.AsyncClient, documents: DocumentServer, caplog: pytest.LogCaptureFixture, value: Any
) -> None:
    for number, name in enumerate(("client_name", "redirect_uris", "grant_types", "token_endpoint_auth_method", "x")):
        path = f"/{number}"
        body = documents.text(path, **{name: value})
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        answer = await OAuthClient(http, documents.serve(head.encode() + body, path)).exchange("x")
        assert answer.status_code in (400, 401), answer.text
        assert answer.json()["error_description"]
    assert len(documents.asked) == 5
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
