"""The MCP protocol byte by byte: which messages are refused, and with which error, in every revision."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.mcp_messages import (
    HANDSHAKE,
    MODERN,
    REVISION_KEY,
    REVISIONS,
    as_asgi,
    mcp_headers,
    meta_of,
    notification,
    opening,
    request,
    tool_call,
)
from tests.support.tool_calls import TOOLS

pytestmark = pytest.mark.anyio
each_revision = pytest.mark.parametrize("revision", REVISIONS)

# Request ids, as JSON, that JSON-RPC does not allow or that an answer cannot repeat.
BAD_IDS = ("null", "1.5", "1.0", "true", "false", "[]", "[1]", "{}", '{"a": 1}', '"\\ud800"', '"a\\udfffb"', "1e2")
GOOD_IDS = (
    "0",
    "-1",
    "1",
    '""',
    '"a"',
    '"\\u00e9 \\ud83e\\udd5b"',
    "9007199254740993",
    "1" + "0" * 400,
    '"' + "x" * 5000 + '"',
)
NOT_ONE_MESSAGE = ("[]", "[1]", '"x"', "1", "true", "null", "{}", '{"jsonrpc": "2.0"}', '{"jsonrpc": "2.0", "id": 7}')


async def post(caller: Caller, revision: str, body: str | bytes, **headers: str) -> httpx2.Response:
    all_headers = {**caller.rpc_headers(revision, "tools/call", "add_task"), **headers}
    return await caller.http.post("/mcp", content=body, headers=all_headers)


def error_of(response: httpx2.Response) -> tuple[int, int, Any]:
    """HTTP status, JSON-RPC code and id."""
    answer = response.json()
    assert answer["jsonrpc"] == "2.0"
    return response.status_code, answer["error"]["code"], answer["id"]


@each_revision
async def test_a_request_id_that_is_not_a_string_or_integer_is_refused_and_nothing_changes(
    as_alice: Caller, orm: Orm, revision: str
) -> None:
    for bad in BAD_IDS:
        response = await post(as_alice, revision, tool_call(revision, "add_task", '{"title": "x"}', id=bad))
        assert error_of(response) == (400, -32600, None)
        assert response.json()["error"]["message"] == "The request id must be a string or an integer."
    assert await orm(Task.objects.count) == 0


@each_revision
async def test_the_answer_repeats_the_request_id_unchanged(as_alice: Caller, revision: str) -> None:
    for good in GOOD_IDS:
        response = await post(as_alice, revision, tool_call(revision, "add_task", '{"title": "x"}', id=good))
        answer = response.json()
        assert answer["id"] == json.loads(good)
        assert type(answer["id"]) is type(json.loads(good))
        assert answer["result"]["isError"] is False


@each_revision
async def test_a_notification_is_accepted_with_an_empty_answer(as_alice: Caller, orm: Orm, revision: str) -> None:
    for method in ("notifications/initialized", "notifications/cancelled", "notifications/none", "tools/call"):
        params = {"name": "add_task", "arguments": {"title": "x"}, "requestId": 1, "_meta": meta_of()}
        body = json.dumps(notification(revision, method, params))
        response = await post(as_alice, revision, body)
        assert (response.status_code, response.content) == (202, b"")
    assert await orm(Task.objects.count) == 0


@each_revision
async def test_a_body_that_is_not_one_message_is_refused(as_alice: Caller, orm: Orm, revision: str) -> None:
    call = tool_call(revision, "add_task", '{"title": "x"}')
    odd = ('"jsonrpc": "1.0"', '"jsonrpc": 2.0', '"jsonrpc": null')
    for body in (
        *NOT_ONE_MESSAGE,
        f"[{call}]",
        f"[{call}, {call}]",
        *(call.replace('"jsonrpc": "2.0"', o) for o in odd),
    ):
        response = await post(as_alice, revision, body)
        assert response.status_code == 400, body
        assert response.json()["error"]["code"] in (-32600, -32602)
    assert await orm(Task.objects.count) == 0


@each_revision
async def test_an_empty_body_is_a_parse_error(as_alice: Caller, revision: str) -> None:
    for body in ("", " ", "\n\t"):
        assert error_of(await post(as_alice, revision, body)) == (400, -32700, None)


@each_revision
async def test_an_unknown_method_is_a_protocol_error(as_alice: Caller, revision: str) -> None:
    for method in ("nope", "tools/nope", "resources/list", "prompts/list", "tools", ""):
        answer = (await as_alice.rpc(method, {}, revision=revision)).json()
        assert answer["error"]["code"] == -32601
        assert answer["id"] == 1


@each_revision
async def test_an_unknown_tool_is_a_protocol_error_that_names_the_tools(as_alice: Caller, revision: str) -> None:
    for name in ("nope", "ADD_TASK", "add_task ", "tasks/add", "", "__init__"):
        answer = (await as_alice.rpc("tools/call", {"name": name, "arguments": {}}, revision=revision)).json()
        assert answer["error"]["code"] == -32602
        message = f"Unknown tool. The tools are {', '.join(TOOLS)}."
        assert answer["error"]["message"] == message
        data = {"error_code": 404, "error": "unknown_tool"}
        assert answer["error"]["data"] == {"status": "error", "data": data, "message": message}


@each_revision
async def test_an_unknown_cursor_for_the_list_of_tools_is_refused(as_alice: Caller, revision: str) -> None:
    answer = (await as_alice.rpc("tools/list", {"cursor": ""}, revision=revision)).json()
    assert len(answer["result"]["tools"]) == len(TOOLS)
    for cursor in ("x", "MTcuMQ"):
        answer = (await as_alice.rpc("tools/list", {"cursor": cursor}, revision=revision)).json()
        assert answer["error"]["code"] == -32602


@each_revision
async def test_malformed_parameters_are_a_protocol_error(as_alice: Caller, orm: Orm, revision: str) -> None:
    malformed: list[Any] = [[], None, "x", 1, {}, {"name": 1}, {"name": None}, {"name": ["add_task"]}]
    for params in malformed:
        body = json.dumps(request(revision, "tools/call", {}) | {"params": params})
        response = await post(as_alice, revision, body)
        assert response.json()["error"]["code"] in (-32600, -32602), params
    assert await orm(Task.objects.count) == 0


@each_revision
async def test_only_post_is_accepted(as_alice: Caller, revision: str) -> None:
    headers = as_alice.rpc_headers(revision, "tools/list")
    for method in ("GET", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD", "TRACE", "BREW"):
        for path in ("/mcp", "/mcp/"):
            response = await as_alice.http.request(method, path, headers=headers)
            assert (response.status_code, response.headers["allow"]) == (405, "POST")


@each_revision
async def test_a_trailing_slash_makes_no_difference(as_alice: Caller, revision: str) -> None:
    headers = as_alice.rpc_headers(revision, "tools/call", "list_tasks")
    body = tool_call(revision, "list_tasks", "{}")
    answers = [await as_alice.http.post(path, content=body, headers=headers) for path in ("/mcp", "/mcp/")]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["result"]["structuredContent"]["status"] == "success"


@each_revision
async def test_the_error_for_a_lone_surrogate_names_its_argument(as_alice: Caller, revision: str) -> None:
    for arguments, field in (
        ('{"title": "\\ud800"}', "title"),
        ('{"title": "x", "description": "a\\udfffb"}', "description"),
        ('{"title": "x", "user_id": "\\udc00\\ud800"}', "user_id"),
        ('{"title": "x", "\\ud800": 1}', "\\ud800"),
    ):
        response = await post(as_alice, revision, tool_call(revision, "add_task", arguments))
        assert list(response.json()["result"]["structuredContent"]["data"]["fields"]) == [field]


@each_revision
async def test_a_surrogate_elsewhere_in_the_message_does_no_harm(as_alice: Caller, revision: str) -> None:
    odd = {"x": "\ud800", "\udfff": ["\ud800"]} if revision == MODERN else {"x": "\ud800"}
    response = await as_alice.rpc(
        "tools/call", {"name": "list_tasks", "arguments": {}, "_meta": odd}, revision=revision
    )
    assert response.json()["result"]["structuredContent"]["status"] == "success"


async def test_in_the_modern_revision_header_and_body_must_agree(as_alice: Caller, orm: Orm) -> None:
    call = tool_call(MODERN, "add_task", '{"title": "x"}')
    for headers in (
        {"Mcp-Name": "list_tasks"},
        {"Mcp-Method": "tools/list"},
        {"MCP-Protocol-Version": "2031-01-01"},
        {"Mcp-Name": ""},
    ):
        assert error_of(await post(as_alice, MODERN, call, **headers)) == (400, -32020, 1)
    handshake = tool_call(HANDSHAKE[0], "add_task", '{"title": "x"}')  # without the _meta that names the revision
    assert error_of(await post(as_alice, MODERN, handshake)) == (400, -32602, 1)
    assert await orm(Task.objects.count) == 0


async def test_the_error_for_an_unknown_revision_names_the_known_ones(as_alice: Caller) -> None:
    body = json.dumps(request(MODERN, "tools/list", {"_meta": {REVISION_KEY: "2031-01-01"}}))
    headers = {**as_alice.rpc_headers(MODERN, "tools/list"), "MCP-Protocol-Version": "2031-01-01"}
    response = await as_alice.http.post("/mcp", content=body, headers=headers)
    assert response.status_code == 400
    assert MODERN in json.dumps(response.json()["error"])


@pytest.mark.parametrize("revision", HANDSHAKE)
async def test_the_handshake_agrees_on_the_requested_revision(as_alice: Caller, revision: str) -> None:
    response = await as_alice.rpc("initialize", opening(revision), revision=revision)
    assert response.json()["result"]["protocolVersion"] == revision


async def test_an_old_client_that_sends_no_revision_is_served(as_alice: Caller) -> None:
    headers = as_alice.rpc_headers(HANDSHAKE[0], "tools/call")
    del headers["MCP-Protocol-Version"]
    response = await as_alice.http.post("/mcp", content=tool_call("", "list_tasks", "{}"), headers=headers)
    assert response.json()["result"]["structuredContent"]["status"] == "success"


async def test_a_client_that_goes_away_before_the_answer_causes_neither_an_answer_nor_an_error(
    as_alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    message = request(MODERN, "subscriptions/listen", {"notifications": {}})
    body = json.dumps(message).encode()
    incoming = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]
    headers = {**as_alice.headers, **mcp_headers(MODERN, "subscriptions/listen"), "Host": "localhost:5000"}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/mcp",
        "query_string": b"",
        "headers": as_asgi(headers),
    }
    answer: list[Any] = []

    async def receive() -> Any:
        return incoming.pop(0) if len(incoming) > 1 else incoming[0]

    async def send(message: Any) -> None:
        answer.append(message)

    application = as_alice.http._transport.app  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        await application(scope, receive, send)
    assert answer == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
