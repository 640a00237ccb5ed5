"""Issuers' key sets: keys rotate, key servers fail, and the answers of key servers are not trusted."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.auth.issuers import EC, OTHER_RSA, Configure, KeyServer, jwk, key_server, signed, status
from tests.support.caller import Caller
from tests.support.mcp_messages import MODERN
from todo_mcp.auth.jwt import key_set
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


@pytest.fixture
def issuer_keys() -> Iterator[KeyServer]:
    with key_server() as server:
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The number of seconds that the clock of key sets is ahead."""
    ahead = [0.0]

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + ahead[0]

    monkeypatch.setattr(key_set, "time", Clock)
    return ahead


async def test_keys_rotate_without_a_restart(
    http: httpx2.AsyncClient, alice: User, configure: Configure, issuer_keys: KeyServer, clock: list[float]
) -> None:
    configure(public_key="", jwks_url=issuer_keys.url)
    issuer_keys.keys = [jwk(kid="1")]
    first, second = signed(headers={"kid": "1"}), signed(key=OTHER_RSA, headers={"kid": "2"})
    assert [await status(http, first) for _ in range(3)] == [200] * 3 and issuer_keys.asked == 1
    assert await status(http, second) == 401
    issuer_keys.keys = [jwk(kid="1"), jwk(OTHER_RSA, kid="2")]
    clock[0] += key_set.PAUSE + 1
    assert await status(http, second) == 200
    issuer_keys.keys = [jwk(OTHER_RSA, kid="2")]
    clock[0] += key_set.FRESH + 1
    assert await status(http, first) == 401 and await status(http, second) == 200


async def test_unknown_key_ids_cause_no_further_fetches(
    http: httpx2.AsyncClient, alice: User, configure: Configure, issuer_keys: KeyServer
) -> None:
    configure(public_key="", jwks_url=issuer_keys.url)
    issuer_keys.keys = [jwk(kid="1")]
    for number in range(10):
        assert await status(http, signed(headers={"kid": f"invented-{number}"})) == 401
    assert issuer_keys.asked == 1


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "1"},
        jwk(kid="1", use="enc"),
        jwk(kid="1", alg="PS256"),
        jwk(kid="1", key_ops=["encrypt"]),
        jwk(EC, kid="1"),
        jwk(OTHER_RSA, kid="1"),
        {"kty": "RSA", "kid": "1"},
        {"kty": "RSA", "kid": "1", "n": "!", "e": 7},
    ],
    ids=lambda key: "-".join(str(key.get(name, "")) for name in ("kty", "use", "alg")),
)
async def test_a_key_for_another_purpose_or_algorithm_verifies_no_token(
    http: httpx2.AsyncClient, alice: User, configure: Configure, issuer_keys: KeyServer, key: dict[str, Any]
) -> None:
    configure(public_key="", jwks_url=issuer_keys.url)
    issuer_keys.keys = [key]
    assert await status(http, signed(headers={"kid": "1"})) == 401


@pytest.mark.parametrize(
    ("code", "body"),
    [(500, b""), (404, b"{}"), (302, b""), (200, b"no JSON"), (200, b"[]"), (200, b"{}"), (200, b"x" * 70_000)],
    ids=lambda value: str(value)[:12],
)
async def test_without_keys_every_call_gets_503(
    http: httpx2.AsyncClient, alice: User, configure: Configure, issuer_keys: KeyServer, code: int, body: bytes
) -> None:
    configure(public_key="", jwks_url=issuer_keys.url)
    issuer_keys.status, issuer_keys.body = code, body
    caller = Caller(http, signed())
    rest = await caller.post("list_tasks")
    assert rest.status_code == 503 and rest.json()["data"]["error"] == "busy" and int(rest.headers["retry-after"]) > 0
    for method, params in (("tools/list", {}), ("tools/call", {"name": "list_tasks", "arguments": {}})):
        for revision in (MODERN, "2025-11-25"):
            assert (await caller.rpc(method, params, revision=revision)).status_code == 503
    assert issuer_keys.asked == 1  # the failure is remembered for a short time


async def test_keys_that_arrive_byte_by_byte_time_out(
    http: httpx2.AsyncClient,
    alice: User,
    configure: Configure,
    issuer_keys: KeyServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(key_set, "TIMEOUT", 0.3)
    configure(public_key="", jwks_url=issuer_keys.url)
    issuer_keys.slow = True
    started = time.monotonic()
    assert await status(http, signed()) == 503
    assert time.monotonic() - started < 3


async def test_known_keys_work_for_an_hour_while_their_server_fails(
    http: httpx2.AsyncClient, alice: User, configure: Configure, issuer_keys: KeyServer, clock: list[float]
) -> None:
    configure(public_key="", jwks_url=issuer_keys.url)
    issuer_keys.keys = [jwk()]
    assert await status(http, signed()) == 200
    issuer_keys.status = 500
    clock[0] += key_set.FRESH + 1
    assert await status(http, signed()) == 200
    clock[0] += key_set.STALE
    assert await status(http, signed()) == 503
    issuer_keys.status = 200
    clock[0] += key_set.PAUSE + 1
    assert await status(http, signed()) == 200
