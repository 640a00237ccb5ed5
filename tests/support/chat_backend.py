"""Requests of a chat backend. Every answer must match the OpenAPI document: status, headers and body."""

import json
import re
from functools import cache
from typing import Any

import httpx2
from django.db import connection
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from conversations.models import Conversation, Message
from tests.support.caller import Caller

START = "/api/conversations"
UNROUTED = {400, 404, 405}  # statuses of paths and methods that the document does not describe


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document, as /api/schema gives it."""
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return schema


async def send(caller: Caller, method: str, url: str, **options: Any) -> httpx2.Response:
    """A request with the caller's token."""
    headers = {**caller.headers, **options.pop("headers", {})}
    response = await caller.http.request(method, url, headers=headers, **options)
    check(method, response)
    return response


async def post_text(caller: Caller, url: str, text: str | bytes, content_type: str = "application/json") -> Any:
    """POST this body unchanged."""
    return await send(caller, "POST", url, content=text, headers={"Content-Type": content_type})


async def start(caller: Caller, **query: str) -> int:
    """The id of a new conversation."""
    response = await send(caller, "POST", START, params=query)
    assert response.status_code == 201, response.text
    return int(response.json()["id"])


def messages_of(conversation_id: Any) -> str:
    return f"{START}/{conversation_id}/messages"


async def append(caller: Caller, conversation_id: int, *contents: str, **options: Any) -> Any:
    """Append a turn in which user and assistant alternate. Returns the answer's JSON."""
    turn = [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]
    response = await send(caller, "POST", messages_of(conversation_id), json=turn, **options)
    assert response.status_code == 201, response.text
    return response.json()


def refused(response: httpx2.Response, status: int, error: str, **fields: str) -> None:
    """Check that the answer is this refusal in the envelope, and that each field has a reason with these words."""
    answer = response.json()
    assert set(answer) == {"status", "data", "message"}
    assert (response.status_code, answer["status"]) == (status, "error"), answer
    assert (answer["data"]["error_code"], answer["data"]["error"]) == (status, error)
    assert answer["message"].endswith(".")
    reasons = answer["data"].get("fields", {})
    assert set(reasons) == {name.replace("__", ".") for name in fields}, reasons
    for name, words in fields.items():
        assert words in reasons[name.replace("__", ".")], reasons


def check(method: str, response: httpx2.Response) -> None:
    """Check that an answer matches the document."""
    operation = _operation(method, response.request.url.path)
    if operation is None:
        assert response.status_code in UNROUTED | {401}, response.text
        return
    expected = operation["responses"].get(str(response.status_code))
    assert expected, f"{method} {response.request.url.path}: {response.status_code} is not in the document"
    for name, header in expected["headers"].items():
        assert not header.get("required") or name in response.headers, name
    if "content" not in expected:
        assert response.content == b""
        assert "content-length" not in response.headers
        assert "content-type" not in response.headers
        return
    assert response.headers["content-type"] == "application/json"
    schema = {**expected["content"]["application/json"]["schema"], "components": document()["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(json.loads(response.content))


def _operation(method: str, path: str) -> Any:
    for template, operations in document()["paths"].items():
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", template), path):
            return operations.get(method.lower())
    return None


def stored(conversation_id: int) -> list[tuple[str, str]]:
    """Role and content of each message in the database, in order."""
    rows = Message.objects.filter(conversation_id=conversation_id).order_by("id")
    return list(rows.values_list("role", "content"))


def row_counts() -> tuple[int, int]:
    """The number of conversations and of messages."""
    counts = Conversation.objects.count(), Message.objects.count()
    connection.close()
    return counts
