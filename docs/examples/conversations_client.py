"""The conversations of todo-mcp, for agents_session.py and chatkit_store.py. It needs only httpx2, as the SDKs do."""

import asyncio
import os
import re
import time
from typing import Any
from urllib.parse import quote

import httpx2

PATIENCE, CONTENT_MAX = 60, 100_000  # seconds in which a call is repeated; characters
READABLE = "title name arguments content text copy_text refusal summary output inputs question workflow tasks task"


class Refused(Exception):
    """The server refused a call. The first argument is the name of the reason, such as ``quota_exceeded``."""


class Conversations:
    """The conversations of all users that the token may act for. A backend needs one object."""

    def __init__(self, url: str = "", token: str = "", missing: type[Exception] = Refused) -> None:
        headers = {"Authorization": f"Bearer {token or os.environ['TODO_TOKEN']}"}
        url = url or os.environ.get("TODO_URL", "http://localhost:5000")
        self.http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=15)
        self._missing = missing  # the error for a conversation or message that does not exist

    async def call(self, method: str, user_id: str, *path: str, json: Any = None, key: str = "", **query: Any) -> Any:
        """Make a call. Returns the answer, or {} of a DELETE. A POST needs ``key``, its Idempotency-Key.

        After 429, 503 or a lost connection the same request is sent again. A DELETE that then gets 404 was done before.
        """
        url = "/".join(["/api/conversations", *(quote(part, safe="") for part in path)])
        params = {"user_id": user_id} | {name: value for name, value in query.items() if value is not None}
        headers, end, maybe_gone = {"Idempotency-Key": key} if key else {}, time.monotonic() + PATIENCE, False
        while True:
            failure: Exception
            try:
                response = await self.http.request(method, url, json=json, params=params, headers=headers)
            except (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError) as lost:
                failure, wait, maybe_gone = lost, 1.0, method == "DELETE"
            else:
                if response.is_success or (maybe_gone and response.status_code == 404):
                    return response.json() if response.is_success and response.content else {}
                failure, wait = self._failure(response), float(response.headers.get("Retry-After", 1))
                if response.status_code not in (429, 503):
                    raise failure
                maybe_gone = maybe_gone or (method == "DELETE" and response.status_code == 503)
            if time.monotonic() + wait > end:
                raise failure
            await asyncio.sleep(wait)

    def _failure(self, response: httpx2.Response) -> Exception:
        error = response.json()["data"]["error"] if "json" in response.headers.get("Content-Type", "") else ""
        kind = self._missing if error in ("conversation_not_found", "message_not_found") else Refused
        return kind(error, response.text)


def as_message(item: dict[str, Any]) -> dict[str, Any]:
    """A message with this item: who wrote it, what a person reads, and the item as the SDK has it."""
    item = storable(item)
    role = "user" if item.get("role") == "user" or item.get("type") == "user_message" else "assistant"
    return {"role": role, "content": _text(item)[:CONTENT_MAX] or f"[{item.get('type', 'message')}]", "item": item}


def _text(value: Any) -> str:
    parts = [value.get(name) for name in READABLE.split()] if isinstance(value, dict) else value
    if not isinstance(parts, list):
        return str(parts)
    return "\n".join(filter(None, (_text(part) for part in parts if part is not None)))


def storable(value: Any) -> Any:
    """The value with U+FFFD for what PostgreSQL cannot store: NUL and lone surrogates."""
    if isinstance(value, dict):
        return {storable(name): storable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [storable(part) for part in value]
    return re.sub("[\0\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else value
