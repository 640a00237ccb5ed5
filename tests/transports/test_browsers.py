"""Pages of listed origins may call and read every answer. Pages of other origins, and pages with cookies, get nothing.

PAGE is listed. The requests are those that a browser sends for `fetch` in a page.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import pytest
from django.db import connection, transaction

from tests.support.application import Orm, application_client
from tests.support.auth.oauth_client import OAuthClient
from tests.support.caller import Caller
from tests.support.mcp_messages import REVISIONS, mcp_headers, tool_call
from todo_mcp.auth.tokens import issue_token

pytestmark = pytest.mark.anyio

PAGE, OTHER_PAGE = "https://app.example.com", "http://localhost:5173"
OPEN = (
    *("/mcp", "/mcp/", "/api/tools/add_task", "/api/tools/add_task/", "/api/tools/nothing", "/api/nothing"),
    *("/api/conversations", "/api/conversations/1/messages", "/api/schema", "/oauth/token", "/oauth/register"),
    *("/oauth/revoke", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource/mcp"),
    *("/.well-known/oauth-protected-resource", "/.well-known/openid-configuration"),
)
CLOSED = (
    *("/", "/admin", "/admin/", "/admin/login/", "/oauth/authorize", "/oauth/sign-in", "/oauth/connections"),
    *("/oauth/password", "/oauth/introspect", "/static/todo_mcp/account.css", "/healthz", "/readyz", "/metrics"),
    *("/mcpx", "/apix/", "/oauth/tokens", "/oauth/token/x", "/mcp/x", "/nothing"),
)
UNLISTED = (
    *("https://evil.example", "http://app.example.com", "https://app.example.com:8443", "https://app.example.com/"),
    *(
        "https://app.example.com.evil.example",
        "https://evil.example/https://app.example.com",
        "HTTPS://APP.EXAMPLE.COM",
    ),
    *("https://xapp.example.com", "https://example.com", "null", "*", "file://", f"{PAGE}, {OTHER_PAGE}", f"{PAGE} "),
)
ADDED = "access-control-allow-origin"


@pytest.fixture
def origins() -> tuple[str, ...]:
    return (PAGE, OTHER_PAGE)


@pytest.fixture
async def http(
    committed: None, anyio_backend: str, settings: Any, origins: tuple[str, ...]
) -> AsyncIterator[httpx2.AsyncClient]:
    settings.BROWSER_ORIGINS = origins
    settings.GATE_SECONDS, settings.DATABASE_CONNECTIONS = 0.05, 2
    async with application_client() as client:
        yield client


async def preflight(
    http: httpx2.AsyncClient, path: str, origin: str = PAGE, /, method: str = "POST", **changes: str
) -> httpx2.Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version,mcp-method,mcp-param-x",
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    return await http.options(path, headers=headers)


def names_of(response: httpx2.Response, header: str) -> set[str]:
    return {name.strip().lower() for name in response.headers[header].split(",")}


def check_nothing_is_shared(response: httpx2.Response) -> None:
    where = f"{response.request.method} {response.request.url} {response.status_code}"
    assert not [name for name in response.headers if name.startswith("access-control-")], where


def check_readable(response: httpx2.Response, origin: str = PAGE) -> None:
    where = f"{response.request.method} {response.request.url} {response.status_code}"
    assert response.headers.get_list(ADDED) == [origin], where
    assert "access-control-allow-credentials" not in response.headers
    assert names_of(response, "vary") >= {"origin"}
    assert names_of(response, "access-control-expose-headers") >= {
        *("www-authenticate", "mcp-session-id", "mcp-protocol-version", "retry-after", "x-request-id", "allow")
    }


@pytest.mark.parametrize("path", OPEN)
async def test_a_preflight_of_a_listed_origin_is_answered_without_a_token(http: httpx2.AsyncClient, path: str) -> None:
    for origin in (PAGE, OTHER_PAGE):
        for method in ("GET", "POST", "DELETE", "PUT", "PATCH"):
            response = await preflight(http, path, origin, method)
            assert response.status_code == 200, response.text
            assert response.headers.get_list(ADDED) == [origin]
            assert method.lower() in names_of(response, "access-control-allow-methods")
            assert names_of(response, "access-control-allow-headers") >= {"authorization", "mcp-method", "mcp-param-x"}
            assert int(response.headers["access-control-max-age"]) > 0
            assert names_of(response, "vary") >= {"origin", "access-control-request-headers"}
            assert "access-control-allow-credentials" not in response.headers
            assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize("path", OPEN)
async def test_a_page_of_an_unlisted_origin_gets_nothing(http: httpx2.AsyncClient, path: str) -> None:
    for origin in UNLISTED:
        check_nothing_is_shared(await preflight(http, path, origin, Access_Control_Request_Private_Network="true"))
        for method in ("GET", "POST", "OPTIONS"):
            check_nothing_is_shared(await http.request(method, path, headers={"Origin": origin}))


@pytest.mark.parametrize("origins", [()])
@pytest.mark.parametrize("path", [*OPEN, *CLOSED])
async def test_without_the_setting_no_page_gets_anything(http: httpx2.AsyncClient, path: str) -> None:
    check_nothing_is_shared(await preflight(http, path))
    for method in ("GET", "POST", "OPTIONS"):
        check_nothing_is_shared(await http.request(method, path, headers={"Origin": PAGE}))


@pytest.mark.parametrize("path", CLOSED)
async def test_pages_that_use_cookies_and_probes_are_closed_to_listed_origins_too(
    http: httpx2.AsyncClient, path: str
) -> None:
    check_nothing_is_shared(await preflight(http, path))
    for method in ("GET", "POST", "OPTIONS"):
        check_nothing_is_shared(await http.request(method, path, headers={"Origin": PAGE}))


async def test_a_request_without_an_origin_gets_no_headers_for_pages(as_alice: Caller) -> None:
    for path in OPEN:
        check_nothing_is_shared(await as_alice.http.get(path, headers=as_alice.headers))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_listed_page_calls_a_tool_over_mcp(as_alice: Caller, revision: str) -> None:
    headers = {**as_alice.rpc_headers(revision, "tools/call", "add_task"), "Origin": PAGE}
    for _ in range(2):  # by the SDK, and by a known frame
        response = await as_alice.http.post(
            "/mcp", content=tool_call(revision, "add_task", '{"title": "x"}'), headers=headers
        )
        assert response.json()["result"]["structuredContent"]["status"] == "success"
        check_readable(response)


async def test_a_listed_page_uses_the_tools_and_conversations_over_http(as_alice: Caller) -> None:
    headers = {**as_alice.headers, "Origin": OTHER_PAGE}
    for method, path, body, status in (
        ("POST", "/api/tools/add_task", {"title": "x"}, 200),
        ("POST", "/api/conversations", {}, 201),
        ("GET", "/api/conversations", None, 200),
        ("GET", "/api/schema", None, 200),
    ):
        response = await as_alice.http.request(method, path, json=body, headers=headers)
        assert response.status_code == status
        check_readable(response, OTHER_PAGE)


async def test_a_listed_page_connects_as_an_oauth_client(http: httpx2.AsyncClient, app: OAuthClient) -> None:
    http.headers["Origin"] = PAGE
    metadata = await http.get("/.well-known/oauth-authorization-server")
    resource = await http.get("/.well-known/oauth-protected-resource/mcp")
    registration = await http.post("/oauth/register", json={"redirect_uris": [f"{PAGE}/callback"]})
    for response, status in (
        (metadata, 200),
        (resource, 200),
        (registration, 201),
        (await app.exchange("no such code"), 400),
        (await http.post("/oauth/revoke", data={"token": "x", "client_id": app.client_id}), 200),
        (await http.get("/.well-known/openid-configuration"), 404),
    ):
        assert response.status_code == status, response.text
        check_readable(response)


Refusal = tuple[int, str, str, Mapping[str, str], bytes]
REFUSALS: tuple[Refusal, ...] = (
    (401, "POST", "/mcp", {"Authorization": ""}, b"{}"),
    (401, "POST", "/mcp", {"Authorization": "Bearer x"}, b"{}"),
    (401, "POST", "/api/tools/add_task", {"Authorization": ""}, b"{}"),
    (401, "GET", "/api/conversations", {"Authorization": ""}, b""),
    (403, "POST", "/api/tools/add_task", {}, b'{"title": "x", "user_id": "bob"}'),
    (404, "POST", "/api/tools/nothing", {}, b"{}"),
    (404, "GET", "/api/nothing", {}, b""),
    (404, "GET", "/api//conversations", {}, b""),
    (404, "GET", "/api/conversations/7", {}, b""),
    (405, "GET", "/mcp", {}, b""),
    (405, "DELETE", "/mcp", {}, b""),
    (405, "PUT", "/api/tools/add_task", {}, b"{}"),
    (405, "PUT", "/api/conversations", {}, b"{}"),
    (405, "GET", "/oauth/token", {}, b""),
    (405, "OPTIONS", "/mcp", {}, b""),  # no preflight: it does not say which method follows
    (413, "POST", "/mcp", {}, b" " * 300_000),
    (413, "POST", "/api/tools/add_task", {}, b" " * 300_000),
    (413, "POST", "/oauth/register", {}, b" " * 300_000),
    (400, "POST", "/mcp", {}, b"{"),
    (400, "POST", "/api/tools/add_task", {}, b"{"),
    (400, "POST", "/oauth/token", {}, b""),
    (400, "POST", "/oauth/register", {}, b"{"),
    (421, "POST", "/mcp", {"Host": "evil.example"}, b"{}"),
    (431, "POST", "/mcp", {"X-Big": "x" * 20_000}, b"{}"),
)


@pytest.mark.parametrize(("status", "method", "path", "changes", "body"), REFUSALS)
async def test_a_listed_page_can_read_every_refusal(
    as_alice: Caller, status: int, method: str, path: str, changes: Mapping[str, str], body: bytes
) -> None:
    headers = {**as_alice.rpc_headers(REVISIONS[-1], "tools/call", "add_task"), "Origin": PAGE, **changes}
    if path.startswith("/oauth"):
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    response = await as_alice.http.request(method, path, content=body, headers=headers)
    assert response.status_code == status, response.text
    check_readable(response)


async def test_a_listed_page_can_read_that_a_scope_is_missing(as_alice: Caller, orm: Orm) -> None:
    token = await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"]))
    headers = {"Authorization": f"Bearer {token}", "Origin": PAGE}
    response = await as_alice.http.post("/api/tools/add_task", json={"title": "x"}, headers=headers)
    assert (response.status_code, "insufficient_scope" in response.headers["www-authenticate"]) == (403, True)
    check_readable(response)


async def test_a_listed_page_can_read_that_it_calls_too_often(as_alice: Caller, settings: Any) -> None:
    settings.RATE_LIMIT = 1
    headers = {**as_alice.headers, "Origin": PAGE}
    answers = [await as_alice.http.post("/api/tools/list_tasks", json={}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert int(answers[1].headers["retry-after"]) > 0
    check_readable(answers[1])


async def test_a_listed_page_can_read_that_the_server_is_busy(as_alice: Caller, orm: Orm, settings: Any) -> None:
    share = settings.DATABASE_CONNECTIONS // 2  # the connections that one user gets

    def lock() -> None:
        transaction.set_autocommit(False)
        connection.cursor().execute("LOCK TABLE tasks, conversations")

    def unlock() -> None:
        transaction.rollback()
        transaction.set_autocommit(True)

    def waiting() -> bool:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone() == (share,))

    headers = {**as_alice.headers, "Origin": PAGE}
    await orm(lock)
    calls = [asyncio.create_task(as_alice.post("list_tasks")) for _ in range(share)]
    async with asyncio.timeout(30):
        while not await orm(waiting):
            await asyncio.sleep(0)
    answer = await as_alice.http.post("/api/tools/list_tasks", json={}, headers=headers)
    await orm(unlock)
    await asyncio.gather(*calls)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    check_readable(answer)


async def test_a_preflight_for_a_foreign_host_is_refused_first(http: httpx2.AsyncClient) -> None:
    response = await preflight(http, "/mcp", Host="evil.example")
    assert response.status_code == 421
    check_nothing_is_shared(response)


async def test_a_preflight_for_a_method_that_nothing_here_has_is_refused_in_words(http: httpx2.AsyncClient) -> None:
    for path in ("/mcp", "/api/tools/add_task"):
        response = await preflight(http, path, PAGE, "BREW")
        assert (response.status_code, "POST" in response.text) == (400, True)
        assert response.json()


async def test_a_listed_page_may_call_a_server_in_the_persons_own_network(http: httpx2.AsyncClient) -> None:
    answers = [await preflight(http, "/mcp", PAGE, Access_Control_Request_Private_Network="true") for _ in range(2)]
    assert {answer.headers["access-control-allow-private-network"] for answer in answers} == {"true"}
    assert "access-control-allow-private-network" not in (await preflight(http, "/mcp")).headers


async def test_a_preflight_does_no_call(as_alice: Caller) -> None:
    call = tool_call(REVISIONS[-1], "add_task", '{"title": "x"}')
    headers = {**as_alice.headers, **mcp_headers(REVISIONS[-1], "tools/call", "add_task")}
    headers |= {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    assert (await as_alice.http.request("OPTIONS", "/mcp", content=call, headers=headers)).text == "OK"
    assert (await as_alice.mcp("list_tasks"))["data"]["total"] == 0
