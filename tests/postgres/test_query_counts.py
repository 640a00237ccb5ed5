"""The statements that each piece of work sends to PostgreSQL. Only a decision may change their number."""

from functools import partial
from typing import Any

import pytest

from tasks.models import Task
from tasks.results import Changes
from tasks.services import add_task, complete_task, delete_task, list_tasks, update_task
from tests.postgres.counted import Statements, statements
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from tests.support.tool_calls import arguments_of
from tests.support.tool_user import ToolUser
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.bearer import bearer
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform
from todo_mcp.core.errors import IdempotencyConflict, TaskNotFound, Unauthenticated, VersionConflict
from todo_mcp.core.operations import REGISTRY
from todo_mcp.core.pagination import Position
from todo_mcp.users.models import User

__all__ = ["statements"]

KEY = "a-key-of-my-own"


def call(tool: str, **arguments: Any) -> Changes:
    """The operation alone, with validated arguments, for Alice."""
    operation = REGISTRY[tool]
    result = operation.function(user_id="alice", **operation.validate(arguments))
    assert isinstance(result, Changes)
    return result


@pytest.fixture
def task_id(committed: None, alice: User) -> int:
    return int(TaskFactory.create(user=alice).pk)


def test_authenticating_is_one_statement(alice: User, statements: Statements) -> None:
    token, service = issue_token(user_id="alice"), issue_token(service="chat")
    # The token with its user and its application.
    assert statements(lambda: authenticate(token)) == ["SELECT"]
    # The same, and the user that the service acts for.
    assert statements(lambda: authenticate(service, target="alice")) == ["SELECT"]


def test_a_malformed_token_is_refused_without_a_statement(statements: Statements) -> None:
    def refused(token: str) -> None:
        with pytest.raises(Unauthenticated):
            authenticate(token)

    assert statements(lambda: refused("x" * 8193)) == statements(lambda: refused("é")) == []
    assert statements(lambda: refused("unknown")) == ["SELECT"]


def test_adding_is_one_statement(alice: User, statements: Statements) -> None:
    assert statements(lambda: add_task(user_id="alice", title="Buy milk")) == ["INSERT"]


def test_adding_with_a_key_is_one_transaction(alice: User, statements: Statements) -> None:
    # Look for the key; add the task; add the key.
    add = ["SELECT", "BEGIN", "INSERT", "INSERT", "COMMIT"]
    assert statements(lambda: add_task(user_id="alice", title="Buy milk", idempotency_key=KEY)) == add
    # The key exists.
    assert statements(lambda: add_task(user_id="alice", title="Buy milk", idempotency_key=KEY)) == ["SELECT"]

    def conflict() -> None:
        with pytest.raises(IdempotencyConflict):
            add_task(user_id="alice", title="Other", idempotency_key=KEY)

    assert statements(conflict) == ["SELECT"]


def test_adding_from_a_conversation_reads_only_the_message(alice: User, statements: Statements) -> None:
    conversation = ConversationFactory.create(user=alice).pk
    message = MessageFactory.create(conversation_id=conversation, user=alice).pk
    # The foreign key checks the conversation.
    origin: dict[str, Any] = {"user_id": "alice", "title": "Buy milk", "conversation_id": conversation}
    assert statements(lambda: add_task(**origin)) == ["INSERT"]
    # Is it a message of this conversation?
    assert statements(lambda: add_task(**origin, message_id=message)) == ["SELECT", "INSERT"]


@pytest.mark.parametrize("count", [0, 1, 60])
def test_listing_is_one_statement_however_long_the_list(alice: User, statements: Statements, count: int) -> None:
    TaskFactory.create_batch(count, user=alice)
    # A page with the total.
    assert statements(lambda: list_tasks(user_id="alice")) == ["SELECT"]
    assert statements(lambda: list_tasks(user_id="alice", status="pending", limit=1)) == ["SELECT"]


def test_an_empty_page_after_the_last_costs_one_more_statement_for_the_total(
    task_id: int, statements: Statements
) -> None:
    cursor = Position(TaskFactory.create().created_at.replace(year=1999), 1).encode()
    assert statements(lambda: list_tasks(user_id="alice", cursor=cursor)) == ["SELECT", "SELECT"]


