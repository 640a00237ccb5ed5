"""Bodies that every tool refuses before it reads an argument: malformed, ambiguous, deep and large ones."""

import json

import pytest

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.mcp_messages import tool_call
from tests.support.tool_calls import TOOLS, arguments_of, everything_of, refused, send
from todo_mcp.core.operations import REGISTRY

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]

KIB = 1024


@pytest.fixture(params=["add_task", "list_tasks"])
def tool(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_an_unknown_argument_is_refused_by_name(as_alice: Caller, orm: Orm, door: str) -> None:
    for tool in TOOLS:
        for name in ("x", "userId", "User_id", "user_id ", "title\u200b", "", "__proto__", "n" * 300, "\ud800", "\x00"):
            answer = await send(as_alice, door, tool, {**arguments_of(tool), name: 1})
            assert (answer.code, answer.error) == (400, "invalid_arguments")
            (field,) = answer.fields
            reason = answer.envelope["data"]["fields"][field]
            assert reason == f"unknown argument; allowed are {', '.join(REGISTRY[tool].arguments.model_fields)}"
            assert field.isascii() and (field.isprintable() or not field) and len(field) <= 64
    assert await orm(lambda: everything_of("alice")) == []


async def test_a_duplicate_key_is_refused_at_any_depth(as_alice: Caller, orm: Orm, door: str, tool: str) -> None:
    good = json.dumps(arguments_of(tool))[1:-1]
    for pair in (
        '"user_id": "alice", "user_id": "bob"',
        '"x": {"y": {"a": 1, "a": 1}}',
        '"x": [{"a": 1, "\\u0061": 1}]',
    ):
        arguments = "{" + ", ".join(filter(None, (good, pair))) + "}"
        answer = await send(as_alice, door, tool, arguments)
        refused(answer, 400, "invalid_arguments", "body")
        assert "same key twice" in answer.envelope["message"]
    assert await orm(lambda: everything_of("alice")) == []


async def test_deep_nesting_is_refused(as_alice: Caller, orm: Orm, door: str, tool: str) -> None:
    for depth in (40, 1_000, 40_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            value = opening * depth + "1" + closing * depth
            answer = await send(as_alice, door, tool, f'{{"title": {value}}}')
            refused(answer, 400, "invalid_arguments", "body")
            assert answer.response.status_code == 400
    assert await orm(lambda: everything_of("alice")) == []


async def test_a_body_of_256_kib_is_accepted_and_one_byte_more_is_refused(
    as_alice: Caller, orm: Orm, door: str, tool: str
) -> None:
    text = json.dumps(arguments_of(tool))
    overhead = 0 if door == "http" else len(tool_call(door, tool, ""))
    largest = text + " " * (256 * KIB - overhead - len(text))
    assert (await send(as_alice, door, tool, largest)).code == 200
    answer = await send(as_alice, door, tool, largest + " ")
    refused(answer, 413, "invalid_request")
    assert answer.response.status_code == 413


async def test_a_body_that_is_not_json_in_utf_8_is_refused(as_alice: Caller, orm: Orm, door: str, tool: str) -> None:
    url = f"/api/tools/{tool}" if door == "http" else "/mcp"
    headers = as_alice.headers if door == "http" else as_alice.rpc_headers(door, "tools/call", tool)
    bodies = [b"{", b"{}{}", b"{'a': 1}", b'{"a": NaN}', b'{"a": -Infinity}', b"\xef\xbb\xbf{}", b'{"a": 01}', b"\x00"]
    bodies += [b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}', '{"a": 1}'.encode("utf-16"), b'{"title": "a\nb"}', b"{,}"]
    for body in bodies:
        response = await as_alice.http.post(url, content=body, headers=headers)
        answer = response.json()
        envelope = answer if door == "http" else answer["error"]["data"]
        assert (response.status_code, envelope["data"]["error"]) == (400, "invalid_arguments"), body
        assert set(envelope["data"]["fields"]) == {"body"}
        assert door == "http" or (answer["error"]["code"], answer["id"]) == (-32700, None)
    assert await orm(lambda: everything_of("alice")) == []


async def test_arguments_that_are_not_an_object_are_refused(as_alice: Caller, orm: Orm, door: str, tool: str) -> None:
    for body in ('"x"', "1", "true", '[{"title": "x"}]', "0", "[[]]", "false"):
        if door == "http":
            refused(await send(as_alice, door, tool, body), 400, "invalid_arguments", "body")
        else:
            headers = as_alice.rpc_headers(door, "tools/call", tool)
            response = await as_alice.http.post("/mcp", content=tool_call(door, tool, body), headers=headers)
            assert response.json()["error"]["code"] == -32602
    assert await orm(lambda: everything_of("alice")) == []


async def test_missing_arguments_count_as_an_empty_object(as_alice: Caller, door: str) -> None:
    if door == "http":
        for body in ("", " \n", "{}", "null", "[]", '""'):
            answer = await as_alice.http.post("/api/tools/list_tasks", content=body, headers=as_alice.headers)
            assert answer.json()["status"] == "success"
    else:
        values: list[object] = [None, [], "", {}]
        left_out: list[dict[str, object]] = [{}, *[{"arguments": value} for value in values]]
        for arguments in left_out * 2:  # the second time, the shape of the call is known
            response = await as_alice.rpc("tools/call", {"name": "list_tasks", **arguments}, revision=door)
            assert response.json()["result"]["structuredContent"]["status"] == "success"
