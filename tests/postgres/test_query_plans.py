"""On a large database, PostgreSQL executes every operation by index, and reads no more than a page needs.

Every operation is called with every argument and every pair of arguments. This includes new operations and arguments.
list_tasks has a module of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta
from itertools import combinations, product
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conversations.models import Conversation, Message
from conversations.search import _BY_INDEX
from conversations.transcript import PageRequest, message_page
from tasks.models import Task
from tasks.retention import DELETED_TASKS
from tests.postgres.large_database import BUSY, STRANGER, USER, token
from tests.postgres.plans import READ_MAX, complaints
from tests.support.operators import sign_in
from todo_mcp.auth.authentication import authenticate, recall_principal
from todo_mcp.auth.tokens import find_token, issue_token
from todo_mcp.core.errors import InvalidArguments, TodoError
from todo_mcp.core.operations import REGISTRY, RESOURCES, Operation
from todo_mcp.core.pagination import Position
from todo_mcp.idempotency.services import EXPIRED_KEYS
from todo_mcp.postgres.operation_run import OperationRun, Unmet
from todo_mcp.postgres.upkeep.purging import Purge
from todo_mcp.postgres.wall import behind_wall
from todo_mcp.statistics.token_use import write_uses
from todo_mcp.users.models import User


@pytest.fixture
def argument_values(token: str) -> dict[str, list[Any]]:
    """The values with which the operations are called, by the name of the argument."""
    task = Task.objects.filter(user_id=USER, deleted_at=None).order_by("created_at")[5]
    long = Conversation.objects.filter(user_id=USER).order_by("-updated_at")[0]
    short = Conversation.objects.filter(user_id=USER).order_by("-updated_at")[300]
    message, *_, last = Message.objects.filter(conversation=long).order_by("id")[2500:]
    in_place_of = Message.objects.filter(conversation=long).order_by("-id")[300]
    new = {"role": "user", "content": "Words"}
    return {
        "title": ["New"],
        "metadata": [{"model": "large"}],
        "ref": ["new"],
        "role": ["assistant"],
        "content": ["Words"],
        "item": [{"type": "message"}],
        "description": ["New"],
        "clear": [["description"]],
        "idempotency_key": ["key number 7", "key number -1"],
        "conversation_id": [long.pk, long.ref, short.pk, short.ref, "new"],
        "message_id": [message.pk, message.ref, "new"],
        "replace": [in_place_of.pk, in_place_of.ref],
        "expected_last": [last.pk, last.ref],
        "after": [message.pk, message.ref],
        "order": ["asc", "desc"],
        "task_id": [task.pk, Task.objects.filter(user_id=USER, deleted_at=None, completed=True)[0].pk],
        "task_ids": [[task.pk, task.pk + 1]],
        "match": ["new"],
        "expected_version": [1],
        "due": ["tomorrow"],
        "priority": ["high"],
        "tags": [["work"]],
        "add_tags": [["work"]],
        "remove_tags": [["work"]],
        "repeat": ["every day"],
        "checklist": [["one"]],
        "append": ["more"],
        "add_items": [["one"]],
        "remove_items": [["one"]],
        "check": [["*"]],
        "uncheck": [["*"]],
        "reopen": [True],
        "restore": [True],
        "undo": ["1.1"],
        "tasks": [[{"title": "One", "due": "today"}], [{"task_id": task.pk, "due": "today"}]],
        "time_zone": ["Europe/Berlin"],
        "from": ["2026-11-27T08:00Z"],
        "to": ["2026-11-27T09:01Z", "2026-12-20T00:00Z"],
        "limit": [1, 100],
        "last": [100],
        # Near the oldest tasks; in the middle of the conversations and of the messages.
        "cursor": [
            Position(task.created_at, task.pk).encode(),
            *(Position(short.updated_at, message.pk).encode(is_reversed=is_reversed) for is_reversed in (False, True)),
        ],
        "messages": [[new], [{**new, "ref": "new", "item": {"type": "message"}}]],
    }


def calls_of(operation: Operation, argument_values: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Calls with every value of each argument, and of every two arguments, beside those that are required."""
    fields = {name: field for name, field in operation.arguments.model_fields.items() if name != "user_id"}
    required = [name for name, field in fields.items() if field.is_required()]
    optional = [name for name in fields if name not in required]
    for count in range(3):
        for names in combinations(optional, count):
            for values in product(*[argument_values[name] for name in (*required, *names)]):
                with suppress(InvalidArguments):
                    yield operation.validate(dict(zip((*required, *names), values, strict=True)))


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
            operation.run(arguments, **({} if operation.for_all_users else {"user_id": user_id}))

    return perform


