"""No refusal has an empty body. Programs get JSON in the form of their protocol, on every route."""

import asyncio
from typing import Any

import httpx2
import pytest
from django.db import connection, transaction

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.routes import every_path
from todo_mcp.transports.http.paths import speaks_oauth

pytestmark = pytest.mark.anyio
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
JSON = "application/json"
# Accept and Content-Type
MEDIA_TYPES = (
    ("", ""),
    ("text/event-stream", JSON),
    ("text/html", "text/plain"),
    ("application/*", "Application/JSON; Charset=UTF-8"),
    ("*/*;q=0", "application/x-www-form-urlencoded"),
    ("text/html, */*;q=0.8", "multipart/form-data; boundary=x"),
)
# A request that the checks refuse: headers and body, and the status at paths that take calls
REFUSED_EARLY: tuple[tuple[dict[str, str], bytes, int], ...] = (
    ({"Host": "evil.example"}, b"{}", 421),
    ({"Origin": "https://evil.example"}, b"{}", 403),
    ({"X-Big": "x" * 20_000}, b"{}", 431),
    ({"Content-Length": "9" * 15}, b"{}", 413),
    ({"Accept": "x" * 3000}, b"{}", 400),
    ({"Content-Type": "a/b, c/d"}, b"{}", 400),
    ({}, b"{", 400),
    ({"Authorization": ""}, b"{}", 401),
)


def execute(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


def is_for_programs(path: str) -> bool:
    return path == "/api" or path.startswith(("/api/", "/mcp/")) or path == "/mcp" or speaks_oauth(path)


def check(response: httpx2.Response) -> None:
    """Check that a refusal says why, in the form that its path's callers read."""
    path, status = response.request.url.path, response.status_code
    where = f"{response.request.method} {path} {status} {response.text[:200]}"
    if status < 400:
        return
    assert response.content.strip(), where
    assert status != 405 or "allow" in response.headers, where
    path = path.removesuffix("/")
    if not is_for_programs(path):
        return
    assert response.headers["content-type"] == JSON, where
    answer = response.json()
    if path.startswith("/mcp"):
        assert set(answer) == {"jsonrpc", "id", "error"}, where
        answer = answer["error"].get("data") or pytest.fail(where)
    if speaks_oauth(path):
        assert answer["error"] and answer["error_description"].endswith("."), where
        return
    assert set(answer) == {"status", "data", "message"} and answer["status"] == "error", where
    assert answer["data"]["error_code"] == status and answer["data"]["error"], where
    assert answer["message"].endswith("."), where


async def walk(caller: Caller, paths: list[str], token: dict[str, str]) -> set[int]:
    statuses = set()
    for path in paths:
        for method in METHODS:
            for accept, content_type in MEDIA_TYPES:
                headers = {**token, "Accept": accept, "Content-Type": content_type}
                response = await caller.http.request(method, path, headers=headers)
                check(response)
                statuses.add(response.status_code)
    return statuses


async def test_every_refusal_of_a_route_for_programs_says_why(as_alice: Caller) -> None:
    paths = [
        path
        for path in [*every_path(), "/mcp/", "/mcp/nothing", "/api/", "/api/tools/", "/api/nothing"]
        if is_for_programs(path)
    ]
    paths += [f"{path}/" for path in paths if not path.endswith("/")]
    assert await walk(as_alice, paths, as_alice.headers) >= {400, 404, 405, 406, 415}
    assert await walk(as_alice, paths, {}) >= {401, 404, 405}


async def test_no_refusal_of_a_page_is_empty(as_alice: Caller) -> None:
    pages = [path for path in every_path() if not is_for_programs(path)]
    for path in pages:
        for method in METHODS:
            check(await as_alice.http.request(method, path))


async def test_every_refusal_of_the_checks_says_why(as_alice: Caller) -> None:
    calls = ("/mcp", "/mcp/", "/api/tools/add_task", "/api/tools/nothing", "/api/conversations")
    for path in (*calls, "/api/schema", "/api/nothing", "/oauth/token", "/oauth/register", "/.well-known/x", "//mcp"):
        for headers, body, status in REFUSED_EARLY:
            response = await as_alice.http.post(path, headers={**as_alice.headers, **headers}, content=body)
            assert path not in calls or response.status_code == status, (path, response.text)
            check(response)


@pytest.fixture
def short_wait_at_the_gate(settings: Any) -> None:
    settings.GATE_SECONDS = 0.05  # set before the application starts


@pytest.mark.usefixtures("short_wait_at_the_gate")
async def test_a_server_without_a_free_connection_says_so_in_the_form_of_the_path(
    as_alice: Caller, as_bob: Caller, orm: Orm, settings: Any
) -> None:
    for caller in (as_alice, as_bob):  # each gets half of the connections
        await caller.post("list_tasks")
    await orm(lambda: transaction.set_autocommit(False))
    await orm(lambda: execute("LOCK TABLE tasks"))
    count = settings.DATABASE_CONNECTIONS
    calls = [asyncio.create_task((as_alice, as_bob)[n % 2].post("list_tasks")) for n in range(count)]
    async with asyncio.timeout(30):
        while await orm(lambda: execute("SELECT count(*) FROM pg_locks WHERE NOT granted")) != [(count,)]:
            await asyncio.sleep(0)
    for path in ("/api/schema", "/oauth/token", "/.well-known/oauth-protected-resource", "/oauth/sign-in"):
        response = await as_alice.http.get(path)
        assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        check(response)
    await orm(transaction.rollback)
    await orm(lambda: transaction.set_autocommit(True))
    assert {response.status_code for response in await asyncio.gather(*calls)} == {200}


GRANT = {"grant_type": "refresh_token", "refresh_token": "x", "client_id": "x"}


async def test_an_oauth_client_gets_json_from_a_database_that_does_not_answer(
    http: httpx2.AsyncClient, orm: Orm
) -> None:
    await orm(lambda: transaction.set_autocommit(False))
    await orm(lambda: execute("LOCK TABLE oauth2_provider_application"))
    response = await http.post("/oauth/token", data=GRANT)
    await orm(transaction.rollback)
    await orm(lambda: transaction.set_autocommit(True))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"] == "temporarily_unavailable"
    check(response)


async def test_an_oauth_client_gets_json_after_a_fault_of_the_server(http: httpx2.AsyncClient, orm: Orm) -> None:
    rename = "ALTER TABLE oauth2_provider_application RENAME COLUMN {} TO {}"
    await orm(lambda: execute(rename.format("client_id", "renamed")))
    try:
        response = await http.post("/oauth/token", data=GRANT)
    finally:
        await orm(lambda: execute(rename.format("renamed", "client_id")))
    assert (response.status_code, response.json()["error"]) == (500, "server_error")
    check(response)
