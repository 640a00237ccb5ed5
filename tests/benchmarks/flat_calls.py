"""The calls that `make flat` times."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks.flat_conversations import conversation_calls, searches
from tests.benchmarks.flat_fill import COMMON
from tests.benchmarks.flat_site import Call, Person, Site, value_of
from tests.benchmarks.words import RARE
from tests.support.mcp_messages import MODERN, mcp_headers, tool_request


def tool(door: str, name: str, **template: Any) -> Call:
    """A call of a tool. It replaces arguments that begin with $ by saved values, and saves ids and undo."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        arguments = {key: value_of(value, person, saved) for key, value in template.items()} | {
            "user_id": person.user_id
        }
        if door == "http":
            status, answer, milliseconds = site.send("POST", f"/api/tools/{name}", arguments)
            envelope = json.loads(answer)
        else:
            message, headers = tool_request(MODERN, name, arguments), mcp_headers(MODERN, "tools/call", name)
            status, answer, milliseconds = site.send("POST", "/mcp", message, **headers)
            envelope = json.loads(answer)["result"]["structuredContent"]
        assert (status, envelope["status"]) == (200, "success"), answer
        data = envelope["data"]
        if name == "add_task":
            saved["task_id"] = data.get("task_id")
            saved["task_ids"] = [task["task_id"] for task in data.get("tasks", ())]
        saved["undo"] = data.get("undo")
        return milliseconds

    return call


def reminders(limit: int) -> Call:
    """The open tasks of all users that are due in the last 30 days."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        now = datetime.now(UTC)
        window = {"from": f"{now - timedelta(days=30):%Y-%m-%dT%H:%MZ}", "to": f"{now:%Y-%m-%dT%H:%MZ}"}
        status, answer, milliseconds = site.send("GET", f"/api/due?{urlencode({**window, 'limit': limit})}")
        assert (status, len(json.loads(answer)["tasks"])) == (200, limit), answer
        return milliseconds

    return call


FULL_TASK: dict[str, Any] = {
    "title": "Take the umbrella to the repair shop",
    "due": "friday 9am",
    "priority": "high",
    "tags": ["errands"],
    "checklist": ["find the receipt", "ask for the price"],
}


def cases(kind: str) -> Iterator[tuple[str, Call]]:
    """The measured calls, in an order that works and leaves the lists as long as before."""
    if kind != "thousand":  # that user has no conversations
        for door in ("mcp", "http"):
            yield from _plain_calls(door)
        yield from conversation_calls()
        yield from searches()
    if kind == "ordinary":
        yield "reminders of all users", reminders(50)
    yield from _lists()
    yield from _changes()


def _plain_calls(door: str) -> Iterator[tuple[str, Call]]:
    yield f"{door} add_task", tool(door, "add_task", title="Call the bank", description="On Friday")
    yield f"{door} list_tasks", tool(door, "list_tasks")
    yield f"{door} list_tasks, deep", tool(door, "list_tasks", cursor="$tasks")
    yield f"{door} list_tasks, pending", tool(door, "list_tasks", status="pending")
    yield f"{door} list_tasks, completed", tool(door, "list_tasks", status="completed")
    yield f"{door} update_task", tool(door, "update_task", task_id="$task_id", title="Call the other bank")
    yield f"{door} complete_task", tool(door, "complete_task", task_id="$task_id")
    yield f"{door} delete_task", tool(door, "delete_task", task_id="$task_id")


# Each filter alone and each order. Each list of the user with a thousand tasks, and of the huge one, fills a page.
_FILTERS: dict[str, dict[str, Any]] = {
    "deleted": {"status": "deleted"},
    # Fifty or more tasks of each of these users are due today.
    "due past": {"status": "all", "due": "..today"},
    "due today": {"status": "all", "due": "today"},
    "due any": {"status": "all", "due": "any"},
    "due none": {"status": "all", "due": "none"},
    "overdue": {"due": "overdue"},
    "completed_on": {"completed_on": "..yesterday"},
    "created_on": {"created_on": "..yesterday"},
    "priority high": {"priority": "high"},
    "priority none": {"priority": "none"},
    "rare tag": {"tag": RARE},
    "common tag": {"tag": COMMON},
    "rare word": {"query": RARE},
    "rare beginning": {"query": RARE[:5]},
    "common word": {"query": COMMON},
    "two words": {"query": f"{COMMON} {RARE}"},
    "no such word": {"query": "zeppelin"},
    **{f"sort {sort}": {"status": "all", "sort": sort} for sort in ("due", "priority")},
    "sort updated": {"sort": "updated"},
    "counts": {"detail": "counts"},
    "short": {"detail": "short"},
}

# These read at most 20,000 tasks of the huge user, and then say that they ended there.
BOUNDED = {"list_tasks, common word", "list_tasks, two words"}


def _lists() -> Iterator[tuple[str, Call]]:
    for name, arguments in _FILTERS.items():
        yield f"list_tasks, {name}", tool("http", "list_tasks", **arguments)


def _changes() -> Iterator[tuple[str, Call]]:
    yield "add_task, all fields", tool("http", "add_task", **FULL_TASK)
    yield "list_tasks, task_id", tool("http", "list_tasks", task_id="$task_id")
    yield "update_task, match", tool("http", "update_task", match="umbrella", due="+1 day", add_tags=["rain"])
    yield "undo of it", tool("http", "update_task", undo="$undo")
    yield "complete_task, match", tool("http", "complete_task", match="umbrella")
    yield "undo of that", tool("http", "update_task", undo="$undo")
    yield "delete_task, match", tool("http", "delete_task", match="umbrella")
    yield "add_task, 10 tasks", tool("http", "add_task", tasks=[{"title": f"Pack {n}"} for n in range(10)])
    yield "update_task, 10 tasks", tool("http", "update_task", task_ids="$task_ids", due="tomorrow")
    yield "complete_task, 10 tasks", tool("http", "complete_task", task_ids="$task_ids")
    yield "undo of 10 tasks", tool("http", "update_task", undo="$undo")
    yield "delete_task, 10 tasks", tool("http", "delete_task", task_ids="$task_ids")
