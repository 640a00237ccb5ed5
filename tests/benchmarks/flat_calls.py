"""The calls that `make flat` times, and the servers that it calls."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tests.benchmarks.fill import RARE
from tests.benchmarks.flat_fill import COMMON
from tests.support.mcp_messages import MODERN, mcp_headers, tool_request


@dataclass
class Person:
    """A user, a conversation of theirs, and cursors to the middle of each list."""

    user_id: str
    conversation_id: int
    cursors: dict[str, str]


@dataclass
class Site:
    """A server over a database of some size, and how long each of its calls took, in milliseconds."""

    port: int
    token: str
    session: str
    people: dict[str, list[Person]]
    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, float]:
        """Status, body and milliseconds."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("localhost", self.port, timeout=60)
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        started = time.perf_counter()
        self._connection.request(method, path, content, headers if content else headers | {"Content-Type": ""})
        response = self._connection.getresponse()
        answer = response.read()
        return response.status, answer, (time.perf_counter() - started) * 1000


Call = Callable[[Site, Person, dict[str, Any]], float]


def tool(door: str, name: str, **template: Any) -> Call:
    """A call of a tool. It replaces arguments that begin with $ by saved values, and saves ids and undo."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        arguments = {key: _value(value, person, saved) for key, value in template.items()} | {"user_id": person.user_id}
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


def rest(method: str, path: str, body: Any = None, **query: Any) -> Call:
    """A call of REST. It saves the id of a new conversation."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        query_string = "&".join(
            f"{name}={_value(value, person, saved)}" for name, value in {**query, "user_id": "$user"}.items()
        )
        full_path = path.format(conversation=person.conversation_id, new=saved.get("id"))
        status, answer, milliseconds = site.send(method, f"/api/conversations{full_path}?{query_string}", body)
        assert status < 300, answer
        if method == "POST" and not path:
            saved["id"] = json.loads(answer)["id"]
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


def search(words: str) -> Call:
    """The admin's search in messages."""

    def call(site: Site, person: Person, saved: dict[str, Any]) -> float:
        query = words.format(user=person.user_id)
        path = f"/admin/conversations/conversation/?q={query}"
        status, answer, milliseconds = site.send("GET", path, Cookie=f"sessionid={site.session}")
        assert status == 200, answer
        return milliseconds

    return call


def _value(value: Any, person: Person, saved: dict[str, Any]) -> Any:
    if value in ("$task_id", "$task_ids", "$undo"):
        return saved[value[1:]]
    if value == "$user":
        return person.user_id
    return person.cursors[value[1:]] if str(value).startswith("$") else value


TURN = [{"role": role, "content": "Remind me to call the bank on Friday."} for role in ("user", "assistant")]
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
        yield from _conversations()
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


def _conversations() -> Iterator[tuple[str, Call]]:
    yield "make a conversation", rest("POST", "", {})
    yield "list conversations", rest("GET", "")
    yield "list conversations, deep", rest("GET", "", cursor="$conversations")
    yield "read a conversation", rest("GET", "/{conversation}")
    yield "append a turn", rest("POST", "/{conversation}/messages", TURN)
    yield "list messages", rest("GET", "/{conversation}/messages")
    yield "list messages, deep", rest("GET", "/{conversation}/messages", cursor="$messages")
    yield "last 20 messages", rest("GET", "/{conversation}/messages", last=20)
    yield "append to the new one", rest("POST", "/{new}/messages", TURN)
    yield "delete the new one", rest("DELETE", "/{new}")
    for name, word in (("rare", RARE), ("middling", "tus"), ("common", "balin")):
        yield f"admin: {name} word", search(word)
        yield f"admin: {name} word of user", search(f"{word}+user:{{user}}")
