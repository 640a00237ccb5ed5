"""The conversations of a chat backend, over REST."""

from typing import Any

import httpx2
import pytest

from tests.support.caller import Caller

pytestmark = pytest.mark.anyio


async def send(caller: Caller, method: str, url: str, **options: Any) -> httpx2.Response:
    """A request with the caller's token."""
    headers = {**caller.headers, **options.pop("headers", {})}
    return await caller.http.request(method, url, headers=headers, **options)


async def test_a_chat_backend_starts_a_conversation_appends_a_turn_and_loads_the_last_messages(
    as_alice: Caller,
) -> None:
    started = await send(as_alice, "POST", "/api/conversations")
    assert started.status_code == 201, started.text
    url = f"/api/conversations/{started.json()['id']}/messages"
    turn = [{"role": "user", "content": f"Question {n}"} for n in range(3)]
    appended = await send(as_alice, "POST", url, json=turn)
    assert appended.status_code == 201, appended.text
    assert [message["content"] for message in appended.json()] == ["Question 0", "Question 1", "Question 2"]
    one = await send(as_alice, "POST", url, json={"role": "assistant", "content": "Answer"})
    assert one.json()["role"] == "assistant"
    last = await send(as_alice, "GET", url + "?last=2")
    assert [message["content"] for message in last.json()["messages"]] == ["Question 2", "Answer"]
    page = await send(as_alice, "GET", url + "?limit=3")
    rest = await send(as_alice, "GET", url + f"?limit=3&cursor={page.json()['next_cursor']}")
    assert [message["content"] for message in rest.json()["messages"]] == ["Answer"]
    deleted = await send(as_alice, "DELETE", f"/api/conversations/{started.json()['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await send(as_alice, "GET", url)).status_code == 404
