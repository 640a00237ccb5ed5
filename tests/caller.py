"""A client that speaks raw HTTP and MCP, for tests and for the rehearsal of several hosts."""

import json
from dataclasses import dataclass
from typing import Any

import httpx2

MODERN = "2026-07-28"
HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
REVISIONS = (*HANDSHAKE, MODERN)
DOORS = ("http", *REVISIONS)


@dataclass
class Caller:
    """Calls the application with one token, over HTTP or over MCP in any revision, as plain bytes."""

    http: httpx2.AsyncClient
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def post(self, tool: str, **arguments: Any) -> httpx2.Response:
        return await self.http.post(f"/api/tools/{tool}", json=arguments, headers=self.headers)

    async def rpc(self, method: str, params: dict[str, Any], *, revision: str = MODERN) -> httpx2.Response:
        """One JSON-RPC request, with the headers and the _meta that its revision wants."""
        headers = {**self.headers, "MCP-Protocol-Version": revision, "Accept": "application/json, text/event-stream"}
        if revision == MODERN:
            meta = {
                "io.modelcontextprotocol/protocolVersion": revision,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "pytest", "version": "1"},
            }
            params = {**params, "_meta": meta}
            headers |= {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        return await self.http.post("/mcp", content=body, headers={**headers, "Content-Type": "application/json"})

    async def mcp(self, tool: str, *, revision: str = MODERN, **arguments: Any) -> dict[str, Any]:
        """The envelope of a tool call over MCP; text and structured content are checked to be the same."""
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
