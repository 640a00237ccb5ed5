"""The official Python SDK's client, over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp.client.session
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.walk import check_walk
from tests.support.mcp_messages import HANDSHAKE, MODERN

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(url: str, token: str, mode: str) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        yield client


async def walk(url: str, token: str, mode: str) -> dict[str, Any]:
    """Make the calls of ``walk.mjs``. Returns a report of the same form."""
    async with connected(url, token, mode) as client:
        results: dict[str, Any] = {}

        async def call(step: str, tool: str, **arguments: Any) -> dict[str, Any]:
            result = await client.call_tool(tool, arguments)
            results[step] = result.model_dump(mode="json", by_alias=True)
            data: dict[str, Any] = (result.structured_content or {})["data"]
            return data

        task_id = (await call("add", "add_task", title="Buy milk", description="2 litres"))["task_id"]
        await call("list", "list_tasks", status="pending")
        await call("complete", "complete_task", task_id=task_id)
        await call("update", "update_task", task_id=task_id, title="Buy oat milk")
        await call("delete", "delete_task", task_id=task_id)
        await call("error", "complete_task", task_id=task_id)
        tools = [tool.name for tool in (await client.list_tools()).tools]
        server = client.server_info.name if client.server_info else None
        report = {"revision": client.protocol_version, "server": server, "tools": tools}
    return {**report, "results": results, "wrongToken": await _wrong_token(url, token, mode)}


async def _wrong_token(url: str, token: str, mode: str) -> str:
    try:
        async with connected(url, f"{token}x", mode) as client:
            await client.list_tools()
    except Exception as error:
        causes = error.exceptions if isinstance(error, BaseExceptionGroup) else [error]
        return " ".join(repr(cause) for cause in causes)
    return "was let in"


@pytest.mark.parametrize("revision", HANDSHAKE)
async def test_the_handshake_client_uses_every_tool(
    url: str, token: str, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp.client.session, "LATEST_HANDSHAKE_VERSION", revision)
    check_walk(await walk(url, token, "legacy"), [revision])


@pytest.mark.parametrize("mode", [MODERN, "auto"])
async def test_the_stateless_client_uses_every_tool(url: str, token: str, mode: str) -> None:
    check_walk(await walk(url, token, mode), [MODERN])
