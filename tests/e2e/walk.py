"""Checks the report of a client that has called every tool. walk.mjs shows the calls."""

import json
from collections.abc import Sequence
from typing import Any


def check_walk(report: dict[str, Any], revisions: Sequence[str]) -> None:
    """Check a client's report: all five tools, an error and a wrong token."""
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
    assert "401" in report["wrongToken"] or "nauthorized" in report["wrongToken"], report["wrongToken"]
