"""The first page: a person gets a page, a program gets JSON. Both are the same for everybody and need no database."""

import re

import httpx2
import pytest
from pytest_django.fixtures import Settings

from todo_mcp import __version__
from todo_mcp.admin_kit.plain_pages import POLICY
from todo_mcp.transports.front_page import FrontPage
from todo_mcp.transports.http.request_headers import prefers_page

pytestmark = pytest.mark.anyio
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
PAGE, JSON = "text/html; charset=utf-8", "application/json"
PREFERENCES = [  # an Accept header, and whether it gets the page
    (CHROMIUM, True),
    ("text/html", True),
    ("TEXT/HTML ; Q=1", True),
    ("text/*", True),
    ("text/html, */*", True),
    ("text/html;q=0.2, application/json;q=0.1", True),
    ("text/html, application/json;q=0.9", True),
    ("application/json;q=0, */*", True),
    ("", False),
    ("*/*", False),
    ("application/json", False),
    ("application/json, text/plain, */*", False),
    ("application/json, text/html;q=0.9", False),
    ("text/html, application/json", False),
    ("text/html;q=0", False),
    ("text/html;q=0, */*", False),
    ("text/html;level=1", False),
    ("image/png", False),
    ("text/html;q=nan", False),
    (",;=,/,text", False),
    ("text/html; charset*=x'y'z", False),
    ("text/html," + "x" * 5000, False),
]


@pytest.mark.parametrize(("accept", "is_page"), PREFERENCES, ids=[accept[:40] for accept, _ in PREFERENCES])
def test_the_most_specific_range_decides_and_a_tie_gets_json(accept: str, is_page: bool) -> None:
    assert prefers_page(accept) == is_page


async def test_a_browser_gets_a_page_that_says_how_to_connect_and_every_link_leads_on(http: httpx2.AsyncClient) -> None:
    page = await http.get("/", headers={"Accept": CHROMIUM})
    assert (page.status_code, page.headers["content-type"]) == (200, PAGE)
    for text in ("http://localhost:5000/mcp<", "claude mcp add --transport http todo http://localhost:5000/mcp<"):
        assert text in page.text
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert {"/oauth/connections", "/admin/", "/api/docs"} < set(links)
    for link in links:
        assert (await http.get(link, headers={"Accept": CHROMIUM})).status_code in (200, 302), link


async def test_a_program_gets_the_addresses_as_json(http: httpx2.AsyncClient) -> None:
    for accept in (None, "*/*", "application/json"):
        answer = await http.get("/", headers={} if accept is None else {"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, JSON)
    data = answer.json()["data"]
    assert data["mcp"] == "http://localhost:5000/mcp"
    for name, address in data.items():
        path = address.removeprefix("http://localhost:5000").format(name="add_task")
        assert (await http.get(path)).status_code in (200, 302, 401), name


@pytest.mark.parametrize(("accept", "kind"), [(CHROMIUM, PAGE), ("*/*", JSON)], ids=["page", "json"])
async def test_it_is_the_same_for_everybody_and_tells_no_version(
    http: httpx2.AsyncClient, accept: str, kind: str
) -> None:
    answer = await http.get("/", headers={"Accept": accept})
    assert answer.headers["content-type"] == kind
    assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Accept", "no-store")
    assert "set-cookie" not in answer.headers and "server" not in answer.headers
    assert __version__ not in answer.text and "script" not in answer.text.replace("A script", "")
    if kind == PAGE:
        assert answer.headers["content-security-policy"] == POLICY
    known = {"Accept": accept, "Cookie": "sessionid=x; messages=x", "Authorization": "Bearer x"}
    assert (await http.get("/", headers=known)).content == answer.content
    head = await http.head("/", headers={"Accept": accept})
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(answer.content)))


@pytest.mark.parametrize("accept", [CHROMIUM, "*/*"], ids=["page", "json"])
async def test_in_production_it_binds_browsers_to_https_as_other_pages_do(
    http: httpx2.AsyncClient, settings: Settings, accept: str
) -> None:
    assert "strict-transport-security" not in (await http.get("/", headers={"Accept": accept})).headers
    settings.SECURE_HSTS_SECONDS = 60
    answer = await http.get("/", headers={"Accept": accept})
    assert answer.headers["strict-transport-security"] == "max-age=60; includeSubDomains; preload"


async def test_it_needs_no_database() -> None:
    """pytest-django refuses every query of this test."""
    transport = httpx2.ASGITransport(app=FrontPage())
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:5000") as client:
        for accept in (CHROMIUM, "*/*"):
            assert (await client.get("/", headers={"Accept": accept})).status_code == 200


async def test_an_mcp_client_with_this_address_is_told_the_right_one(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "initialize"}, headers={"Accept": JSON})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert "http://localhost:5000/mcp" in answer.json()["message"]
