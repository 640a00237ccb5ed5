"""Statements that PostgreSQL refuses, cancels or aborts, and the answers that callers get."""

import asyncio
import json
import time
from contextlib import closing

import pytest

from tests.faults.broken_database import DOORS
from tests.support.caller import Caller
from tests.support.processes import eventually
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
BUSY = {"error_code": 503, "error": "busy", "retry_after": 1}


async def test_a_call_that_waits_too_long_for_a_row_is_asked_to_retry_and_changes_nothing(
    caller: Caller, database: Database
) -> None:
    added = await caller.mcp("add_task", title="Buy milk")
    task_id = added["data"]["task_id"]
    with database.connect() as connection, connection.transaction():
        connection.execute("SELECT FROM tasks WHERE id = %s FOR UPDATE", [task_id])
        envelopes = await asyncio.gather(*(caller.call(door, "complete_task", task_id=task_id) for door in DOORS))
    assert [envelope["data"] for envelope in envelopes] == [BUSY] * len(DOORS)
    (task,) = (await caller.mcp("list_tasks"))["data"]["tasks"]
    assert (task["completed"], task["updated_at"]) == (False, task["created_at"])
    assert (await caller.mcp("complete_task", task_id=task_id))["status"] == "success"


async def test_a_token_lookup_that_times_out_is_not_repeated(caller: Caller, database: Database) -> None:
    """The lock timeout is 2 s. Every answer comes within 3 s."""
    with database.connect() as connection, connection.transaction():
        connection.execute("LOCK oauth2_provider_accesstoken")
        started = time.monotonic()
        envelope = await caller.mcp("list_tasks")
        seconds = time.monotonic() - started
    assert envelope["data"] == BUSY
    assert seconds < 4


async def test_a_statement_that_takes_too_long_is_cancelled_and_its_caller_asked_to_retry(caller: Caller) -> None:
    envelopes = await asyncio.gather(*(caller.call(door, "add_task", title="sleep well") for door in DOORS))
    assert [envelope["data"] for envelope in envelopes] == [BUSY] * len(DOORS)
    assert (await caller.mcp("list_tasks"))["data"]["total"] == 0


@pytest.mark.parametrize("door", DOORS)
async def test_a_transaction_that_conflicts_twice_succeeds_the_third_time(
    caller: Caller, database: Database, door: str
) -> None:
    database.query("ALTER SEQUENCE test_attempts RESTART")
    envelope = await caller.call(door, "add_task", title="conflict 2", idempotency_key="the only one")
    assert envelope["status"] == "success"
    assert (await caller.mcp("list_tasks"))["data"]["total"] == 1


async def test_a_transaction_that_conflicts_three_times_is_not_tried_again(caller: Caller, database: Database) -> None:
    database.query("ALTER SEQUENCE test_attempts RESTART")
    envelope = await caller.mcp("add_task", title="conflict 99")
    assert envelope["data"] == BUSY
    assert database.query("SELECT last_value FROM test_attempts") == [(3,)]
    assert (await caller.mcp("list_tasks"))["data"]["total"] == 0


async def test_the_victim_of_a_deadlock_is_tried_again(caller: Caller, database: Database) -> None:
    """The test holds lock 2 and wants lock 1; the server holds lock 1 and wants lock 2."""
    with closing(database.connect()) as connection, connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL deadlock_timeout = '60s'")  # so that PostgreSQL cancels the server's transaction
        connection.execute("SELECT pg_advisory_xact_lock(2)")
        call = asyncio.create_task(caller.mcp("add_task", title="lock both"))
        await asyncio.to_thread(eventually, lambda: database.waiting() == 1, "the server to wait for a lock")
        await asyncio.to_thread(connection.execute, "SELECT pg_advisory_xact_lock(1)")
    assert (await call)["status"] == "success"
    assert (await caller.mcp("list_tasks"))["data"]["total"] == 1
    ((deadlocks,),) = database.query("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert deadlocks >= 1


@pytest.mark.parametrize("door", DOORS)
async def test_a_defect_gives_the_caller_a_request_id_and_the_log_its_location(
    caller: Caller, server: ServerProcess, door: str
) -> None:
    envelope = await caller.call(door, "add_task", title="defect in Alice's secret", description="plan")
    request_id = envelope["data"].pop("request_id")
    assert envelope["data"] == {"error_code": 500, "error": "internal_error"}
    (defect,) = [line for line in server.log_lines(request_id) if line["message"] == "defect"]
    assert (defect["level"], defect["tool"], defect["sqlstate"]) == ("ERROR", "add_task", "XX001")
    assert any("services.py" in frame for frame in defect["frames"])
    assert "secret" not in json.dumps(envelope) + server.log()
    assert "Traceback" not in json.dumps(envelope) + server.log()
    assert (await caller.mcp("list_tasks"))["data"]["total"] == 0


@pytest.mark.parametrize("door", DOORS)
async def test_a_table_that_does_not_match_the_code_is_a_defect_and_not_a_busy_server(
    caller: Caller, database: Database, door: str
) -> None:
    database.query("ALTER TABLE tasks RENAME COLUMN description TO details")
    try:
        envelope = await caller.call(door, "list_tasks")
    finally:
        database.query("ALTER TABLE tasks RENAME COLUMN details TO description")
    assert envelope["data"]["error"] == "internal_error"
    assert (await caller.call(door, "list_tasks"))["status"] == "success"
