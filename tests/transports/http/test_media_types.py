"""Accept and Content-Type as clients send them: every answer is JSON, and a JSON body may have no type, or curl's."""

import httpx2
import pytest

from tests.support.application import Application, Orm
from tests.support.caller import DOORS, Caller
from tests.support.chat_backend import START, messages_of, row_counts, start
from tests.support.mcp_messages import REVISIONS, as_asgi, tool_call
from tests.support.tool_calls import everything_of
from todo_mcp.auth.tokens import issue_token

pytestmark = pytest.mark.anyio
each_door = pytest.mark.parametrize("door", [*DOORS, "rest"])

ACCEPT = (
    "", " ", ",", "*/*", "*/*;q=0.8", "*/*; q=0", "application/*", "application/json", "Application/JSON; Q=0.5",
    "APPLICATION/JSON , Text/Event-Stream", "application/json;q=0", "application/json, text/event-stream",
    'application/json; profile="a, b;c"', "text/event-stream", "text/html", "text/*", "application/xml;q=0.9",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "nothing", "/", ";q=x",
)  # fmt: skip
FORM = "application/x-www-form-urlencoded"
JSON_TYPES = (
    "application/json", "Application/JSON", "APPLICATION/JSON; CHARSET=UTF-8", "application/json ;charset=utf-8",
    'application/json; charset="utf-8"', "application/json;", 'application/json; x="a;b"', "application/json\t",
    "", " ", FORM, "Application/X-WWW-Form-Urlencoded; Charset=UTF-8",
)  # fmt: skip
OTHER_TYPES = ("text/plain", "multipart/form-data; boundary=x", "text/json", "*/*", "application/jsonx", "json")


async def post(caller: Caller, door: str, changed: dict[str, str | None]) -> httpx2.Response:
    """Create a task, or a conversation for ``rest``, with other headers; None removes a header."""
    headers = {
        **(caller.rpc_headers(door, "tools/call", "add_task") if door in REVISIONS else caller.headers),
        **changed,
    }
    path = {"http": "/api/tools/add_task", "rest": START}.get(door, "/mcp")
    text = {"http": '{"title": "x"}', "rest": '{"user_id": "alice"}'}.get(door)
    request = caller.http.build_request("POST", path, content=text or tool_call(door, "add_task", '{"title": "x"}'))
    for name, value in headers.items():
        request.headers.pop(name, None)
        if value is not None:
            request.headers[name] = value
    return await caller.http.send(request)


def check_success(response: httpx2.Response, door: str) -> None:
    assert response.headers["content-type"] == "application/json"
    assert response.status_code == (201 if door == "rest" else 200), response.text
    assert door not in REVISIONS or response.json()["result"]["isError"] is False


@each_door
async def test_every_accept_header_and_none_get_json(as_alice: Caller, door: str) -> None:
    for accept in (None, *ACCEPT):
        check_success(await post(as_alice, door, {"Accept": accept}), door)


@each_door
async def test_a_json_body_may_have_any_spelling_of_its_type_or_no_type_or_that_of_curl(
    as_alice: Caller, door: str
) -> None:
    for content_type in (None, *JSON_TYPES):
        check_success(await post(as_alice, door, {"Content-Type": content_type}), door)


@pytest.mark.parametrize("door", [*REVISIONS, "rest"])
async def test_another_type_is_refused_with_the_reason_and_nothing_changes(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    for content_type in OTHER_TYPES:
        response = await post(as_alice, door, {"Content-Type": content_type})
        assert response.status_code == 415, content_type
        envelope = response.json() if door == "rest" else response.json()["error"]["data"]
        assert envelope["data"] == {"error_code": 415, "error": "unsupported_media_type"}
        assert "Content-Type: application/json" in envelope["message"]
        stranger = Caller(as_alice.http, "todo_of-nobody")
        assert (await post(stranger, door, {"Content-Type": content_type})).status_code == 401
    assert await orm(row_counts) == (0, 0)
    assert await orm(lambda: everything_of("alice")) == []


async def test_messages_are_appended_with_the_type_that_curl_sends(as_alice: Caller) -> None:
    url = messages_of(await start(as_alice))
    for body in ('{"role": "user", "content": "a=b&c"}', '[{"role": "user", "content": "%41+b"}]'):
        response = await as_alice.http.post(url, content=body, headers={**as_alice.headers, "Content-Type": FORM})
        assert response.status_code == 201, response.text
    read = (await as_alice.http.get(url, headers=as_alice.headers)).json()
    assert [message["content"] for message in read["messages"]] == ["a=b&c", "%41+b"]


def test_a_request_without_any_header_but_host_and_token_is_answered(application: Application, alice: object) -> None:
    token = issue_token(user_id="alice")
    headers = as_asgi({"Host": "localhost", "Authorization": f"Bearer {token}"})
    for path, body in (
        ("/mcp", tool_call("", "list_tasks", "{}").encode()),
        ("/api/tools/list_tasks", b"{}"),
        ("/api/tools/list_tasks", b""),
    ):
        reply = application.request("POST", path, headers, body)
        assert (reply.status, reply.header(b"content-type")) == (200, b"application/json"), reply.body
    for path in (START, "/api/schema"):
        assert application.request("GET", path, headers).status == 200


async def test_the_stream_of_old_clients_is_refused_with_the_reason(as_alice: Caller) -> None:
    """Clients open it with GET to listen to the server; 405 says that the server has none."""
    for revision in REVISIONS:
        headers = {**as_alice.rpc_headers(revision, "x"), "Accept": "text/event-stream"}
        response = await as_alice.http.get("/mcp", headers=headers)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert response.json()["error"]["message"] == "This server is stateless: POST every message."
