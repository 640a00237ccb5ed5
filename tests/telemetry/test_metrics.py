"""/metrics of one process. tests/process/test_serve.py tests several workers."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import httpx2
import psycopg
import pytest
from django.db import connection
from prometheus_client.parser import text_string_to_metric_families

from tests.support.caller import DOORS, Caller
from tests.support.mcp_messages import MODERN
from todo_mcp.core.errors import Busy
from todo_mcp.postgres import gate as gate_module
from todo_mcp.postgres.connection import database_time
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.telemetry.metrics import exposition

pytestmark = pytest.mark.anyio

Sample = tuple[str, frozenset[tuple[str, str]]]


def key(name: str, **labels: str) -> Sample:
    return name, frozenset(labels.items())


async def read(http: httpx2.AsyncClient) -> "Counter[Sample]":
    """Every sample of /metrics."""
    return samples_of((await http.get("/metrics")).text)


def samples_of(text: str) -> "Counter[Sample]":
    families = text_string_to_metric_families(text)
    return Counter(
        {key(sample.name, **sample.labels): sample.value for family in families for sample in family.samples}
    )


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_is_timed_by_tool_revision_and_outcome(as_alice: Caller, door: str) -> None:
    before = await read(as_alice.http)
    await as_alice.call(door, "list_tasks")
    await as_alice.call(door, "delete_task", task_id=2**40)
    increase = await read(as_alice.http) - before
    labels = {"transport": "http", "revision": ""} if door == "http" else {"transport": "mcp", "revision": door}
    for tool, outcome in (("list_tasks", "success"), ("delete_task", "task_not_found")):
        assert increase[key("todo_call_seconds_count", tool=tool, outcome=outcome, **labels)] == 1
        assert increase[key("todo_calls_total", tool=tool, outcome=outcome, **labels)] == 1
        assert increase[key("todo_database_seconds_count", tool=tool)] == 1
        seconds = increase[key("todo_call_seconds_sum", tool=tool, outcome=outcome, **labels)]
        assert 0 < increase[key("todo_database_seconds_sum", tool=tool)] < seconds


async def test_a_page_and_a_request_of_the_chat_backend_are_timed_by_status(as_alice: Caller) -> None:
    before = await read(as_alice.http)
    await as_alice.http.get("/api/conversations", headers=as_alice.headers)
    await as_alice.http.get("/admin/login/")
    await as_alice.http.get("/no-such-page")
    increase = await read(as_alice.http) - before
    for kind, status in (("rest", "200"), ("page", "200"), ("page", "404")):
        assert increase[key("todo_page_seconds_count", kind=kind, status=status)] == 1


async def test_a_request_that_is_refused_is_counted_by_status(as_alice: Caller) -> None:
    before = await read(as_alice.http)
    await as_alice.http.post("/api/tools/list_tasks")
    increase = await read(as_alice.http) - before
    assert increase[key("todo_refused_requests_total", status="401")] == 1


async def test_only_work_that_waits_at_the_gate_is_timed_there(http: httpx2.AsyncClient) -> None:
    gate = DatabaseGate(1, 0.1)
    before = await read(http)
    running_work = asyncio.create_task(gate.in_thread(lambda: time.sleep(0.3)))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await gate.on_loop(lambda: None)
    await running_work
    await gate.on_loop(lambda: None)
    await gate.close()
    increase = await read(http) - before
    assert increase[key("todo_gate_wait_seconds_count")] == increase[key("todo_gate_refused_total")] == 1
    assert increase[key("todo_gate_wait_seconds_sum")] >= 0.1


def _sleep_in_postgresql() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.1)")
    time.sleep(0.1)
    return database_time.get().seconds


async def test_time_in_postgresql_is_measured_separately_on_the_loop_and_in_a_thread(committed: None) -> None:
    gate = DatabaseGate(1, 1)
    await gate.on_loop(lambda: connection.ensure_connection())  # the gate's connection, not the test's
    for run in (gate.on_loop, gate.in_thread):
        assert 0.1 <= await run(_sleep_in_postgresql) < 0.2
        assert await run(lambda: database_time.get().seconds) == 0, "each has its own stopwatch"
    await gate.close()


@pytest.mark.usefixtures("committed")
async def test_connections_are_counted_by_state_without_broken_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "COUNT_EVERY", 0.01)
    gate = DatabaseGate(3, 1)  # the only one: the application's gate would count into the same metric

    async def reaches(expected: list[float], function: Callable[[], object]) -> bool:
        """Whether the numbers of connections in use and idle become these while the function runs, or soon after."""
        work = asyncio.create_task(gate.in_thread(function))
        counts: list[float] = []
        async with asyncio.timeout(5):
            while counts != expected:
                await asyncio.sleep(0.02)
                samples = samples_of(exposition().decode())
                counts = [samples[key("todo_database_connections", state=name)] for name in ("in_use", "idle")]
        await asyncio.wait({work})
        work.exception()
        return counts == expected

    def sleep() -> None:
        connection.ensure_connection()
        time.sleep(0.5)

    def break_off() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        except Exception as error:
            assert isinstance(error.__cause__, psycopg.Error)

    assert await reaches([1, 0], sleep)
    assert await reaches([0, 1], lambda: None)
    assert await reaches([0, 0], break_off)
    assert samples_of(exposition().decode())[key("todo_database_connections_limit")] == 3
    await gate.close()


async def test_no_metric_has_a_label_that_a_caller_writes(as_alice: Caller) -> None:
    words = "wordsofatask"
    headers = {**as_alice.headers, "User-Agent": words, "X-Request-ID": words}
    await as_alice.http.post(f"/api/tools/{words}", json={words: words}, headers=headers)
    await as_alice.http.post("/api/tools/add_task", json={"title": words}, headers=headers)
    await as_alice.rpc("tools/call", {"name": words, "arguments": {}})
    await as_alice.rpc(words, {})
    await as_alice.rpc("tools/call", {"name": "list_tasks", "arguments": {}}, revision=f"{MODERN}-{words}")
    text = (await as_alice.http.get("/metrics")).text
    assert words not in text and "alice" not in text and as_alice.token not in text
