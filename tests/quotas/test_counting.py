"""How the counts of the workers get into the database and back, and how they are corrected."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from conversations.models import Conversation, Message
from tasks.models import Task, TaskEvent
from tasks.quotas.counting import stored_bytes
from tasks.services import add_task
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.factories import ConversationFactory, MessageFactory, TaskFactory
from tests.support.statistics import another_session
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.bearer import bearer
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform
from todo_mcp.core.errors import QuotaExceeded
from todo_mcp.core.operations import REGISTRY
from todo_mcp.operators.user_data import delete_user
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.operation_run import OperationRun, Use
from todo_mcp.quotas import keeping, services
from todo_mcp.quotas.keeping import keeping_usage
from todo_mcp.quotas.models import UserUsage
from todo_mcp.quotas.services import count_bytes, exchange, usage_of
from todo_mcp.quotas.usage import ROW_BYTES, Usage, Usages, check_quotas, today, usages
from todo_mcp.users.models import User

TASK = Use(writes=1, size=600, tasks=1)


def stored(user_id: str = "alice") -> tuple[int, int, int]:
    row = UserUsage.objects.get(pk=user_id)
    return row.tasks, row.bytes, row.writes


def refuses(worker: Usages, use: Use = TASK) -> bool:
    return worker.refusal("alice", writes=use.writes, size=use.size, tasks=use.tasks) is not None


def make_tasks_due() -> None:
    UserUsage.objects.update(tasks_counted_at=timezone.now() - timedelta(hours=1))


def make_bytes_due() -> None:
    UserUsage.objects.update(bytes_counted_at=timezone.now() - timedelta(hours=1))


def test_a_quota_costs_a_call_no_statement(
    committed: None, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    call = Call(operation=REGISTRY["add_task"], arguments={"title": "Milk"}, transport="http", request_id="request-1")
    identify = bearer(issue_token(user_id="alice"))
    with django_assert_num_queries(2):  # the token; the insert
        perform(call, identify)
    assert set(usages.take()) == {"alice"}


def test_an_exchange_is_one_statement_for_users_who_were_counted_lately(
    committed: None, alice: User, bob: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    worker = Usages()
    with django_assert_num_queries(0):
        exchange(worker)
    for user_id in ("alice", "bob"):
        worker.record(user_id, TASK)
    exchange(worker)  # it counts them for the first time
    for user_id in ("bob", "alice"):
        worker.record(user_id, TASK)
    with django_assert_num_queries(1):
        exchange(worker)
    assert stored() == stored("bob") == (1, 600, 2)


def test_two_workers_know_a_second_later_what_both_have_written(
    committed: None, alice: User, settings: Settings
) -> None:
    settings.QUOTA_WRITES = 10
    one, other = Usages(), Usages()
    for _ in range(5):
        one.record("alice", TASK)
        other.record("alice", TASK)
    assert not refuses(one)
    assert not refuses(other)
    exchange(one)
    exchange(other)
    assert refuses(other)
    assert not refuses(one), "it does not know yet"
    one.record("alice", TASK)
    exchange(one)
    assert refuses(one)


def test_writes_between_an_exchange_and_its_answer_count(committed: None, alice: User) -> None:
    worker = Usages()
    worker.record("alice", TASK)
    taken = worker.take()
    worker.record("alice", TASK)
    worker.learn({"alice": services.add_usage(taken)[0].usage})
    assert worker._known["alice"].writes == 2
    exchange(worker)
    assert stored()[2] == worker._known["alice"].writes == 2


def test_many_workers_add_up(committed: None, alice: User, bob: User) -> None:
    def work() -> None:
        worker = Usages()
        for _ in range(20):
            for user_id in ("bob", "alice"):
                worker.record(user_id, TASK)
            exchange(worker)
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored()[2] == stored("bob")[2] == 60


def test_writes_of_an_earlier_day_do_not_count(
    committed: None, alice: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.QUOTA_WRITES = 2
    worker, late = Usages(), Usages()
    for one in (worker, worker, late):
        one.record("alice", TASK)
    exchange(worker)
    assert refuses(worker)
    tomorrow = today() + 1
    monkeypatch.setattr("todo_mcp.quotas.usage.today", lambda: tomorrow)
    assert not refuses(worker)
    worker.record("alice", TASK)
    exchange(worker)
    assert stored()[2] == 1
    exchange(late)  # what a worker wrote yesterday
    assert stored()[2] == 1


SOURCES: list[Callable[[], Any]] = [
    lambda: Task.objects.bulk_create([Task(user_id="alice", title="SQL") for _ in range(3)]),
    lambda: TaskFactory.create_batch(3, user_id="alice"),
]


@pytest.mark.parametrize("add", SOURCES)
def test_tasks_that_no_call_added_are_found(
    committed: None, alice: User, settings: Settings, add: Callable[[], Any]
) -> None:
    settings.QUOTA_TASKS = 3
    worker = Usages()
    worker.record("alice", Use(writes=1))
    exchange(worker)
    add()
    make_tasks_due()
    assert not refuses(worker)
    worker.record("alice", Use(writes=1))
    exchange(worker)
    assert stored()[0] == 3
    assert refuses(worker)


def test_a_refused_call_asks_for_the_latest_count(committed: None, alice: User, settings: Settings) -> None:
    """An operator, or another worker, has made room."""
    settings.QUOTA_TASKS = 3
    TaskFactory.create_batch(3, user=alice)
    worker = Usages()
    worker.record("alice", Use(writes=1))
    exchange(worker)
    assert refuses(worker)
    exchange(worker)
    assert refuses(worker)
    Task.objects.earliest("id").delete()
    make_tasks_due()
    exchange(worker)
    assert not refuses(worker)
    assert stored() == (2, stored()[1], 1), "a refusal is no write"


def test_deleted_tasks_do_not_count(committed: None, alice: User) -> None:
    TaskFactory.create_batch(2, user=alice, deleted_at=timezone.now())
    TaskFactory.create(user=alice)
    assert usage_of("alice").tasks == 1


def test_counting_tasks_stops_at_the_quota(committed: None, alice: User, settings: Settings) -> None:
    settings.QUOTA_TASKS = 3
    TaskFactory.create_batch(9, user=alice)
    assert usage_of("alice").tasks == 4


def test_another_worker_does_not_count_the_same_user_at_once(committed: None, alice: User) -> None:
    TaskFactory.create_batch(2, user=alice)
    worker = Usages()
    worker.record("alice", Use(writes=1))
    [one] = services.add_usage(worker.take())
    services._count(worker, one, "tasks")
    UserUsage.objects.update(tasks=7)
    services._count(worker, one, "tasks")
    assert stored()[0] == 7


def test_what_calls_note_is_what_counting_finds(committed: None, alice: User) -> None:
    """Without drift, counting anew changes nothing."""
    token = issue_token(user_id="alice")

    def call(tool: str, **arguments: Any) -> Any:
        request = Call(operation=REGISTRY[tool], arguments=arguments, transport="http", request_id="request-1")
        envelope, error = perform(request, bearer(token))
        assert error is None, envelope
        return envelope["data"]

    ids = [call("add_task", title=f"Ünits {n}", description="d" * n)["task_id"] for n in range(5)]
    call("add_task", title="Water", repeat="every day", tags=["home"], checklist=["ä" * 100, "b"])
    call("add_task", tasks=[{"title": "One"}, {"title": "Two", "due": "tomorrow", "tags": ["a", "b"]}])
    call("update_task", task_id=ids[0], title="New", description="x" * 100)
    call("update_task", task_id=ids[0], description="")
    call("update_task", task_ids=ids, add_tags=["home"], append="more")
    call("update_task", task_id=ids[1], due="tomorrow")
    call("complete_task", match="Water")
    call("complete_task", task_id=ids[0])
    call("update_task", task_id=ids[0], reopen=True)
    undo = call("delete_task", task_ids=ids)["undo"]
    call("update_task", undo=undo)
    call("delete_task", task_id=ids[2])
    call("delete_task", task_id=ids[3])
    call("update_task", task_id=ids[3], restore=True)
    call("list_tasks")
    noted = usages.take()["alice"]
    assert noted.writes == TaskEvent.objects.count()
    assert noted.tasks == services.count_tasks("alice") == 8
    assert noted.bytes == count_bytes("alice")


def test_bytes_are_added_up_in_pieces(committed: None, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    Task.objects.bulk_create([Task(user_id="alice", title="x" * n) for n in range(1, 8)])  # one time for all events
    TaskFactory.create_batch(3, user=alice, title="y")
    total = stored_bytes("alice")
    for piece in (1, 2, 5, 10, 11):
        monkeypatch.setattr("tasks.quotas.counting.PIECE", piece)
        assert stored_bytes("alice") == total
    assert total > 10 * ROW_BYTES + 31
    assert stored_bytes("bob") == 0


@pytest.mark.parametrize("name", ["tasks", "messages", "conversations"])
def test_bytes_that_no_call_stored_are_found(committed: None, alice: User, settings: Settings, name: str) -> None:
    settings.QUOTA_BYTES = 5000
    worker = Usages()
    worker.record("alice", Use(writes=1))
    exchange(worker)
    make: dict[str, Callable[[], Any]] = {
        "tasks": lambda: TaskFactory.create(user=alice, checklist=[{"text": "y" * 200, "done": False}] * 20),
        "messages": lambda: MessageFactory.create(conversation__user=alice, content="x" * 5000),
        "conversations": lambda: ConversationFactory.create_batch(11, user=alice),
    }
    make[name]()
    make_bytes_due()
    worker.record("alice", Use(writes=1))
    exchange(worker)
    assert stored()[1] > 4500
    assert refuses(worker)


def test_bytes_go_down_when_rows_go(committed: None, alice: User) -> None:
    task = TaskFactory.create(user=alice)
    MessageFactory.create(conversation__user=alice)
    assert count_bytes("alice") > 3 * ROW_BYTES
    TaskEvent.objects.filter(pgh_obj_id=task.pk).delete()
    Message.objects.all().delete()
    Conversation.objects.all().delete()
    assert count_bytes("alice") == 0


def test_an_exchange_counts_for_a_limited_time_and_the_largest_users_first(
    committed: None, alice: User, bob: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.QUOTA_BYTES = 0
    worker = Usages()
    worker.record("alice", TASK)
    worker.record("bob", Use(writes=2, size=1200, tasks=2))
    monkeypatch.setattr(services, "_count", lambda usages, one, name: counted.append(one.user_id))
    counted: list[str] = []
    monkeypatch.setattr(services, "COUNTING_MAX", -1)
    exchange(worker)
    assert counted == []
    monkeypatch.setattr(services, "COUNTING_MAX", 60)
    worker.record("alice", TASK)
    worker.record("bob", TASK)
    exchange(worker)
    assert counted == ["bob", "alice"]


def test_a_quota_that_is_off_is_not_counted(committed: None, alice: User, settings: Settings) -> None:
    settings.QUOTA_TASKS = settings.QUOTA_BYTES = 0
    worker = Usages()
    worker.record("alice", TASK)
    with CaptureQueriesContext(connection) as queries:
        exchange(worker)
    assert len(queries) == 1


def test_a_user_who_is_erased_meanwhile_is_skipped(committed: None, alice: User, bob: User) -> None:
    worker = Usages()
    for user_id in ("alice", "bob"):
        worker.record(user_id, TASK)
    exchange(worker)
    for user_id in ("alice", "bob"):
        worker.record(user_id, TASK)
    delete_user(user_id="alice")
    exchange(worker)
    assert [row.pk for row in UserUsage.objects.all()] == ["bob"]


def test_an_exchange_does_not_wait_for_a_user_who_is_locked(committed: None, alice: User, bob: User) -> None:
    worker = Usages()
    for user_id in ("alice", "bob"):
        worker.record(user_id, TASK)
    with another_session("SELECT FROM users WHERE id = 'alice' FOR UPDATE"):
        exchange(worker)
    assert [row.pk for row in UserUsage.objects.all()] == ["bob"]


def test_a_failed_exchange_loses_nothing(committed: None, alice: User) -> None:
    worker = Usages()
    worker.record("alice", TASK)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE user_usage ADD CONSTRAINT broken CHECK (writes < 0) NOT VALID")
        try:
            with pytest.raises(DatabaseError):
                exchange(worker)
            worker.record("alice", TASK)
        finally:
            cursor.execute("ALTER TABLE user_usage DROP CONSTRAINT broken")
    exchange(worker)
    assert stored()[2] == 2


def test_a_worker_forgets_the_users_who_wrote_least_recently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("todo_mcp.quotas.usage.USERS_MAX", 3)
    worker = Usages()
    for name in "abcab":
        worker.record(name, TASK)
    worker.record("d", TASK)
    assert set(worker._known) == {"a", "b", "d"}
    worker.learn({name: Usage(0, 0, 0, today()) for name in "efg"})
    assert set(worker._known) == {"e", "f", "g"}


def test_operators_and_commands_have_no_quotas(committed: None, alice: User, settings: Settings) -> None:
    settings.QUOTA_TASKS = 1
    usages.learn({"alice": Usage(5, 0, 0, today())})
    add_task(user_id="alice", title="By an operator")
    with OperationRun(None), pytest.raises(QuotaExceeded):
        check_quotas("alice", writes=1, size=1, tasks=1)


@pytest.mark.anyio
async def test_a_worker_exchanges_while_it_runs_and_at_its_end(
    alice: User, orm: Orm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "EVERY", 0.01)
    gate = DatabaseGate(1, 1.0)
    usages.record("alice", TASK)
    async with keeping_usage(gate), asyncio.timeout(10):
        while not await orm(UserUsage.objects.exists):
            pass
        monkeypatch.setattr(keeping, "EVERY", 3600)
        await asyncio.sleep(0.05)
        usages.record("alice", TASK)
    assert (await orm(stored))[2] == 2
    await gate.close()


@pytest.mark.anyio
async def test_a_fresh_worker_refuses_a_second_after_the_first_call(
    as_alice: Caller, settings: Settings, orm: Orm
) -> None:
    """The worker did not know the user, so the first call succeeds."""
    settings.QUOTA_TASKS = 3
    await orm(lambda: TaskFactory.create_batch(5, user_id="alice"))
    assert (await as_alice.call("http", "add_task", title="New"))["status"] == "success"
    async with asyncio.timeout(30):
        while (await as_alice.call("http", "add_task", title="New"))["status"] == "success":
            await asyncio.sleep(0.1)
    answer = await as_alice.call("http", "add_task", title="New")
    assert answer["data"]["error"] == "quota_exceeded"