__all__ = ["token"]

SEARCH_MAX = 6_000  # rows of a user that a search compares before it reads by index
_CONVERSATIONS = """
INSERT INTO conversations (user_id, created_at, updated_at)
SELECT %s, now(), now() - n * interval '1 minute' FROM generate_series(1, 20000) n
"""
OPERATIONS = [*(one for one in REGISTRY.values() if one.name != "list_tasks"), *RESOURCES.values()]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_an_operation_reads_by_index_and_no_more_than_it_needs(
    token: str, argument_values: dict[str, list[Any]], operation: Operation
) -> None:
    if operation.name == "delete_conversation":
        del argument_values["conversation_id"][:2]  # its work grows with the messages
    calls = list(calls_of(operation, argument_values))
    assert calls
    authenticate(token)  # so that the worker remembers it
    for arguments, (user_id, recalled_token) in product(calls, ((USER, ""), (STRANGER, ""), (USER, token))):
        read_max = SEARCH_MAX if "match" in arguments else READ_MAX
        work = work_of(operation, arguments, user_id, token=recalled_token)
        problems = complaints(work, read_max, user_id=None if operation.for_all_users else user_id)
        assert not problems, (arguments, user_id, problems)


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_a_page_from_the_middle_of_the_conversations_does_not_walk_there(token: str, order: str) -> None:
    """PostgreSQL counts entries of an index that it returns, but not those that it passes over: count blocks."""
    operation = RESOURCES["list_conversations"]

    def blocks(**arguments: Any) -> int:
        count = "SELECT pg_stat_get_xact_blocks_fetched('conversations_newest'::regclass)"
        cursor.execute(count)
        (before,) = cursor.fetchone()
        with behind_wall(BUSY):
            work_of(operation, operation.validate({"order": order, "limit": 20, **arguments}), BUSY)()
        cursor.execute(count)
        return int(cursor.fetchone()[0] - before)

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CONVERSATIONS, [BUSY])
        middle = Conversation.objects.filter(user_id=BUSY).order_by("-updated_at")[10_000]
        place = Position(middle.updated_at, middle.pk).encode(is_reversed=order == "asc")
        assert 0 < blocks(cursor=place) <= blocks() + 2
        transaction.set_rollback(True)


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
    ("index", "tool", "read_max"),
    [
        ("messages_in_order", "list_messages", READ_MAX),
        ("conversations_newest", "list_conversations", READ_MAX),
        ("conversations_ref", "get_conversation", 10),
        ("messages_ref", "get_message", 10),
    ],
)
def test_a_missing_index_is_noticed(
    token: str, argument_values: dict[str, list[Any]], index: str, tool: str, read_max: int
) -> None:
    operation = {**REGISTRY, **RESOURCES}[tool]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX {index}")
        calls = calls_of(operation, argument_values)
        problems = [complaints(work_of(operation, arguments), read_max, user_id=USER) for arguments in calls]
        transaction.set_rollback(True)
    assert any(problems)


@pytest.mark.parametrize("name", ["get_conversation", "get_message"])
def test_one_row_is_found_by_its_id_or_ref_alone(token: str, argument_values: dict[str, list[Any]], name: str) -> None:
    for arguments in calls_of(RESOURCES[name], argument_values):
        problems = complaints(work_of(RESOURCES[name], arguments), 10, user_id=USER)
        assert not problems, (arguments, problems)
