"""What RequestChecks verify before a request is processed: size, Host, Origin, and above all the token."""

import re

import httpx2
import pytest
from django.conf import settings

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN, REVISIONS, tool_call
from tests.support.tool_calls import everything_of

pytestmark = pytest.mark.anyio
each_path = pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/api/tools/add_task", "/api/tools/nope", "/api/tools/"])

Header = tuple[str, str | bytes]
BASIC = "tasks:read tasks:write"


async def post(
    caller: Caller, path: str, *changed: Header, body: str | bytes | None = None, method: str = "POST"
) -> httpx2.Response:
    """Send a good call with these headers replaced, or repeated, and with this body."""
    replaced = {name.lower() for name, _ in changed}
    good = {**caller.rpc_headers(MODERN, "tools/call", "add_task")}
    headers = [(name, value) for name, value in good.items() if name.lower() not in replaced]
    call = tool_call(MODERN, "add_task", '{"title": "x"}') if path.startswith("/mcp") else '{"title": "x"}'
    all_headers = [
        (name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in [*headers, *changed]
    ]
    return await caller.http.request(method, path, content=call if body is None else body, headers=all_headers)


def challenge_of(response: httpx2.Response) -> dict[str, str]:
    """The parameters of WWW-Authenticate without the address of the metadata, which has its own tests."""
    scheme, _, parameters = response.headers["www-authenticate"].partition(" ")
    assert scheme == "Bearer"
    values = dict(re.findall(r'(\w+)="([^"]*)"', parameters))
    assert parameters == ", ".join(f'{name}="{value}"' for name, value in values.items())
    values.pop("resource_metadata")
    return values


@each_path
async def test_without_a_token_the_challenge_names_the_scopes_and_no_error(
    as_alice: Caller, orm: Orm, path: str
) -> None:
    for empty in ("", " ", "\t"):
        response = await post(as_alice, path, ("Authorization", empty))
        assert response.status_code == 401
        assert challenge_of(response) == {"scope": BASIC}
    bare = await as_alice.http.post(path, content=b"{}")
    assert (bare.status_code, challenge_of(bare)) == (401, {"scope": BASIC})
    assert await orm(lambda: everything_of("alice")) == []


@each_path
async def test_every_bad_token_gets_the_same_answer(as_alice: Caller, orm: Orm, path: str) -> None:
    token = as_alice.token
    bad = (
        "Bearer",
        "Bearer ",
        "Bearer x",
        f"Basic {token}",
        token,
        f"Bearer{token}",
        f"Bearer {token} x",
        f"Bearer {token},x",
    )
    odd = (b"Bearer \xff", f"Bearer {token}".encode() + b"\xa0", b"Bearer " + b"x" * 9000, f"Bearer\t{token}".encode())
    answers = [await post(as_alice, path, ("Authorization", value)) for value in (*bad, *odd)]
    assert {response.status_code for response in answers} == {401}
    assert all(challenge_of(response) == {"scope": BASIC, "error": "invalid_token"} for response in answers)
    assert len({response.headers["www-authenticate"] for response in answers}) == 1
    assert len({re.sub('"id":(1|null)', "", response.text) for response in answers}) == 1
    assert await orm(lambda: everything_of("alice")) == []


async def test_the_scheme_may_have_any_case_and_the_token_spaces_around_it(as_alice: Caller) -> None:
    for value in (f"bearer {as_alice.token}", f"BEARER   {as_alice.token}", f" Bearer {as_alice.token}\t"):
        assert (await post(as_alice, "/mcp", ("Authorization", value))).status_code == 200


@each_path
async def test_two_authorization_headers_are_refused_even_if_both_are_good(
    as_alice: Caller, orm: Orm, path: str
) -> None:
    good = f"Bearer {as_alice.token}"
    for pair in ((good, good), (good, "Bearer x"), ("Bearer x", good), ("", good)):
        response = await post(as_alice, path, *(("Authorization", value) for value in pair))
        assert response.status_code == 400
    assert await orm(lambda: everything_of("alice")) == []


async def test_a_token_in_the_query_or_the_body_is_ignored(as_alice: Caller) -> None:
    url = f"/api/tools/list_tasks?access_token={as_alice.token}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    response = await as_alice.http.post(url, content=f"access_token={as_alice.token}", headers=form)
    assert (response.status_code, challenge_of(response)) == (401, {"scope": BASIC})


MALFORMED = (
    b"", b"{", b"\xff", b"null", b"[]", b'"x"', b"NaN", b'{"a": 1, "a": 1}', b"[" * 200, b"{}", b'{"id": 1}',
    b'{"jsonrpc": "2.0", "id": {}, "method": "tools/list"}', b'{"jsonrpc": "2.0", "id": 1, "method": "nope"}',
    b'{"jsonrpc": "2.0", "id": 1, "result": {}}', b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
)  # fmt: skip


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_wrong_token_is_reported_before_any_other_error(as_alice: Caller, revision: str) -> None:
    wrong = Caller(as_alice.http, "todo_wrong")
    calls = [
        tool_call(revision, tool, "{}", id=id) for tool in ("add_task", "nope") for id in ("1", "1.5", "null", "{}")
    ]
    calls += [tool_call(MODERN, "add_task", '{"title": 1}'), tool_call(revision, "add_task", "[]")]
    for body in (*MALFORMED, *[call.encode() for call in calls]):
        for headers in ({}, {"Mcp-Name": "other"}, {"MCP-Protocol-Version": "2031-01-01"}, {"Accept": "text/html"}):
            all_headers = {**wrong.rpc_headers(revision, "tools/call", "add_task"), **headers}
            response = await as_alice.http.post("/mcp", content=body, headers=all_headers)
            assert response.status_code == 401, (body, headers, response.text)
            assert challenge_of(response) == {"scope": BASIC, "error": "invalid_token"}


async def test_a_wrong_token_is_reported_over_http_before_any_other_error(as_alice: Caller) -> None:
    for path in ("/api/tools/add_task", "/api/tools/nope", "/api/tools/a/b", "/api/tools/add_task/"):
        for body in (*MALFORMED, b'{"x": 1}'):
            for method in ("POST", "GET", "PUT", "OPTIONS"):
                response = await post(as_alice, path, ("Authorization", "Bearer x"), body=body, method=method)
                assert response.status_code == 401, (path, body, method)


@each_path
async def test_a_foreign_host_is_not_served(as_alice: Caller, orm: Orm, path: str) -> None:
    foreign = (
        "evil.example",
        "localhost.evil.example",
        "evil.example:5000",
        "",
        "local host",
        "localhost:5000, evil.example",
    )
    for host in (*foreign, "xlocalhost", "127.0.0.2", b"localhost\xff", "localhost:port", "@localhost", "*"):
        assert (await post(as_alice, path, ("Host", host))).status_code == 421, host
    assert (await post(as_alice, path, ("Host", "localhost"), ("Host", "localhost"))).status_code == 400
    assert await orm(lambda: everything_of("alice")) == []


async def test_our_own_hosts_are_served_on_any_port(as_alice: Caller) -> None:
    for host in ("localhost", "localhost:5000", "LOCALHOST:1", "127.0.0.1:5000", "[::1]:5000"):
        assert (await post(as_alice, "/mcp", ("Host", host))).status_code == 200


@each_path
async def test_a_page_of_another_origin_cannot_call(as_alice: Caller, orm: Orm, path: str) -> None:
    foreign = ("https://evil.example", "http://localhost:5001", "http://localhost", "null", "file://", "localhost:5000")
    odd = (
        "http://[",
        "http://localhost:5000@evil.example",
        "http://localhost:5000.evil.example",
        "http://",
        b"\xff",
        "://",
    )
    for origin in (*foreign, *odd, "http://localhost:5000/", "http://evil.example, http://localhost:5000"):
        assert (await post(as_alice, path, ("Origin", origin))).status_code == 403, origin
    assert await orm(lambda: everything_of("alice")) == []


async def test_our_own_origin_may_call(as_alice: Caller) -> None:
    for origin in (settings.PUBLIC_URL, "http://localhost:5000"):
        assert (await post(as_alice, "/mcp", ("Origin", origin))).status_code == 200


@each_path
async def test_headers_of_16_kib_are_accepted_and_longer_ones_are_refused(as_alice: Caller, path: str) -> None:
    bare = await post(as_alice, path)
    size = sum(len(name) + len(value) + 4 for name, value in bare.request.headers.raw)
    room = 16 * 1024 - size - len("x-big") - 4
    assert (await post(as_alice, path, ("X-Big", "x" * room))).status_code == bare.status_code
    assert (await post(as_alice, path, ("X-Big", "x" * (room + 1)))).status_code == 431


@each_path
async def test_a_body_with_too_large_a_content_length_is_refused(as_alice: Caller, path: str) -> None:
    for length in (str(256 * 1024 + 1), "9" * 18, "9" * 19, "9" * 5000, "0" * 30):
        assert (await post(as_alice, path, ("Content-Length", length), body="{}")).status_code == 413
    for odd in (b"\xb2", b"-1", b"1e9", b"x", b""):  # the HTTP server refuses these; the application does not check
        assert (await post(as_alice, path, ("Content-Length", odd))).status_code in (200, 404)


@each_path
async def test_every_answer_carries_a_request_id(as_alice: Caller, path: str) -> None:
    for changed in (
        (),
        (("Host", "evil"),),
        (("Authorization", ""),),
        (("Origin", "http://["),),
        (("X-Big", "x" * 20000),),
    ):
        response = await post(as_alice, path, *changed, ("X-Request-ID", "my-own-request-id"))
        assert response.headers.get_list("x-request-id") == ["my-own-request-id"]
        assert re.fullmatch("[0-9a-f]{32}", (await post(as_alice, path, *changed)).headers["x-request-id"])
