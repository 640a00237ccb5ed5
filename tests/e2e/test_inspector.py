"""The MCP Inspector's command line, with which people examine a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.programs import attempt, last_json, run
from tests.e2e.walk import check_walk
from tests.support.mcp_messages import HANDSHAKE, MODERN

INSPECTOR = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"


@pytest.fixture
def inspector(node: Path, url: str, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | Path]:
    """The command without its method. Its files stay in the test's directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    server = ["--server-url", url, "--transport", "http", "--header", f"Authorization: Bearer {token}"]
    return [node, INSPECTOR, "--cli", *server, "--stored-auth-only"]


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_uses_every_tool(inspector: list[str | Path], token: str, era: str) -> None:
    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        options = ["--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments)]
        process = attempt(*inspector, "--protocol-era", era, *options)
        result: dict[str, Any] = last_json(process.stdout or process.stderr)
        return result

    results = {"add": call("add_task", title="Buy milk", description="2 litres")}
    task_id = results["add"]["structuredContent"]["data"]["task_id"]
    results["list"] = call("list_tasks", status="pending")
    results["complete"] = call("complete_task", task_id=task_id)
    results["update"] = call("update_task", task_id=task_id, title="Buy oat milk")
    results["delete"] = call("delete_task", task_id=task_id)
    results["error"] = call("complete_task", task_id=task_id)
    tools = last_json(run(*inspector, "--protocol-era", era, "--method", "tools/list", "--strict"))["tools"]
    report = {"tools": [tool["name"] for tool in tools], "results": results}
    wrong = [f"{word}x" if word == f"Authorization: Bearer {token}" else word for word in inspector]
    refusal = attempt(*wrong, "--protocol-era", era, "--method", "tools/list")
    assert refusal.returncode != 0
    revision = {"legacy": HANDSHAKE[-1], "modern": MODERN}[era]
    report |= {"wrongToken": refusal.stdout + refusal.stderr, "revision": revision, "server": "todo-mcp"}
    check_walk(report, [revision])
