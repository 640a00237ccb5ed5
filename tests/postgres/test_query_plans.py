"""On a large database, PostgreSQL executes every operation by index, and reads no more than a page needs.

Every operation is called with every argument and every pair of arguments. This includes new operations and arguments.
list_tasks has a module of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from conversations.models import Conversation, Message
from conversations.search import _BY_INDEX
from conversations.transcript import PageRequest, message_page
from tasks.models import Task
from tasks.retention import DELETED_TASKS
from tests.postgres.plans import complaints
from tests.support.operators import sign_in
from todo_mcp.auth.authentication import authenticate, recall_principal
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.core.errors import InvalidArguments, TodoError
from todo_mcp.core.operations import REGISTRY, RESOURCES, Operation
from todo_mcp.core.pagination import Position
from todo_mcp.idempotency.services import EXPIRED_KEYS
from todo_mcp.postgres.operation_run import OperationRun, Unmet
from todo_mcp.postgres.purging import Purge
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User

STRANGER = "user-1"  # has few rows
USER = "user-7"  # has 10,000 tasks, of which 3,000 are deleted and 10 pending, and a conversation of 5,000 messages
LEFT_OUT = object()

_FILL = """
ALTER TABLE tasks DISABLE TRIGGER USER;  -- no history of these rows, which would take most of the time
INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
    SELECT 'user-' || n, '!', '', '', true, false, false, now() FROM generate_series(0, 1999) n;
INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at)
    SELECT 'user-' || n % 2000, 'Task ' || n, '', false, now() - n * interval '1 minute', now()
    FROM generate_series(1, 20000) n;
INSERT INTO idempotency_keys (user_id, operation, key, fingerprint, result, created_at)
    SELECT 'user-' || n % 20, 'add_task', 'key number ' || n, '', '{}', now() FROM generate_series(1, 5000) n;
INSERT INTO conversations (user_id, created_at, updated_at)
    SELECT CASE WHEN n % 5 = 0 THEN 'user-7' ELSE 'user-' || n % 1990 + 10 END, now(),
        now() - n * interval '1 minute' - CASE WHEN n % 5 = 0 THEN interval '1 year' ELSE interval '0' END
    FROM generate_series(1, 2500) n;
INSERT INTO tasks (
    user_id, title, description, completed, completed_at, created_at, updated_at, deleted_at, conversation_id
)
    SELECT 'user-7', 'Task ' || n, '', n <= 9990, CASE WHEN n <= 9990 THEN now() END,
        now() - n * interval '1 minute', now(), CASE WHEN n <= 3000 THEN now() END, id
    FROM generate_series(1, 10000) n
    JOIN (SELECT id, row_number() OVER () AS place FROM conversations WHERE user_id = 'user-7') c
        ON place = n % 500 + 1;
INSERT INTO messages (conversation_id, user_id, role, content, created_at)
    SELECT c.id, c.user_id, 'user', 'Words', now() FROM generate_series(1, 5000) n,
        (SELECT id, user_id FROM conversations WHERE user_id = 'user-7' ORDER BY updated_at DESC LIMIT 1) c;
INSERT INTO messages (conversation_id, user_id, role, content, created_at)
    SELECT c.id, c.user_id, 'user', 'Words', now() FROM conversations c, generate_series(1, 20) n;
"""
_MORE = """
CREATE TEMPORARY TABLE more AS SELECT t.*, n FROM {table} t, generate_series(1, 5000) n;
UPDATE more SET id = -n, {column} = md5(n::text) || md5(n::text);
ALTER TABLE more DROP COLUMN n;
INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM more;
DROP TABLE more;
"""
_FINISH = """
SET CONSTRAINTS ALL IMMEDIATE;  -- the checks that wait for the commit
SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE tasks ENABLE TRIGGER USER;
ANALYZE;
"""


@pytest.fixture(scope="module")
def token(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """The token of one user, in an analysed database with 2,000 users, 30,000 tasks and more rows of other kinds."""
    with django_db_blocker.unblock(), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_FILL)
            token = issue_token(user_id=USER)
            cursor.execute(_MORE.format(table="oauth2_provider_application", column="client_id"))
            cursor.execute(_MORE.format(table="oauth2_provider_accesstoken", column="token_checksum"))
            cursor.execute(_FINISH)
        yield token
        transaction.set_rollback(True)


@pytest.fixture
def argument_values(token: str) -> dict[str, list[Any]]:
    """The values with which the operations are called, by the name of the argument."""
    task = Task.objects.filter(user_id=USER, deleted_at=None).order_by("created_at")[5]
    long = Conversation.objects.filter(user_id=USER).order_by("-updated_at")[0]
    short = Conversation.objects.filter(user_id=USER).order_by("-updated_at")[300]
    message = Message.objects.filter(conversation=long).order_by("id")[2500]
    return {
        "title": ["New"],
        "description": ["New"],
        "clear": [["description"]],
        "idempotency_key": ["key number 7", "key number -1"],
        "conversation_id": [long.pk, short.pk],
        "message_id": [message.pk],
        "task_id": [task.pk, Task.objects.filter(user_id=USER, deleted_at=None, completed=True)[0].pk],
        "status": ["all", "pending", "completed"],
        "limit": [1, 100],
        "last": [100],
        # Near the oldest tasks; in the middle of the conversations and of the messages.
        "cursor": [Position(task.created_at, task.pk).encode(), Position(short.updated_at, message.pk).encode()],
        "messages": [[{"role": "user", "content": "Words"}]],
    }


def combinations(operation: Operation, argument_values: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the operation's arguments, with and without each optional one."""
    fields = {name: field for name, field in operation.arguments.model_fields.items() if name != "user_id"}
    choices = [argument_values[name] + ([] if field.is_required() else [LEFT_OUT]) for name, field in fields.items()]
    for values in product(*choices):
        arguments = {name: value for name, value in zip(fields, values, strict=True) if value is not LEFT_OUT}
        try:
            yield operation.validate(arguments)
        except InvalidArguments:
            continue


