"""An append in place of the last messages, and only after an expected one."""

import asyncio
from typing import Any

import pytest

from conversations.models import Message
from tests.conversations.test_putting import counts_agree
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import append, messages_of, refused, send, start, stored
from tests.support.factories import MessageFactory

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "user", "content": "New"}
KEY = {"Idempotency-Key": "key-of-a-turn"}


async def post(caller: Caller, conversation: Any, query: str, **options: Any) -> Any:
    body = options.pop("json", [MESSAGE])
    return await send(caller, "POST", f"{messages_of(conversation)}?{query}", json=body, **options)


async def contents(orm: Orm, conversation: int) -> str:
    return " ".join(content for _, content in await orm(lambda: stored(conversation)))


@pytest.mark.parametrize(("at", "left"), [(0, "New"), (1, "a New"), (3, "a b c New")])
async def test_replace_removes_a_message_and_all_after_it(as_alice: Caller, orm: Orm, at: int, left: str) -> None:
    conversation, other = await start(as_alice), await start(as_alice)
    turn = await append(as_alice, conversation, *"abcd")
    await append(as_alice, other, *"abcd")
    answer = await post(as_alice, conversation, f"replace={turn[at]['id']}")
    assert (answer.status_code, len(answer.json())) == (201, 1)
    assert answer.json()[0]["id"] > turn[-1]["id"]
    assert await contents(orm, conversation) == left
    assert await contents(orm, other) == "a b c d"
    assert await orm(counts_agree)


