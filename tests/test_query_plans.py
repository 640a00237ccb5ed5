"""How PostgreSQL carries out what the operations ask of a large database: by index, without sorting.

The statements are those that the operations make; each is explained with its own values.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from django.db import connection, transaction
from pytest_django.plugin import DjangoDbBlocker

from conversations.services import list_conversations, list_messages
from tasks.models import Task
from tasks.retention import DELETED_TASKS
from tasks.services import add_task, complete_task, delete_task, list_tasks, update_task
from todo_mcp.auth.principal import authenticate
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.pagination import Position
from todo_mcp.users.models import User

USER = "user-7"  # has 1,000 of the 20,000 tasks

_FILL = """
ALTER TABLE tasks DISABLE TRIGGER USER;  -- no history of these, which takes PostgreSQL most of the time
INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
    SELECT 'user-' || n, '!', '', '', true, false, false, now() FROM generate_series(0, 1999) n;
INSERT INTO tasks (user_id, title, description, completed, completed_at, created_at, updated_at, deleted_at)
    SELECT 'user-' || n % 20, 'Task ' || n, '', n / 20 % 2 = 0, CASE WHEN n / 20 % 2 = 0 THEN now() END,
        now() - n * interval '1 minute', now(), CASE WHEN n / 20 % 10 = 1 THEN now() - n * interval '1 hour' END
    FROM generate_series(1, 20000) n;
INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, result, created_at)
    SELECT 'user-' || n % 20, 'add_task', 'key number ' || n, '', '{}', now() FROM generate_series(1, 5000) n;
INSERT INTO conversations (user_id, created_at, updated_at)
    SELECT 'user-' || n % 20, now(), now() - n * interval '1 minute' FROM generate_series(1, 5000) n;
INSERT INTO messages (conversation_id, user_id, role, content, created_at)
    SELECT c.id, c.user_id, 'user', 'Words', now() FROM conversations c, generate_series(1, 4) n;
INSERT INTO messages (conversation_id, user_id, role, content, created_at)
    SELECT c.id, c.user_id, 'user', 'Words', now() FROM generate_series(1, 2000) n,
        (SELECT id, user_id FROM conversations WHERE user_id = 'user-7' ORDER BY updated_at DESC LIMIT 1) c;
ANALYZE;
"""
_MORE_TOKENS = """
CREATE TEMPORARY TABLE more AS SELECT t.*, n FROM oauth2_provider_accesstoken t, generate_series(1, 5000) n;
UPDATE more SET id = -n, token_checksum = md5(n::text) || md5(n::text);
ALTER TABLE more DROP COLUMN n;
INSERT INTO oauth2_provider_accesstoken OVERRIDING SYSTEM VALUE SELECT * FROM more;
ANALYZE oauth2_provider_accesstoken;
"""
_PLANNED = ("SELECT", "INSERT", "UPDATE", "DELETE")


class Node(NamedTuple):
    """A step of a plan: what it does, on which table, by which index."""

    kind: str
    on_table: str | None
    by_index: str | None


@pytest.fixture(scope="module")
def token(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A database with 2,000 users, 20,000 tasks and more of the rest, analysed; and the token of one user."""
    with django_db_blocker.unblock(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_FILL)
            token = issue_token(user_id=USER)
            cursor.execute(_MORE_TOKENS)
        yield token
        transaction.set_rollback(True)


