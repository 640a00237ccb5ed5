"""A header that a setting or a proxy adds to the client's own: equal copies are one, different values are refused."""

import json

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.chat_backend import START, row_counts
from tests.support.mcp_messages import MODERN, REVISIONS, request, tool_call
from tests.support.tool_calls import everything_of
from todo_mcp.transports.http.request_headers import merge_copies

pytestmark = pytest.mark.anyio
each_door = pytest.mark.parametrize("door", DOORS)
Pairs = list[tuple[str, str]]

NAMES = (
    "MCP-Protocol-Version",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Session-Id",
    "Last-Event-ID",
    "Mcp-Param-Title",
    "Mcp-X",
)
ARGUMENT = "Mcp-Param-Title"  # its text may contain a comma, which separates no copies
OTHER = {"MCP-Protocol-Version": "2024-11-05", "Content-Type": "text/plain"}
# Two and more copies: as lines of their own, behind commas, or both.
COPIES = (
    lambda value: [value, value],
    lambda value: [value, value, value],
    lambda value: [f"{value}, {value}"],
    lambda value: [f" {value}\t,{value} ,,\t{value}"],
    lambda value: [f"{value},{value}", value],
)
DIFFERENT = (
    lambda value, other: [value, other],
    lambda value, other: [other, value],
    lambda value, other: [value, value, other],
    lambda value, other: [f"{value}, {other}"],
    lambda value, other: [f"{value},{value}", f"{value}, {other}"],
)


def values_of(caller: Caller, door: str) -> dict[str, str]:
    """The headers of a good call, with all headers that this door's clients may repeat."""
    good = caller.rpc_headers(MODERN if door == "http" else door, "tools/call", "add_task")
    return dict.fromkeys(NAMES, "x") | good


async def call(caller: Caller, door: str, name: str, values: list[str]) -> httpx2.Response:
    """Add a task, with these values of one header."""
    others: Pairs = [(key, value) for key, value in values_of(caller, door).items() if key != name]
    headers = [*others, *[(name, value) for value in values]]
    if door == "http":
        return await caller.http.post("/api/tools/add_task", content='{"title": "x"}', headers=headers)
    body = tool_call(door, "add_task", '{"title": "x"}')
    return await caller.http.post("/mcp", content=body, headers=headers)


@each_door
@pytest.mark.parametrize("name", [*NAMES, "Accept", "Content-Type"])
async def test_equal_copies_are_one(as_alice: Caller, door: str, name: str) -> None:
    for copies in COPIES:
        values = copies(values_of(as_alice, door)[name])
        if name == ARGUMENT and len(set(values)) > 1:
            continue
        response = await call(as_alice, door, name, values)
        assert response.status_code == 200, (values, response.text)
        envelope = response.json() if door == "http" else response.json()["result"]["structuredContent"]
        assert envelope["status"] == "success"


@each_door
@pytest.mark.parametrize("name", [*NAMES, "Content-Type"])
async def test_different_values_are_refused_and_the_reason_names_the_header(
    as_alice: Caller, orm: Orm, door: str, name: str
) -> None:
    for different in DIFFERENT:
        values = different(values_of(as_alice, door)[name], OTHER.get(name, "other"))
        if name == ARGUMENT and len(values) == 1:
            continue
        response = await call(as_alice, door, name, values)
        assert response.status_code == 400, values
        answer = response.json() if door == "http" else response.json()["error"]["data"]
        assert answer["message"] == f"The header {name.lower()} has different values. Send it once."
        assert door == "http" or response.json()["error"]["code"] == -32020
    assert await orm(lambda: everything_of("alice")) == []


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_copies_select_the_revision_and_not_the_older_one(as_alice: Caller, revision: str) -> None:
    """An SDK that reads no header takes a request for one of the oldest revision."""
    body = json.dumps(request(revision, "server/discover" if revision == MODERN else "ping", {}))
    headers = as_alice.rpc_headers(revision, "server/discover")
    headers["MCP-Protocol-Version"] = f"{revision}, {revision}"
    response = await as_alice.http.post("/mcp", content=body, headers=headers)
    assert (response.status_code, "result" in response.json()) == (200, True), response.text


