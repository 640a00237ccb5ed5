"""Quotas of a chat backend: messages of a conversation, stored bytes, writes."""

from importlib import import_module
from typing import Any

import httpx2
import psycopg
import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from conversations.models import Conversation, Message
from tests.quotas.using_up import learn
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.factories import ConversationFactory, MessageFactory
from todo_mcp.quotas.services import count_bytes
from todo_mcp.quotas.usage import ROW_BYTES, usages
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
PATH = "/api/conversations"


def message(content: str = "Hello") -> dict[str, str]:
    return {"role": "user", "content": content}


async def append(caller: Caller, conversation_id: int, body: Any, key: str = "", **query: str) -> httpx2.Response:
    headers = caller.headers | ({"Idempotency-Key": key} if key else {})
    path = f"{PATH}/{conversation_id}/messages"
    return await caller.http.post(path, json=body, headers=headers, params=query)


def refusal_of(response: httpx2.Response) -> dict[str, Any]:
    assert response.status_code == 403, response.text
    data: dict[str, Any] = response.json()["data"]
    assert (data["error_code"], data["error"]) == (403, "quota_exceeded")
    return data


@pytest.fixture
async def conversation_id(as_alice: Caller) -> int:
    response = await as_alice.http.post(PATH, headers=as_alice.headers)
    return int(response.json()["id"])


async def test_messages_are_appended_up_to_the_quota_and_not_beyond(
    as_alice: Caller, conversation_id: int, settings: Settings, orm: Orm
) -> None:
    settings.QUOTA_MESSAGES = 3
    assert (await append(as_alice, conversation_id, [message(), message()])).status_code == 201
    assert refusal_of(await append(as_alice, conversation_id, [message(), message()])) == {
        "error_code": 403, "error": "quota_exceeded", "quota": "messages", "limit": 3, "used": 2,
    }  # fmt: skip
    assert (await append(as_alice, conversation_id, message(), key="the-last-one")).status_code == 201
    refusal = await append(as_alice, conversation_id, message())
    assert refusal_of(refusal)["used"] == 3
    assert "new conversation" in refusal.json()["message"]
    repeated = await append(as_alice, conversation_id, message(), key="the-last-one")
    assert repeated.status_code == 201
    assert await orm(Message.objects.count) == 3
    other = (await as_alice.http.post(PATH, headers=as_alice.headers)).json()["id"]
    assert (await append(as_alice, other, message())).status_code == 201


async def test_a_conversation_of_another_user_is_missing_also_if_it_is_full(
    as_alice: Caller, as_bob: Caller, conversation_id: int, settings: Settings
) -> None:
    settings.QUOTA_MESSAGES = 1
    await append(as_alice, conversation_id, message())
    assert (await append(as_bob, conversation_id, message())).json()["data"]["error"] == "conversation_not_found"


async def test_bytes_are_refused_and_a_deleted_conversation_frees_them_at_once(
    as_alice: Caller, conversation_id: int, settings: Settings, orm: Orm
) -> None:
    settings.QUOTA_BYTES = 10_000
    assert (await append(as_alice, conversation_id, message("ü" * 4000))).status_code == 201
    assert await orm(lambda: count_bytes("alice")) == 8000 + 2 * ROW_BYTES
    refusal = await append(as_alice, conversation_id, message("x" * 1000))
    assert refusal_of(refusal)["quota"] == "bytes"
    assert "Delete conversations" in refusal.json()["message"]
    assert (await as_alice.call("http", "add_task", title="x", description="y" * 900))["data"]["quota"] == "bytes"
    path = f"{PATH}/{conversation_id}"
    assert (await as_alice.http.delete(path, headers=as_alice.headers)).status_code == 204
    assert usages._known["alice"].bytes == 0
    assert (await as_alice.call("http", "add_task", title="x", description="y" * 900))["status"] == "success"


