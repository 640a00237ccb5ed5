"""The official Python SDK's client, over a real socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import mcp.client.session
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.walk import check_walk, walk_with
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
    """The report of ``walk_with``, and what a wrong token got."""
    async with connected(url, token, mode) as client:
        report = await walk_with(client)
    return {**report, "wrongToken": await _wrong_token(url, token, mode)}


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
