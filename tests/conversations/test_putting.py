"""PUT, PATCH and DELETE of a conversation and of one message."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from conversations.models import STORED_BYTES, Conversation, Message
from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.chat_backend import START, append, messages_of, refused, row_counts, send, start

pytestmark = pytest.mark.anyio
MESSAGE = {"role": "user", "content": "Hello"}
ITEM = {"type": "message", "text": "Hello"}


async def get(caller: Caller, path: str) -> Any:
    response = await send(caller, "GET", path)
    assert response.status_code == 200, response.text
    return response.json()


async def test_put_makes_a_conversation_once_and_then_replaces_title_and_metadata(as_alice: Caller, orm: Orm) -> None:
    url = f"{START}/chat"
    made = await send(as_alice, "PUT", url, json={"title": " The bank \n", "metadata": {"a": 1}})
    again = await send(as_alice, "PUT", url, json={"title": "The bank", "metadata": {"a": 1}})
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json() == await get(as_alice, url)
    assert (made.json()["ref"], made.json()["title"]) == ("chat", "The bank")
    titled = (await send(as_alice, "PUT", url, json={"title": "Other"})).json()
    assert titled == {**{name: made.json()[name] for name in made.json() if name != "metadata"}, "title": "Other"}
    emptied = await send(as_alice, "PUT", url)
    assert emptied.json().keys() == {"id", "ref", "user_id", "created_at", "updated_at"}
    by_id = await send(as_alice, "PUT", f"{START}/{made.json()['id']}", json={"metadata": {}})
    assert (by_id.status_code, by_id.json()["metadata"]) == (200, {})
    assert await orm(row_counts) == (1, 0)


async def test_patch_changes_only_what_is_sent(as_alice: Caller) -> None:
    url = f"{START}/chat"
    made = (await send(as_alice, "POST", START, json={"ref": "chat", "title": "One", "metadata": {"a": 1}})).json()
    for change in ({"title": "Two"}, {"metadata": {"b": 2}}, {}, {"title": None}, {"title": None, "metadata": None}):
        made |= {name: value for name, value in change.items() if value}
        answer = await send(as_alice, "PATCH", url, json=change)
        assert (answer.status_code, answer.json()) == (200, made)
        assert await get(as_alice, url) == made


async def test_a_renamed_conversation_keeps_its_place(as_alice: Caller) -> None:
    first, second = await start(as_alice), await start(as_alice)
    before = await get(as_alice, START)
    await send(as_alice, "PATCH", f"{START}/{first}", json={"title": "One"})
    await send(as_alice, "PUT", f"{START}/{first}", json={"metadata": {}})
    after = await get(as_alice, START)
    assert [row["id"] for row in after["conversations"]] == [second, first]
    for row, row_before in zip(after["conversations"], before["conversations"], strict=True):
        assert row["updated_at"] == row_before["updated_at"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_missing_conversation_with_an_id_is_not_made(as_alice: Caller, orm: Orm, method: str) -> None:
    refused(await send(as_alice, method, f"{START}/7", json={}), 404, "conversation_not_found")
    if method == "PATCH":
        refused(await send(as_alice, method, f"{START}/chat", json={}), 404, "conversation_not_found")
    assert await orm(row_counts) == (0, 0)


@pytest.mark.parametrize("title", ["", "x" * 201, "\x00", "\u200b", "\u202eabc", 7, ["x"]])
async def test_a_title_has_the_rules_of_a_tasks_title(as_alice: Caller, title: Any) -> None:
    await send(as_alice, "PUT", f"{START}/chat", json={"title": "x" * 200})
    for method, path in (("POST", START), ("PUT", f"{START}/chat"), ("PATCH", f"{START}/chat")):
        answer = await send(as_alice, method, path, json={"title": title})
        refused(answer, 400, "invalid_arguments", title="must ")


@pytest.mark.parametrize(
    "body", [{"ref": "x"}, {"id": 1}, {"role": "user"}, {"messages": []}, {"name": "x"}, {"created_at": "2026-01-01"}]
)
async def test_put_and_patch_accept_no_unknown_field(as_alice: Caller, orm: Orm, body: dict[str, Any]) -> None:
    [field] = body
    await send(as_alice, "PUT", f"{START}/chat")
    for method in ("PUT", "PATCH"):
        answer = await send(as_alice, method, f"{START}/chat", json=body)
        refused(answer, 400, "invalid_arguments", **{field: "unknown argument"})
        answer = await send(as_alice, method, f"{START}/chat?title=x", json={})
        refused(answer, 400, "invalid_arguments", query="only user_id")
    answer = await send(as_alice, "PUT", f"{START}/chat/messages/x", json={**body, **MESSAGE, "ref": "x"})
    assert answer.json()["data"]["fields"]["ref"].startswith("unknown argument")
    assert await orm(row_counts) == (1, 0)


async def test_put_appends_a_new_ref_and_then_replaces_what_the_message_says(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    await append(as_alice, conversation, "before")
    url = f"{messages_of(conversation)}/answer"
    made = await send(as_alice, "PUT", url, json={"role": "assistant", "content": "D", "item": ITEM})
    await append(as_alice, conversation, "after")
    for content in ("Do", "Don", "Done."):
        changed = await send(as_alice, "PUT", url, json={"role": "assistant", "content": content})
        expected = {**made.json(), "content": content}
        del expected["item"]
        assert (changed.status_code, changed.json()) == (200, expected)
    assert made.status_code == 201
    rows = (await get(as_alice, messages_of(conversation)))["messages"]
    assert [row["content"] for row in rows] == ["before", "Done.", "after"]
    assert rows[1] == await get(as_alice, url) == expected
    by_id = await send(as_alice, "PUT", f"{messages_of(conversation)}/{rows[0]['id']}", json=MESSAGE)
    assert (by_id.status_code, by_id.json()) == (200, {**rows[0], "content": "Hello"})
    assert await orm(Message.objects.count) == 3


async def test_what_changes_messages_is_activity_and_a_put_of_the_same_is_not(as_alice: Caller) -> None:
    conversation = await start(as_alice)
    path, one = f"{START}/{conversation}", f"{messages_of(conversation)}/one"
    times = [(await get(as_alice, path))["updated_at"]]
    for method, body in (("PUT", MESSAGE), ("PUT", {**MESSAGE, "item": {}}), ("DELETE", None)):
        await send(as_alice, method, one, json=body)
        times.append((await get(as_alice, path))["updated_at"])
    assert times == sorted(set(times))
    await send(as_alice, "PUT", one, json={**MESSAGE, "item": ITEM})
    times = [(await get(as_alice, path))["updated_at"]]
    assert (await send(as_alice, "PUT", one, json={**MESSAGE, "item": ITEM})).status_code == 200
    assert [(await get(as_alice, path))["updated_at"]] == times


async def test_a_put_needs_role_and_content(as_alice: Caller, orm: Orm) -> None:
    url = f"{messages_of(await start(as_alice))}/one"
    cases: list[tuple[Any, dict[str, str]]] = [
        (None, {"role": "is required", "content": "is required"}),
        ({"content": "x"}, {"role": "is required"}),
        ({"role": "tool", "content": "x"}, {"role": "'user' or 'assistant'"}),
        ({"role": "user", "content": ""}, {"content": "1 to 100000"}),
        ({"role": "user", "content": "x" * 100_001}, {"content": "1 to 100000"}),
    ]
    for body, fields in cases:
        refused(await send(as_alice, "PUT", url, json=body), 400, "invalid_arguments", **fields)
    for other in ([MESSAGE], "x", 7):
        refused(await send(as_alice, "PUT", url, json=other), 400, "invalid_arguments", body="JSON object")
    assert await orm(row_counts) == (1, 0)


async def test_a_deleted_message_is_gone_once(as_alice: Caller, orm: Orm) -> None:
    conversation = await start(as_alice)
    turn = await append(as_alice, conversation, "a", "b", "c")
    url = f"{messages_of(conversation)}/{turn[1]['id']}"
    answers = [await send(as_alice, "DELETE", url) for _ in range(2)]
    assert answers[0].status_code == 204
    refused(answers[1], 404, "message_not_found")
    refused(await send(as_alice, "GET", url), 404, "message_not_found")
    assert (await get(as_alice, messages_of(conversation)))["messages"] == [turn[0], turn[2]]
    [new] = await append(as_alice, conversation, "d")
    assert new["id"] > turn[2]["id"]
    assert await orm(counts_agree)


async def test_a_task_made_from_a_removed_message_keeps_its_conversation(
    as_alice: Caller, as_service: Caller, orm: Orm
) -> None:
    conversation = await start(as_alice)
    turn = await append(as_alice, conversation, "a", "b")
    tasks = []
    for message in turn:
        origin = {"conversation_id": conversation, "message_id": message["id"]}
        added = await as_service.call("http", "add_task", user_id="alice", title="Call", **origin)
        tasks.append(added["data"])
    await send(as_alice, "DELETE", f"{messages_of(conversation)}/{turn[0]['id']}")
    await send(as_alice, "POST", f"{messages_of(conversation)}?replace={turn[1]['id']}", json=MESSAGE)
    rows = await orm(lambda: list(Task.objects.order_by("id").values("conversation_id", "message_id", "version")))
    assert rows == [{"conversation_id": conversation, "message_id": None, "version": 1}] * 2
    listed = await as_alice.call("http", "list_tasks")
    assert {task["updated_at"] for task in listed["data"]["tasks"]} == {task["updated_at"] for task in tasks}


async def test_puts_of_one_new_ref_at_once_make_one(as_alice: Caller, orm: Orm) -> None:
    answers = await asyncio.gather(*(send(as_alice, "PUT", f"{START}/chat", json={"title": f"{n}"}) for n in range(8)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
    url = f"{messages_of('chat')}/answer"
    puts = [send(as_alice, "PUT", url, json={**MESSAGE, "content": f"{n}"}) for n in range(8)]
    answers = await asyncio.gather(*puts)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await orm(row_counts) == (1, 1)
    assert await orm(counts_agree)


def counts_agree() -> bool:
    """Whether each conversation knows the number and the size of its messages."""
    bytes_of = f"SELECT COALESCE(sum({STORED_BYTES}), 0) FROM messages WHERE conversation_id = conversations.id"
    rows = Conversation.objects.extra(select={"size": bytes_of})
    found = [(row.stored_messages == row.messages.count(), row.stored_bytes == row.size) for row in rows]
    return bool(found) and all(found == (True, True) for found in found)
