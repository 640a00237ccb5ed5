"""The lines to paste into clients that connect with a token. `make run` and the admin show them."""

import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings

ADD_MILK = {"title": "Buy milk"}
BRIDGE = "mcp-remote@0.15.1"  # the version that tests/e2e drives; without one, npx would run any newer code


class ClientLine(NamedTuple):
    """A line to paste, and where."""

    label: str
    text: str


def client_lines(token: str, tool: str = "add_task", arguments: dict[str, Any] = ADD_MILK) -> list[ClientLine]:
    """One line for each kind of client. The line for ``curl`` calls the tool with these arguments."""
    url, bearer = settings.PUBLIC_URL, f"Bearer {token}"
    server = {"url": f"{url}/mcp", "headers": {"Authorization": bearer}}
    body = json.dumps(arguments)
    return [
        ClientLine(
            "Call a tool",
            f"curl {url}/api/tools/{tool} -H 'Authorization: {bearer}' -H 'Content-Type: application/json' -d '{body}'",
        ),
        ClientLine("Claude Code", f'claude mcp add --transport http todo {url}/mcp --header "Authorization: {bearer}"'),
        ClientLine("VS Code, in .vscode/mcp.json", json.dumps({"servers": {"todo": {"type": "http", **server}}})),
        ClientLine(
            "Cursor, in .cursor/mcp.json; most other clients use the same format",
            json.dumps({"mcpServers": {"todo": server}}),
        ),
        ClientLine(
            "Claude Desktop, in claude_desktop_config.json; for clients that start commands; needs Node.js",
            json.dumps({"mcpServers": {"todo": _bridge(f"{url}/mcp", bearer)}}),
        ),
    ]


def _bridge(url: str, bearer: str) -> dict[str, Any]:
    """The command that connects such a client. The header is in ``env``: on Windows, blanks break an argument."""
    is_open = urlsplit(url).scheme == "http" and urlsplit(url).hostname not in ("localhost", "127.0.0.1")
    options = [*(["--allow-http"] if is_open else []), "--header", "Authorization:${AUTH_HEADER}"]
    return {"command": "npx", "args": ["-y", BRIDGE, url, *options], "env": {"AUTH_HEADER": bearer}}
