"""Helpers for the tests of operations: one call through any door as raw JSON, and checks of its answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2

from tasks.models import Task, TaskEvent
from tests.support.caller import Caller
from tests.support.mcp_messages import tool_call

TOOLS = ("add_task", "list_tasks", "complete_task", "delete_task", "update_task")
READ_ONLY = ("list_tasks",)

# Every control character of C0 and C1, and DEL, except tab and newline.
CONTROLS = tuple(chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r")
# The first and last high and low surrogates.
LONE_SURROGATES = ("\ud800", "\udbff", "\udc00", "\udfff", "a\udc00\ud800b")
# Bidirectional controls that are not closed.
LEFT_OPEN = (
    "\u202eabc",
    "a\u2066b",
    "\u202a\u202b\u202c",
    "\u2067\u202d\u202c",
    "\u202a\u2069",
    "\u2068\u202ca",
    "\u202e\n",
)
CLOSED = (
    "\u202eabc\u202c",
    "a\u2066b\u2069",
    "\u202a\u202b\u202c\u202cx",
    "\u2067\u202da\u2069",
    "a\u2069\u202c",
    "\u200fabc\u200e",
)
# Texts that show nothing.
INVISIBLE = (
    "",
    " \t\n",
    "\u00a0\u2003\u3000",  # wide and narrow spaces
    "\u200b\u200c\u200d\ufeff\u2060",  # zero width
    "\u202e\u2066\u2069\u202c\u200f",  # bidirectional controls
    "\u115f\u1160\u3164\uffa0",  # Hangul fillers
    "\u2800",  # the empty braille pattern
    "\u00ad\u034f\u061c\u180e",  # soft hyphen, grapheme joiner, Arabic letter mark, Mongolian vowel separator
    "\ufe0f\ufe0e",  # variation selectors without a base character
    "\U000e0041\U000e007f",  # tags
)


@dataclass(frozen=True)
class Answer:
    """A tool's answer, through any door."""

    response: httpx2.Response
    envelope: dict[str, Any]

    @property
    def code(self) -> int:
        """200, or the error's code."""
        return int(self.envelope["data"].get("error_code", 200))

    @property
    def error(self) -> str:
        return str(self.envelope["data"].get("error", ""))

    @property
    def fields(self) -> list[str]:
        return sorted(self.envelope["data"].get("fields", {}))


def arguments_of(tool: str, task_id: Any = 1) -> dict[str, Any]:
    """Valid arguments of a tool."""
    examples = {
        "add_task": {"title": "Buy milk"},
        "list_tasks": {},
        "update_task": {"task_id": task_id, "title": "New"},
    }
    return examples.get(tool, {"task_id": task_id})


async def send(
    caller: Caller, door: str, tool: str, arguments: Mapping[str, Any] | str, headers: Mapping[str, str] | None = None
) -> Answer:
    """Call a tool. ``arguments`` may be a JSON text, and an invalid one."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    if door == "http":
        all_headers = {**caller.headers, **(headers or {})}
        response = await caller.http.post(f"/api/tools/{tool}", content=text, headers=all_headers)
        return Answer(response, response.json())
    all_headers = {**caller.rpc_headers(door, "tools/call", tool), **(headers or {})}
    response = await caller.http.post("/mcp", content=tool_call(door, tool, text), headers=all_headers)
    answer = response.json()
    if "error" in answer:
        return Answer(response, answer["error"]["data"])
    return Answer(response, answer["result"]["structuredContent"])


def refused(answer: Answer, code: int, error: str, *fields: str) -> None:
    """Check that the answer is this refusal and names exactly these fields."""
    assert answer.envelope["status"] == "error"
    assert (answer.code, answer.error, answer.fields) == (code, error, sorted(fields)), answer.envelope
    assert answer.envelope["message"].endswith(".")
    assert set(answer.envelope) == {"status", "data", "message"}


def shown(moment: datetime) -> str:
    """A moment as answers show it."""
    return moment.isoformat().replace("+00:00", "Z")


def everything_of(user_id: str) -> list[dict[str, Any]]:
    """Every column of the user's tasks, deleted ones too, and of their history."""
    tasks = Task.objects.filter(user_id=user_id).order_by("id").values()
    events = TaskEvent.objects.filter(user_id=user_id).order_by("pgh_id").values()
    return [*tasks, *events]
