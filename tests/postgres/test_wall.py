"""Row-level security: a query that forgets its user filter finds no row of another user."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import pytest
from django.apps import apps
from django.db import DatabaseError, connection
from django.utils import timezone
from pytest_django.fixtures import Settings

from conversations.models import Conversation, Message
from conversations.services import append_messages, create_conversation
from tasks.models import Task
from tasks.services import add_task, complete_task, delete_task
from tests.core.test_operation_rules import OPERATIONS, call
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.remembered_tokens import remembered_tokens
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.envelope import to_json
from todo_mcp.core.operations import REGISTRY, RESOURCES
from todo_mcp.postgres import wall
from todo_mcp.postgres.wall import _GRANTS, OWNERS, behind_wall
from todo_mcp.users.models import User

DATA = [table for table in OWNERS if table != "users"]
KEY = "key-of-bob"
VOLATILE = {"task_id", "id", "created_at", "updated_at", "completed_at", "undo", "now", "request_id"}


class Bobs(NamedTuple):
    """Rows of Bob's. Their texts have the word Bobs."""

    task: int
    completed: int
    deleted: int
    conversation: int
    message: int
    undo: str

    def rows(self) -> list[list[Any]]:
        """All that is stored for Bob."""
        with connection.cursor() as cursor:
            found = []
            for table in DATA:
                cursor.execute(f"SELECT to_jsonb(t) FROM {table} t WHERE user_id = 'bob' ORDER BY 1")
                found.append(cursor.fetchall())
            return found


@pytest.fixture
def bobs(committed: None, charlie: User, bob: User) -> Bobs:
    task, completed, deleted = (
        add_task(user_id="bob", title=f"Bobs {name}", due="2030-05-01", tags=["Bobs"], priority="high").task_id or 0
        for name in ("task", "completed", "deleted")
    )
    complete_task(user_id="bob", task_id=completed)
    undo = delete_task(user_id="bob", task_id=deleted).undo or ""
    conversation = create_conversation(user_id="bob", ref="bobs", title="Bobs chat", idempotency_key=KEY)
    turn = {"role": "user", "content": "Bobs message", "ref": "bobs-message"}
    arguments = RESOURCES["append_messages"].validate(
        {"conversation_id": conversation.id, "messages": [turn], "idempotency_key": KEY}
    )
    message = append_messages(user_id="bob", **arguments).messages[0]
    add_task(user_id="bob", title="Bobs repeated", idempotency_key=KEY)
    return Bobs(task, completed, deleted, conversation.id, message.id, undo)


STOLEN = {"role": "user", "content": "Stolen"}


