"""LOG_LEVEL=debug shows the statements of a call, the gate and the retries; never a value, a text or a token."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.broken_database import DOORS
from tests.support.caller import Caller
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
SECRET = "kqzxj"  # in every text of a task


@pytest.fixture(scope="module")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server with one place at the gate."""
    log: Path = tmp_path_factory.mktemp("log") / "debug.log"
    server = ServerProcess(database, log, DATABASE_CONNECTIONS=1, LOG_LEVEL=" Debug ")
    yield server
    server.close()


def lines(server: ServerProcess, message: str, level: str = "DEBUG") -> list[dict[str, object]]:
    return [line for line in server.log_lines() if (line["message"], line["level"]) == (message, level)]


@pytest.mark.parametrize("door", DOORS)
async def test_each_statement_of_a_call_is_logged_under_its_request(
    server: ServerProcess, caller: Caller, door: str
) -> None:
    added = await caller.call(door, "add_task", title=f"{SECRET} title", description=f"{SECRET} description")
    task_id = added["data"]["task_id"]
    await caller.call(door, "list_tasks", status="pending")
    await caller.call(door, "update_task", task_id=task_id, title=f"{SECRET} again")
    await caller.call(door, "delete_task", task_id=task_id)
    for tool, verb in (("add_task", "INSERT"), ("list_tasks", "SELECT"), ("update_task", "UPDATE")):
        request_id = [line["request_id"] for line in lines(server, "call", "INFO") if line["tool"] == tool][-1]
        statements = [line for line in lines(server, "statement") if line["request_id"] == request_id]
        assert any(str(line["sql"]).startswith(verb) and "%s" in str(line["sql"]) for line in statements)
        assert all(isinstance(line["milliseconds"], float) for line in statements)


async def test_the_gate_logs_how_long_work_waited_and_what_it_refused(server: ServerProcess, caller: Caller) -> None:
    await asyncio.gather(*(caller.call("http", "add_task", title=f"nap {SECRET}") for _ in range(3)))
    waits = [line["waited_ms"] for line in lines(server, "the gate let work wait")]
    assert max(int(str(wait)) for wait in waits) >= 100
    assert lines(server, "the gate had a free place")
    sleeping = asyncio.create_task(caller.call("http", "add_task", title=f"sleep {SECRET}"))
    await asyncio.sleep(0.3)  # it has the only place now
    await caller.call("http", "list_tasks")
    await sleeping
    # The server's own work in the background may be refused too.
    [refused] = [line for line in lines(server, "the gate refused work") if line["request_id"]]
    assert int(str(refused["waited_ms"])) >= 900


async def test_a_retry_is_logged_with_its_reason(server: ServerProcess, caller: Caller, database: Database) -> None:
    database.query("ALTER SEQUENCE test_attempts RESTART")
    await caller.call("http", "add_task", title=f"conflict 2 {SECRET}")
    assert [(line["sqlstate"], line["attempt"]) for line in lines(server, "the transaction runs again")] == [
        ("40001", 1),
        ("40001", 2),
    ]
    assert any(line.get("sqlstate") == "40001" for line in lines(server, "statement"))


async def test_no_line_has_a_text_or_a_token(server: ServerProcess, caller: Caller) -> None:
    """The statements of the ORM too: those of a conversation, and of a session."""
    conversation = (await caller.http.post("/api/conversations", json={}, headers=caller.headers)).json()
    messages = f"/api/conversations/{conversation['id']}/messages"
    message = {"role": "user", "content": f"{SECRET} message"}
    assert (await caller.http.post(messages, json=message, headers=caller.headers)).status_code == 201
    await caller.http.get("/admin/", headers={"Cookie": f"sessionid={SECRET}{SECRET}"})
    await caller.call("http", "add_task", title=f"{SECRET} key", idempotency_key=f"{SECRET}-key")
    token = caller.headers["Authorization"].removeprefix("Bearer ")
    assert len(lines(server, "statement")) > 10
    assert SECRET not in server.log() and token not in server.log()
