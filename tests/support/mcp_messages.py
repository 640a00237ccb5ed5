"""MCP messages over Streamable HTTP and their headers, as each revision requires them."""

import json
from collections.abc import Mapping
from typing import Any

MODERN = "2026-07-28"
HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
REVISIONS = (*HANDSHAKE, MODERN)
CLIENT = "pytest"
REVISION_KEY = "io.modelcontextprotocol/protocolVersion"  # of _meta


def meta_of(client: str = CLIENT) -> dict[str, Any]:
    """The ``_meta`` that the modern revision requires in each request."""
    return {
        REVISION_KEY: MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": client, "version": "1"},
    }


def opening(revision: str, client: str = CLIENT) -> dict[str, Any]:
    """The parameters of ``initialize``, the first request of the revisions with a handshake."""
    return {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": client, "version": "1"}}


def mcp_headers(revision: str, method: str, name: str | None = None) -> dict[str, str]:
    """The headers of a message, without the token. ``name`` is the tool's name."""
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": revision,
    }
    if revision == MODERN:
        headers |= {"Mcp-Method": method} | ({"Mcp-Name": name} if name is not None else {})
    return headers


def as_asgi(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """These headers as ASGI represents them."""
    return [(name.lower().encode(), value.encode("utf-8", "replace")) for name, value in headers.items()]


def notification(revision: str, method: str, params: Mapping[str, Any], *, client: str = CLIENT) -> dict[str, Any]:
    """A message without an id. The ``_meta`` of ``params`` is merged with the ``_meta`` that the revision requires."""
    merged = dict(params)
    if revision == MODERN:
        merged["_meta"] = meta_of(client) | merged.get("_meta", {})
    return {"jsonrpc": "2.0", "method": method, "params": merged}


def request(
    revision: str, method: str, params: Mapping[str, Any], *, id: Any = 1, client: str = CLIENT
) -> dict[str, Any]:
    """A message with an id, which gets an answer."""
    message = notification(revision, method, params, client=client)
    return {"jsonrpc": message.pop("jsonrpc"), "id": id, **message}


def tool_request(revision: str, tool: str, arguments: Any, *, client: str = CLIENT) -> dict[str, Any]:
    """The message that calls a tool."""
    return request(revision, "tools/call", {"name": tool, "arguments": arguments}, client=client)


def tool_call(revision: str, tool: str, arguments: str, *, id: str = "1") -> str:
    """The text of a tool call. ``arguments`` and ``id`` are JSON texts, and may be invalid ones."""
    params = {"name": tool, "arguments": "the arguments"}
    text = json.dumps(request(revision, "tools/call", params, id="the id"))
    return text.replace('"the arguments"', arguments, 1).replace('"the id"', id, 1)
