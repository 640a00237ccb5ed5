"""Workers tell each other how many calls each user made. Here each worker is an object in one process."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.processes import PATIENCE
from tests.support.statistics import another_session
from todo_mcp.auth import rate_exchange, rate_limit
from todo_mcp.auth.models import RateCount
from todo_mcp.auth.rate_exchange import OLD, OLD_RATE_COUNTS, Exchange, exchanging
from todo_mcp.auth.rate_limit import KEYS_MAX, MINUTE, CallCounts, check_rate
from todo_mcp.core.errors import RateLimited
from todo_mcp.postgres.gate import DatabaseGate

pytestmark = pytest.mark.anyio
LIMIT = 6


@pytest.fixture(autouse=True)
def limit(settings: Settings) -> None:
    settings.RATE_LIMIT = LIMIT


class Worker:
    """The counts of a worker, and what it tells and hears."""

    def __init__(self) -> None:
        self.counts = CallCounts()
        self.exchange = Exchange(self.counts)

    def call(self, user: str = "alice", times: int = 1) -> None:
        for _ in range(times):
            self.counts.add(CallCounts.key_of(user), limit=LIMIT)

    def wait(self, user: str = "alice") -> int | None:
        return self.counts.seconds_until_allowed(CallCounts.key_of(user), limit=LIMIT, seconds=MINUTE)


@pytest.fixture
def workers(committed: None) -> list[Worker]:
    return [Worker() for _ in range(3)]


def exchange(*workers: Worker) -> None:
    for worker in workers:
        worker.exchange.run()


def test_calls_through_all_workers_count_together(workers: list[Worker]) -> None:
    for worker in workers:
        worker.call(times=LIMIT // 3)
    assert [worker.wait() for worker in workers] == [None] * 3
    exchange(*workers, *workers)
    assert [worker.wait() for worker in workers] == [MINUTE] * 3
    assert [worker.wait("bob") for worker in workers] == [None] * 3


def test_a_call_that_is_told_often_counts_once(workers: list[Worker]) -> None:
    first, second, _ = workers
    first.call(times=LIMIT - 1)
    for _ in range(4):
        exchange(first, second)
    assert (first.wait(), second.wait()) == (None, None)
    first.call()
    exchange(first, second)
    assert (first.wait(), second.wait()) == (MINUTE, MINUTE)


def test_a_worker_that_was_idle_or_is_new_hears_the_last_minute(workers: list[Worker]) -> None:
    first, second, _ = workers
    exchange(second)
    first.call(times=LIMIT)
    exchange(first)
    assert second.exchange._heard_at is not None
    second.exchange._heard_at -= 3 * MINUTE
    new = Worker()
    exchange(second, new)
    assert (second.wait(), new.wait()) == (MINUTE, MINUTE)


@pytest.mark.parametrize("age", [20, 59, 61])
def test_the_time_to_wait_is_that_of_the_first_call_of_any_worker(workers: list[Worker], age: int) -> None:
    first, second, _ = workers
    first.call(times=LIMIT - 1)
    exchange(first)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE rate_counts SET at = at - make_interval(secs => %s)", [age])
    second.call(times=LIMIT - 1)
    exchange(second)
    assert second.wait() in ((None,) if age > MINUTE else (MINUTE - age, MINUTE - age + 1))


def test_earlier_calls_of_others_are_counted_in_the_order_of_time(workers: list[Worker]) -> None:
    second = workers[0]
    second.call(times=LIMIT)
    times = second.counts._times[CallCounts.key_of("alice"),]
    second.counts.hear([rate_limit.ToldCalls(1, 1, CallCounts.key_of("alice"), LIMIT, 30.0)], LIMIT)
    heard = second.counts._times[CallCounts.key_of("alice"),]
    assert list(heard) == sorted(times) and second.wait() == MINUTE


def test_one_exchange_is_one_statement_and_names_no_user(
    workers: list[Worker], django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(50):
        workers[0].call(f"user-{n}")
    with django_assert_num_queries(1):
        exchange(workers[0])
    assert RateCount.objects.count() == 50
    assert {type(value) for row in RateCount.objects.values_list("worker", "key", "calls") for value in row} == {int}


@pytest.mark.parametrize("user", ["", "a\0b", "\ud800", "x" * 5000, "ä", "me"])
def test_any_name_can_be_counted(workers: list[Worker], user: str) -> None:
    """A service may name a user that no table could hold."""
    first, second, _ = workers
    first.call(user, times=LIMIT)
    exchange(first, second)
    assert second.wait(user) == MINUTE


def test_rows_go_when_they_are_old(workers: list[Worker]) -> None:
    first, second, third = workers
    first.call()
    second.call()
    exchange(first, second)
    RateCount.objects.filter(worker=first.exchange._worker).update(at=RateCount.objects.latest("at").at - OLD)
    assert OLD_RATE_COUNTS.count() == 1
    exchange(third)
    assert list(RateCount.objects.values_list("worker", flat=True)) == [second.exchange._worker]
    RateCount.objects.update(at=RateCount.objects.get().at - OLD)
    assert list(OLD_RATE_COUNTS.run()) == [1]
    assert not RateCount.objects.exists()


def test_no_worker_waits_for_old_rows_that_another_removes(workers: list[Worker]) -> None:
    first, second, _ = workers
    first.call()
    exchange(first)
    RateCount.objects.update(at=RateCount.objects.get().at - OLD)
    with another_session("SELECT FROM rate_counts FOR UPDATE"):
        exchange(second)
    assert RateCount.objects.count() == 1


def test_the_table_is_unlogged(committed: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relpersistence FROM pg_class WHERE relname = 'rate_counts'")
        assert cursor.fetchone() == ("u",)


READ_ONLY = "SET default_transaction_read_only = on", "SET default_transaction_read_only = off"
NO_TABLE = "ALTER TABLE rate_counts RENAME TO gone", "ALTER TABLE gone RENAME TO rate_counts"


@pytest.mark.parametrize(("breaks", "repairs"), [READ_ONLY, NO_TABLE])
def test_a_worker_counts_alone_while_the_table_cannot_be_used(workers: list[Worker], breaks: str, repairs: str) -> None:
    first, second, _ = workers
    exchange(first, second)
    first.call(times=LIMIT - 1)
    with connection.cursor() as cursor:
        cursor.execute(breaks)
        try:
            for worker in (first, second):
                with pytest.raises(DatabaseError):
                    exchange(worker)
            first.call()
            second.call()
            assert (first.wait(), second.wait()) == (MINUTE, None)
        finally:
            cursor.execute(repairs)
    exchange(first, second)
    assert second.wait() == MINUTE


def test_what_could_not_be_told_takes_little_memory(workers: list[Worker]) -> None:
    first, *_ = workers
    for n in range(KEYS_MAX + 50):
        first.call(f"user-{n}")
    assert len(first.counts._untold) == KEYS_MAX
    first.exchange._failing_since = time.monotonic() - 2 * MINUTE
    with connection.cursor() as cursor:
        cursor.execute(READ_ONLY[0])
        with pytest.raises(DatabaseError):
            exchange(first)
        cursor.execute(READ_ONLY[1])
    assert not first.counts.take()


def test_workers_that_ended_are_forgotten(workers: list[Worker]) -> None:
    first, second, _ = workers
    first.call()
    exchange(first, second)
    worker, (last_round, at) = next(iter(second.counts._heard.items()))
    second.counts._heard[worker] = (last_round, at - 3 * MINUTE)
    exchange(second)
    assert not second.counts._heard


def test_a_user_who_keeps_calling_over_the_limit_is_not_forgotten() -> None:
    counts = CallCounts()
    for _ in range(LIMIT):
        counts.add(1, limit=LIMIT)
    for n in range(2, KEYS_MAX + 100):
        counts.add(n, limit=LIMIT)
        counts.seconds_until_allowed(1, limit=LIMIT, seconds=MINUTE)
    assert counts.seconds_until_allowed(1, limit=LIMIT, seconds=MINUTE)


# In the background


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times at which the background exchanged. A failure is repeated soon."""
    times: list[float] = []
    run = Exchange.run

    def recorded(self: Exchange) -> None:
        times.append(time.monotonic())
        run(self)

    monkeypatch.setattr(Exchange, "run", recorded)
    monkeypatch.setattr(rate_exchange, "EVERY", 0.05)
    monkeypatch.setattr(rate_exchange, "EVERY_ALONE", 0.05)
    return times


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not look():
            await asyncio.sleep(0.01)


