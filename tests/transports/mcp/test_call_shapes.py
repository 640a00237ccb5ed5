"""What the SDK makes of a tool call is asked once for each shape: nobody can tell the difference."""

import json
from typing import Any

import pytest
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from tests.support.caller import Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN, REVISIONS, meta_of, tool_call, tool_request
from todo_mcp.transports.mcp import call_shapes
from todo_mcp.transports.mcp.call_shapes import SHAPE_MAX, SHAPES_MAX, CallShape, Frame, KnownShapes, Sender

pytestmark = pytest.mark.anyio
HEADERS = [(b"accept", b"application/json"), (b"mcp-protocol-version", b"2026-07-28"), (b"authorization", b"Bearer a")]
ERROR = '{"task_id": 404}'  # of complete_task: it answers with an error


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that the SDK was shown."""
    bodies: list[bytes] = []
    handle = StreamableHTTPSessionManager.handle_request

    async def watched(self: StreamableHTTPSessionManager, scope: Scope, receive: Receive, send: Send) -> None:
        async def seen() -> Any:
            message = await receive()
            bodies.append(message.get("body", b""))
            return message

        await handle(self, scope, seen, send)

    monkeypatch.setattr(StreamableHTTPSessionManager, "handle_request", watched)
    return bodies


async def call(
    caller: Caller, revision: str, tool: str, arguments: str = "{}", *, id: str = "1", **headers: str
) -> Any:
    sent = {**caller.rpc_headers(revision, "tools/call", tool), **headers}
    return await caller.http.post("/mcp", content=tool_call(revision, tool, arguments, id=id), headers=sent)


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize(("tool", "arguments"), [("list_tasks", "{}"), ("complete_task", ERROR)])
async def test_the_second_call_is_answered_as_the_first_and_the_sdk_is_not_asked(
    as_alice: Caller, asked: list[bytes], revision: str, tool: str, arguments: str
) -> None:
    first = await call(as_alice, revision, tool, arguments)
    assert len(asked) == 1
    second = await call(as_alice, revision, tool, arguments)
    assert len(asked) == 1
    assert second.content == first.content
    changing = {"x-request-id", "date"}
    assert {k: v for k, v in second.headers.items() if k not in changing} == {
        k: v for k, v in first.headers.items() if k not in changing
    }
    assert second.json()["result"]["isError"] is (tool == "complete_task")


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_first_error_after_a_success_and_the_other_way_round_asks_the_sdk_and_does_the_work_once(
    as_alice: Caller, asked: list[bytes], revision: str
) -> None:
    for title, is_error in (("Buy milk", False), ("", True), ("Buy bread", False), (" ", True)):
        result = (await call(as_alice, revision, "add_task", json.dumps({"title": title}))).json()["result"]
        assert result["isError"] is is_error
        assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert len(asked) == 2
    listed = (await call(as_alice, revision, "list_tasks")).json()["result"]["structuredContent"]["data"]
    assert listed["total"] == 2


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("rpc_id", ["0", "-1", str(2**70), '"a"', '""', '"é\\u2028\\"\\\\"', '"1"'])
async def test_the_id_is_told_back_as_it_was_sent(as_alice: Caller, revision: str, rpc_id: str) -> None:
    for tool, arguments in (("list_tasks", "{}"), ("list_tasks", "{}"), ("complete_task", ERROR)):
        assert (await call(as_alice, revision, tool, arguments, id=rpc_id)).json()["id"] == json.loads(rpc_id)


async def test_the_sdk_sees_neither_id_nor_arguments_of_a_tool_call(as_alice: Caller, asked: list[bytes]) -> None:
    await call(as_alice, MODERN, "add_task", '{"title": "private"}', id='"mine"')
    assert b"private" not in asked[0] and b"mine" not in asked[0]


async def test_a_shape_that_the_sdk_refuses_is_refused_each_time_however_often_a_like_one_was_good(
    as_alice: Caller, asked: list[bytes]
) -> None:
    for _ in range(2):
        assert (await call(as_alice, MODERN, "list_tasks")).status_code == 200
    seen = len(asked)
    for headers, status in (
        ({"Accept": "text/plain"}, 406),
        ({"Mcp-Name": "add_task"}, 400),
        ({"Mcp-Method": "tools/list"}, 400),
        ({"MCP-Protocol-Version": "2099-01-01"}, 400),
    ):
        for _ in range(2):
            seen += 1
            refused = await call(as_alice, MODERN, "list_tasks", **headers)
            assert (refused.status_code, len(asked)) == (status, seen)
            assert refused.status_code == 406 or refused.json()["id"] == 1


async def test_a_known_shape_gives_a_stranger_nothing(as_alice: Caller) -> None:
    for revision in REVISIONS:
        for _ in range(2):
            assert (await call(as_alice, revision, "list_tasks")).status_code == 200
        stranger = Caller(as_alice.http, "todo_of-nobody")
        assert (await call(stranger, revision, "list_tasks")).status_code == 401


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("value", ["1180591620717411303424", '"\\ud800"', "1e308", "[[]]", '"x"'])
async def test_what_clients_add_to_meta_for_themselves_is_no_fault_of_ours_and_asks_the_sdk_once(
    as_alice: Caller, asked: list[bytes], revision: str, value: str
) -> None:
    stranger = Caller(as_alice.http, "todo_of-nobody")
    for n in range(3):
        for key in ("progressToken", "client/toolUseId", f"new each time {n}"):
            if key == "progressToken" and value in ("[[]]", "1e308"):
                continue  # refused by the SDK
            for caller, status in ((stranger, 401), (as_alice, 200)):
                body = tool_call(revision, "list_tasks", "{}")
                meta = f'"_meta": {{"{key}": {value}'
                kept = '"_meta": {' in body
                body = body.replace('"_meta": {', f"{meta}, ", 1) if kept else body[:-2] + f", {meta}}}}}}}"
                headers = caller.rpc_headers(revision, "tools/call", "list_tasks")
                answer = await caller.http.post("/mcp", content=body, headers=headers)
                assert answer.status_code == status, (body, answer.text)
    assert len([body for body in asked if body]) <= 4


async def test_what_a_caller_writes_that_looks_like_a_slot_stays_what_it_is(as_alice: Caller) -> None:
    for word in (call_shapes.ID, call_shapes.TEXT, *call_shapes.DATA):
        title = json.dumps({"title": f'"{word}"'})
        for _ in range(2):
            result = (await call(as_alice, MODERN, "add_task", title, id=json.dumps(word))).json()
            assert (result["id"], result["result"]["structuredContent"]["data"]["title"]) == (word, f'"{word}"')


def message(**changes: Any) -> dict[str, Any]:
    made = tool_request(MODERN, "list_tasks", {})
    made["params"] |= changes.pop("params", {})
    return made | changes


async def test_a_shape_is_the_same_whatever_passes_in_it() -> None:
    shape = CallShape.of(HEADERS, message())
    assert shape is not None
    passing = {**meta_of(), "progressToken": 2**70, "traceparent": "00-a-b-01", "client/toolUseId": "\ud800"}
    for same in (
        message(id="other"),
        message(params={"arguments": {"limit": 3}}),
        message(params={"_meta": passing}),
    ):
        assert CallShape.of(HEADERS, same) == shape
    assert CallShape.of([*HEADERS, (b"user-agent", b"x"), (b"x-forwarded-for", b"::1")], message()) == shape


async def test_a_shape_is_another_where_the_sdk_may_see_a_difference() -> None:
    others = [
        message(params={"name": "add_task"}),
        message(params={"_meta": {**meta_of(), "progressToken": [1]}}),
        message(params={"_meta": {**meta_of(), "progressToken": True}}),
        message(params={"more": 1}),
        message(jsonrpc="1.0"),
        message(more=1),
    ]
    found = [CallShape.of(HEADERS, other) for other in others]
    found += [CallShape.of([*HEADERS, (name, b"1")], message()) for name in (b"mcp-name", b"mcp-param-x", b"accept")]
    found += [CallShape.of(HEADERS[:1], message()), CallShape.of(HEADERS, message())]
    assert None not in found
    assert len(set(found)) == len(found)


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
async def test_what_the_sdk_must_see_itself_has_no_shape(params: dict[str, Any]) -> None:
    assert CallShape.of(HEADERS, message(params=params)) is None


async def test_the_shape_not_seen_for_longest_is_forgotten_first() -> None:
    shapes, frame = KnownShapes(), Frame({}, ())

    def shape(number: int) -> CallShape:
        return CallShape((), b"%d" % number)

    for number in range(SHAPES_MAX + 1):
        shapes.add(shape(number), Sender(HANDSHAKE[0], ""), is_error=False, frame=frame)
        assert shapes.get(shape(1)) or not number, "it is in use"
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
async def test_no_answer_shows_a_slot_whatever_is_wrong_with_the_call(
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
