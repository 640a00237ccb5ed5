"""An issuer whose key set hangs delays those who need its keys, and nobody else."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.support.auth.issuers import Configure, KeyServer, jwk, key_server, signed, status
from tests.support.caller import Caller
from todo_mcp.auth.jwt import key_set

pytestmark = pytest.mark.anyio
CALLERS = 40  # ten times the places at the gate


@pytest.fixture
def published() -> Iterator[KeyServer]:
    with key_server() as server:
        yield server


@pytest.fixture
def hanging(configure: Configure, published: KeyServer, monkeypatch: pytest.MonkeyPatch) -> KeyServer:
    monkeypatch.setattr(key_set, "TIMEOUT", 1.0)
    configure(public_key="", jwks_url=published.url)
    published.slow = True
    return published


async def test_callers_who_wait_for_keys_hold_no_place_at_the_gate(as_alice: Caller, hanging: KeyServer) -> None:
    tokens = [signed(headers={"kid": f"unknown-{n}"}) for n in range(CALLERS)]
    waiting = [asyncio.create_task(status(as_alice.http, token)) for token in tokens]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    for path in ("list_tasks", "add_task"):
        assert (await as_alice.post(path, **({"title": "x"} if path == "add_task" else {}))).status_code == 200
    assert (await as_alice.http.get("/readyz")).status_code == 200
    took = time.monotonic() - began
    assert not any(task.done() for task in waiting) and took < 0.7
    assert {await task for task in waiting} == {503}
    assert hanging.asked == 1


async def test_conversations_wait_outside_the_gate_too(as_alice: Caller, hanging: KeyServer) -> None:
    bearer = {"Authorization": f"Bearer {signed(headers={'kid': 'unknown'})}"}
    waiting = [asyncio.create_task(as_alice.http.get("/api/conversations", headers=bearer)) for _ in range(CALLERS)]
    await asyncio.sleep(0.2)
    assert (await as_alice.http.get("/api/conversations", headers=as_alice.headers)).status_code == 200
    assert not any(task.done() for task in waiting)
    assert {(await task).status_code for task in waiting} == {503}
    assert hanging.asked == 1


async def test_a_known_key_serves_while_somebody_waits_for_an_unknown_one(
    as_alice: Caller, hanging: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging.slow, hanging.keys = False, [jwk(kid="1")]
    known = signed(headers={"kid": "1"})
    assert await status(as_alice.http, known) == 200
    hanging.slow = True
    monkeypatch.setattr(key_set, "PAUSE", 0.0)
    waiting = asyncio.create_task(status(as_alice.http, signed(headers={"kid": "2"})))
    await asyncio.sleep(0.2)
    assert await status(as_alice.http, known) == 200
    assert not waiting.done()
    assert await waiting == 401
    assert hanging.asked == 2


async def test_introspection_waits_outside_the_gate_too(as_alice: Caller, hanging: KeyServer) -> None:
    bearer = {"Authorization": f"Bearer {signed(headers={'kid': 'unknown'})}"}
    ask = [as_alice.http.post("/oauth/introspect", data={"token": "x"}, headers=bearer) for _ in range(CALLERS)]
    waiting = [asyncio.create_task(request) for request in ask]
    await asyncio.sleep(0.2)
    assert await status(as_alice.http, as_alice.token) == 200
    assert not any(task.done() for task in waiting)
    assert {(await task).status_code for task in waiting} == {503}
    assert hanging.asked == 1
