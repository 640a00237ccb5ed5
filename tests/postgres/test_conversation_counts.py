"""The statements that each operation on conversations sends to PostgreSQL. Only a decision may change their number."""

from typing import Any

import pytest

from conversations.models import Conversation, Message
from tests.postgres.counted import Statements, statements
from tests.support.factories import ConversationFactory, MessageFactory
from todo_mcp.core.errors import VersionConflict
from todo_mcp.core.operations import RESOURCES
from todo_mcp.users.models import User

__all__ = ["statements"]

KEY = "a-key-of-my-own"
PLAIN = {"role": "user", "content": "Words"}
FULL = {**PLAIN, "item": {"type": "message"}}
WRITE = ["BEGIN", "UPDATE", "INSERT", "COMMIT"]  # lock, check and update the conversation; add the messages
LOCKED = ["BEGIN", "SELECT", "UPDATE", "COMMIT"]


def call(name: str, **arguments: Any) -> Any:
    """The operation alone, with validated arguments, for Alice."""
    operation = RESOURCES[name]
    return operation.run(operation.validate(arguments), user_id="alice")


@pytest.fixture(params=["id", "ref"])
def place(committed: None, alice: User, request: pytest.FixtureRequest) -> dict[str, Any]:
    """A conversation of Alice, and its last message but one, both named by their ids or by their refs."""
    conversation = ConversationFactory.create(user=alice, ref="talk")
    for ref in ("first", "second", "third"):
        MessageFactory.create(conversation=conversation, ref=ref)
    Conversation.objects.update(stored_messages=3)
    if request.param == "ref":
        return {"conversation_id": "talk", "message_id": "second"}
    return {"conversation_id": conversation.pk, "message_id": Message.objects.get(ref="second").pk}


def conversation_of(place: dict[str, Any]) -> dict[str, Any]:
    return {"conversation_id": place["conversation_id"]}


@pytest.mark.parametrize("fields", [{}, {"ref": "new", "title": "Talk", "metadata": {"model": "small"}}])
def test_starting_a_conversation_is_one_statement(alice: User, statements: Statements, fields: dict[str, Any]) -> None:
    assert statements(lambda: call("create_conversation", **fields)) == ["INSERT"]


@pytest.mark.parametrize("message", [PLAIN, FULL])
@pytest.mark.parametrize("count", [1, 100])
def test_appending_is_one_transaction_of_two_statements(
    place: dict[str, Any], statements: Statements, message: dict[str, Any], count: int
) -> None:
    refs = ({"ref": f"new-{n}"} if "item" in message else {} for n in range(count))
    turn = [{**message, **ref} for ref in refs]
    assert statements(lambda: call("append_messages", **conversation_of(place), messages=turn)) == WRITE


def test_appending_with_a_key_looks_for_it_and_keeps_it(place: dict[str, Any], statements: Statements) -> None:
    turn = {**conversation_of(place), "messages": [PLAIN], "idempotency_key": KEY}
    assert statements(lambda: call("append_messages", **turn)) == ["SELECT", *WRITE[:-1], "INSERT", "COMMIT"]
    # The key; is the conversation still there?
    assert statements(lambda: call("append_messages", **turn)) == ["SELECT", "SELECT"]


def test_a_refused_turn_with_a_key_is_tried_once(place: dict[str, Any], statements: Statements) -> None:
    turn = {**conversation_of(place), "messages": [PLAIN], "expected_last": "first", "idempotency_key": KEY}

    def refused() -> None:
        with pytest.raises(VersionConflict):
            call("append_messages", **turn)

    # Lock; the last message is another one. Has a call with the same key been quicker?
    assert statements(refused) == ["SELECT", "BEGIN", "SELECT", "SELECT", "ROLLBACK", "SELECT"]


def test_an_expected_last_message_costs_a_lock_and_a_look(place: dict[str, Any], statements: Statements) -> None:
    turn = {**conversation_of(place), "messages": [PLAIN], "expected_last": "third"}
    assert statements(lambda: call("append_messages", **turn)) == ["BEGIN", "SELECT", "SELECT", *WRITE[1:]]


@pytest.mark.parametrize("after", [1, 90])
def test_replacing_one_message_takes_as_many_statements_as_replacing_ninety(
    place: dict[str, Any], statements: Statements, after: int
) -> None:
    conversation = Conversation.objects.get()
    Message.objects.bulk_create(MessageFactory.build_batch(after, conversation=conversation, user_id="alice"))
    Conversation.objects.update(stored_messages=3 + after)
    turn = {**conversation_of(place), "messages": [PLAIN], "replace": place["message_id"]}
    # Lock; find the message; find those after it, with their sizes. Then lock and change tasks, delete the messages.
    found, removed = ["BEGIN", "SELECT", "SELECT", "SELECT"], ["SELECT", "UPDATE", "DELETE"]
    assert statements(lambda: call("append_messages", **turn)) == [*found, *removed, *WRITE[1:]]


def test_reading_is_one_statement(place: dict[str, Any], statements: Statements) -> None:
    conversation = conversation_of(place)
    for arguments in ({}, {"last": 2}, {"order": "desc"}, {"after": place["message_id"]}):
        assert statements(lambda: call("list_messages", **conversation, **arguments)) == ["SELECT"]  # noqa: B023
    assert statements(lambda: call("get_message", **place)) == ["SELECT"]
    assert statements(lambda: call("get_conversation", **conversation)) == ["SELECT"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_listing_conversations_is_one_statement(place: dict[str, Any], statements: Statements, order: str) -> None:
    assert statements(lambda: call("list_conversations", order=order)) == ["SELECT"]


def test_an_empty_page_looks_for_the_place_where_it_begins(place: dict[str, Any], statements: Statements) -> None:
    end = {**conversation_of(place), "after": "third"}
    assert statements(lambda: call("list_messages", **end)) == ["SELECT", "SELECT"]


def test_putting_a_message_takes_as_many_statements_as_appending_one(
    place: dict[str, Any], statements: Statements
) -> None:
    # Lock the conversation; update both, or add the message, or see that all is as it should be.
    put = ["BEGIN", "SELECT", "WITH", "COMMIT"]
    assert len(put) == len(WRITE)
    for message in ({**place, **FULL}, {**place, **FULL}, {**place, "message_id": "new", **PLAIN}):
        assert statements(lambda: call("put_message", **message)) == put  # noqa: B023


def test_deleting_a_message_locks_its_conversation_first(place: dict[str, Any], statements: Statements) -> None:
    # Lock; find it, with its size. Then lock and change tasks, and delete it.
    found, removed = ["BEGIN", "SELECT", "SELECT"], ["SELECT", "UPDATE", "DELETE"]
    assert statements(lambda: call("delete_message", **place)) == [*found, *removed, "UPDATE", "COMMIT"]


def test_changing_a_conversation_is_one_transaction_of_two_statements(
    place: dict[str, Any], statements: Statements
) -> None:
    conversation = conversation_of(place)
    assert statements(lambda: call("put_conversation", **conversation, title="New")) == LOCKED
    assert statements(lambda: call("update_conversation", **conversation, metadata={"model": "large"})) == LOCKED
    # There is none with this ref, so it is made.
    made = ["BEGIN", "SELECT", "INSERT", "COMMIT"]
    assert statements(lambda: call("put_conversation", conversation_id="new", title="New")) == made
