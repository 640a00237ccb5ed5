"""What the database itself refuses and records, from any client."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from conversations.models import Conversation, Message
from tasks.models import Task, TaskEvent
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory, UserFactory
from todo_mcp.postgres.history import history_context
from todo_mcp.users.models import User

pytestmark = pytest.mark.django_db

TASK = {"title": "Buy milk", "description": "", "completed": False, "completed_at": None}
MESSAGE = {"role": "user", "content": "Hello"}


def run(sql: str, *params: Any) -> None:
    """Run one statement, then check all constraints."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, params)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def insert(table: str, **columns: Any) -> None:
    run(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))})", *columns.values())


def insert_task(**columns: Any) -> None:
    now = "2026-03-01T12:00:00Z"
    insert("tasks", **{"user_id": "alice", **TASK, "created_at": now, "updated_at": now, **columns})


def constraint_of(work: Callable[[], None]) -> str:
    """The name of the constraint that refuses the work."""
    with pytest.raises(IntegrityError) as refused:
        work()
    name: str = refused.value.__cause__.diag.constraint_name  # type: ignore[union-attr]
    return name


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"title": ""}, "tasks_title_length"),
        ({"title": "x" * 200, "description": "x" * 1001}, "tasks_description_length"),
        ({"completed": True}, "tasks_completed_at_with_completed"),
        ({"completed_at": "2026-03-01T12:00:00Z"}, "tasks_completed_at_with_completed"),
        ({"conversation_id": 10**6}, "tasks_conversation_user"),
        ({"message_id": 10**6}, "tasks_message_with_conversation"),
    ],
)
def test_the_database_refuses_an_invalid_task(alice: User, columns: dict[str, Any], constraint: str) -> None:
    assert constraint_of(lambda: insert_task(**columns)) == constraint
    assert not Task.objects.exists()


def test_a_title_of_201_characters_does_not_fit(alice: User) -> None:
    insert_task(title="🥛" * 200, description="🥛" * 1000)
    with pytest.raises(DatabaseError, match="too long"):
        insert_task(title="x" * 201)


def test_a_task_needs_an_existing_user(alice: User) -> None:
    assert "user_id" in constraint_of(lambda: insert_task(user_id="no-one"))


def test_ids_of_users_compare_byte_for_byte_and_are_not_empty(alice: User) -> None:
    names = ("Alice", "alice ", "alice\u0301", "alic\u00e9", "alice\u00ad")
    for name in names:
        UserFactory.create(id=name)
    assert User.objects.count() == 1 + len(names)
    assert list(User.objects.filter(id="alice")) == [alice]
    assert [user.id for user in User.objects.order_by("id")] == sorted(["alice", *names], key=str.encode)
    columns = {"password": "", "name": "", "email": "", "created_at": "2026-03-01T12:00:00Z"}
    flags = {"is_active": True, "is_staff": False, "is_superuser": False}
    assert constraint_of(lambda: insert("users", id="", **columns, **flags)) == "users_id_not_empty"


@pytest.fixture
def conversation(alice: User) -> Conversation:
    return ConversationFactory.create(user=alice)


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"role": "system"}, "messages_role"),
        ({"role": "User"}, "messages_role"),
        ({"role": ""}, "messages_role"),
        ({"role": "x" * 20}, "messages_role"),
        ({"content": ""}, "messages_content_length"),
        ({"content": "x" * 100_001}, "messages_content_length"),
        ({"user_id": "bob"}, "messages_conversation_user"),
        ({"conversation_id": 10**6}, "messages_conversation_user"),
    ],
)
def test_the_database_refuses_an_invalid_message(
    conversation: Conversation, bob: User, columns: dict[str, Any], constraint: str
) -> None:
    valid = {"conversation_id": conversation.pk, "user_id": "alice", "created_at": "2026-03-01T12:00:00Z"}
    insert("messages", **{**MESSAGE, **valid, "content": "x" * 100_000})
    assert constraint_of(lambda: insert("messages", **{**MESSAGE, **valid, **columns})) == constraint


def test_a_row_that_others_insert_gets_its_times_from_the_database(alice: User, django_assert_num_queries: Any) -> None:
    """PostgreSQL's now() is constant in a transaction. Rows of this project get Python's time, in one statement."""
    run("INSERT INTO conversations (id, user_id) VALUES (-1, 'alice')")
    run("INSERT INTO messages (id, conversation_id, user_id, role, content) VALUES (-1, -1, 'alice', 'user', 'x')")
    began = Conversation.objects.get().created_at
    assert {began} == {Conversation.objects.get().updated_at, Message.objects.get().created_at}
    with django_assert_num_queries(2):
        own = [Conversation.objects.create(user=alice) for _ in range(2)]
    assert began < own[0].created_at < own[1].created_at
    with django_assert_num_queries(1):
        turn = Message.objects.bulk_create(
            [Message(conversation=own[0], user=alice, role="user", content=text) for text in "xyz"]
        )
    assert [message.content for message in Message.objects.filter(conversation=own[0]).order_by("id")] == [
        "x",
        "y",
        "z",
    ]
    assert turn[0].created_at < turn[1].created_at < turn[2].created_at


def test_a_conversation_with_messages_cannot_change_its_user(conversation: Conversation, bob: User) -> None:
    MessageFactory.create(conversation=conversation)
    update = "UPDATE conversations SET user_id = 'bob' WHERE id = %s"
    assert constraint_of(lambda: run(update, conversation.pk)) == "messages_conversation_user"


def test_a_task_cannot_refer_to_another_users_conversation(conversation: Conversation, bob: User) -> None:
    task = TaskFactory.create(user=bob)
    update = "UPDATE tasks SET conversation_id = %s WHERE id = %s"
    assert constraint_of(lambda: run(update, conversation.pk, task.pk)) == "tasks_conversation_user"


def test_a_change_by_raw_sql_is_recorded_without_an_author(alice: User) -> None:
    insert_task(title="By hand")
    run("UPDATE tasks SET title = 'Changed by hand'")
    run("UPDATE tasks SET title = 'Changed by hand'")  # changes nothing, so it adds no version
    run("DELETE FROM tasks")
    events = TaskEvent.objects.order_by("pgh_id").values_list("pgh_label", "title", "pgh_context")
    assert list(events) == [
        ("insert", "By hand", None),
        ("update", "Changed by hand", None),
        ("delete", "Changed by hand", None),
    ]


def test_a_change_by_raw_sql_in_a_history_context_is_recorded_with_its_author(alice: User) -> None:
    with history_context(user="alice", tool="psql"):
        insert_task()
    assert TaskEvent.objects.get().pgh_context == {"user": "alice", "tool": "psql"}
