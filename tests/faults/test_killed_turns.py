"""Kills server and database while clients write conversations.

Each turn is whole or absent; what the server confirmed is there.

TODO_TEST_KILLS=20 kills each of the two 20 times.
"""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.faults.chats import SHARED, Chats
from tests.faults.test_kills import KILLS
from tests.support.caller import Caller
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
WRITERS = 3  # of each kind


async def _write_meanwhile(
    server: ServerProcess, database: Database, trouble: Callable[[], Awaitable[None]]
) -> tuple[Chats, list[str]]:
    """Let clients write while the trouble happens. Returns them, and all that is wrong afterwards."""
    user_id, token = database.new_user()
    async with server.client() as client:
        chats = Chats(Caller(client, token))
        await chats.until_done("PUT", f"/{SHARED}", 201)
        async with asyncio.TaskGroup() as group:
            for n in range(WRITERS):
                group.create_task(chats.write(f"chat-{n}"))
                group.create_task(chats.write_once(f"writer-{n}"))
            for _ in range(KILLS):
                await chats.progress()
                await trouble()
            await chats.progress()
            chats.stopping = True
        repeated = await chats.repeat()
    return chats, chats.complaints(database, user_id) + [f"{name}: another answer" for name in repeated]


async def test_each_turn_is_whole_or_absent_when_the_server_is_killed(
    own_server: ServerProcess, database: Database
) -> None:
    async def kill() -> None:
        own_server.kill()
        await asyncio.to_thread(own_server.restart)

    chats, wrong = await _write_meanwhile(own_server, database, kill)
    assert wrong == []
    assert chats.unanswered, "the kills interrupt some calls"


async def test_each_turn_is_whole_or_absent_when_the_database_is_killed(
    server: ServerProcess, database: Database
) -> None:
    async def kill() -> None:
        database.kill()
        await asyncio.to_thread(database.start)

    chats, wrong = await _write_meanwhile(server, database, kill)
    assert wrong == []
    assert not chats.unanswered, "the server itself keeps running"
