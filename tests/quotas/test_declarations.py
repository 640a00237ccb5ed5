"""Each operation that writes declares its quotas. They refuse it, and no other quota does."""

from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from conversations.models import Conversation
from tests.quotas.using_up import USE_UP
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform_for
from todo_mcp.core.operations import REGISTRY, RESOURCES, Operation, operation
from todo_mcp.users.models import User

OPERATIONS = [*REGISTRY.values(), *RESOURCES.values()]


@pytest.fixture
def conversation(committed: None, alice: User) -> Conversation:
    return ConversationFactory.create(user=alice)


def arguments_for(operation: Operation, conversation: Conversation) -> dict[str, Any]:
    """A call that changes something of Alice's, or reads it."""
    task = TaskFactory.create(user_id="alice", title="Call the bank")
    fixed: dict[str, dict[str, Any]] = {
        "append_messages": {"messages": [operation.example]},
        "delete_task": {"task_id": task.pk},
    }
    arguments = fixed.get(operation.name, dict(operation.example))
    required = operation.input_schema.get("required", ())
    if "conversation_id" in required:
        arguments["conversation_id"] = conversation.pk
    if "message_id" in required:
        is_new = operation.name == "put_message"
        arguments["message_id"] = "new" if is_new else MessageFactory.create(conversation=conversation).pk
    return arguments


@pytest.mark.parametrize("quota", USE_UP)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_a_quota_that_is_used_up_refuses_exactly_the_operations_that_declare_it(
    operation: Operation, quota: str, conversation: Conversation, settings: Settings
) -> None:
    arguments = arguments_for(operation, conversation)
    USE_UP[quota](settings, conversation)
    token = issue_token(service="chat") if operation.for_all_users else issue_token(user_id="alice")
    call = Call(operation=operation, arguments=arguments, transport="http", request_id="request-1")
    for _ in range(2):  # the token is unknown, then remembered
        answer, _error = perform_for(call, token)
        if quota in operation.quotas:
            assert answer["data"]["error"] == "quota_exceeded"
            assert answer["data"]["quota"] == quota
        elif operation.name == "delete_conversation" and answer["status"] == "error":
            assert answer["data"]["error"] == "conversation_not_found"  # the first call has deleted it
        elif operation.name == "delete_message" and answer["status"] == "error":
            assert answer["data"]["error"] == "message_not_found"
        elif operation.name == "delete_task" and answer["status"] == "error":
            assert answer["data"]["error"] == "task_not_found"
        else:
            assert answer["status"] == "success", answer


def test_every_quota_is_declared_by_some_operation() -> None:
    assert set().union(*(operation.quotas for operation in OPERATIONS)) == set(USE_UP)


def test_an_operation_that_only_reads_has_no_quota() -> None:
    assert not [operation.name for operation in OPERATIONS if operation.read_only and operation.quotas]


def test_an_operation_that_writes_and_says_nothing_of_quotas_cannot_be_registered() -> None:
    def paint(*, user_id: str) -> Any:
        """Paint."""
        return timezone.now()

    with pytest.raises(AssertionError, match="does not say which quotas"):
        operation(title="Paint", scope="tasks:write", example={}, registry={})(paint)
