"""Checks the report of a client that has called every tool. walk.mjs shows the calls."""

import json
from collections.abc import Sequence
from typing import Any

from mcp.client import Client


async def walk_with(client: Client) -> dict[str, Any]:
    """Make the calls of ``walk.mjs`` with the official Python SDK. Returns a report of the same form."""
    results: dict[str, Any] = {}

    async def call(step: str, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await client.call_tool(tool, arguments)
        results[step] = result.model_dump(mode="json", by_alias=True)
        data: dict[str, Any] = (result.structured_content or {})["data"]
        return data

    task_id = (await call("add", "add_task", title="Buy milk", description="2 litres"))["task_id"]
    await call("list", "list_tasks", status="pending")
    await call("complete", "complete_task", task_id=task_id)
    await call("update", "update_task", task_id=task_id, title="Buy oat milk")
    await call("delete", "delete_task", task_id=task_id)
    await call("error", "complete_task", task_id=task_id)
    tools = [tool.name for tool in (await client.list_tools()).tools]
    server = client.server_info.name if client.server_info else None
    return {"revision": client.protocol_version, "server": server, "tools": tools, "results": results}


def check_walk(report: dict[str, Any], revisions: Sequence[str]) -> None:
    """Check a client's report: all five tools, an error and a wrong token."""
    check_calls(report, revisions)
    assert "401" in report["wrongToken"] or "nauthorized" in report["wrongToken"], report["wrongToken"]


def check_calls(report: dict[str, Any], revisions: Sequence[str]) -> None:
    """Check a client's report of all five tools and an error."""
    results = report["results"]
    for result in results.values():
        assert [json.loads(block["text"]) for block in result["content"]] == [result["structuredContent"]]
    envelopes = {step: result["structuredContent"] for step, result in results.items()}
    assert report["revision"] in revisions
    assert report["server"] in ("todo-mcp", None), "a client with a fixed revision does not ask for the name"
    assert report["tools"] == ["add_task", "list_tasks", "complete_task", "delete_task", "update_task"]
    assert [step for step, result in results.items() if result.get("isError")] == ["error"]
    (task,) = envelopes["list"]["data"]["tasks"]
    added = envelopes["add"]["data"]
    assert (task["task_id"], task["title"], task["completed"]) == (added["task_id"], "Buy milk", False)
    assert {envelope["data"].get("task_id", added["task_id"]) for envelope in envelopes.values()} == {added["task_id"]}
    assert envelopes["update"]["data"]["updated_fields"] == ["title"]
    assert envelopes["error"]["data"] == {"error_code": 404, "error": "task_not_found"}
    assert "list_tasks" in envelopes["error"]["message"]
