"""The rules of ``@operation``: every registered operation follows them, and a call that breaks one is stopped."""

import copy
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import wraps
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from conversations.models import Conversation, Message
from tasks import queries
from tasks.changes import statements
from tasks.models import Task, TaskEvent
from tasks.results import TaskAdded
from tasks.schemas import Title
from tests.support.application import Orm
from tests.support.factories import MessageFactory, TaskFactory
from todo_mcp.auth.authentication import authenticate
from todo_mcp.auth.remembered_tokens import remembered_tokens
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform_for
from todo_mcp.core.envelope import Output
from todo_mcp.core.errors import TodoError
from todo_mcp.core.operations import REGISTRY, RESOURCES, Operation, operation
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.greenlets import Work
from todo_mcp.postgres.operation_run import OperationRun
from todo_mcp.users.models import User

OPERATIONS = [*REGISTRY.values(), *RESOURCES.values()]
BLOCKED_MAX = 0.005  # seconds that an operation may block the event loop's thread in its best run
Body = Callable[[str, str], None]  # the work of a sixth operation, called with the user's id and a title


def insert_compiled(user_id: str, title: str) -> None:
    origin = {"conversation_id": None, "message_id": None}
    queries.add_task(user_id=user_id, title=title, description="", now=timezone.now(), **origin)


def insert_by_orm(user_id: str, title: str) -> None:
    now = timezone.now()
    Task.objects.create(user_id=user_id, title=title, created_at=now, updated_at=now)


def sixth(body: Body) -> Operation:
    """A sixth operation, ``add_twice``, with this body."""
    registry: dict[str, Operation] = {}

    @operation(title="Add twice", scope="tasks:write", example={"title": "x"}, quotas=(), registry=registry)
    def add_twice(*, user_id: str, title: Title) -> TaskAdded:
        body(user_id, title)
        return TaskAdded(task_id=1, title=title, created_at=timezone.now())

    return registry["add_twice"]


@pytest.fixture(params=["a token seen for the first time", "a token seen before"])
def token(request: pytest.FixtureRequest, committed: None, alice: User) -> Iterator[str]:
    """A token of Alice's, once unknown to the worker and once remembered by it."""
    token = issue_token(user_id="alice")
    if "before" in request.param:
        authenticate(token)
    yield token
    remembered_tokens.clear()


def call(operation: Operation, token: str, **arguments: Any) -> dict[str, Any]:
    connection.ensure_connection()
    request = Call(operation=operation, arguments=arguments, transport="http", request_id="request-1")
    return perform_for(request, token)[0]


def authors() -> list[tuple[str, str]]:
    """The title and the author of each version of each task."""
    rows = TaskEvent.objects.order_by("pgh_id").values_list("title", "pgh_context")
    return [(title, (context or {}).get("user", "")) for title, context in rows]


def in_one_transaction(user_id: str, title: str) -> None:
    with transaction.atomic():
        insert_by_orm(user_id, "by the ORM")
        insert_compiled(user_id, "compiled")
        insert_by_orm(user_id, "by the ORM again")


def test_an_operation_that_starts_with_the_orm_may_add_compiled_statements_and_keeps_its_author(token: str) -> None:
    assert call(sixth(in_one_transaction), token, title="x")["status"] == "success"
    assert authors() == [("by the ORM", "alice"), ("compiled", "alice"), ("by the ORM again", "alice")]


def reads_with_a_common_table_expression(user_id: str, title: str) -> None:
    for _ in range(2):
        execute("WITH own AS (SELECT 1) SELECT * FROM own")
    insert_by_orm(user_id, title)


def test_a_statement_that_is_no_change_may_be_repeated(token: str) -> None:
    assert call(sixth(reads_with_a_common_table_expression), token, title="x")["status"] == "success"
    assert authors() == [("x", "alice")]


def test_compiled_statements_may_use_a_savepoint(committed: None, alice: User) -> None:
    task_id = TaskFactory.create(user=alice).pk
    with OperationRun(None), transaction.atomic():
        statements.read("alice", [task_id])
        with transaction.atomic():
            insert_compiled("alice", "x")
    assert Task.objects.count() == 2


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


INSERT = "INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at)"
ROW = "VALUES ('alice', 'x', '', false, now(), now())"


def two_after_a_comment(user_id: str, title: str) -> None:
    for _ in range(2):
        execute(f"/* the list */ {INSERT} {ROW}")


def two_in_a_common_table_expression(user_id: str, title: str) -> None:
    for _ in range(2):
        execute(f"WITH task AS ({INSERT} {ROW} RETURNING id) SELECT * FROM task")


def compiled_then_orm(user_id: str, title: str) -> None:
    with transaction.atomic():
        insert_compiled(user_id, title)
        insert_by_orm(user_id, title)


def compiled_then_read(user_id: str, title: str) -> None:
    with transaction.atomic():
        insert_compiled(user_id, title)
        Task.objects.filter(user_id=user_id).count()


def compiled_that_finds_nothing_then_orm(user_id: str, title: str) -> None:
    statements.read(user_id, [999_999])
    insert_by_orm(user_id, title)


def two_compiled(user_id: str, title: str) -> None:
    insert_compiled(user_id, title)
    insert_compiled(user_id, title)


