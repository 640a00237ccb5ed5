"""How counts get into the database, also when the database fails."""

import asyncio
import contextlib
import threading
import uuid
from collections.abc import Iterator

import httpx2
import pytest
from django.db import DatabaseError, connection
from django.db.models import Sum
from pytest_django import DjangoAssertNumQueries

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.statistics import another_session, count, rows
from todo_mcp import asgi
from todo_mcp.auth.tokens import issue_token
from todo_mcp.calls.bearer import bearer
from todo_mcp.calls.call import Call
from todo_mcp.calls.perform import perform
from todo_mcp.core.operations import REGISTRY
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.statistics.flushing import flush, flushing
from todo_mcp.statistics.models import CallStatistics, TokenDay
from todo_mcp.statistics.recorder import Recorder, recorder
from todo_mcp.statistics.token_days import TokenDays
from todo_mcp.statistics.token_use import TokenUses
from todo_mcp.telemetry.metrics import GATE_REFUSED
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


@contextlib.contextmanager
def broken_table() -> Iterator[None]:
    """Inside the context, the table accepts no rows."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE call_statistics ADD CONSTRAINT broken CHECK (calls < 0) NOT VALID")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE call_statistics DROP CONSTRAINT broken")


def refusals_at_the_gate() -> float:
    return next(sample.value for metric in GATE_REFUSED.collect() for sample in metric.samples)


@pytest.fixture
def frequent_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flush every hundredth of a second."""
    monkeypatch.setattr("todo_mcp.statistics.flushing.EVERY", 0.01)


def test_counting_costs_a_call_no_statement(
    committed: None, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    call = Call(
        operation=REGISTRY["add_task"],
        arguments={"title": "Buy milk"},
        transport="http",
        request_id=uuid.uuid4().hex,
        client="curl",
    )
    identify = bearer(issue_token(user_id="alice"))
    with django_assert_num_queries(2):  # the token; the insert
        _, error = perform(call, identify)
    assert error is None
    assert [value.calls for value in recorder.take().values()] == [1]


def test_flushing_is_three_statements_for_any_number_of_counts(
    committed: None, alice: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    calls, uses, days = Recorder(), TokenUses(), TokenDays()
    for client in "abcdef":
        count(calls, client=client)
    for token_id in range(1, 4):
        issue_token(user_id="alice")
        uses.touch(token_id)
        days.count(token_id, "alice", "curl", None, read_only=True)
    with django_assert_num_queries(5):  # BEGIN; the counts; the uses; the days; COMMIT
        flush(calls, uses, days)
    with django_assert_num_queries(0):
        flush(calls, uses, days)


async def test_concurrent_calls_add_up(as_alice: Caller, orm: Orm) -> None:
    async def calls() -> None:
        for n in range(20):
            await as_alice.post("add_task", title=f"Task {n}")
            await orm(flush)

    await asyncio.gather(*(calls() for _ in range(4)))
    await orm(flush)
    assert sum(row["calls"] for row in await orm(rows)) == 80


def test_two_workers_add_up_while_both_flush(committed: None) -> None:
    def work(slowest: float) -> None:
        worker = Recorder()
        for n in range(30):
            for client in ("a", "b", "c"):
                count(worker, client=client, seconds=slowest / (n + 1), request_id=f"{slowest:g}-{n}")
            flush(worker, TokenUses())
        connection.close()

    threads = [threading.Thread(target=work, args=(slowest,)) for slowest in (2.0, 3.0)]
    for thread in threads:
        thread.start()
    total = 0
    while any(thread.is_alive() for thread in threads):
        current = CallStatistics.objects.aggregate(n=Sum("calls"))["n"] or 0
        assert current >= total  # it never decreases
        total = current
    stored = rows()
    assert [row["calls"] for row in stored] == [60, 60, 60]
    assert {(row["milliseconds_max"], row["slowest_request_id"]) for row in stored} == {(3000.0, "3-0")}


def test_a_failed_flush_loses_nothing(committed: None, alice: User) -> None:
    issue_token(user_id="alice")
    calls, uses, days = Recorder(), TokenUses(), TokenDays()
    count(calls, 3)
    uses.touch(1)
    days.count(1, "alice", "curl", None, read_only=False)
    with broken_table():
        with pytest.raises(DatabaseError):
            flush(calls, uses, days)
        count(calls, 2)
        days.count(1, "alice", "curl", None, read_only=False)
    flush(calls, uses, days)
    assert [row["calls"] for row in rows()] == [5]
    assert TokenDay.objects.get().writes == 2
    assert not (calls.take() or uses.take() or days.take())


async def test_calls_go_on_while_the_statistics_cannot_be_written(as_alice: Caller, orm: Orm) -> None:
    with contextlib.ExitStack() as stack:
        await orm(lambda: stack.enter_context(broken_table()))
        for _ in range(3):
            assert (await as_alice.post("list_tasks")).status_code == 200
            with pytest.raises(DatabaseError):
                await orm(flush)
        await orm(stack.pop_all().close)
    await orm(flush)
    assert [row["calls"] for row in await orm(rows)] == [3]


async def test_a_worker_flushes_when_it_ends(alice: User, orm: Orm) -> None:
    token = await orm(lambda: issue_token(user_id="alice"))
    app = asgi.Lifespan()
    async with app.running():
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url="http://localhost:5000"
        ) as client:
            assert (await Caller(client, token).post("list_tasks")).status_code == 200
        assert await orm(rows) == []
    assert [row["calls"] for row in await orm(rows)] == [1]


async def test_a_worker_flushes_while_it_runs(orm: Orm, frequent_flushes: None) -> None:
    count(recorder)
    gate = DatabaseGate(1, 1.0)
    async with flushing(gate), asyncio.timeout(10):
        while not await orm(rows):
            pass
    await gate.close()


async def test_the_statistics_wait_while_the_gate_is_full(orm: Orm, frequent_flushes: None) -> None:
    count(recorder)
    gate = DatabaseGate(1, 0.01)
    free = threading.Event()
    before = refusals_at_the_gate()
    async with flushing(gate), asyncio.timeout(10):
        call = asyncio.create_task(gate.in_thread(free.wait))
        while refusals_at_the_gate() < before + 3:
            assert await orm(rows) == []
        free.set()
        await call
        while not await orm(rows):
            pass
    await gate.close()
    assert [row["calls"] for row in await orm(rows)] == [1]


async def test_a_locked_table_keeps_no_worker_from_ending(orm: Orm) -> None:
    count(recorder, 7)
    gate = DatabaseGate(1, 1.0)
    with another_session("LOCK TABLE call_statistics"):
        async with asyncio.timeout(10):
            async with flushing(gate):
                pass
            await gate.close()
    assert [value.calls for value in recorder.take().values()] == [7]
