"""The SDK is asked once for each shape of a tool call. Later answers do not differ from those of the SDK."""

import json
from typing import Any

import pytest
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from tests.support.caller import Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN, REVISIONS, meta_of, tool_call, tool_request
from todo_mcp.core.errors import Busy
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.transports.mcp import call_shapes
from todo_mcp.transports.mcp.call_shapes import SHAPE_MAX, SHAPES_MAX, CallShape, Frame, KnownShapes, Sender

pytestmark = pytest.mark.anyio
HEADERS = [(b"accept", b"application/json"), (b"mcp-protocol-version", b"2026-07-28"), (b"authorization", b"Bearer a")]
ERROR = '{"task_id": 404}'  # with these arguments complete_task answers with an error


@pytest.fixture
def sdk_bodies(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that the SDK has read."""
    bodies: list[bytes] = []
    handle = StreamableHTTPSessionManager.handle_request

    async def record_bodies(self: StreamableHTTPSessionManager, scope: Scope, receive: Receive, send: Send) -> None:
        async def recording_receive() -> Any:
            message = await receive()
            bodies.append(message.get("body", b""))
            return message

        await handle(self, scope, recording_receive, send)

    monkeypatch.setattr(StreamableHTTPSessionManager, "handle_request", record_bodies)
    return bodies


async def call(
    caller: Caller, revision: str, tool: str, arguments: str = "{}", *, id: str = "1", **headers: str
) -> Any:
    all_headers = {**caller.rpc_headers(revision, "tools/call", tool), **headers}
    return await caller.http.post("/mcp", content=tool_call(revision, tool, arguments, id=id), headers=all_headers)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(("tool", "arguments"), [("list_tasks", "{}"), ("complete_task", ERROR)])
async def test_the_second_call_gets_the_same_answer_and_the_sdk_is_not_asked(
    as_alice: Caller, sdk_bodies: list[bytes], revision: str, tool: str, arguments: str
) -> None:
    first = await call(as_alice, revision, tool, arguments)
    assert len(sdk_bodies) == 1
    second = await call(as_alice, revision, tool, arguments)
    assert len(sdk_bodies) == 1
    assert second.content == first.content
    changing = {"x-request-id", "date"}
    assert {k: v for k, v in second.headers.items() if k not in changing} == {
        k: v for k, v in first.headers.items() if k not in changing
    }
    assert second.json()["result"]["isError"] is (tool == "complete_task")


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_first_success_and_the_first_error_ask_the_sdk_and_each_call_runs_once(
    as_alice: Caller, sdk_bodies: list[bytes], revision: str
) -> None:
    for title, is_error in (("Buy milk", False), ("", True), ("Buy bread", False), (" ", True)):
        result = (await call(as_alice, revision, "add_task", json.dumps({"title": title}))).json()["result"]
        assert result["isError"] is is_error
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert len(sdk_bodies) == 2
    listing = (await call(as_alice, revision, "list_tasks")).json()["result"]["structuredContent"]["data"]
    assert listing["total"] == 2


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("rpc_id", ["0", "-1", str(2**70), '"a"', '""', '"é\\u2028\\"\\\\"', '"1"'])
async def test_the_answer_repeats_the_id_unchanged(as_alice: Caller, revision: str, rpc_id: str) -> None:
    for tool, arguments in (("list_tasks", "{}"), ("list_tasks", "{}"), ("complete_task", ERROR)):
        assert (await call(as_alice, revision, tool, arguments, id=rpc_id)).json()["id"] == json.loads(rpc_id)


async def test_the_sdk_sees_neither_the_id_nor_the_arguments_of_a_tool_call(
    as_alice: Caller, sdk_bodies: list[bytes]
) -> None:
    await call(as_alice, MODERN, "add_task", '{"title": "private"}', id='"mine"')
    assert b"private" not in sdk_bodies[0] and b"mine" not in sdk_bodies[0]


async def test_the_sdk_refuses_a_bad_shape_each_time_even_after_good_calls_of_a_similar_shape(
    as_alice: Caller, sdk_bodies: list[bytes]
) -> None:
    for _ in range(2):
        assert (await call(as_alice, MODERN, "list_tasks")).status_code == 200
    expected = len(sdk_bodies)
    for headers, status in (
        ({"MCP-Protocol-Version": ""}, 400),
        ({"Mcp-Name": "add_task"}, 400),
        ({"Mcp-Method": "tools/list"}, 400),
        ({"MCP-Protocol-Version": "2099-01-01"}, 400),
    ):
        for _ in range(2):
            expected += 1
            refusal = await call(as_alice, MODERN, "list_tasks", **headers)
            assert (refusal.status_code, len(sdk_bodies)) == (status, expected)
            assert refusal.json()["id"] == 1


@pytest.mark.parametrize(("is_known", "asked"), [(True, 1), (False, 2)])
async def test_busy_asks_the_sdk_once_if_the_shape_is_known_and_makes_no_shape_known(
    as_alice: Caller, sdk_bodies: list[bytes], monkeypatch: pytest.MonkeyPatch, is_known: bool, asked: int
) -> None:
    """Otherwise a user who is often told busy would cost much, and a stranger could fill the memory."""
    if is_known:
        await call(as_alice, MODERN, "list_tasks")
    sdk_bodies.clear()

    async def refuse(self: DatabaseGate, *arguments: object, **options: object) -> None:
        raise Busy

    monkeypatch.setattr(DatabaseGate, "on_loop", refuse)
    first, second = [await call(as_alice, MODERN, "list_tasks") for _ in range(2)]
    assert first.json()["result"]["structuredContent"]["data"]["error"] == "busy"
    assert first.content == second.content
    assert len(sdk_bodies) == asked


async def test_a_stranger_gets_401_for_a_known_shape(as_alice: Caller) -> None:
    for revision in REVISIONS:
        for _ in range(2):
            assert (await call(as_alice, revision, "list_tasks")).status_code == 200
        stranger = Caller(as_alice.http, "todo_of-nobody")
        assert (await call(stranger, revision, "list_tasks")).status_code == 401


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("value", ["1180591620717411303424", '"\\ud800"', "1e308", "[[]]", '"x"'])
async def test_values_that_clients_add_to_meta_cause_no_error_and_do_not_ask_the_sdk_each_time(
    as_alice: Caller, sdk_bodies: list[bytes], revision: str, value: str
) -> None:
    stranger = Caller(as_alice.http, "todo_of-nobody")
    for n in range(3):
        for key in ("progressToken", "client/toolUseId", f"new each time {n}"):
            if key == "progressToken" and value in ("[[]]", "1e308"):
                continue  # refused by the SDK
            for caller, status in ((stranger, 401), (as_alice, 200)):
                body = tool_call(revision, "list_tasks", "{}")
                meta = f'"_meta": {{"{key}": {value}'
                has_meta = '"_meta": {' in body
                body = body.replace('"_meta": {', f"{meta}, ", 1) if has_meta else body[:-2] + f", {meta}}}}}}}"
                headers = caller.rpc_headers(revision, "tools/call", "list_tasks")
                answer = await caller.http.post("/mcp", content=body, headers=headers)
                assert answer.status_code == status, (body, answer.text)
    assert len([body for body in sdk_bodies if body]) <= 4


async def test_text_of_a_caller_that_looks_like_a_slot_is_returned_unchanged(as_alice: Caller) -> None:
    for word in (call_shapes.ID, call_shapes.TEXT, *call_shapes.DATA):
        title = json.dumps({"title": f'"{word}"'})
        for _ in range(2):
            result = (await call(as_alice, MODERN, "add_task", title, id=json.dumps(word))).json()
            assert (result["id"], result["result"]["structuredContent"]["data"]["title"]) == (word, f'"{word}"')


def message(**changes: Any) -> dict[str, Any]:
    request = tool_request(MODERN, "list_tasks", {})
    request["params"] |= changes.pop("params", {})
    return request | changes


async def test_a_shape_does_not_depend_on_values_that_the_sdk_does_not_read() -> None:
    shape = CallShape.of(HEADERS, message())
    assert shape is not None
    client_meta = {**meta_of(), "progressToken": 2**70, "traceparent": "00-a-b-01", "client/toolUseId": "\ud800"}
    for variant in (
        message(id="other"),
        message(params={"arguments": {"limit": 3}}),
        message(params={"_meta": client_meta}),
    ):
        assert CallShape.of(HEADERS, variant) == shape
    others = [(b"user-agent", b"x"), (b"x-forwarded-for", b"::1"), (b"accept", b"*/*"), (b"content-type", b"a/b")]
    assert CallShape.of([*HEADERS, *others], message()) == shape


async def test_a_shape_depends_on_every_value_that_the_sdk_may_read() -> None:
    variants = [
        message(params={"name": "add_task"}),
        message(params={"_meta": {**meta_of(), "progressToken": [1]}}),
        message(params={"_meta": {**meta_of(), "progressToken": True}}),
        message(params={"more": 1}),
        message(jsonrpc="1.0"),
        message(more=1),
    ]
    shapes = [CallShape.of(HEADERS, variant) for variant in variants]
    shapes += [CallShape.of([*HEADERS, (name, b"1")], message()) for name in (b"mcp-name", b"mcp-param-x", b"mcp-x")]
    shapes += [CallShape.of(HEADERS[:1], message()), CallShape.of(HEADERS, message())]
    assert None not in shapes
    assert len(set(shapes)) == len(shapes)


@pytest.mark.parametrize(
    "params",
    [
        {"arguments": None},
        {"arguments": []},
        {"x": "\ud800"},
        {"x": 2**64},
        {"x": float("inf")},
        {"_meta": None},
        {"x": "a" * SHAPE_MAX},
    ],
)
async def test_a_call_that_the_sdk_must_see_itself_has_no_shape(params: dict[str, Any]) -> None:
    assert CallShape.of(HEADERS, message(params=params)) is None


async def test_the_least_recently_used_shape_is_forgotten_first() -> None:
    shapes, frame = KnownShapes(), Frame({}, ())

    def shape(number: int) -> CallShape:
        return CallShape((), b"%d" % number)

    for number in range(SHAPES_MAX + 1):
        shapes.add(shape(number), Sender(HANDSHAKE[0], ""), is_error=False, frame=frame)
        assert shapes.get(shape(1)) or not number, "shape 1 is in use"
    assert shapes.get(shape(0)) is None
    assert shapes.get(shape(1)) and shapes.get(shape(SHAPES_MAX))


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("rpc_id", ["7", '"mine"'])
@pytest.mark.parametrize(
    "change",
    [
        {"jsonrpc": None},
        {"jsonrpc": "1.0"},
        {"jsonrpc": 2},
        {"extra": {"a": [1, 2]}},
        {"params": {"name": "list_tasks", "arguments": {}, "_meta": 1}},
        {"params": {"name": "list_tasks", "_meta": {"progressToken": {}}}},
        {"result": {}},
        {"error": {"code": 1, "message": "x"}},
    ],
    ids=str,
)
async def test_no_answer_to_a_wrong_call_shows_a_slot(
    as_alice: Caller, revision: str, rpc_id: str, change: dict[str, Any]
) -> None:
    message = {**json.loads(tool_call(revision, "list_tasks", "{}", id=rpc_id)), **change}
    message = {name: value for name, value in message.items() if value is not None}
    headers = as_alice.rpc_headers(revision, "tools/call", "list_tasks")
    for _ in range(2):
        response = await as_alice.http.post("/mcp", content=json.dumps(message), headers=headers)
        slots = (call_shapes.ID[3:11], call_shapes.TEXT[5:13], next(iter(call_shapes.DATA))[5:13])
        assert not any(slot in response.text for slot in slots)
        assert response.status_code < 500
        if response.content:
            assert response.json()["id"] == json.loads(rpc_id)
        if "jsonrpc" in change:
            assert response.status_code == 400