def nodes(work: Callable[[], Any]) -> list[Node]:
    """The steps of the plans of all statements that the work makes; of prepared ones also those of the generic plan."""
    statements: list[tuple[Any, Any]] = []
    execute = psycopg.Cursor.execute

    def listen(self: Any, query: Any, params: Any = None, **options: Any) -> Any:
        statements.append((query, params))
        return execute(self, query, params, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", listen)
        work()
    with transaction.atomic(), psycopg.ClientCursor(connection.connection) as cursor:
        plans = [_explain(cursor, "", sql, params) for sql, params in statements if sql.startswith(_PLANNED)]
        if connection.connection.info.server_version >= 160000:  # EXPLAIN has it from there on
            made = {sql for sql, _ in statements}
            prepared = cursor.execute("SELECT statement FROM pg_prepared_statements").fetchall()
            plans += [
                _explain(cursor, "GENERIC_PLAN, ", sql, None)
                for (sql,) in prepared
                if sql.startswith(_PLANNED) and re.sub(r"\$\d+", "%s", sql) in made
            ]
    return [node for plan in plans for node in _flat(plan)]


def _explain(cursor: "psycopg.ClientCursor[Any]", options: str, sql: str, params: Any) -> dict[str, Any]:
    ((plan,),) = cursor.execute(f"EXPLAIN ({options}FORMAT JSON) {sql}", params).fetchall()
    found: dict[str, Any] = plan[0]["Plan"]
    return found


def _flat(plan: dict[str, Any]) -> Iterator[Node]:
    yield Node(plan["Node Type"], plan.get("Relation Name"), plan.get("Index Name"))
    for part in plan.get("Plans", []):
        yield from _flat(part)


def by_index(found: list[Node]) -> bool:
    """Whether no table is read from end to end, but for the one that holds two rows here.

    A sort of the one row that a unique index found is no matter.
    """
    read = [node.on_table for node in found if node.kind == "Seq Scan"]
    return bool(found) and set(read) <= {"oauth2_provider_application"}


def in_order(found: list[Node]) -> bool:
    """Whether the rows come from their index in order, so that a page costs as much as it holds."""
    return by_index(found) and not any("Sort" in node.kind for node in found)


def _second_page(status: str) -> Position:
    rows = Task.objects.filter(user_id=USER, deleted_at=None).order_by("-created_at", "-id")
    if status != "all":
        rows = rows.filter(completed=status == "completed")
    row = rows[100]
    return Position(row.created_at, row.pk)


@pytest.mark.parametrize("limit", [1, 50, 100])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    ("status", "index"),
    [("all", "tasks_newest"), ("pending", "tasks_newest_by_state"), ("completed", "tasks_newest_by_state")],
)
def test_a_page_of_tasks_is_read_in_the_order_of_its_index(
    token: str, status: str, index: str, deep: bool, limit: int
) -> None:
    cursor = _second_page(status) if deep else None
    found = nodes(lambda: list_tasks(user_id=USER, status=status, limit=limit, cursor=cursor))  # type: ignore[arg-type]
    assert in_order(found), found
    assert Node("Index Scan", "tasks", index) in found


def test_a_token_is_looked_up_by_index(token: str) -> None:
    found = nodes(lambda: authenticate(token))
    assert by_index(found), found


def test_a_service_looks_up_its_token_and_the_user_it_acts_for_by_index(token: str) -> None:
    service = issue_token(service="chat")
    found = nodes(lambda: authenticate(service, target=USER))
    assert by_index(found), found
    assert {node.on_table for node in found} >= {"users", "oauth2_provider_accesstoken"}


@pytest.mark.parametrize(
    "change",
    [
        lambda task_id: complete_task(user_id=USER, task_id=task_id),
        lambda task_id: update_task(user_id=USER, task_id=task_id, title="New", description="New"),
        lambda task_id: delete_task(user_id=USER, task_id=task_id),
    ],
)
def test_one_task_is_changed_by_its_key(token: str, change: Callable[[int], Any]) -> None:
    task = Task.objects.filter(user_id=USER, deleted_at=None, completed=False).first()
    assert task
    found = nodes(lambda: change(task.pk))
    assert set(found) == {Node("ModifyTable", "tasks", None), Node("Index Scan", "tasks", "tasks_pkey")}


def test_an_idempotency_key_is_looked_up_by_index(token: str) -> None:
    found = nodes(lambda: add_task(user_id=USER, title="Buy milk", idempotency_key="key number -1"))
    assert by_index(found), found
    assert "idempotency_keys" in {node.on_table for node in found}


def test_conversations_and_messages_are_read_in_the_order_of_their_index(token: str) -> None:
    first_page = list_conversations(user_id=USER, limit=10)
    cursor = Position(first_page.conversations[-1].updated_at, first_page.conversations[-1].id)
    found = nodes(lambda: list_conversations(user_id=USER, limit=10))
    found += nodes(lambda: list_conversations(user_id=USER, limit=10, cursor=cursor))
    assert in_order(found), found
    conversation_id = first_page.conversations[0].id
    found = nodes(lambda: list_messages(user_id=USER, conversation_id=conversation_id))
    found += nodes(lambda: list_messages(user_id=USER, conversation_id=conversation_id, last=20))
    assert by_index(found), found
    assert [node.kind for node in found if node.on_table == "messages"] == ["Index Scan", "Index Scan"]


def test_what_is_to_be_purged_is_found_by_index(token: str) -> None:
    found = nodes(lambda: list(DELETED_TASKS.due()[:10]))
    assert by_index(found), found
    assert User.objects.count() >= 2000, "there was something to search"