def test_completing_is_one_statement_the_first_time(task_id: int, statements: Statements) -> None:
    # UPDATE … RETURNING
    assert statements(lambda: complete_task(user_id="alice", task_id=task_id)) == ["UPDATE"]
    # Nothing to update: the task is completed already, or missing.
    assert statements(lambda: complete_task(user_id="alice", task_id=task_id)) == ["UPDATE", "SELECT"]

    def missing() -> None:
        with pytest.raises(TaskNotFound):
            complete_task(user_id="bob", task_id=task_id)

    assert statements(missing) == ["UPDATE", "SELECT"]


def test_the_new_fields_of_an_added_task_cost_no_statement(alice: User, statements: Statements) -> None:
    every = {"due": "tomorrow 9am", "priority": "high", "tags": ["x"], "checklist": ["y"], "repeat": "every day"}
    assert statements(lambda: call("add_task", title="Buy milk", **every)) == ["INSERT"]
    assert statements(lambda: call("add_task", tasks=[{"title": "a", "due": "today"}] * 50)) == ["INSERT"]
    # The first zone of a person is stored in the same transaction.
    in_zone = partial(call, "add_task", title="x", time_zone="Europe/Paris")
    assert statements(in_zone) == ["BEGIN", "UPDATE", "INSERT", "COMMIT"]


def test_completing_a_repeating_task_adds_the_next_in_one_transaction(alice: User, statements: Statements) -> None:
    task_id = call("add_task", title="Water", repeat="every day").task_id
    # Not a plain task. Read, to see that it repeats. Lock; save; add the next occurrence.
    next_added = ["UPDATE", "SELECT", "BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"]
    assert statements(lambda: call("complete_task", task_id=task_id)) == next_added
    # It is complete; read it; find the next occurrence.
    assert statements(lambda: call("complete_task", task_id=task_id)) == ["UPDATE", "SELECT", "SELECT", "SELECT"]


@pytest.mark.parametrize("count", [2, 50])
def test_a_call_for_several_tasks_has_as_many_statements_for_two_as_for_fifty(
    alice: User, statements: Statements, count: int
) -> None:
    ids = [
        task["task_id"] for task in call("add_task", tasks=[{"title": "a", "repeat": "every day"}] * count).tasks or []
    ]
    # Lock; save.
    saved = ["BEGIN", "SELECT", "UPDATE", "COMMIT"]
    assert statements(lambda: call("update_task", task_ids=ids, due="+1 day", add_tags=["x"])) == saved
    assert statements(lambda: call("update_task", tasks=[{"task_id": one, "title": "b"} for one in ids])) == saved
    assert statements(lambda: call("delete_task", task_ids=ids[:1])) == saved
    # Lock; save; add the next occurrences.
    next_added = ["BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"]
    assert statements(lambda: call("complete_task", task_ids=ids)) == next_added


@pytest.mark.parametrize(
    "change",
    [
        {"due": "today"},
        {"due": "today 9am"},
        {"due": "9am"},
        {"priority": "high"},
        {"tags": ["x"]},
        {"add_tags": ["x"]},
        {"append": "more"},
        {"checklist": ["x"]},
        {"add_items": ["x"]},
        {"title": "New", "due": "friday", "tags": ["x"]},
    ],
)
def test_a_change_that_does_not_depend_on_the_fields_of_the_task_is_one_statement(
    alice: User, statements: Statements, change: dict[str, Any]
) -> None:
    task_id = call("add_task", title="Buy milk").task_id
    # The task as it was, and its change.
    assert statements(lambda: call("update_task", task_id=task_id, **change)) == ["WITH"]
    assert Task.objects.get().version == 2
    # Nothing to save.
    if "append" not in change:
        assert statements(lambda: call("update_task", task_id=task_id, **change)) == ["WITH"]
        assert Task.objects.get().version == 2


def test_a_change_of_a_version_is_one_statement(task_id: int, statements: Statements) -> None:
    change = partial(call, "update_task", task_id=task_id, title="New", expected_version=1)
    assert statements(change) == ["WITH"]

    def conflict() -> None:
        with pytest.raises(VersionConflict):
            change()

    assert statements(conflict) == ["WITH"]


