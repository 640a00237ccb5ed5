"""Plain curl, for a person without an MCP client."""

import json
import shutil
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.programs import run
from tests.e2e.walk import check_walk
from tests.support.mcp_messages import HANDSHAKE, MODERN, mcp_headers, opening, request
from tests.support.server_process import ServerProcess


@pytest.fixture(autouse=True)
def _needs_curl() -> None:
    if shutil.which("curl") is None:
        pytest.fail("These tests need curl; install it, then run them again.")


def curl(
    url: str, token: str, body: dict[str, Any], headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    """The status and the JSON of a POST."""
    all_headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **(headers or {})}
    options = [word for name, value in all_headers.items() for word in ("-H", f"{name}: {value}")]
    printed = run("curl", "-sS", "-w", "\n%{http_code}", *options, "-d", json.dumps(body), url)
    answer, _, status = printed.rpartition("\n")
    return int(status), json.loads(answer)


def rpc(url: str, token: str, revision: str, method: str, params: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    headers = mcp_headers(revision, method, params.get("name"))
    return curl(url, token, request(revision, method, params, client="curl"), headers)


@pytest.mark.parametrize("revision", [HANDSHAKE[-1], MODERN])
def test_curl_uses_every_tool_over_mcp(url: str, token: str, revision: str) -> None:
    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        status, answer = rpc(url, token, revision, "tools/call", {"name": tool, "arguments": arguments})
        assert status == 200
        result: dict[str, Any] = answer["result"]
        return result

    method, params = ("server/discover", {}) if revision == MODERN else ("initialize", opening(revision, "curl"))
    opening_result = rpc(url, token, revision, method, params)[1]["result"]
    results = {"add": call("add_task", title="Buy milk", description="2 litres")}
    task_id = results["add"]["structuredContent"]["data"]["task_id"]
    results["list"] = call("list_tasks", status="pending")
    results["complete"] = call("complete_task", task_id=task_id)
    results["update"] = call("update_task", task_id=task_id, title="Buy oat milk")
    results["delete"] = call("delete_task", task_id=task_id)
    results["error"] = call("complete_task", task_id=task_id)
    tools = rpc(url, token, revision, "tools/list", {})[1]["result"]["tools"]
    info = opening_result.get("serverInfo") or opening_result["_meta"]["io.modelcontextprotocol/serverInfo"]
    report = {"revision": revision, "server": info["name"], "results": results}
    wrong = rpc(url, f"{token}x", revision, "tools/list", {})
    check_walk({**report, "tools": [tool["name"] for tool in tools], "wrongToken": str(wrong)}, [revision])


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
    status, refusal = curl(f"{server.url}/api/tools/list_tasks", f"{token}x", {})
    assert (status, refusal["data"]["error"]) == (401, "unauthenticated")
