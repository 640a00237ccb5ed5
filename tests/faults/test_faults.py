"""Each fault under writers: nothing acknowledged is lost, nothing is doubled, and what was refused is not there.

No answer is an error of the server, /readyz tells, and the log names the cause.
"""

import asyncio
import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.faults.broken_database import PLACES
from tests.faults.faults import FAULTS, NEEDS_ROOT, World
from tests.faults.ledger import writing
from tests.faults.proxy import Proxy
from tests.support.caller import Caller
from tests.support.processes import eventually
from tests.support.server_process import Database, ServerProcess

pytestmark = pytest.mark.anyio
SECONDS = 5.0  # until /readyz tells
ALL = os.environ.get("TODO_TEST_FAULTS") == "all"
# The tests of every run. The others take longer, or other tests show most of them.
QUICK = {
    "answers of postgresql are lost",
    "tls is refused",
    "all connection slots are taken",
    "the disk is full",
    "the database is read-only",
    "the address leads to another database",
}


@pytest.fixture(scope="module")
def world(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("faults")
    query = parse_qs(urlsplit(database.url).query)
    proxy = Proxy(directory, Path(query["host"][0], f".s.PGSQL.{query['port'][0]}"))
    log = directory / "server.log"
    server = ServerProcess(database, log, DATABASE_URL=proxy.url, DATABASE_CONNECTIONS=PLACES, LOG_LEVEL="INFO")
    yield World(database, proxy, server)
    server.close()
    proxy.close()


@pytest.mark.parametrize("name", [name for name in FAULTS if ALL or name in QUICK])
async def test_a_fault_loses_and_doubles_nothing_and_names_itself(world: World, name: str) -> None:
    if name in NEEDS_ROOT:
        pytest.skip("only root can mount a small disk")
    fault, (user_id, token) = FAULTS[name], world.database.new_user()
    before = len(world.server.log_lines())
    async with world.server.client() as client, writing(client, token) as writers:
        await writers.progress()
        with fault.begin(world):
            if fault.unready:
                await asyncio.to_thread(_becomes, world, 503)
            await writers.more_refusals()
            await asyncio.to_thread(_is_named, world, before, fault.causes.split())
            assert await _other_answers(client, token) == []
            if fault.lists:
                await writers.more_lists()
        await asyncio.to_thread(_becomes, world, 200)
        await writers.progress()
    assert writers.ledger.complaints(world.database, user_id) == []
    assert not writers.ledger.unanswered
    if not fault.doubts:
        assert not writers.ledger.doubtful and not writers.ledger.maybe_completed
    lines = world.server.log_lines()[before:]
    assert not [line for line in lines if line["message"] == "defect"]


@pytest.mark.skipif("the disk is full" in NEEDS_ROOT, reason="only root can mount a small disk")
async def test_while_the_disk_is_full_the_server_is_not_ready_even_if_nobody_writes(world: World) -> None:
    _, token = world.database.new_user()
    async with world.server.client() as client:
        with FAULTS["the disk is full"].begin(world):
            async with writing(client, token) as writers:
                await writers.more_refusals()
            for _ in range(7):
                assert world.server.probe("/readyz") == 503
                await asyncio.sleep(1)
        await asyncio.to_thread(_becomes, world, 200)


async def _other_answers(client: httpx2.AsyncClient, token: str) -> list[tuple[str, int]]:
    """Pages, OAuth, REST and MCP messages that are no calls: those that answer with an error other than 503."""
    headers = {"Authorization": f"Bearer {token}"}
    page = await client.get("/admin/login/")
    form = {"username": "nobody", "password": "wrong", "csrfmiddlewaretoken": client.cookies.get("csrftoken", "")}
    registration = {"redirect_uris": ["https://client.example.com/callback"], "client_name": "Client"}
    code = {"grant_type": "authorization_code", "code": "x", "client_id": "x", "code_verifier": "x" * 43}
    answers = {
        "sign-in page": page,
        "sign-in": await client.post("/admin/login/", data=form),
        "register": await client.post("/oauth/register", json=registration),
        "token": await client.post("/oauth/token", data=code),
        "reset": await client.post("/oauth/password", data={"email": "a@example.com"}),
        "start": await client.post("/api/conversations", json={}, headers=headers),
        "conversations": await client.get("/api/conversations", headers=headers),
        "nothing": await client.get("/api/nothing", headers=headers),
        "metadata": await client.get("/.well-known/oauth-authorization-server"),
        "tools": await Caller(client, token).rpc("tools/list", {}),
    }
    return [
        (name, answer.status_code)
        for name, answer in answers.items()
        if answer.status_code >= 500 and answer.status_code != 503
    ]


def _is_named(world: World, before: int, causes: Collection[str]) -> None:
    def named() -> bool:
        return not causes or any(line.get("cause") in causes for line in world.server.log_lines()[before:])

    eventually(named, f"the log to name one of {causes}", within=SECONDS * 3)


def _becomes(world: World, status: int) -> None:
    started = time.monotonic()
    eventually(lambda: world.server.probe("/readyz") == status, f"/readyz to answer {status}", within=SECONDS * 3)
    assert time.monotonic() - started < SECONDS