@pytest.mark.parametrize("due", ["friday", "friday 9am", "none"])
def test_a_task_with_a_day_is_moved_to_another_by_one_statement(alice: User, statements: Statements, due: str) -> None:
    task_id = call("add_task", title="Buy milk", due="tomorrow", tags=["x"], checklist=["x"]).task_id
    assert statements(lambda: call("update_task", task_id=task_id, due=due, priority="high")) == ["WITH"]
    assert Task.objects.get().version == 2


@pytest.mark.parametrize(
    ("first", "change"),
    [
        ("WITH", {"due": "friday"}),  # keeps the time
        ("WITH", {"add_tags": ["y"]}),
        ("SELECT", {"due": "+1 day"}),
        ("SELECT", {"check": ["1"]}),
    ],
)
def test_a_change_that_depends_on_the_task_is_read_and_saved_under_its_version(
    alice: User, statements: Statements, first: str, change: dict[str, Any]
) -> None:
    task_id = call("add_task", title="Buy milk", due="tomorrow 9am", tags=["x"], checklist=["x"]).task_id
    assert statements(lambda: call("update_task", task_id=task_id, **change)) == [first, "UPDATE"]
    assert Task.objects.get().version == 2


def test_a_change_of_a_series_locks_it(task_id: int, statements: Statements) -> None:
    # Lock the task; lock its series, and look again until nothing is new; save.
    locked = ["BEGIN", "SELECT", "SELECT", "SELECT", "UPDATE", "COMMIT"]
    assert statements(lambda: call("update_task", task_id=task_id, repeat="every day")) == locked
    call("complete_task", task_id=task_id)
    assert statements(lambda: call("update_task", task_id=task_id, reopen=True)) == locked


def test_an_undo_reads_the_history_then_locks_and_saves(alice: User, statements: Statements) -> None:
    user = ToolUser("alice")
    task_id = user.add()["task_id"]
    name = user.update(task_id=task_id, title="New")["undo"]
    # What the call did; lock; save.
    assert statements(lambda: user.undo(name)) == ["BEGIN", "WITH", "SELECT", "UPDATE", "COMMIT"]
    # Taken back before. It looks again, because another undo may have come first.
    assert statements(lambda: user.undo(name)) == ["BEGIN", "WITH", "SELECT", "WITH", "COMMIT"]


def test_updating_and_deleting_are_one_statement_each(task_id: int, statements: Statements) -> None:
    # UPDATE … RETURNING; with two fields, WITH … UPDATE … RETURNING
    assert statements(lambda: update_task(user_id="alice", task_id=task_id, title="New")) == ["UPDATE"]
    both = partial(update_task, title="Newer", description="New")
    assert statements(lambda: both(user_id="alice", task_id=task_id)) == ["WITH"]
    # Nothing to update: the task has this title.
    assert statements(lambda: update_task(user_id="alice", task_id=task_id, title="Newer")) == ["UPDATE", "SELECT"]
    assert statements(lambda: delete_task(user_id="alice", task_id=task_id)) == ["UPDATE"]


@pytest.mark.parametrize("tool", ["add_task", "list_tasks", "complete_task"])
def test_a_whole_call_is_one_statement_for_the_token_and_one_for_the_operation(
    task_id: int, statements: Statements, tool: str
) -> None:
    token = issue_token(user_id="alice")
    call = Call(operation=REGISTRY[tool], arguments=arguments_of(tool, task_id), transport="http", request_id="x" * 8)
    operation = {"add_task": "INSERT", "list_tasks": "SELECT", "complete_task": "UPDATE"}[tool]
    # The token; the operation. The operation's statement also sets the context of the history.
    assert statements(lambda: perform(call, bearer(token))) == ["SELECT", operation]


def test_a_call_with_a_bad_argument_is_only_the_statement_for_the_token(alice: User, statements: Statements) -> None:
    token = issue_token(user_id="alice")
    call = Call(operation=REGISTRY["add_task"], arguments={"title": ""}, transport="http", request_id="x" * 8)
    assert statements(lambda: perform(call, bearer(token))) == ["SELECT"]