def two_by_orm(user_id: str, title: str) -> None:
    insert_by_orm(user_id, title)
    insert_by_orm(user_id, title)


def two_transactions(user_id: str, title: str) -> None:
    for _ in range(2):
        with transaction.atomic():
            insert_by_orm(user_id, title)


@pytest.mark.parametrize(
    ("body", "version_count"),
    [
        (compiled_then_orm, 0),
        (compiled_then_read, 0),
        (compiled_that_finds_nothing_then_orm, 0),
        (two_compiled, 1),
        (two_by_orm, 1),
        (two_transactions, 1),
        (two_after_a_comment, 1),
        (two_in_a_common_table_expression, 1),
    ],
)
def test_a_call_that_breaks_a_rule_is_a_defect_and_stops_before_that_statement(
    token: str, body: Body, version_count: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = call(sixth(body), token, title="x")
    assert answer["data"] == {"error_code": 500, "error": "internal_error", "request_id": "request-1"}
    defects = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [vars(record)["error"] for record in defects] == ["RuleBroken"]
    assert authors() == [("x", "alice")] * version_count, "every version has its author"


@pytest.fixture
def row_ids(committed: None, alice: User) -> dict[str, Any]:
    """The ids of Alice's rows, by the argument that takes the id."""
    now = timezone.now()
    conversation = Conversation.objects.create(user=alice, created_at=now, updated_at=now)
    message = MessageFactory.create(conversation=conversation)
    return {
        "task_id": TaskFactory.create(user=alice).pk,
        "conversation_id": conversation.pk,
        "message_id": message.pk,
    }


def arguments_for(operation: Operation, row_ids: dict[str, Any]) -> dict[str, Any]:
    """The operation's example, with ids of existing rows."""
    example = {"messages": [operation.example]} if operation.name == "append_messages" else dict(operation.example)
    wanted = {*operation.input_schema.get("required", ()), *example}
    if example.pop("match", None) or "task_id" in wanted:  # the task has other words
        example["task_id"] = row_ids["task_id"]
    return {**example, **{name: row_ids[name] for name in wanted if name in row_ids}}


# Rows that one call adds: tasks, versions of tasks, conversations, messages.
ADDED_ROWS = {
    "add_task": (1, 1, 0, 0),
    "complete_task": (0, 1, 0, 0),
    "delete_task": (0, 1, 0, 0),
    "update_task": (0, 1, 0, 0),
    "create_conversation": (0, 0, 1, 0),
    "delete_conversation": (0, 0, -1, -1),
    "append_messages": (0, 0, 0, 1),
    "delete_message": (0, 0, 0, -1),
}


def count_rows() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Task, TaskEvent, Conversation, Message))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_an_operation_that_runs_again_after_a_deadlock_does_its_work_once(
    row_ids: dict[str, Any], operation: Operation
) -> None:
    runs: list[dict[str, Any]] = []

    @wraps(operation.function)
    def interrupted(**arguments: Any) -> Output:
        with transaction.atomic():
            runs.append(copy.deepcopy(arguments))
            output = operation.function(**arguments)
            if len(runs) == 1:
                raise OperationalError from psycopg.errors.DeadlockDetected()
        return output

    before = count_rows()
    token = issue_token(service="chat") if operation.for_all_users else issue_token(user_id="alice")
    answer = call(replace(operation, function=interrupted), token, **arguments_for(operation, row_ids))
    assert answer["status"] == "success"
    assert runs == runs[:1] * 2, "the second run gets the arguments of the first"
    difference = tuple(later - earlier for later, earlier in zip(count_rows(), before, strict=True))
    assert difference == ADDED_ROWS.get(operation.name, (0, 0, 0, 0))


async def seconds_blocked(function: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> float:
    """How long the function blocks the event loop's thread without computing, in the best of up to 30 runs.

    A busy machine interrupts some runs. A function that blocks does so in each of them.
    """
    waits: list[float] = []
    resume = Work.resume

    def measure(work: Work, value: Any = None) -> None:
        wall, computing = time.perf_counter(), time.thread_time()
        resume(work, value)
        waits[-1] += time.perf_counter() - wall - (time.thread_time() - computing)

    gate = DatabaseGate(1, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(Work, "resume", measure)
        while len(waits) < 30 and (not waits or min(waits) > BLOCKED_MAX):
            waits.append(0.0)
            await gate.on_loop(function)
    await gate.close()
    return min(waits)


@pytest.mark.anyio
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
async def test_an_operation_does_not_block_the_event_loop(
    row_ids: dict[str, Any], operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = operation.validate(arguments_for(operation, row_ids))

    def work() -> None:
        with suppress(TodoError):  # the first run deletes the conversation; the second does not find it
            operation.run(arguments, **({} if operation.for_all_users else {"user_id": "alice"}))

    assert await seconds_blocked(work, monkeypatch) < BLOCKED_MAX


@pytest.mark.anyio
async def test_an_operation_that_blocks_the_event_loop_is_noticed(orm: Orm, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(user_id: str, title: str) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.settimeout(4 * BLOCKED_MAX)
            with pytest.raises(TimeoutError):
                listener.accept()

    slow = sixth(wait)
    assert await seconds_blocked(lambda: slow.function(user_id="alice", title="x"), monkeypatch) > BLOCKED_MAX