def _in_chat(bobs: Bobs, *arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Calls in Bob's conversation, which is named by its id, and by its ref."""
    return [{"conversation_id": key, **more} for key, more in product((bobs.conversation, "bobs"), arguments)]


def _messages(bobs: Bobs) -> list[dict[str, Any]]:
    return [{"message_id": bobs.message}, {"message_id": "bobs-message"}]


# For each operation, calls of Charlie that would reach rows of Bob if their statements had no user filter.
CALLS: Mapping[str, Callable[[Bobs], list[dict[str, Any]]]] = {
    "add_task": lambda bobs: [
        {"title": "Bobs repeated", "idempotency_key": KEY},
        {"title": "x", "conversation_id": bobs.conversation},
        {"title": "x", "conversation_id": bobs.conversation, "message_id": bobs.message},
    ],
    "list_tasks": lambda bobs: [
        {},
        {"status": "completed"},
        {"status": "deleted"},
        {"query": "Bobs"},
        {"tag": "bobs"},
        {"due": "2030"},
        {"priority": "high"},
        {"task_id": bobs.task},
        {"sort": "updated"},
        {"sort": "due"},
        {"detail": "counts"},
        {"detail": "short"},
    ],
    "complete_task": lambda bobs: [
        {"task_id": bobs.task},
        {"task_id": bobs.completed},
        {"task_ids": [bobs.task, bobs.completed]},
        {"match": "Bobs"},
    ],
    "delete_task": lambda bobs: [
        {"task_id": bobs.task},
        {"task_id": bobs.deleted},
        {"task_ids": [bobs.task, bobs.deleted]},
        {"match": "Bobs"},
    ],
    "update_task": lambda bobs: [
        {"task_id": bobs.task, "title": "Stolen"},
        {"task_id": bobs.task, "due": "tomorrow"},
        {"task_id": bobs.task, "append_text": "Stolen"},
        {"task_id": bobs.completed, "completed": False},
        {"task_id": bobs.deleted, "deleted": False},
        {"match": "Bobs", "priority": "low"},
        {"undo": bobs.undo},
    ],
    "create_conversation": lambda bobs: [{"idempotency_key": KEY}],
    "list_conversations": lambda bobs: [{}, {"order": "asc"}],
    "get_conversation": lambda bobs: _in_chat(bobs, {}),
    "put_conversation": lambda bobs: _in_chat(bobs, {"title": "Stolen"}),
    "update_conversation": lambda bobs: _in_chat(bobs, {"title": "Stolen"}),
    "delete_conversation": lambda bobs: _in_chat(bobs, {}),
    "append_messages": lambda bobs: _in_chat(
        bobs,
        {"messages": [STOLEN]},
        {"messages": [{"role": "user", "content": "Bobs message", "ref": "bobs-message"}], "idempotency_key": KEY},
        {"messages": [STOLEN], "replace": bobs.message},
        {"messages": [STOLEN], "replace": "bobs-message"},
        {"messages": [STOLEN], "expected_last": bobs.message},
    ),
    "list_messages": lambda bobs: _in_chat(
        bobs, {}, {"last": 1}, {"order": "desc"}, {"after": bobs.message}, {"after": "bobs-message"}
    ),
    "get_message": lambda bobs: _in_chat(bobs, *_messages(bobs)),
    "put_message": lambda bobs: _in_chat(bobs, *({**message, **STOLEN} for message in _messages(bobs))),
    "delete_message": lambda bobs: _in_chat(bobs, *_messages(bobs)),
}


def without_filter(sql: object) -> object:
    """The same statement without its user filters: it compares user ids with ``===``, which is always true."""
    if not isinstance(sql, str):
        return sql
    sql = re.sub(r'(\buser_id"?) (=|>=|<=) (?=\S)', r"\1 === ", sql)
    return re.sub(r"\btasks_found\(", "tasks_found_of_bob(", sql)


@pytest.fixture
def no_filters(bobs: Bobs, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Operations execute their statements without user filters."""
    with connection.cursor() as cursor:
        cursor.execute("""
            CREATE FUNCTION always(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
            CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = always);
            CREATE FUNCTION tasks_found_of_bob(
                of_user text, terms text[], without text[] DEFAULT '{}', tag text DEFAULT NULL,
                state text DEFAULT 'all', title_only boolean DEFAULT false, last_at timestamptz DEFAULT NULL,
                last_id bigint DEFAULT NULL, maximum integer DEFAULT 1001,
                OUT ids bigint[], OUT stopped boolean, OUT reached_at timestamptz, OUT reached_id bigint
            ) LANGUAGE sql AS $$
                SELECT * FROM tasks_found('bob', terms, without, tag, state, title_only, last_at, last_id, maximum)
            $$
        """)
    execute = wall._Cursor.execute

    def cut(cursor: Any, query: object, *arguments: Any, **options: Any) -> Any:
        return execute(cursor, without_filter(query) if wall._user_id.get() else query, *arguments, **options)

    yield monkeypatch.setattr(wall._Cursor, "execute", cut)
    monkeypatch.undo()
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION tasks_found_of_bob; DROP OPERATOR === (text, text); DROP FUNCTION always")


@pytest.fixture(params=["a token seen for the first time", "a token seen before", "a service's token seen before"])
def charlies(request: pytest.FixtureRequest, bobs: Bobs) -> Iterator[Callable[[str, dict[str, Any]], dict[str, Any]]]:
    """Calls operations for Charlie."""
    is_service = "service" in request.param
    token = issue_token(service="chat") if is_service else issue_token(user_id="charlie")
    user = {"user_id": "charlie"} if is_service else {}

    def call_for_charlie(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        remembered_tokens.clear()
        if "before" in request.param:
            authenticate(token, target=user.get("user_id"))
        return call((REGISTRY | RESOURCES)[name], token, **arguments, **user)

    yield call_for_charlie
    remembered_tokens.clear()


def outcome(bobs: Bobs, envelope: dict[str, Any]) -> Any:
    """What the caller got, without what differs between two calls."""
    answer = json.loads(to_json(envelope["data"].get("stored", envelope["data"])))
    data = {key: value for key, value in answer.items() if key not in VOLATILE}
    is_answer_to_bob = answer.get("task_id", answer.get("id")) in bobs
    return envelope["status"], envelope.get("error"), data, is_answer_to_bob


def outcomes(bobs: Bobs, charlies: Callable[..., dict[str, Any]], name: str) -> list[Any]:
    """What Charlie's calls of the operation return, and whether Bob's rows are as before. Each begins without rows."""
    found = []
    for arguments in CALLS[name](bobs):
        before = bobs.rows()
        with connection.cursor() as cursor:
            cursor.execute("; ".join(f"DELETE FROM {table} WHERE user_id = 'charlie'" for table in DATA))
        found.append((outcome(bobs, charlies(name, arguments)), before == bobs.rows()))
    return found


@pytest.fixture
def expected(bobs: Bobs, charlies: Callable[..., dict[str, Any]], operation: str) -> list[Any]:
    """The outcomes with the user filters."""
    found = outcomes(bobs, charlies, operation)
    assert all(is_same for _, is_same in found)
    return found


@pytest.mark.parametrize("operation", CALLS)
def test_without_its_user_filter_an_operation_reaches_no_row_of_another_user(
    operation: str, expected: list[Any], no_filters: None, bobs: Bobs, charlies: Callable[..., dict[str, Any]]
) -> None:
    assert outcomes(bobs, charlies, operation) == expected


@pytest.mark.parametrize("operation", CALLS)
def test_without_the_wall_the_same_calls_reach_rows_of_another_user(
    operation: str,
    expected: list[Any],
    no_filters: None,
    bobs: Bobs,
    charlies: Callable[..., dict[str, Any]],
    settings: Settings,
) -> None:
    settings.ROW_LEVEL_SECURITY = False
    connection.close()
    assert outcomes(bobs, charlies, operation) != expected


def test_each_operation_of_one_user_is_covered() -> None:
    assert CALLS.keys() == {operation.name for operation in OPERATIONS if not operation.for_all_users}


def as_role(user_id: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement behind the wall of this user."""
    with behind_wall(user_id), connection.cursor() as cursor:
        cursor.execute(sql)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


@pytest.mark.parametrize("table", OWNERS)
def test_the_role_sees_rows_of_its_user_only(table: str, bobs: Bobs, charlie: User) -> None:
    column = OWNERS[table]
    assert as_role("bob", f"SELECT DISTINCT {column} FROM {table}") == [("bob",)]
    assert as_role("", f"SELECT count(*) FROM (SELECT {column} FROM {table}) t") == [(0,)]


def test_the_search_finds_tasks_of_the_roles_user_only(bobs: Bobs, charlie: User) -> None:
    search = "SELECT ids IS NOT NULL FROM tasks_found('bob', '{Bobs}')"
    assert as_role("bob", search) == [(True,)]
    assert as_role("charlie", search) == as_role("", search) == [(False,)]
    with pytest.raises(DatabaseError, match="permission denied"):
        as_role("bob", "SELECT tasks_found_anywhere('{Bobs}')")


def test_another_login_cannot_search(bobs: Bobs) -> None:
    with connection.cursor() as cursor:
        login = f"{connection.settings_dict['NAME']}_reports"
        cursor.execute(f"CREATE ROLE {login}")
        try:
            cursor.execute(f"SET ROLE {login}")
            with pytest.raises(DatabaseError, match="permission denied"):
                cursor.execute("SELECT * FROM tasks_found('bob', '{Bobs}')")
        finally:
            cursor.execute(f"RESET ROLE; DROP ROLE {login}")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT name FROM users",
        "SELECT token FROM oauth2_provider_accesstoken",
        "SELECT * FROM django_session",
        "UPDATE users SET is_active = false",
        "UPDATE task_events SET title = 'Forged'",
        "DELETE FROM task_events",
        "TRUNCATE tasks",
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
    ],
)
def test_the_role_may_do_nothing_else(sql: str, bobs: Bobs) -> None:
    with pytest.raises(DatabaseError, match=r"permission denied|must be owner"):
        as_role("bob", sql)


