"""An issuer whose key set hangs delays only the callers that need its keys."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.support.auth.issuers import Configure, KeyServer, jwk, key_server, signed, status
from tests.support.caller import Caller
from todo_mcp.auth.jwt import key_set

pytestmark = pytest.mark.anyio
CALLERS = 40  # ten times the number of places at the gate


@pytest.fixture
def issuer_keys() -> Iterator[KeyServer]:
    with key_server() as server:
        yield server


@pytest.fixture
def hanging_issuer(configure: Configure, issuer_keys: KeyServer, monkeypatch: pytest.MonkeyPatch) -> KeyServer:
    monkeypatch.setattr(key_set, "TIMEOUT", 1.0)
    configure(public_key="", jwks_url=issuer_keys.url)
    issuer_keys.slow = True
    return issuer_keys


async def test_callers_that_wait_for_keys_hold_no_place_at_the_gate(
    as_alice: Caller, hanging_issuer: KeyServer
) -> None:
    tokens = [signed(headers={"kid": f"unknown-{n}"}) for n in range(CALLERS)]
    tasks = [asyncio.create_task(status(as_alice.http, token)) for token in tokens]
    await asyncio.sleep(0.2)
    began = time.monotonic()
    for path in ("list_tasks", "add_task"):
        assert (await as_alice.post(path, **({"title": "x"} if path == "add_task" else {}))).status_code == 200
    assert (await as_alice.http.get("/readyz")).status_code == 200
    elapsed = time.monotonic() - began
    assert not any(task.done() for task in tasks) and elapsed < 0.7
    assert {await task for task in tasks} == {503}
    assert hanging_issuer.asked == 1


async def test_conversation_requests_wait_outside_the_gate_too(as_alice: Caller, hanging_issuer: KeyServer) -> None:
    bearer = {"Authorization": f"Bearer {signed(headers={'kid': 'unknown'})}"}
    tasks = [asyncio.create_task(as_alice.http.get("/api/conversations", headers=bearer)) for _ in range(CALLERS)]
    await asyncio.sleep(0.2)
    assert (await as_alice.http.get("/api/conversations", headers=as_alice.headers)).status_code == 200
    assert not any(task.done() for task in tasks)
    assert {(await task).status_code for task in tasks} == {503}
    assert hanging_issuer.asked == 1


async def test_a_known_key_works_while_another_caller_waits_for_an_unknown_one(
    as_alice: Caller, hanging_issuer: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging_issuer.slow, hanging_issuer.keys = False, [jwk(kid="1")]
    known_token = signed(headers={"kid": "1"})
    assert await status(as_alice.http, known_token) == 200
    hanging_issuer.slow = True
    monkeypatch.setattr(key_set, "PAUSE", 0.0)
    task = asyncio.create_task(status(as_alice.http, signed(headers={"kid": "2"})))
    await asyncio.sleep(0.2)
    assert await status(as_alice.http, known_token) == 200
    assert not task.done()
    assert await task == 401
    assert hanging_issuer.asked == 2


async def test_introspection_requests_wait_outside_the_gate_too(as_alice: Caller, hanging_issuer: KeyServer) -> None:
    bearer = {"Authorization": f"Bearer {signed(headers={'kid': 'unknown'})}"}
    requests = [as_alice.http.post("/oauth/introspect", data={"token": "x"}, headers=bearer) for _ in range(CALLERS)]
    tasks = [asyncio.create_task(request) for request in requests]
    await asyncio.sleep(0.2)
    assert await status(as_alice.http, as_alice.token) == 200
    assert not any(task.done() for task in tasks)
    assert {(await task).status_code for task in tasks} == {503}
    assert hanging_issuer.asked == 1
