"""Plain curl: what somebody types who has no MCP client at hand."""

import json
import shutil
from typing import Any

import pytest

from tests.conftest import HANDSHAKE, MODERN
from tests.e2e.conftest import check_walk, run
from tests.server_process import ServerProcess

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "curl", "version": "1"},
}


@pytest.fixture(autouse=True)
def _needs_curl() -> None:
    if shutil.which("curl") is None:
        pytest.fail("These tests need curl; install it, then run them again.")


def curl(url: str, token: str, body: dict[str, Any], *headers: str) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of a POST."""
    sent = [f"Authorization: Bearer {token}", "Content-Type: application/json", *headers]
    options = [word for header in sent for word in ("-H", header)]
    printed = run("curl", "-sS", "-w", "\n%{http_code}", *options, "-d", json.dumps(body), url)
    answer, _, status = printed.rpartition("\n")
    return int(status), json.loads(answer)


def rpc(url: str, token: str, revision: str, method: str, params: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = [f"MCP-Protocol-Version: {revision}", "Accept: application/json, text/event-stream"]
    if revision == MODERN:
        params = {**params, "_meta": META}
        headers += [f"Mcp-Method: {method}"] + ([f"Mcp-Name: {params['name']}"] if "name" in params else [])
    return curl(url, token, {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, *headers)


@pytest.mark.parametrize("revision", [HANDSHAKE[-1], MODERN])
def test_curl_uses_every_tool_over_mcp(url: str, token: str, revision: str) -> None:
    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        status, answer = rpc(url, token, revision, "tools/call", {"name": tool, "arguments": arguments})
        assert status == 200
        result: dict[str, Any] = answer["result"]
        return result

    opening = {"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "curl", "version": "1"}}
    method, params = ("server/discover", {}) if revision == MODERN else ("initialize", opening)
    opened = rpc(url, token, revision, method, params)[1]["result"]
    results = {"add": call("add_task", title="Buy milk", description="2 litres")}
    task_id = results["add"]["structuredContent"]["data"]["task_id"]
    results["list"] = call("list_tasks", status="pending")
    results["complete"] = call("complete_task", task_id=task_id)
    results["update"] = call("update_task", task_id=task_id, title="Buy oat milk")
    results["delete"] = call("delete_task", task_id=task_id)
    results["error"] = call("complete_task", task_id=task_id)
    tools = rpc(url, token, revision, "tools/list", {})[1]["result"]["tools"]
    info = opened.get("serverInfo") or opened["_meta"]["io.modelcontextprotocol/serverInfo"]
    told = {"revision": revision, "server": info["name"], "results": results}
    wrong = rpc(url, f"{token}x", revision, "tools/list", {})
    check_walk({**told, "tools": [tool["name"] for tool in tools], "wrongToken": str(wrong)}, [revision])


def test_curl_uses_every_tool_over_http(server: ServerProcess, token: str) -> None:
    def call(tool: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        return curl(f"{server.url}/api/tools/{tool}", token, arguments)

    status, added = call("add_task", title="Buy milk")
    task_id = added["data"]["task_id"]
    statuses = [status, *(call(tool, task_id=task_id)[0] for tool in ("complete_task", "delete_task"))]
    assert statuses == [200, 200, 200]
    status, error = call("update_task", task_id=task_id, title="Buy oat milk")
    assert (status, error["status"], error["data"]["error"]) == (404, "error", "task_not_found")
    assert call("list_tasks")[1]["data"]["total"] == 0
    status, refused = curl(f"{server.url}/api/tools/list_tasks", f"{token}x", {})
    assert (status, refused["data"]["error"]) == (401, "unauthenticated")