def test_the_role_cannot_write_a_row_of_another_user(bobs: Bobs, charlie: User) -> None:
    with behind_wall("charlie"):
        with pytest.raises(DatabaseError, match="violates row-level security policy"):
            Conversation.objects.create(user_id="bob", created_at=timezone.now(), updated_at=timezone.now())
        assert Task.objects.filter(pk=bobs.task).update(title="Stolen") == 0
        assert Message.objects.filter(pk=bobs.message).delete()[0] == 0


def test_each_table_with_a_users_id_has_a_policy_or_belongs_to_no_operation() -> None:
    """The rest has no grants, so no operation can read it."""
    with_user = {
        model._meta.db_table
        for model in apps.get_models()
        if any(field.column == "user_id" for field in model._meta.concrete_fields)
    }
    without_policy = {
        "pghistory_events",  # not a table
        "oauth2_provider_accesstoken",
        "oauth2_provider_application",
        "oauth2_provider_grant",
        "oauth2_provider_idtoken",
        "oauth2_provider_refreshtoken",
        "oauth2_provider_devicegrant",
        "django_admin_log",
        "log_subjects",
        "refused_calls",
        "reset_requests",
        "user_usage",
        "revoked_tokens",
        "token_days",
    }
    assert with_user - without_policy == set(DATA)
    assert {table for grant in _GRANTS for table in re.findall(r"\w+", grant.split(" ON ")[1])} == {
        *OWNERS,
        "oauth2_provider_accesstoken",
        "FUNCTION",
        "tasks_found",
    }
