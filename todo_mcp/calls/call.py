"""A call of an operation, as a transport hands it over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from todo_mcp.core.operations import Operation

CLIENT_MAX = 100  # characters


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call. ``arguments`` are as the caller sent them; ``client`` is the name that the caller gives itself.

    ``transport`` is ``mcp``, ``http`` or ``command``; ``revision`` is the MCP revision, and empty for other transports.
    """

    operation: Operation
    arguments: Mapping[str, Any]
    transport: str
    request_id: str
    revision: str = ""
    client: str = ""


def clean_client(name: str) -> str:
    """A client's name for itself, fit for logs and history: printable, at most ``CLIENT_MAX`` characters."""
    return "".join(char for char in name if char.isprintable())[:CLIENT_MAX]
