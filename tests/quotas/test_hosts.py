"""Quotas over real servers that share a database, and over a restart."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.caller import Caller
from tests.support.processes import eventually
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
WRITES = 30


@pytest.fixture
def servers(database: Database, tmp_path: Path) -> Iterator[list[ServerProcess]]:
    servers = [ServerProcess(database, tmp_path / f"{name}.log", QUOTA_WRITES=WRITES) for name in ("one", "two")]
    yield servers
    for server in servers:
        server.close()


async def until_refused(caller: Caller) -> dict[str, Any]:
    """Write until the server refuses. Returns the refusal."""
    async with asyncio.timeout(60):
        while True:
            answer = await caller.call("http", "add_task", title="Milk")
            if answer["status"] == "error":
                return answer
            await asyncio.sleep(0.1)


async def test_hosts_share_a_quota_and_a_restart_forgets_nothing(
    servers: list[ServerProcess], database: Database
) -> None:
    user_id, token = database.new_user()
    one, two = servers
    async with one.client() as first, two.client() as second:
        refusals = await asyncio.gather(*(until_refused(Caller(http, token)) for http in (first, second)))
    assert [answer["data"]["error"] for answer in refusals] == ["quota_exceeded"] * 2
    ((written,),) = database.query("SELECT count(*) FROM tasks WHERE user_id = %s", user_id)
    assert WRITES <= written <= WRITES + 2 * 40, "each host writes for at most about a second too long"
    one.close()

    def all_are_stored() -> bool:  # the other server stores its last writes within a second
        return database.query("SELECT writes FROM user_usage WHERE user_id = %s", user_id) == [(written,)]

    eventually(all_are_stored, "the writes of both servers")
    one.restart()
    async with one.client() as first:
        answer = await until_refused(Caller(first, token))
    assert answer["data"]["quota"] == "writes"
    ((again,),) = database.query("SELECT count(*) FROM tasks WHERE user_id = %s", user_id)
    assert again - written <= 40
