"""A hundred thousand tasks of a thousand users: lists stay complete, and calls take no longer.

The times are printed (`pytest tests/e2e/test_many_tasks.py -s`), and compared within one run.
"""

import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.caller import Caller
from tests.support.processes import scratch
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
USERS, TASKS = 1000, 100_000
HEAVY = 2500  # tasks of the user whose pages are read
SAMPLES = 300

_FILL_USERS = """
INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
    SELECT 'many-' || n, '!', '', '', true, false, false, now() FROM generate_series(1, %(users)s) n
"""
_FILL_TASKS = """
INSERT INTO tasks (user_id, title, description, completed, completed_at, created_at, updated_at)
    SELECT 'many-' || n %% %(users)s + 1, 'Task ' || n, 'Some words about it', n %% 3 = 0,
        CASE WHEN n %% 3 = 0 THEN now() END, now() - n * interval '1 second', now()
    FROM generate_series(1, %(tasks)s) n
"""
_FILL_ONE = """
INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at)
    SELECT %(user)s, 'Task ' || n, '', false, now() - n / 3 * interval '1 second', now()  -- three at each moment
    FROM generate_series(1, %(tasks)s) n
"""


async def _pages(caller: Caller, after_each: Callable[[], Awaitable[None]]) -> list[int]:
    """The ids on all pages of the list, in order."""
    ids: list[int] = []
    page: dict[str, Any] = {"next_cursor": None}
    while True:
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
        page = (await caller.mcp("list_tasks", limit=100, **cursor))["data"]
        ids += [task["task_id"] for task in page["tasks"]]
        if not page["next_cursor"]:
            return ids
        await after_each()


async def test_pages_hold_every_task_once_while_another_client_adds_and_deletes(
    server: ServerProcess, database: Database
) -> None:
    user_id, token = database.new_user()
    with database.connect() as connection:
        connection.execute(_FILL_ONE, {"user": user_id, "tasks": HEAVY})
    rows = database.query("SELECT id FROM tasks WHERE user_id = %s ORDER BY created_at DESC, id DESC", user_id)
    before = [task_id for (task_id,) in rows]
    deleted_ids = before[::7]
    to_delete = iter(deleted_ids)
    async with server.client() as http:
        reader, writer = Caller(http, token), Caller(http, token)

        async def disturb() -> None:
            for _ in range(5):
                await writer.mcp("add_task", title="New")
                if (task_id := next(to_delete, None)) is not None:
                    await writer.mcp("delete_task", task_id=task_id)

        listed_ids = await _pages(reader, disturb)
    assert len(listed_ids) == len(set(listed_ids)), "no task is on two pages"
    remaining_ids = [task_id for task_id in before if task_id not in set(deleted_ids)]
    assert [task_id for task_id in listed_ids if task_id in set(remaining_ids)] == remaining_ids, (
        "every task that was not deleted is listed, in order"
    )


@pytest.fixture
def large(tmp_path: Path) -> Iterator[tuple[ServerProcess, Database]]:
    """A second server, whose database holds many tasks."""
    with scratch() as directory:
        database = Database(directory / "postgres")
        with database.connect() as connection:
            connection.execute(_FILL_USERS, {"users": USERS})
            connection.execute("ALTER TABLE tasks DISABLE TRIGGER USER")  # without history, ten times as fast
            connection.execute(_FILL_TASKS, {"users": USERS, "tasks": TASKS})
            connection.execute("ALTER TABLE tasks ENABLE TRIGGER USER")
            connection.execute("VACUUM ANALYZE")
        server = ServerProcess(database, tmp_path / "server.log", LOG_LEVEL="INFO")
        yield server, database
        server.close()
        database.stop()


async def test_calls_cost_the_same_with_a_hundred_thousand_tasks_as_with_a_hundred(
    server: ServerProcess, database: Database, large: tuple[ServerProcess, Database]
) -> None:
    """The two servers are called in turn, so that other load on the machine slows both down."""
    async with server.client() as http, large[0].client() as other_http:
        servers = [_TimedServer(http, database), _TimedServer(other_http, large[1])]
        for n in range(SAMPLES):
            for timed in servers:
                await timed.sample(n)
    few, many = (timed.times for timed in servers)
    for tool, times in few.items():
        print(f"\n{tool:14} 100 rows: {_percentiles(times)}   100,000 rows: {_percentiles(many[tool])}", end="")
        assert statistics.median(many[tool]) < 2 * statistics.median(times), tool


class _TimedServer:
    """A server, and how many milliseconds each call for a user with 100 tasks took."""

    def __init__(self, http: httpx2.AsyncClient, database: Database) -> None:
        user_id, token = database.new_user()
        with database.connect() as connection:
            connection.execute(_FILL_ONE, {"user": user_id, "tasks": 100})
            connection.execute("ANALYZE")
        self._caller = Caller(http, token)
        self.times: dict[str, list[float]] = {}

    async def sample(self, n: int) -> None:
        task_id = await self._timed("add_task", title=f"Sample {n}")
        await self._timed("list_tasks")
        await self._timed("complete_task", task_id=task_id)
        await self._timed("delete_task", task_id=task_id)  # so that the list is as long for each sample

    async def _timed(self, tool: str, **arguments: Any) -> int:
        started = time.perf_counter()
        envelope = await self._caller.mcp(tool, **arguments)
        self.times.setdefault(tool, []).append((time.perf_counter() - started) * 1000)
        assert envelope["status"] == "success"
        return int(envelope["data"].get("task_id", 0))


def _percentiles(times: list[float]) -> str:
    cut = statistics.quantiles(times, n=100)
    return f"p50 {cut[49]:6.2f}  p95 {cut[94]:6.2f}  p99 {cut[98]:6.2f} ms"
