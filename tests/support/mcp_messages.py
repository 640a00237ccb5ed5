"""Messages of MCP over Streamable HTTP and their headers, as each revision wants them."""

import json
from collections.abc import Mapping
from typing import Any

MODERN = "2026-07-28"
HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
REVISIONS = (*HANDSHAKE, MODERN)
CLIENT = "pytest"
REVISION_KEY = "io.modelcontextprotocol/protocolVersion"  # of _meta


def meta_of(client: str = CLIENT) -> dict[str, Any]:
    """What the modern revision wants in ``_meta`` of each request."""
    return {
        REVISION_KEY: MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": client, "version": "1"},
    }


def opening(revision: str, client: str = CLIENT) -> dict[str, Any]:
    """The parameters of ``initialize``, which opens the revisions with a handshake."""
    return {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": client, "version": "1"}}


def mcp_headers(revision: str, method: str, name: str | None = None) -> dict[str, str]:
    """The headers of a message, but the token; ``name`` is the tool's."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": revision,
    }
    if revision == MODERN:
        headers |= {"Mcp-Method": method} | ({"Mcp-Name": name} if name is not None else {})
    return headers


def as_asgi(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI has them."""
    return [(name.lower().encode(), value.encode("utf-8", "replace")) for name, value in headers.items()]


def notification(revision: str, method: str, params: Mapping[str, Any], *, client: str = CLIENT) -> dict[str, Any]:
    """A message without an id. The ``_meta`` of ``params`` is kept beside what the revision wants there."""
    given = dict(params)
    if revision == MODERN:
        given["_meta"] = meta_of(client) | given.get("_meta", {})
    return {"jsonrpc": "2.0", "method": method, "params": given}


def request(
    revision: str, method: str, params: Mapping[str, Any], *, id: Any = 1, client: str = CLIENT
) -> dict[str, Any]:
    """A message that is answered."""
    message = notification(revision, method, params, client=client)
    return {"jsonrpc": message.pop("jsonrpc"), "id": id, **message}


def tool_request(revision: str, tool: str, arguments: Any, *, client: str = CLIENT) -> dict[str, Any]:
    """The message that calls a tool."""
    return request(revision, "tools/call", {"name": tool, "arguments": arguments}, client=client)


def tool_call(revision: str, tool: str, arguments: str, *, id: str = "1") -> str:
    """The text of a call around the JSON text of its arguments and of its id, neither of which need be good."""
    params = {"name": tool, "arguments": "the arguments"}
    text = json.dumps(request(revision, "tools/call", params, id="the id"))
    return text.replace('"the arguments"', arguments, 1).replace('"the id"', id, 1)