async def test_nothing_is_sent_while_nobody_calls(committed: None, runs: list[float]) -> None:
    gate = DatabaseGate(1, 1.0)
    async with exchanging(gate):
        await asyncio.sleep(0.3)
        assert runs == []
        check_rate("alice")
        await until(lambda: runs)
        await asyncio.sleep(0.3)
        assert len(runs) == 1
    await gate.close()


async def test_calls_that_were_counted_before_are_told_too(committed: None, runs: list[float]) -> None:
    check_rate("alice")
    gate = DatabaseGate(1, 1.0)
    async with exchanging(gate):
        await until(lambda: runs)
    await gate.close()


async def test_a_call_from_a_thread_is_told_too(committed: None, runs: list[float], orm: Orm) -> None:
    gate = DatabaseGate(1, 1.0)
    async with exchanging(gate):
        thread = threading.Thread(target=check_rate, args=("alice",))
        thread.start()
        await until(lambda: runs)
        thread.join()
    await gate.close()
    assert await orm(RateCount.objects.count) == 1


async def test_the_log_says_once_that_a_worker_counts_alone_and_once_that_it_no_longer_does(
    orm: Orm, runs: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="todo_mcp.auth.rate_exchange")
    gate = DatabaseGate(2, 1.0)

    def levels() -> list[str]:
        return [record.levelname for record in caplog.records if record.name == "todo_mcp.auth.rate_exchange"]

    def run(sql: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql)

    await orm(lambda: run(NO_TABLE[0]))
    try:
        async with exchanging(gate):
            check_rate("alice")
            await until(lambda: len(runs) > 3)
            assert levels() == ["WARNING"]
            await orm(lambda: run(NO_TABLE[1]))
            await until(lambda: len(levels()) == 2)
            check_rate("alice")
            async with asyncio.timeout(PATIENCE):
                while await orm(RateCount.objects.count) < 2:
                    pass
    finally:
        await gate.close()
        await orm(lambda: run(NO_TABLE[1].replace("TABLE gone", "TABLE IF EXISTS gone")))
    assert levels() == ["WARNING", "INFO"]


async def test_the_application_exchanges(as_alice: Caller, orm: Orm) -> None:
    other = Worker()
    other.call("alice", times=LIMIT - 1)
    await orm(other.exchange.run)
    answer = await as_alice.post("list_tasks")
    async with asyncio.timeout(PATIENCE):
        while answer.status_code == 200:
            await asyncio.sleep(0.05)
            answer = await as_alice.post("list_tasks")
    assert answer.headers["retry-after"] == str(answer.json()["data"]["retry_after"])
    assert MINUTE - 10 <= int(answer.headers["retry-after"]) <= MINUTE
    with pytest.raises(RateLimited):
        check_rate("alice")
