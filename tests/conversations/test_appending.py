"""A turn is appended whole and in order, or not at all, also with concurrent writers. A key makes a retry safe."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from conversations.models import Message
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, refused, row_counts, send, start, stored
from tests.support.factories import MessageFactory
from todo_mcp.idempotency.models import IdempotencyKey

pytestmark = pytest.mark.anyio
KEY = {"Idempotency-Key": "key-of-a-turn"}


async def test_a_turn_keeps_its_order(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    contents = [f"{n}" for n in range(100)]
    turn = await append(as_alice, conversation, *contents)
    assert [message["content"] for message in turn] == contents
    assert [content for _, content in await orm(lambda: stored(conversation))] == contents


async def test_a_turn_with_one_bad_message_appends_nothing(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    before = (await send(as_alice, "GET", f"{START}/{conversation}")).json()
    turn = [*[{"role": "user", "content": "Good"}] * 99, {"role": "user", "content": ""}]
    response = await send(as_alice, "POST", messages_of(conversation), json=turn)
    refused(response, 400, "invalid_arguments", messages__99__content="1 to")
    assert await orm(lambda: stored(conversation)) == []
    assert (await send(as_alice, "GET", f"{START}/{conversation}")).json() == before


async def test_a_turn_that_fails_in_the_database_leaves_nothing(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    before = (await send(as_alice, "GET", f"{START}/{conversation}")).json()
    await orm(lambda: MessageFactory.create(conversation_id=conversation, user_id="alice", id=3))
    turn = [{"role": "user", "content": f"{n}"} for n in range(5)]  # the third of them collides
    response = await send(as_alice, "POST", messages_of(conversation), json=turn)
    assert response.status_code == 500
    assert await orm(lambda: Message.objects.count()) == 1
    assert (await send(as_alice, "GET", f"{START}/{conversation}")).json() == before


async def test_concurrent_writers_never_interleave_lose_or_reorder_messages(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    rounds, length = 25, 5

    async def write(name: str) -> None:
        for n in range(rounds):
            await append(as_alice, conversation, *(f"{name} {n} {m}" for m in range(length)))

    await asyncio.gather(*(write(name) for name in "abcd"))
    contents = [content for _, content in await orm(lambda: stored(conversation))]
    assert len(contents) == 4 * rounds * length
    turns = [contents[at : at + length] for at in range(0, len(contents), length)]
    assert all(turn == [f"{turn[0][:-2]} {m}" for m in range(length)] for turn in turns)
    for name in "abcd":
        turns_of_writer = [turn[0] for turn in turns if turn[0].startswith(name)]
        assert turns_of_writer == [f"{name} {n} 0" for n in range(rounds)]
    times = await orm(lambda: list(Message.objects.order_by("id").values_list("created_at", flat=True)))
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
    state = (await send(as_alice, "GET", f"{START}/{conversation}")).json()
    assert state["updated_at"] == times[-1].isoformat().replace("+00:00", "Z")


async def test_readers_never_see_half_a_turn(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    writing = asyncio.gather(*(append(as_alice, conversation, "a", "b", "c", "d", "e") for _ in range(10)))
    while not writing.done():
        page = (await send(as_alice, "GET", messages_of(conversation) + "?limit=100")).json()
        assert len(page["messages"]) % 5 == 0
    await writing


async def test_deleting_while_others_append_leaves_nothing_behind(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    turn = [{"role": "user", "content": "Hello"}] * 3
    answers = await asyncio.gather(
        *(send(as_alice, "POST", messages_of(conversation), json=turn) for _ in range(4)),
        send(as_alice, "DELETE", f"{START}/{conversation}"),
        *(send(as_alice, "POST", messages_of(conversation), json=turn) for _ in range(4)),
    )
    assert [answer.status_code for answer in answers[4:5]] == [204]
    assert {answer.status_code for answer in answers} <= {201, 204, 404}
    assert await orm(row_counts) == (0, 0)


@pytest.mark.parametrize("as_list", [True, False])
async def test_the_same_key_and_body_append_once_and_answer_the_same(as_alice: Caller, orm: Orm, as_list: bool) -> None:
    conversation = await start(as_alice)
    message = {"role": "user", "content": "Hello"}
    body: Any = [message, message] if as_list else message
    first = await send(as_alice, "POST", messages_of(conversation), json=body, headers=KEY)
    await append(as_alice, conversation, "In between")
    again = await send(as_alice, "POST", messages_of(conversation), json=body, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len(await orm(lambda: stored(conversation))) == (3 if as_list else 2)


async def test_the_same_key_with_another_body_or_conversation_is_a_conflict(as_alice: Caller, orm: Orm) -> None:
    first, second = await start(as_alice), await start(as_alice)
    await append(as_alice, first, "Hello", headers=KEY)
    for conversation, content in ((first, "Other"), (second, "Hello")):
        turn = [{"role": "user", "content": content}]
        response = await send(as_alice, "POST", messages_of(conversation), json=turn, headers=KEY)
        refused(response, 409, "idempotency_conflict")
    assert await orm(row_counts) == (2, 1)


async def test_twenty_requests_with_one_key_append_once(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    answers = await asyncio.gather(*(append(as_alice, conversation, "a", "b", headers=KEY) for _ in range(20)))
    assert all(answer == answers[0] for answer in answers)
    assert await orm(row_counts) == (1, 2)


async def test_a_key_is_forgotten_after_24_hours(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    await append(as_alice, conversation, "Hello", headers=KEY)
    almost = timezone.now() - timedelta(hours=23, minutes=59)
    await orm(lambda: IdempotencyKey.objects.update(created_at=almost))
    await append(as_alice, conversation, "Hello", headers=KEY)
    assert await orm(row_counts) == (1, 1)
    await orm(lambda: IdempotencyKey.objects.update(created_at=almost - timedelta(minutes=2)))
    await append(as_alice, conversation, "Hello", headers=KEY)
    assert await orm(row_counts) == (1, 2)


async def test_a_retry_after_the_conversation_was_deleted_is_not_found(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    await append(as_alice, conversation, "Hello", headers=KEY)
    await send(as_alice, "DELETE", f"{START}/{conversation}")
    turn = [{"role": "user", "content": "Hello"}]
    response = await send(as_alice, "POST", messages_of(conversation), json=turn, headers=KEY)
    refused(response, 404, "conversation_not_found")


async def test_a_refused_append_leaves_its_key_unused(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    for url in (messages_of(conversation), messages_of(conversation + 99)):
        assert (await send(as_alice, "POST", url, json=[], headers=KEY)).status_code == 400
    turn = [{"role": "user", "content": "Hello"}]
    assert (await send(as_alice, "POST", messages_of(999), json=turn, headers=KEY)).status_code == 404
    await append(as_alice, conversation, "Hello", headers=KEY)


async def test_a_start_with_a_key_can_be_repeated_safely(as_alice: Caller, orm: Orm) -> None:
    answers = await asyncio.gather(*(send(as_alice, "POST", START, headers=KEY) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert await orm(row_counts) == (1, 0)


async def test_one_key_is_independent_for_a_start_an_append_and_a_task(
    as_alice: Caller, as_bob: Caller, orm: Orm
) -> None:
    key = KEY["Idempotency-Key"]
    conversation = (await send(as_alice, "POST", START, headers=KEY)).json()["id"]
    await append(as_alice, conversation, "Hello", headers=KEY)
    assert (await as_alice.post("add_task", title="Hello", idempotency_key=key)).status_code == 200
    bobs = (await send(as_bob, "POST", START, headers=KEY)).json()["id"]
    await append(as_bob, bobs, "Other", headers=KEY)
    assert await orm(row_counts) == (2, 2)


@pytest.mark.parametrize("key", ["short", "x" * 65])
async def test_an_invalid_key_is_refused_and_not_ignored(as_alice: Caller, orm: Orm, key: str) -> None:
    conversation = await start(as_alice)
    message = {"role": "user", "content": "Hello"}
    response = await send(as_alice, "POST", messages_of(conversation), json=message, headers={"Idempotency-Key": key})
    refused(response, 400, "invalid_arguments", idempotency_key="8 to 64")
    assert await orm(row_counts) == (1, 0)


async def test_two_keys_are_refused(as_alice: Caller) -> None:
    headers = [("Idempotency-Key", "first-key"), ("Idempotency-Key", "second-key"), *as_alice.headers.items()]
    refused(await as_alice.http.post(START, headers=headers), 400, "invalid_arguments", idempotency_key="given twice")