@pytest.mark.parametrize(
    "copies",
    [
        ["application/json", "Application/JSON"],
        ["application/json; charset=utf-8", "APPLICATION/JSON;CHARSET=UTF-8"],
        ["application/json; charset=utf-8 , application/json ;charset=UTF-8"],
        ['application/json; charset="utf-8"', "application/json; charset=utf-8"],
        ['application/json; x="a, \\"b", application/json; x="a, \\"b"'],
        ["application/json; a=1; b=2", "application/json; b=2; a=1"],
    ],
)
async def test_copies_of_a_content_type_may_be_written_differently(as_alice: Caller, copies: list[str]) -> None:
    for door in DOORS:
        assert (await call(as_alice, door, "Content-Type", copies)).status_code == 200
    pairs = [*as_alice.headers.items(), *[("Content-Type", copy) for copy in copies]]
    assert (await as_alice.http.post(START, content="{}", headers=pairs)).status_code == 201


@pytest.mark.parametrize(
    "values",
    [
        ["application/json; charset=utf-8", "application/json; charset=utf-16"],
        ["multipart/form-data; boundary=A", "multipart/form-data; boundary=a"],
        ['application/json; x="a, b"', "application/json; x=a"],
        ["application/json", "application/json; charset=utf-8"],
    ],
)
async def test_content_types_that_mean_something_else_are_refused(
    as_alice: Caller, orm: Orm, values: list[str]
) -> None:
    pairs = [*as_alice.headers.items(), *[("Content-Type", value) for value in values]]
    assert (await as_alice.http.post(START, content="{}", headers=pairs)).status_code == 400
    assert await orm(row_counts) == (0, 0)


async def test_accept_may_be_repeated_on_lines_that_mean_the_same(as_alice: Caller) -> None:
    for values in (
        ["application/json, text/event-stream", "Application/JSON,text/event-stream"],
        ["text/html, application/json;q=0.9, */*;q=0.8"],
    ):
        for door in DOORS:
            assert (await call(as_alice, door, "Accept", values)).status_code == 200
    for values in (["text/event-stream", "application/json"], ["*/*", "*/*", "*/*;q=0.5"]):
        for door in DOORS:
            response = await call(as_alice, door, "Accept", values)
            assert (response.status_code, "header accept has different values" in response.text) == (400, True)


async def test_a_comma_within_an_argument_separates_no_copies(as_alice: Caller) -> None:
    for value in ("milk, eggs", "milk, milk"):
        for values in ([value], [value, value]):
            assert (await call(as_alice, MODERN, ARGUMENT, values)).status_code == 200
        assert merge_copies([(b"mcp-param-title", value.encode())]) == [(b"mcp-param-title", value.encode())]


async def test_a_form_with_a_repeated_content_type_is_read(http: httpx2.AsyncClient) -> None:
    form = "application/x-www-form-urlencoded"
    for copies in ([form, form], [f"{form}, {form}"]):
        headers = [("Content-Type", copy) for copy in copies]
        response = await http.post("/oauth/token", content="grant_type=x", headers=headers)
        assert response.json()["error"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    "path", ["/mcp", "/api/tools/list_tasks", START, "/oauth/token", "/oauth/introspect", "/metrics"]
)
async def test_two_authorization_headers_are_refused_everywhere(as_alice: Caller, path: str) -> None:
    good = ("Authorization", f"Bearer {as_alice.token}")
    for other in (good, ("Authorization", "Basic YTpi")):
        response = await as_alice.http.post(path, content="{}", headers=[good, other])
        assert (response.status_code, "more than one Authorization" in response.text) == (400, True)
