"""A real PgBouncer in transaction mode that DATABASE_POOLER does not announce: no call fails, and the log names it."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator

import httpx2
import psycopg
import pytest

from tests.support.caller import Caller
from tests.support.pooler import Pooler, needs_pgbouncer
from tests.support.processes import scratch
from tests.support.server_process import Database, ServerProcess, run_manage

pytestmark = [pytest.mark.anyio, needs_pgbouncer]
CALLERS = 24
OPERATOR, PASSWORD = "pooled-operator", "correct horse battery staple"
CREATE_OPERATOR = f"""
from todo_mcp.users.services import create_user
create_user(user_id={OPERATOR!r}, password={PASSWORD!r}, is_superuser=True)
"""
ISSUE_TOKENS = """
from todo_mcp.auth.tokens import issue_token
for _ in range(120):
    issue_token(user_id={user!r})
"""
PAGES = (
    "/admin/",
    "/admin/tasks/task/",
    "/admin/conversations/conversation/",
    "/admin/users/user/",
    f"/admin/users/user/{OPERATOR}/change/",  # its form reads the groups and permissions
    "/admin/oauth2_provider/accesstoken/",
    "/readyz",
)


@pytest.fixture(scope="module")
def pooler(database: Database) -> Iterator[Pooler]:
    with scratch() as directory:
        pooler = Pooler(directory, database.url, sessions=3)
        yield pooler
        pooler.stop()


@pytest.fixture
def server(database: Database, pooler: Pooler, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    server = ServerProcess(database, log, DATABASE_URL=pooler.url, DATABASE_CONNECTIONS=16, LOG_LEVEL="INFO")
    yield server
    server.close()


async def test_of_400_calls_at_once_none_fails_and_each_is_done_once(
    http: httpx2.AsyncClient, server: ServerProcess, database: Database
) -> None:
    """Reads, writes, transactions of several statements, and conversations, for several users."""
    callers = [Caller(http, database.new_user()[1]) for _ in range(8)]
    kinds = (_list, _add, _add_with_key, _add_and_complete, _append)
    room = asyncio.Semaphore(CALLERS)

    async def call(number: int) -> None:
        async with room:
            await kinds[number % len(kinds)](callers[number % len(callers)], number)

    await asyncio.gather(*(call(number) for number in range(400)))
    at_start, warning = [line for line in server.log_lines() if line["level"] != "INFO"]
    assert "fsync" in at_start["message"]  # the tests run PostgreSQL without it
    assert (warning["level"], warning["sqlstate"]) == ("WARNING", "26000")
    assert "DATABASE_POOLER is none" in warning["message"] and "DATABASE_POOLER=transaction" in warning["message"]
    titles = Counter(title for (title,) in database.query("SELECT title FROM tasks WHERE title LIKE 'pooled %%'"))
    assert titles == {f"pooled {number}": 1 for number in range(400) if kinds[number % 5] not in (_list, _append)}
    texts = Counter(text for (text,) in database.query("SELECT content FROM messages WHERE content LIKE 'pooled %%'"))
    assert texts == {f"pooled {number}": 1 for number in range(400) if kinds[number % 5] is _append}


async def _list(caller: Caller, number: int) -> None:
    await _succeed(caller, "list_tasks")


async def _add(caller: Caller, number: int) -> None:
    await _succeed(caller, "add_task", title=f"pooled {number}")


async def _add_with_key(caller: Caller, number: int) -> None:
    await _succeed(caller, "add_task", title=f"pooled {number}", idempotency_key=f"pooled-{number}")


async def _add_and_complete(caller: Caller, number: int) -> None:
    added = await caller.mcp("add_task", title=f"pooled {number}")
    await _succeed(caller, "complete_task", task_id=added["data"]["task_id"])


async def _append(caller: Caller, number: int) -> None:
    conversation = await caller.http.post("/api/conversations", json={}, headers=caller.headers)
    assert conversation.status_code == 201, conversation.text
    turn = await caller.http.post(
        f"/api/conversations/{conversation.json()['id']}/messages",
        json={"role": "user", "content": f"pooled {number}"},
        headers={**caller.headers, "Idempotency-Key": f"pooled-{number}"},
    )
    assert turn.status_code == 201, turn.text


async def _succeed(caller: Caller, tool: str, **arguments: object) -> None:
    response = await caller.post(tool, **arguments)
    assert response.status_code == 200, response.text


async def test_pages_answer_while_calls_are_made(
    http: httpx2.AsyncClient, server: ServerProcess, database: Database
) -> None:
    database.manage("shell", "--no-imports", "-c", CREATE_OPERATOR)
    form = await http.get("/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
    assert token
    data = {"csrfmiddlewaretoken": token[1], "username": OPERATOR, "password": PASSWORD, "next": "/admin/"}
    answer = await http.post("/admin/login/", data=data, headers={"Referer": f"{server.url}/admin/login/"})
    assert answer.status_code == 302
    caller = Caller(http, database.new_user()[1])
    metadata = {"client_name": "pooled", "redirect_uris": ["http://localhost:1234/callback"]}

    async def look(path: str) -> None:
        page = await http.get(path)
        assert page.status_code == 200, (path, page.text)

    async def register() -> None:
        response = await http.post("/oauth/register", json=metadata)
        assert response.status_code == 201, response.text

    for _ in range(8):  # all pages together are less than a site's share of the places
        await asyncio.gather(
            *(look(path) for path in PAGES), *(_list(caller, number) for number in range(10)), register()
        )
    assert {line["level"] for line in server.log_lines()} <= {"INFO", "WARNING"}


async def test_commands_work_through_it(database: Database, pooler: Pooler) -> None:
    """A hundred tokens: `list_tokens` reads them from a cursor. Another client uses the sessions meanwhile."""
    user, _ = database.new_user()
    database.manage("shell", "--no-imports", "-c", ISSUE_TOKENS.format(user=user))
    environment = database.environment(DATABASE_URL=pooler.url)
    stopping = asyncio.Event()

    async def occupy() -> None:
        """Take sessions for short transactions, so that the command gets different ones."""
        async with await psycopg.AsyncConnection.connect(pooler.url) as connection:
            while not stopping.is_set():
                async with connection.transaction():
                    await connection.execute("SELECT 1", prepare=False)
                await asyncio.sleep(0.001)

    async def run(*command: str) -> str:
        return await asyncio.to_thread(run_manage, *command, environment=environment)

    others = [asyncio.create_task(occupy()) for _ in range(2)]
    try:
        assert (await run("list_tokens", "--user", user)).count("\n") >= 120
        envelope = json.loads(await run("call", "add_task", '{"title": "by a command"}', "--user", user))
        assert envelope["status"] == "success"
        assert "by a command" in await run("export_user", user)
        assert "Removed" in await run("purge")
        assert f"Erased user {user}" in await run("delete_user", user, "--yes")
    finally:
        stopping.set()
        await asyncio.gather(*others)