def work_of(
    operation: Operation, arguments: dict[str, Any], user_id: str = USER, *, token: str = ""
) -> Callable[[], None]:
    """A function that does the operation. With a token, the operation's own statement checks the token."""

    def perform() -> None:
        record = recall_principal(token) if token else None
        # A refused call has queried the database too.
        with (
            suppress(TodoError, Unmet),
            transaction.atomic(),
            OperationRun(record[1]) if record else nullcontext(),
        ):
            operation.function(user_id=user_id, **arguments)

    return perform


@pytest.mark.parametrize("operation", [*REGISTRY.values(), *RESOURCES.values()], ids=lambda one: one.name)
def test_an_operation_reads_by_index_and_no_more_than_it_needs(
    token: str, argument_values: dict[str, list[Any]], operation: Operation
) -> None:
    if operation.name == "delete_conversation":
        del argument_values["conversation_id"][0]  # its work grows with the messages
    calls = list(combinations(operation, argument_values))
    assert calls
    authenticate(token)  # so that the worker remembers it
    for arguments, (user_id, recalled_token) in product(calls, ((USER, ""), (STRANGER, ""), (USER, token))):
        problems = complaints(work_of(operation, arguments, user_id, token=recalled_token))
        assert not problems, (arguments, user_id, problems)


@pytest.mark.parametrize("where", ["before", "after", "at", "only", ""])
def test_a_transcript_is_read_by_index(token: str, argument_values: dict[str, list[Any]], where: str) -> None:
    request = PageRequest(**{where: argument_values["message_id"][0]} if where else {})
    assert not complaints(lambda: message_page(argument_values["conversation_id"][0], request))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "conversations/conversation/",
        "conversations/conversation/?role=assistant&user=user-7",
        "conversations/conversation/?q=rare",
        "conversations/conversation/?q=words",
        "conversations/conversation/?q=words&user=user-7",
        "conversations/conversation/?created_at_from=2001-01-01",
        "conversations/conversation/{}/change/",
    ],
)
def test_the_index_of_messages_by_time_changes_no_plan_of_the_admin(
    token: str, argument_values: dict[str, list[Any]], path: str
) -> None:
    """PostgreSQL must not walk through all messages by time to find a few of one conversation or with a word."""
    url = f"/admin/{path.format(argument_values['conversation_id'][0])}"
    with transaction.atomic(), connection.cursor() as cursor:
        client = sign_in(User.objects.create_superuser("operator"))
        with CaptureQueriesContext(connection) as captured:
            assert client.get(url).status_code == 200
        sql = [query["sql"].strip() for query in captured]
        queries = [query for query in sql if query.startswith("SELECT") and "messages" in query]
        assert queries

        def plans() -> list[Any]:
            plans = []
            for query in queries:
                cursor.execute(_BY_INDEX if "@@" in query else "RESET ALL")
                cursor.execute(f"EXPLAIN (COSTS OFF) {query}")
                plans.append(cursor.fetchall())
            return plans

        with_index = plans()
        cursor.execute("DROP INDEX messages_created")
        assert with_index == plans()
        transaction.set_rollback(True)


def test_messages_of_a_time_are_read_by_index(token: str) -> None:
    rows = Message.objects.filter(created_at__gte=timezone.now() + timedelta(days=1)).order_by("-created_at")
    assert not complaints(lambda: list(rows[:50]))


@pytest.mark.parametrize("service", [False, True])
def test_a_caller_is_looked_up_by_index(token: str, service: bool) -> None:
    target = USER if service else None
    caller_token = issue_token(service="chat") if service else token
    assert not complaints(lambda: authenticate(caller_token, target=target))
    record = find_token(caller_token)
    assert record
    assert not complaints(lambda: write_uses({record.pk: timezone.now()}))


@pytest.mark.parametrize("purge", [DELETED_TASKS, EXPIRED_KEYS], ids=lambda one: one.name)
def test_rows_to_purge_are_found_by_index(token: str, purge: Purge) -> None:
    assert not complaints(lambda: list(purge.due()[:10]))


@pytest.mark.parametrize(
    ("index", "tool"),
    [
        ("tasks_newest", "list_tasks"),
        ("tasks_newest_by_state", "list_tasks"),
        ("messages_in_order", "list_messages"),
        ("conversations_newest", "list_conversations"),
    ],
)
def test_a_missing_index_is_noticed(token: str, argument_values: dict[str, list[Any]], index: str, tool: str) -> None:
    operation = {**REGISTRY, **RESOURCES}[tool]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {index}")
        problems = [complaints(work_of(operation, arguments)) for arguments in combinations(operation, argument_values)]
        transaction.set_rollback(True)
    assert any(problems)
