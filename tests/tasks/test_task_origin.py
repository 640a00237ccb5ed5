"""Where a task came from: add_task's conversation_id and message_id, which a chat backend sets."""

from collections.abc import Callable
from typing import Any

import pytest

from conversations.models import Conversation
from tasks.models import Task
from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.factories import ConversationFactory, MessageFactory
from tests.support.tool_calls import refused, send
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("door", DOORS)]


@pytest.fixture
def conversation(committed: None, alice: User) -> Conversation:
    return ConversationFactory.create(user=alice)


@pytest.fixture(params=[False, True], ids=["without key", "with key"])
def with_title(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """A function that makes arguments for add_task, with an idempotency_key or without."""
    key = {"idempotency_key": "a-key-of-my-own"} if request.param else {}
    return lambda **origin: {"title": "Buy milk", **key, **origin}


async def test_a_task_remembers_its_conversation_and_message(
    as_alice: Caller, conversation: Conversation, orm: Orm, door: str, with_title: Callable[..., dict[str, Any]]
) -> None:
    message = await orm(lambda: MessageFactory.create(conversation=conversation).pk)
    origin = {"conversation_id": conversation.pk, "message_id": str(message)}
    assert (await send(as_alice, door, "add_task", with_title(**origin))).code == 200
    task = await orm(Task.objects.get)
    assert (task.conversation_id, task.message_id) == (conversation.pk, message)


async def test_bobs_conversation_gets_the_same_answer_as_a_missing_one(
    as_alice: Caller, as_bob: Caller, bob: User, orm: Orm, door: str, with_title: Callable[..., dict[str, Any]]
) -> None:
    bobs = await orm(lambda: ConversationFactory.create(user=bob).pk)
    foreign = await send(as_alice, door, "add_task", with_title(conversation_id=bobs))
    missing = await send(as_alice, door, "add_task", with_title(conversation_id=bobs + 1))
    refused(foreign, 404, "conversation_not_found")
    message = missing.envelope["message"].replace(str(bobs + 1), str(bobs))
    assert {**missing.envelope, "message": message} == foreign.envelope
    assert await orm(Task.objects.count) == 0


async def test_a_message_must_belong_to_the_conversation(
    as_alice: Caller,
    conversation: Conversation,
    bob: User,
    orm: Orm,
    door: str,
    with_title: Callable[..., dict[str, Any]],
) -> None:
    message = await orm(lambda: MessageFactory.create(conversation=conversation).pk)
    other = await orm(lambda: MessageFactory.create(conversation__user=conversation.user).pk)
    bobs = await orm(lambda: MessageFactory.create(conversation__user=bob).pk)
    for wrong in (other, bobs, 10**6):
        answer = await send(as_alice, door, "add_task", with_title(conversation_id=conversation.pk, message_id=wrong))
        refused(answer, 400, "invalid_arguments", "message_id")
        reason = answer.envelope["data"]["fields"]["message_id"]
        assert reason == "is not a message of this conversation"
    refused(
        await send(as_alice, door, "add_task", with_title(message_id=message)), 400, "invalid_arguments", "message_id"
    )
    assert await orm(Task.objects.count) == 0


async def test_a_token_that_cannot_read_conversations_neither_sees_nor_sends_their_ids(
    as_alice: Caller,
    conversation: Conversation,
    orm: Orm,
    door: str,
    with_title: Callable[..., dict[str, Any]],
) -> None:
    scopes = ["tasks:read", "tasks:write", "conversations:write"]
    message = await orm(lambda: MessageFactory.create(conversation=conversation).pk)
    caller = Caller(as_alice.http, await orm(lambda: issue_token(user_id="alice", scopes=scopes)))
    for _ in range(2):  # at the second call, the worker remembers the token
        answers = []
        for conversation_id in (conversation.pk, conversation.pk + 1):
            origin = {"conversation_id": conversation_id, "message_id": message}
            answer = await send(caller, door, "add_task", with_title(**origin))
            refused(answer, 400, "invalid_arguments", "conversation_id", "message_id")
            assert "conversations:read" in answer.envelope["message"]
            answers.append(answer.envelope)
        assert answers[0] == answers[1]
        answer = await send(caller, door, "add_task", with_title(message_id="x"))
        refused(answer, 400, "invalid_arguments", "message_id")
        assert "conversations:read" in answer.envelope["message"]
        answer = await send(caller, door, "add_task", with_title(when="friday"))
        refused(answer, 400, "invalid_arguments", "when")
        assert "conversation_id" not in answer.envelope["message"]
        assert (await send(caller, door, "list_tasks", {})).code == 200
    assert await orm(Task.objects.count) == 0
    assert (await send(caller, door, "add_task", with_title(conversation_id=0, message_id=None))).code == 200
    if door != "http":
        for one, is_shown in ((caller, False), (as_alice, True)):
            listed = (await one.rpc("tools/list", {}, revision=door)).json()["result"]["tools"]
            properties = next(tool["inputSchema"]["properties"] for tool in listed if tool["name"] == "add_task")
            assert {"conversation_id" in properties, "message_id" in properties} == {is_shown}