async def test_replace_takes_a_ref_whose_name_is_then_free(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    for _ in range(3):
        answer = await post(as_alice, conversation, "", json=[{**MESSAGE, "ref": "answer"}, MESSAGE])
        assert answer.status_code == 201 or answer.json()["data"]["error"] == "ref_conflict"
        answer = await post(as_alice, conversation, "replace=answer", json=[{**MESSAGE, "ref": "answer"}])
        assert answer.status_code == 201
    assert await contents(orm, conversation) == "New"
    assert await orm(counts_agree)


async def test_a_replace_that_is_refused_removes_nothing(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    turn = await append(as_alice, conversation, *"ab")
    await post(as_alice, conversation, "", json=[{**MESSAGE, "ref": "taken"}])
    first, last = turn[0]["id"], turn[1]["id"]
    before = await orm(lambda: stored(conversation))
    for query, body, status, error in (
        ("replace=7000", [MESSAGE], 404, "message_not_found"),
        ("replace=nothing", [MESSAGE], 404, "message_not_found"),
        (f"replace={first}", [{**MESSAGE, "content": ""}], 400, "invalid_arguments"),
        (f"replace={first}", [{**MESSAGE, "ref": "x"}, {**MESSAGE, "ref": "x"}], 409, "ref_conflict"),
        (f"replace={first}&expected_last={last}", [MESSAGE], 409, "version_conflict"),
        (f"replace={first}&replace={last}", [MESSAGE], 400, "invalid_arguments"),
        ("replace=1.5", [MESSAGE], 404, "message_not_found"),
        ("replace=-1", [MESSAGE], 400, "invalid_arguments"),
        ("replace=0", [MESSAGE], 404, "message_not_found"),
        ("replace=", [MESSAGE], 400, "invalid_arguments"),
        ("expected_last=", [MESSAGE], 400, "invalid_arguments"),
    ):
        answer = await post(as_alice, conversation, query, json=body)
        assert (answer.status_code, answer.json()["data"]["error"]) == (status, error), query
        assert await orm(lambda: stored(conversation)) == before
    assert await orm(counts_agree)


async def test_replace_removes_at_most_a_thousand_messages(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    ids = await orm(
        lambda: [one.pk for one in MessageFactory.create_batch(1001, conversation_id=conversation, user_id="alice")]
    )
    refused(await post(as_alice, conversation, f"replace={ids[0]}"), 400, "invalid_arguments", replace="1,000")
    assert await orm(Message.objects.count) == 1001
    assert (await post(as_alice, conversation, f"replace={ids[1]}")).status_code == 201
    assert await orm(Message.objects.count) == 2
    assert await orm(counts_agree)


async def test_expected_last_is_the_last_message_or_zero(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    conflict = await post(as_alice, conversation, "expected_last=7")
    refused(conflict, 409, "version_conflict")
    assert conflict.json()["data"]["last_message_id"] == 0
    assert (await post(as_alice, conversation, "expected_last=0", json=[{**MESSAGE, "ref": "one"}])).status_code == 201
    [two] = (await post(as_alice, conversation, "expected_last=one")).json()
    for expected in ("0", "one", two["id"] + 1, "nothing"):
        conflict = await post(as_alice, conversation, f"expected_last={expected}")
        refused(conflict, 409, "version_conflict")
        assert conflict.json()["data"]["last_message_id"] == two["id"]
    assert (await post(as_alice, conversation, f"expected_last={two['id']}")).status_code == 201
    assert await contents(orm, conversation) == "New New New"


async def test_of_two_writers_who_expect_the_same_message_one_succeeds(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    [first] = await append(as_alice, conversation, "a")
    query = f"expected_last={first['id']}&replace={first['id']}"
    answers = await asyncio.gather(*(post(as_alice, conversation, query) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    assert await contents(orm, conversation) == "New"


async def test_a_repeated_append_answers_its_first_result_whatever_it_finds_now(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    turn = await append(as_alice, conversation, *"ab")
    query = f"expected_last={turn[1]['id']}&replace={turn[0]['id']}"
    body = [{**MESSAGE, "ref": "new", "item": {"a": 1}}]
    first = await post(as_alice, conversation, query, json=body, headers=KEY)
    assert first.status_code == 201
    for change in ("nothing", "put", "delete"):
        if change == "put":
            await send(as_alice, "PUT", f"{messages_of(conversation)}/new", json={**MESSAGE, "content": "Changed"})
        if change == "delete":
            await send(as_alice, "DELETE", f"{messages_of(conversation)}/new")
        again = await post(as_alice, conversation, query, json=body, headers=KEY)
        assert (again.status_code, again.json()) == (201, first.json())
    refused(await post(as_alice, conversation, "", json=body, headers=KEY), 409, "idempotency_conflict")
    other = [{**body[0], "item": {"a": 2}}]
    refused(await post(as_alice, conversation, query, json=other, headers=KEY), 409, "idempotency_conflict")
    assert await orm(Message.objects.count) == 0


async def test_a_key_that_is_sent_twice_at_once_gets_one_result(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    turn = await append(as_alice, conversation, *"ab")
    for query in ("", f"expected_last={turn[1]['id']}", f"replace={turn[0]['id']}"):
        headers = {"Idempotency-Key": f"key of turn {query}"}
        body = [{**MESSAGE, "ref": f"r{len(query)}"}] if query else [MESSAGE]
        if query.startswith("expected"):
            query = f"expected_last={(await append(as_alice, conversation, 'c'))[0]['id']}"
        answers = await asyncio.gather(
            *(post(as_alice, conversation, query, json=body, headers=headers) for _ in range(6))
        )
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.text for answer in answers}) == 1
    assert await contents(orm, conversation) == "New"


async def test_a_start_with_a_ref_is_repeated_by_its_key(as_alice: Caller) -> None:
    body = {"ref": "chat", "title": "One", "metadata": {"a": 1}}
    send_it = [send(as_alice, "POST", "/api/conversations", json=body, headers=KEY) for _ in range(5)]
    answers = await asyncio.gather(*send_it)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    await send(as_alice, "PATCH", "/api/conversations/chat", json={"title": "Two"})
    assert (await send(as_alice, "POST", "/api/conversations", json=body, headers=KEY)).text == answers[0].text
    other = await send(as_alice, "POST", "/api/conversations", json={**body, "title": "Two"}, headers=KEY)
    refused(other, 409, "idempotency_conflict")
