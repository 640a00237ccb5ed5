"""The wall through PgBouncer in transaction mode: users share one session of PostgreSQL and never mix."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from tests.support.caller import Caller
from tests.support.pooler import Pooler, needs_pgbouncer
from tests.support.processes import scratch
from tests.support.server_process import Database, ServerProcess
from todo_mcp.postgres import wall

pytestmark = [pytest.mark.anyio, needs_pgbouncer]
USERS, CLIENTS_OF_EACH, ROUNDS = 4, 4, 12


@pytest.fixture
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with scratch() as directory:
        pooler = Pooler(directory, database.url, sessions=1)
        log = tmp_path_factory.mktemp("log") / "server.log"
        server = ServerProcess(database, log, DATABASE_URL=pooler.url, DATABASE_POOLER="transaction")
        yield server
        server.close()
        pooler.stop()


async def test_16_clients_of_4_users_see_exactly_their_own_rows(server: ServerProcess, database: Database) -> None:
    async with server.client() as http:
        assert (await http.get("/readyz")).text == "ready\n"
        users = [Caller(http, database.new_user()[1]) for _ in range(USERS)]
        clients = [(number, user) for number, user in enumerate(users) for _ in range(CLIENTS_OF_EACH)]
        await asyncio.gather(*(_use(user, number, client) for client, (number, user) in enumerate(clients)))
        for number, user in enumerate(users):
            answer = await user.mcp("list_tasks", limit=100)
            titles = sorted(task["title"] for task in answer["data"]["tasks"])
            kinds = ("plain", "with a key")
            expected = [
                f"User {number}, client {client}, {kind}, {turn}"
                for client, (of, _) in enumerate(clients)
                for kind in kinds
                for turn in range(ROUNDS)
                if of == number
            ]
            assert titles == sorted(expected)
    assert [line for line in server.log_lines() if line["level"] != "INFO" and "fsync" not in line["message"]] == []


async def _use(user: Caller, number: int, client: int) -> None:
    """Write by compiled statements, in transactions and by the ORM. Every read has all that was written before."""
    conversation = (await user.http.post("/api/conversations", json={}, headers=user.headers)).json()
    messages = f"/api/conversations/{conversation['id']}/messages"
    for turn in range(ROUNDS):
        name = f"User {number}, client {client}"
        for kind, key in (("plain", {}), ("with a key", {"idempotency_key": f"client-{client}-turn-{turn}"})):
            added = await user.mcp("add_task", title=f"{name}, {kind}, {turn}", **key)
            assert added["status"] == "success", added
        found = await user.mcp("list_tasks", query=f'"client {client}" plain', limit=100)
        assert len(found["data"]["tasks"]) == turn + 1, found
        await user.http.post(messages, json={"role": "user", "content": name}, headers=user.headers)
        stored = (await user.http.get(messages, headers=user.headers)).json()
        assert [message["content"] for message in stored["messages"]] == [name] * (turn + 1)


def test_the_answer_to_readiness_says_if_there_is_no_wall(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log = tmp_path_factory.mktemp("log") / "server.log"
    server = ServerProcess(database, log, ROW_LEVEL_SECURITY="off")
    with httpx2.Client(base_url=server.url) as http:
        answer = http.get("/readyz")
    server.close()
    assert (answer.status_code, answer.text) == (200, f"ready\n{wall.MISSING}\n")
    assert f"{wall.MISSING} ROW_LEVEL_SECURITY is off." in [line["message"] for line in server.log_lines()]
