"""An OAuth client and a person's browser. Each step of connecting an app is a plain request."""

import base64
import hashlib
import html
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2

PASSWORD = "correct horse battery staple"
REDIRECT_URI = "http://127.0.0.1:33418/callback"
RESOURCE = "http://localhost:5000/mcp"
BASIC = "tasks:read tasks:write"


@dataclass
class OAuthClient:
    """A public client that has registered itself."""

    http: httpx2.AsyncClient
    client_id: str
    redirect_uri: str = REDIRECT_URI
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def question(self, **changes: str | None) -> dict[str, str]:
        """The parameters of an authorization request. A parameter of None is left out."""
        parameters = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": BASIC,
            "state": "xyz",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
            "resource": RESOURCE,
            **changes,
        }
        return {name: value for name, value in parameters.items() if value is not None}

    async def exchange(self, code: str, /, **changes: str) -> httpx2.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "code": code,
            "code_verifier": self.verifier,
            "resource": RESOURCE,
            **changes,
        }
        return await self.http.post("/oauth/token", data=form)

    async def refresh(self, refresh_token: str, /, **changes: str) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "client_id": self.client_id, "refresh_token": refresh_token, **changes}
        return await self.http.post("/oauth/token", data=form)


async def at_once(send: Callable[[], Awaitable[httpx2.Response]], times: int) -> list[httpx2.Response]:
    """Send the request ``times`` times at once. Returns the answers."""
    answers: list[httpx2.Response] = []

    async def collect() -> None:
        answers.append(await send())

    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(collect)
    return answers


async def register(http: httpx2.AsyncClient, **metadata: Any) -> httpx2.Response:
    """Dynamic registration (RFC 7591)."""
    body = {
        "client_name": "Test client",
        "redirect_uris": [REDIRECT_URI],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        **metadata,
    }
    return await http.post("/oauth/register", json=body)


async def registered(http: httpx2.AsyncClient, **metadata: Any) -> OAuthClient:
    response = await register(http, **metadata)
    assert response.status_code == 201, response.text
    body = response.json()
    return OAuthClient(http, body["client_id"], body["redirect_uris"][0])


class Browser:
    """A person's browser. It keeps cookies and fills in forms as the page shows them."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self.cookies: dict[str, str] = {}

    async def get(self, url: str, **kwargs: Any) -> httpx2.Response:
        return self._keep_cookies(await self._http.get(url, headers=self._headers(), **kwargs))

    async def post(self, url: str, data: dict[str, str], **headers: str) -> httpx2.Response:
        return self._keep_cookies(await self._http.post(url, data=data, headers={**self._headers(), **headers}))

    async def submit(self, page: httpx2.Response, action: str = "", **values: str) -> httpx2.Response:
        """Send the first form on the page with this ``action``."""
        return await self.post(action or str(page.request.url), {**hidden(page.text, action), **values})

    async def sign_in(self, user_id: str, password: str = PASSWORD, *, to: str = "") -> httpx2.Response:
        page = await self.get("/oauth/sign-in", params={"next": to} if to else None)
        return await self.submit(page, username=user_id, password=password)

    async def consent(self, question: dict[str, str], answer: str = "allow") -> httpx2.Response:
        """Open the authorization endpoint and answer its question. The response redirects to the client."""
        page = await self.get("/oauth/authorize", params=question)
        assert page.status_code == 200, page.text
        return await self.submit(page, "", **{answer: "1"})

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def _keep_cookies(self, response: httpx2.Response) -> httpx2.Response:
        for cookie in response.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        self._http.cookies.clear()
        return response


def hidden(page: str, action: str = "") -> dict[str, str]:
    """The hidden fields of the form with this ``action``, or of the form without one."""
    for attributes, body in re.findall(r"<form([^>]*)>(.*?)</form>", page, re.DOTALL):
        target = re.search(r'action="([^"]*)"', attributes)
        if (target[1] if target else "") == action:
            inputs = re.findall(r'<input type="hidden" name="([^"]+)"(?: value="([^"]*)")?', body)
            return {name: html.unescape(value) for name, value in inputs}
    raise AssertionError(f"no form for {action or 'the page'}")


def answered(response: httpx2.Response) -> dict[str, str]:
    """The parameters of the redirect to the client."""
    assert response.status_code == 302, response.text
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


async def connected(browser: Browser, client: OAuthClient, **changes: str | None) -> dict[str, Any]:
    """The tokens that the client gets when the signed-in person consents."""
    response = await browser.consent(client.question(**changes))
    tokens = await client.exchange(answered(response)["code"])
    assert tokens.status_code == 200, tokens.text
    body: dict[str, Any] = tokens.json()
    return body
