"""What every client must have seen on its walk through the tools; what it does there is in walk.mjs."""

import json
from collections.abc import Sequence
from typing import Any


def check_walk(told: dict[str, Any], revisions: Sequence[str]) -> None:
    """Judge what a client saw on its way through all five tools, an error and a wrong token."""
    results = told["results"]
    for result in results.values():
        assert [json.loads(block["text"]) for block in result["content"]] == [result["structuredContent"]]
    envelopes = {step: result["structuredContent"] for step, result in results.items()}
    assert told["revision"] in revisions
    assert told["server"] in ("todo-mcp", None), "a client that is told the revision need not ask"
    assert told["tools"] == ["add_task", "list_tasks", "complete_task", "delete_task", "update_task"]
    assert [step for step, result in results.items() if result.get("isError")] == ["error"]
    (task,) = envelopes["list"]["data"]["tasks"]
    added = envelopes["add"]["data"]
    assert (task["task_id"], task["title"], task["completed"]) == (added["task_id"], "Buy milk", False)
    assert {envelope["data"].get("task_id", added["task_id"]) for envelope in envelopes.values()} == {added["task_id"]}
    assert envelopes["update"]["data"]["updated_fields"] == ["title"]
    assert envelopes["error"]["data"] == {"error_code": 404, "error": "task_not_found"}
    assert "list_tasks" in envelopes["error"]["message"]
    assert "401" in told["wrongToken"] or "nauthorized" in told["wrongToken"], told["wrongToken"]
