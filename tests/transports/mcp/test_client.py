"""The client of the MCP SDK, with old and modern revisions, against the real application."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.contrib.staticfiles import finders
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN
from tests.support.tool_calls import TOOLS, arguments_of
from todo_mcp import __version__
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
each_mode = pytest.mark.parametrize("mode", ["legacy", "auto", MODERN])

URL = "http://localhost:5000/mcp"
HINTS = {  # read-only, destructive, idempotent; none is open-world
    "add_task": (False, False, False),
    "list_tasks": (True, False, True),
    "complete_task": (False, False, True),
    "delete_task": (False, True, True),
    "update_task": (False, True, False),
}


@asynccontextmanager
async def connected(caller: Caller, mode: str) -> AsyncIterator[Client]:
    """A client that is connected to the application without a network."""
    transport = caller.http._transport
    async with (
        httpx2.AsyncClient(transport=transport, headers=caller.headers) as http,
        Client(streamable_http_client(URL, http_client=http), mode=mode) as client,
    ):
        yield client


@each_mode
async def test_the_client_lists_exactly_five_tools_in_order(as_alice: Caller, mode: str) -> None:
    async with connected(as_alice, mode) as client:
        listing = await client.list_tools()
    assert tuple(tool.name for tool in listing.tools) == TOOLS
    assert listing.next_cursor is None
    for tool in listing.tools:
        assert tool.title
        assert tool.description
        assert tool.annotations
        assert tool.annotations.title == tool.title
        hints = tool.annotations
        assert (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint) == HINTS[tool.name]
        assert hints.open_world_hint is False
        Draft202012Validator.check_schema(tool.input_schema)
        assert tool.output_schema
        Draft202012Validator.check_schema(tool.output_schema)


@pytest.mark.parametrize("mode", ["legacy", "auto"])  # with a fixed revision the client does not ask the server
async def test_the_server_states_its_name_version_and_capabilities(as_alice: Caller, mode: str) -> None:
    async with connected(as_alice, mode) as client:
        assert client.server_info
        assert (client.server_info.name, client.server_info.version) == ("todo-mcp", __version__)
        assert client.instructions
        assert "list_tasks" in client.instructions
        assert client.server_capabilities.tools
        assert not client.server_capabilities.resources
        assert not client.server_capabilities.prompts


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_server_introduces_itself_with_an_icon_that_needs_no_request(as_alice: Caller, mode: str) -> None:
    async with connected(as_alice, mode) as client:
        assert client.server_info and client.server_info.icons
        assert "icons" not in (await client.call_tool("list_tasks", {})).model_dump_json()
        [icon] = client.server_info.icons
    head, _, image = icon.src.partition(",")
    assert (head, icon.mime_type, icon.sizes) == ("data:image/svg+xml;base64", "image/svg+xml", ["any"])
    assert len(icon.src) < 500
    assert base64.b64decode(image, validate=True) == Path(finders.find("todo_mcp/icon.svg") or "").read_bytes()


@each_mode
async def test_a_task_can_go_through_its_whole_life_with_the_client(as_alice: Caller, mode: str) -> None:
    async with connected(as_alice, mode) as client:
        added = envelope_of(await client.call_tool("add_task", {"title": "Buy milk"}))
        task_id = added["data"]["task_id"]
        for tool, more in (("update_task", {"title": "Buy oats"}), ("complete_task", {}), ("list_tasks", None)):
            arguments = {} if more is None else {"task_id": task_id, **more}
            assert envelope_of(await client.call_tool(tool, arguments))["status"] == "success"
        assert envelope_of(await client.call_tool("delete_task", {"task_id": task_id}))["status"] == "success"
        assert envelope_of(await client.call_tool("list_tasks", {}))["data"]["total"] == 0


def envelope_of(result: CallToolResult) -> dict[str, Any]:
    """Check that the envelope is present twice, as text and as structured content, and return it."""
    envelope = result.structured_content
    assert isinstance(envelope, dict)
    (block,) = result.content
    assert block.type == "text"
    assert json.loads(block.text) == envelope
    assert block.text == json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))
    assert result.is_error is (envelope["status"] == "error")
    return envelope


Call = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


async def provoke_every_answer(call: Call) -> set[int]:
    """Call each tool correctly, again, with bad arguments, for another user and for no task; return the codes."""
    task_id = (await call("add_task", {"title": "Buy milk", "idempotency_key": "a-key-of-my-own"}))["data"]["task_id"]
    await call("add_task", {"title": "Buy milk", "idempotency_key": "a-key-of-my-own"})
    conflict = await call("add_task", {"title": "Other", "idempotency_key": "a-key-of-my-own"})
    codes = {conflict["data"]["error_code"]}
    for tool in TOOLS:
        for arguments in (
            arguments_of(tool, task_id),
            arguments_of(tool, 10**9),
            {"x": 1},
            {"y": "\ud800"},
            {**arguments_of(tool, task_id), "user_id": "bob"},
        ):
            codes.add((await call(tool, arguments))["data"].get("error_code", 200))
    await call("add_task", {"title": "a second page"})
    await call("add_task", {"title": "starts here"})
    await call("list_tasks", {"limit": 1})
    return codes


@each_mode
async def test_every_answer_matches_the_output_schema_of_its_tool(as_alice: Caller, bob: User, mode: str) -> None:
    async with connected(as_alice, mode) as client:
        schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}

        async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
            revision = "2025-11-25" if mode == "legacy" else MODERN
            envelope = await as_alice.call(revision, tool, **arguments)  # the client itself refuses lone surrogates
            Draft202012Validator(schemas[tool]).validate(envelope)
            if "y" not in arguments:
                assert set(envelope_of(await client.call_tool(tool, arguments))) == {"status", "data", "message"}
            return envelope

        assert await provoke_every_answer(call) == {200, 400, 403, 404, 409}


@each_mode
async def test_an_unknown_tool_is_a_protocol_error(as_alice: Caller, mode: str) -> None:
    async with connected(as_alice, mode) as client:
        for name in ("nope", "Add_Task", "add_task ", ""):
            with pytest.raises(MCPError) as error:
                await client.call_tool(name, {})
            assert error.value.code == -32602


@each_mode
async def test_the_client_cannot_connect_with_a_bad_token(as_alice: Caller, mode: str) -> None:
    async def connect() -> None:
        async with connected(Caller(as_alice.http, "todo_wrong"), mode) as client:
            await client.list_tools()

    with pytest.raises((MCPError, BaseExceptionGroup, httpx2.HTTPError)):
        await connect()


@each_mode
async def test_a_read_only_token_sees_only_the_tool_that_it_may_call(as_alice: Caller, orm: Orm, mode: str) -> None:
    token = await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"]))
    async with connected(Caller(as_alice.http, token), mode) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["list_tasks"]
