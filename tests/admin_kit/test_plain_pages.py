"""A browser gets a page that says what happened, what to do and the request's id. A program gets JSON."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from django.db import connection, transaction

from tests.support.application import Orm
from tests.support.auth.oauth_client import PASSWORD, Browser
from todo_mcp.admin_kit import plain_pages
from todo_mcp.operators import dashboard
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PROGRAM = {"Accept": "*/*"}


def check_page(response: httpx2.Response, status: int, *texts: str) -> None:
    request_id = response.headers["x-request-id"]
    assert (response.status_code, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    for text in (*texts, "<main>", f"<code>{request_id}</code>"):
        assert text in response.text, text
    assert "script" not in response.text and "default-src" in response.headers["content-security-policy"]


async def signed_in(http: httpx2.AsyncClient, orm: Orm, **rights: bool) -> dict[str, str]:
    """The headers of a browser in which a user with these rights is signed in."""
    await orm(lambda: User.objects.create_user("alice", PASSWORD, **rights))
    browser = Browser(http)
    assert (await browser.sign_in("alice")).status_code == 302
    return {**BROWSER, "Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}


@pytest.fixture
async def operator_headers(http: httpx2.AsyncClient, orm: Orm) -> AsyncIterator[dict[str, str]]:
    yield await signed_in(http, orm, is_staff=True, is_superuser=True)


@pytest.mark.parametrize("path", ["/nothing", "/oauth/nothing", "/admin"])
async def test_an_unknown_page(http: httpx2.AsyncClient, path: str) -> None:
    response = await http.get(path, headers=BROWSER)
    if path == "/admin":
        assert response.status_code == 301
        return
    check_page(response, 404, "There is no such page", "Check the address")
    assert (await http.get(path, headers=PROGRAM)).json()["data"] == {"error_code": 404, "error": "not_found"}


async def test_programs_keep_json_whatever_they_accept(http: httpx2.AsyncClient) -> None:
    for path in ("/api/nothing", "/api/tools/add_task", "/mcp", "/oauth/token", "/.well-known/nothing"):
        assert (await http.get(path, headers=BROWSER)).headers["content-type"] == "application/json"


async def test_an_operator_without_permission(http: httpx2.AsyncClient, orm: Orm) -> None:
    headers = await signed_in(http, orm, is_staff=True)
    response = await http.get("/admin/tasks/task/", headers=headers)
    check_page(response, 403, "You may not do this", "Ask a superuser")


async def test_a_user_who_is_no_operator(http: httpx2.AsyncClient, orm: Orm) -> None:
    headers = await signed_in(http, orm)
    response = await http.get("/admin/login/", headers=headers)
    assert "who is not an operator" in response.text and response.headers["x-request-id"] in response.text


async def test_a_page_that_fails(
    http: httpx2.AsyncClient, operator_headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(dashboard, "calls_by_tool", fail)
    check_page(await http.get("/admin/", headers=operator_headers), 500, "This page failed", "Go back and try again")


async def test_a_database_that_does_not_answer(
    http: httpx2.AsyncClient, operator_headers: dict[str, str], orm: Orm
) -> None:
    await orm(lambda: transaction.set_autocommit(False))
    await orm(lambda: connection.cursor().execute("LOCK TABLE tasks"))
    response = await http.get("/admin/tasks/task/", headers=operator_headers)
    await orm(transaction.rollback)
    await orm(lambda: transaction.set_autocommit(True))
    check_page(response, 503, "The database does not answer in time", "Wait 1 s")
    assert response.headers["retry-after"] == "1"


async def test_a_refused_request_of_a_browser(http: httpx2.AsyncClient) -> None:
    response = await http.get("/admin/", headers={**BROWSER, "Host": "evil.example"})
    check_page(response, 421)


def test_error_pages_need_no_database() -> None:
    """pytest-django refuses every query of this test."""
    for status in (400, 403, 404, 405, 500, 503):
        assert "<h1>" in plain_pages.error_page(status)
