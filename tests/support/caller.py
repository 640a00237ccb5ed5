"""A client that speaks raw HTTP and MCP, for tests and for the rehearsal of several hosts."""

import json
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.mcp_messages import MODERN, REVISIONS, mcp_headers, request

DOORS = ("http", *REVISIONS)


@dataclass
class Caller:
    """Calls the application with one token, over HTTP or over MCP in any revision, as plain bytes."""

    http: httpx2.AsyncClient
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def rpc_headers(self, revision: str, method: str, name: str | None = None) -> dict[str, str]:
        """The headers of an MCP message, with the token."""
        return {**self.headers, **mcp_headers(revision, method, name)}

    async def post(self, tool: str, **arguments: Any) -> httpx2.Response:
        return await self.http.post(f"/api/tools/{tool}", json=arguments, headers=self.headers)

    async def rpc(self, method: str, params: dict[str, Any], *, revision: str = MODERN) -> httpx2.Response:
        """One JSON-RPC request, with the headers and the _meta that its revision requires."""
        body = json.dumps(request(revision, method, params))
        headers = self.rpc_headers(revision, method, params.get("name"))
        return await self.http.post("/mcp", content=body, headers=headers)

    async def mcp(self, tool: str, *, revision: str = MODERN, **arguments: Any) -> dict[str, Any]:
        """The envelope of a tool call over MCP. Its text and structured content must be equal."""
        response = await self.rpc("tools/call", {"name": tool, "arguments": arguments}, revision=revision)
        assert response.status_code == 200, response.text
        result = response.json()["result"]
        envelope: dict[str, Any] = result["structuredContent"]
        assert [json.loads(block["text"]) for block in result["content"]] == [envelope]
        assert result["isError"] is (envelope["status"] == "error")
        return envelope

    async def call(self, door: str, tool: str, **arguments: Any) -> dict[str, Any]:
        """The envelope of a tool call through one door: "http", or a revision of MCP."""
        if door != "http":
            return await self.mcp(tool, revision=door, **arguments)
        response = await self.post(tool, **arguments)
        envelope: dict[str, Any] = response.json()
        assert response.status_code == envelope["data"].get("error_code", 200)
        return envelope