async def test_an_append_and_a_new_conversation_are_writes_and_a_deletion_is_never_refused(
    as_alice: Caller, conversation_id: int, settings: Settings
) -> None:
    settings.QUOTA_WRITES = 2
    assert (await append(as_alice, conversation_id, [message()] * 5, key="a-key-of-mine")).status_code == 201
    refusal = await append(as_alice, conversation_id, message())
    data = refusal_of(refusal)
    assert (data["quota"], data["used"]) == ("writes", 2)
    assert int(refusal.headers["Retry-After"]) == data["retry_after"] > 0
    refusal_of(await as_alice.http.post(PATH, headers=as_alice.headers))
    assert (await append(as_alice, conversation_id, [message()] * 5, key="a-key-of-mine")).status_code == 201
    assert (await as_alice.call("http", "add_task", title="x"))["data"]["quota"] == "writes"
    response = await as_alice.http.delete(f"{PATH}/{conversation_id}", headers=as_alice.headers)
    assert response.status_code == 204


async def test_what_frees_bytes_is_done_beyond_the_quota(
    as_alice: Caller, conversation_id: int, settings: Settings
) -> None:
    first = (await append(as_alice, conversation_id, message("x" * 4000), key="a-long-message")).json()
    settings.QUOTA_BYTES = 1_000
    refusal_of(await append(as_alice, conversation_id, message()))
    path = f"{PATH}/{conversation_id}/messages/{first['id']}"
    shorter = await as_alice.http.put(path, json=message("x" * 3000), headers=as_alice.headers)
    assert shorter.status_code == 200
    refusal_of(await as_alice.http.put(path, json=message("x" * 3001), headers=as_alice.headers))
    refusal_of(await append(as_alice, conversation_id, message("x" * 3001), replace=str(first["id"])))
    replaced = await append(as_alice, conversation_id, message("x" * 2000), replace=str(first["id"]))
    assert replaced.status_code == 201
    path = f"{PATH}/{conversation_id}/messages/{replaced.json()['id']}"
    assert (await as_alice.http.delete(path, headers=as_alice.headers)).status_code == 204


async def test_a_service_is_refused_for_the_owner(
    as_service: Caller, as_alice: Caller, bob: User, conversation_id: int, settings: Settings
) -> None:
    settings.QUOTA_WRITES = 5
    learn("alice", writes=5)
    refusal_of(await append(as_service, conversation_id, [message()], user_id="alice"))
    response = await as_service.http.post(PATH, headers=as_service.headers, json={"user_id": "bob"})
    assert response.status_code == 201


def counted(conversation: Conversation) -> tuple[int, int]:
    conversation.refresh_from_db()
    return conversation.stored_messages, conversation.stored_bytes


def found(conversation: Conversation) -> tuple[int, int]:
    sizes = [ROW_BYTES + len(one.content.encode()) for one in Message.objects.filter(conversation=conversation)]
    return len(sizes), sum(sizes)


async def test_a_conversation_knows_its_messages_however_they_are_added(
    as_alice: Caller, conversation_id: int, orm: Orm
) -> None:
    await append(as_alice, conversation_id, [message("ä"), message("b" * 3000)])

    def check() -> None:
        conversation = Conversation.objects.get(pk=conversation_id)
        assert counted(conversation) == found(conversation)
        MessageFactory.create(conversation=conversation)
        with transaction.atomic(), psycopg.connect(**connection.get_connection_params()) as other:
            other.execute(
                "INSERT INTO messages (conversation_id, user_id, role, content) VALUES (%s, 'alice', 'user', 'SQL')",
                [conversation_id],
            )
        assert counted(conversation) == found(conversation)
        assert found(conversation)[0] == 4

    await orm(check)


async def test_the_migration_counts_messages_from_before(orm: Orm, alice: User) -> None:
    fill: Any = import_module("conversations.migrations.0008_fill_message_counts")

    def check() -> None:
        filled = ConversationFactory.create_batch(3, user=alice)
        for number, conversation in enumerate(filled):
            MessageFactory.create_batch(number, conversation=conversation, content="ö" * number)
        Conversation.objects.update(stored_messages=0, stored_bytes=0)
        fill.BATCH = 2
        with connection.schema_editor(atomic=False) as editor:
            fill.fill(None, editor)
        assert [counted(one) for one in filled] == [found(one) for one in filled]
        assert [found(one)[0] for one in filled] == [0, 1, 2]

    await orm(check)
