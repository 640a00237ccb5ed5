"""The conversations of a chat backend, over REST."""

import pytest

from tests.conftest import Caller

pytestmark = pytest.mark.anyio


async def test_a_chat_backend_starts_a_conversation_appends_a_turn_and_loads_the_last_messages(
    as_alice: Caller,
) -> None:
    started = await as_alice.request("POST", "/api/conversations")
    assert started.status_code == 201, started.text
    url = f"/api/conversations/{started.json()['id']}/messages"
    turn = [{"role": "user", "content": f"Question {n}"} for n in range(3)]
    appended = await as_alice.request("POST", url, json=turn)
    assert appended.status_code == 201, appended.text
    assert [message["content"] for message in appended.json()] == ["Question 0", "Question 1", "Question 2"]
    one = await as_alice.request("POST", url, json={"role": "assistant", "content": "Answer"})
    assert one.json()["role"] == "assistant"
    last = await as_alice.request("GET", url + "?last=2")
    assert [message["content"] for message in last.json()["messages"]] == ["Question 2", "Answer"]
    page = await as_alice.request("GET", url + "?limit=3")
    rest = await as_alice.request("GET", url + f"?limit=3&cursor={page.json()['next_cursor']}")
    assert [message["content"] for message in rest.json()["messages"]] == ["Answer"]
    deleted = await as_alice.request("DELETE", f"/api/conversations/{started.json()['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await as_alice.request("GET", url)).status_code == 404
