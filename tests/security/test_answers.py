"""No cache stores an answer and no browser guesses another content type, on every route and for every caller."""

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.auth.oauth_client import PASSWORD, Browser
from tests.support.caller import Caller
from tests.support.routes import every_path
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


def check(response: httpx2.Response) -> None:
    where = f"{response.request.method} {response.request.url.path} {response.status_code}"
    caching = response.headers.get_list("cache-control")
    is_file = response.request.url.path.startswith("/static/") and response.status_code == 200
    assert caching == (["public, max-age=3600"] if is_file else ["no-store"]), where
    assert response.headers.get_list("x-content-type-options") == ["nosniff"], where


@pytest.fixture
async def operator_cookies(http: httpx2.AsyncClient, orm: Orm) -> str:
    await orm(lambda: User.objects.create_superuser("alice", PASSWORD))
    browser = Browser(http)
    assert (await browser.sign_in("alice")).status_code == 302
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


async def test_no_answer_may_be_cached_for_any_caller(
    http: httpx2.AsyncClient, orm: Orm, operator_cookies: str
) -> None:
    token = await orm(lambda: issue_token(user_id="alice"))
    callers: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": f"Bearer {token}"},
        {"Authorization": "Bearer x"},
        {"Cookie": operator_cookies},
    )
    statuses = set()
    for path in every_path():
        for headers in callers:
            for method in ("GET", "POST", "OPTIONS"):
                response = await http.request(method, path, headers=headers)
                check(response)
                statuses.add(response.status_code)
    assert statuses >= {200, 302, 400, 401, 403, 404, 405}


async def test_no_answer_of_the_request_checks_may_be_cached(as_alice: Caller) -> None:
    good_headers = as_alice.headers
    for headers, body in (
        ({"Host": "evil.example"}, b""),
        ({"Origin": "https://evil.example"}, b""),
        ({"X-Big": "x" * 20_000}, b""),
        ({}, b"{"),
        ({}, b" " * 300_000),
        ({"Content-Length": "9" * 15}, b""),
    ):
        for path in ("/mcp", "/api/tools/add_task", "/api/conversations"):
            response = await as_alice.http.post(path, headers={**good_headers, **headers}, content=body)
            check(response)
            assert response.status_code >= 400 or path == "/api/conversations"
