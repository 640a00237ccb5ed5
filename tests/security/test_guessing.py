"""Guessing of passwords and secrets: it costs other users nothing, and it gets slower with each attempt."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, transaction
from oauth2_provider.models import Application

from tests.support.application import Orm
from tests.support.auth.oauth_client import PASSWORD, Browser, register
from tests.support.caller import Caller
from tests.support.server_process import Database, ServerProcess
from todo_mcp import asgi
from todo_mcp.auth import rate_limit
from todo_mcp.auth.account import attempts, hashers, slots
from todo_mcp.auth.account.hashers import RANDOM, PasswordHasher, RandomSecretHasher
from todo_mcp.auth.account.slots import RequestSource, request_source
from todo_mcp.auth.oauth import clients
from todo_mcp.auth.oauth import limits as oauth_limits
from todo_mcp.auth.rate_limit import Attempts, Counts, count_attempt_from_address, network_of, site_of
from todo_mcp.core.errors import Busy, TooManyAttempts
from todo_mcp.postgres import gate
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.postgres.greenlets import outside_the_gate
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
SIGN_IN, ADMIN = "/oauth/sign-in", "/admin/login/"
SignIn = Callable[..., Awaitable[httpx2.Response]]


# Where the hash is computed


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


class SlowWork:
    """Work that needs no database and lasts until a test lets it end."""

    def __init__(self) -> None:
        self.started, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.started.set()
        self.may_end.wait(10)


async def test_slow_work_leaves_its_place_and_its_connection_to_others(committed: None) -> None:
    gate, slow_work = DatabaseGate(1, 0.05), SlowWork()

    def work() -> int:
        first = backend()
        outside_the_gate(slow_work)
        assert backend() == first
        return first

    task = asyncio.create_task(gate.in_thread(work))
    await asyncio.to_thread(slow_work.started.wait, 10)
    others = {await gate.on_loop(backend), await gate.in_thread(backend)}
    slow_work.may_end.set()
    assert others == {await task}, "one connection serves all"
    await gate.close()


async def test_slow_work_in_a_transaction_keeps_its_place(committed: None) -> None:
    gate, slow_work = DatabaseGate(1, 0.05), SlowWork()

    def work() -> None:
        with transaction.atomic():
            outside_the_gate(slow_work)

    task = asyncio.create_task(gate.in_thread(work))
    await asyncio.to_thread(slow_work.started.wait, 10)
    with pytest.raises(Busy):
        await gate.in_thread(backend)
    slow_work.may_end.set()
    await task
    await gate.close()


async def test_slow_work_gives_its_place_back_once_if_its_caller_disconnects(committed: None) -> None:
    gate, slow_work = DatabaseGate(2, 0.05), SlowWork()
    task = asyncio.create_task(gate.in_thread(lambda: outside_the_gate(slow_work)))
    await asyncio.to_thread(slow_work.started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow_work.may_end.set()
    for _ in range(50):
        await asyncio.gather(gate.in_thread(backend), gate.on_loop(backend))
    assert gate._places._free == 2
    await gate.close()


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each hash, how many were computed at the same time. A hash takes a tenth of a second here."""
    running, running_counts = 0, []

    def slow(self: PasswordHasher, *arguments: object) -> str:
        nonlocal running
        with hashers._hash_lock:
            running += 1
            running_counts.append(running)
            time.sleep(0.1)
            running -= 1
        return "hash"

    monkeypatch.setattr(PasswordHasher, "_encode_in_turn", slow)
    return running_counts


def hash_at_once(*sources: RequestSource) -> dict[RequestSource, Counter[str]]:
    """Hash a password for each source in a thread, and count the hashes and the refusals of each source."""
    results: dict[RequestSource, Counter[str]] = {source: Counter() for source in sources}

    def hash_for(source: RequestSource) -> None:
        request_source.set(source)
        try:
            results[source][PasswordHasher().encode("x", "y")] += 1
        except TooManyAttempts as error:
            assert error.details["retry_after"] == 1
            results[source]["429"] += 1

    threads = [threading.Thread(target=hash_for, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


async def test_closing_the_gate_does_not_wait_for_work_outside_it(committed: None) -> None:
    gate, slow_work = DatabaseGate(1, 0.05), SlowWork()
    task = asyncio.create_task(gate.in_thread(lambda: outside_the_gate(slow_work)))
    await asyncio.to_thread(slow_work.started.wait, 10)
    closing = asyncio.create_task(gate.close())
    await asyncio.sleep(0.1)
    slow_work.may_end.set()
    began = time.monotonic()
    with pytest.raises(Busy):
        await task
    await closing
    assert time.monotonic() - began < 2


async def test_work_that_gets_no_place_again_cannot_use_the_database(committed: None) -> None:
    gate, slow_work = DatabaseGate(1, 0.05), SlowWork()

    def work() -> int:
        try:
            outside_the_gate(slow_work)
        except Busy:
            return backend()
        raise AssertionError("expected Busy, because another task has the place")

    task = asyncio.create_task(gate.in_thread(work, patience=0.3))
    await asyncio.to_thread(slow_work.started.wait, 10)
    other_work = SlowWork()
    other_task = asyncio.create_task(gate.in_thread(other_work))
    await asyncio.to_thread(other_work.started.wait, 10)
    slow_work.may_end.set()
    with pytest.raises(Busy):
        await task
    other_work.may_end.set()
    await other_task
    assert await gate.in_thread(backend)
    await gate.close()


def test_the_gate_has_a_thread_for_all_work_outside_it() -> None:
    outside_max = hashers.QUEUE_MAX + attempts.SLOWED_MAX + 2 * slots.RESERVED_SLOTS + clients.FETCHES_MAX
    assert outside_max <= gate.OUTSIDE_MAX


def test_only_a_few_hashes_wait_and_one_is_computed_at_a_time(hashing: list[int]) -> None:
    strangers = [RequestSource(f"site {n}", is_known=False) for n in range(20)]
    results = sum(hash_at_once(*strangers).values(), Counter[str]())
    assert results == {"hash": hashers.QUEUE_MAX, "429": 20 - hashers.QUEUE_MAX}
    assert set(hashing) == {1}


def test_one_site_cannot_fill_the_queue(hashing: list[int]) -> None:
    busy_site, other_site = RequestSource("many", is_known=False), RequestSource("other", is_known=False)
    results = hash_at_once(*[busy_site] * 20, other_site)
    assert results[busy_site] == {"hash": hashers.PER_SITE_MAX, "429": 20 - hashers.PER_SITE_MAX}
    assert results[other_site] == {"hash": 1}


def test_a_source_of_an_earlier_sign_in_does_not_queue_behind_strangers(hashing: list[int]) -> None:
    strangers = [RequestSource(f"site {n}", is_known=False) for n in range(20)]
    known_source = RequestSource("home", is_known=True)
    assert hash_at_once(*strangers, known_source)[known_source] == {"hash": 1}


def test_a_generated_secret_is_checked_with_one_fast_hash() -> None:
    encoded = make_password("a secret", hasher=RANDOM)
    assert encoded != make_password("a secret", hasher=RANDOM), "each hash has its own salt"
    assert "a secret" not in encoded
    assert check_password("a secret", encoded) and not check_password("A secret", encoded)
    began = time.process_time()
    for _ in range(1000):
        RandomSecretHasher().verify("a secret", encoded)
    assert time.process_time() - began < 1


async def test_the_secret_of_a_client_is_stored_with_the_fast_hash(http: httpx2.AsyncClient, orm: Orm) -> None:
    registration = (await register(http, token_endpoint_auth_method="client_secret_basic")).json()
    encoded = await orm(lambda: Application.objects.get(client_id=registration["client_id"]).client_secret)
    assert encoded.startswith(f"{RANDOM}$")
    for secret, active in ((registration["client_secret"], True), ("wrong", False)):
        auth = (registration["client_id"], secret)
        answer = await http.post("/oauth/introspect", data={"token": "x"}, auth=auth)
        assert (answer.status_code == 200) is active


async def test_tool_calls_succeed_while_32_strangers_guess(database: Database, tmp_path: Any) -> None:
    _, token = database.new_user()
    server = ServerProcess(database, tmp_path / "log", DATABASE_CONNECTIONS=4)
    limits = httpx2.Limits(max_connections=None)
    try:
        async with httpx2.AsyncClient(base_url=server.url, timeout=60, limits=limits) as http:
            guessing = [asyncio.create_task(_guess(http, f"nobody-{n}")) for n in range(32)]
            await asyncio.sleep(0.3)
            caller, answers = Caller(http, token), []
            while not all(task.done() for task in guessing):
                answers.append((await caller.post("list_tasks")).status_code)
                answers.append((await http.get("/readyz")).status_code)
            guess_counts = Counter(await asyncio.gather(*guessing))
    finally:
        server.close()
    assert Counter(answers) == {200: len(answers)} and len(answers) > 5
    assert guess_counts[200] >= 1 and guess_counts[429] >= 1 and set(guess_counts) == {200, 429}
    assert not [line for line in server.log_lines() if line["level"] == "ERROR"]


async def _guess(http: httpx2.AsyncClient, name: str) -> int:
    page = await http.get(SIGN_IN)
    cookie = page.cookies["csrftoken"]
    form = {"username": name, "password": "wrong", "csrfmiddlewaretoken": cookie}
    return (await http.post(SIGN_IN, data=form, headers={"Cookie": f"csrftoken={cookie}"})).status_code


# How many attempts are allowed


@pytest.fixture
async def sign_in(committed: None, anyio_backend: str, orm: Orm) -> AsyncIterator[SignIn]:
    """Sign in from an address with a new browser."""
    await orm(lambda: User.objects.create_superuser("alice", PASSWORD))
    app = asgi.Lifespan()

    async def sign_in(address: str, name: str, password: str = PASSWORD, page: str = SIGN_IN) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app, client=(address, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:5000") as http:
            browser = Browser(http)
            action = ADMIN if page == ADMIN else ""
            return await browser.submit(await browser.get(page), action, username=name, password=password)

    async with app.running():
        yield sign_in


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_turns", attempts.Turns())
    monkeypatch.setattr(attempts, "TURN_SECONDS", 0.2)


async def guess_from_everywhere(sign_in: SignIn, name: str, count: int = attempts.NAME_MAX) -> None:
    for n in range(count):
        assert (await sign_in(f"192.0.2.{n}", name, "wrong")).status_code == 200


@pytest.mark.parametrize("page", [SIGN_IN, ADMIN])
async def test_wrong_passwords_from_one_address_are_limited_whatever_the_names(sign_in: SignIn, page: str) -> None:
    for n in range(attempts.ADDRESS_MAX):
        assert (await sign_in("192.0.2.1", f"name-{n}", "wrong", page)).status_code == 200
    refusal = await sign_in("192.0.2.1", "alice", PASSWORD, page)
    assert refusal.status_code == 429
    assert 0 < int(refusal.headers["retry-after"]) <= attempts.ADDRESS_SECONDS
    assert "Too many attempts" in refusal.text
    assert (await sign_in("192.0.2.2", "alice", PASSWORD, page)).status_code == 302


async def test_the_addresses_of_one_ipv6_network_count_as_one(sign_in: SignIn) -> None:
    for n in range(5):
        await sign_in(f"2001:db8:1:2::{n}", "alice", "wrong")
    locked = await sign_in("2001:db8:1:2:aaaa:bbbb:cccc:dddd", "alice")
    assert locked.status_code == 429 and "locked" in locked.text
    assert (await sign_in("2001:db8:1:3::1", "alice")).status_code == 302


async def test_a_name_that_is_locked_for_an_address_causes_no_more_rows_and_waits_for_no_turn(
    sign_in: SignIn, orm: Orm, quick: None
) -> None:
    await guess_from_everywhere(sign_in, "alice")
    for _ in range(5):
        await sign_in("203.0.113.1", "alice", "wrong")

    def stored_attempts() -> list[tuple[int, ...]]:
        rows = AccessAttempt.objects.filter(ip_address="203.0.113.1").order_by("pk")
        return [(row.failures_since_start, len(row.get_data), len(row.post_data)) for row in rows]

    before = await orm(stored_attempts)
    began = time.monotonic()
    answers = [(await sign_in("203.0.113.1", "alice", "wrong")).status_code for _ in range(20)]
    assert answers == [429] * 20
    assert await orm(stored_attempts) == before
    assert time.monotonic() - began < 20 * attempts.TURN_SECONDS


async def test_a_name_that_is_guessed_from_many_addresses_is_slowed_and_its_owner_can_sign_in(
    sign_in: SignIn, quick: None
) -> None:
    await guess_from_everywhere(sign_in, "alice")
    began = time.monotonic()
    assert {(await sign_in(f"192.0.2.{n}", "alice", "wrong")).status_code for n in range(101, 105)} == {200}
    assert time.monotonic() - began > 2 * attempts.TURN_SECONDS
    assert (await sign_in("198.51.100.1", "alice")).status_code == 302, "from an address without an earlier sign-in"


async def test_an_address_from_which_the_owner_signed_in_is_not_slowed(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await sign_in("198.51.100.1", "alice")).status_code == 302
    await guess_from_everywhere(sign_in, "alice")

    def never(name: str) -> None:
        raise TooManyAttempts(2)

    monkeypatch.setattr(attempts, "_wait_for_turn", never)
    assert (await sign_in("192.0.2.200", "alice", "wrong")).status_code == 429
    assert (await sign_in("198.51.100.1", "alice")).status_code == 302


async def test_a_sign_in_that_would_wait_too_long_for_its_name_gets_429(sign_in: SignIn, quick: None) -> None:
    await guess_from_everywhere(sign_in, "alice")
    guesses = [sign_in(f"192.0.2.{n}", "alice", "wrong") for n in range(100, 100 + 3 * attempts.SLOWED_MAX)]
    statuses = Counter([answer.status_code for answer in await asyncio.gather(*guesses)])
    assert statuses[429] >= attempts.SLOWED_MAX and statuses[200] >= 1
    assert (await sign_in("198.51.100.1", "alice")).status_code == 302


@pytest.mark.parametrize("basic", [True, False])
async def test_wrong_secrets_of_a_client_are_limited_and_the_right_one_still_works(
    committed: None, basic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth_limits, "CLIENT_ADDRESS_MAX", 10**6)
    app = asgi.Lifespan()
    async with app.running():
        transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:5000") as http:
            client = (await register(http, token_endpoint_auth_method="client_secret_basic")).json()

            async def introspect(secret: str) -> int:
                form = {"token": "x"} | ({} if basic else {"client_id": client["client_id"], "client_secret": secret})
                auth = httpx2.BasicAuth(client["client_id"], secret) if basic else httpx2.USE_CLIENT_DEFAULT
                return (await http.post("/oauth/introspect", data=form, auth=auth)).status_code

            answers = [await introspect("wrong") for _ in range(oauth_limits.CLIENT_NAME_MAX + 5)]
            assert answers == [401] * oauth_limits.CLIENT_NAME_MAX + [429] * 5
            assert await introspect(client["client_secret"]) == 200


@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
async def test_a_malformed_basic_header_causes_no_server_error(http: httpx2.AsyncClient, path: str) -> None:
    for value in (b"Basic \xe9", b"Basic =", b"Basic", b"Basic " + b"A" * 8000, b"Basic OjpcMA==", b"basic \xff\xfe"):
        answer = await http.post(f"/oauth/{path}", data={"token": "x"}, headers=[(b"Authorization", value)])
        assert answer.status_code in (400, 401), value


@pytest.mark.parametrize("path", ["token", "revoke", "introspect"])
async def test_refusals_for_one_address_are_limited_at_the_endpoints_for_programs(
    http: httpx2.AsyncClient, path: str
) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x", "token": "x", "client_id": "x", "client_secret": "y"}
    answers = [await http.post(f"/oauth/{path}", data=form) for _ in range(oauth_limits.CLIENT_ADDRESS_MAX + 1)]
    assert {answer.status_code for answer in answers[:-1]} == {401}
    last = answers[-1]
    assert (last.status_code, last.json()["error"]) == (429, "temporarily_unavailable")
    assert 0 < int(last.headers["retry-after"]) <= 60


def test_addresses_are_counted_as_networks() -> None:
    networks = {network_of(address) for address in ("2001:db8::1", "2001:db8::ffff:1:2:3", "2001:db8:0:0:1::%eth0")}
    assert networks == {"2001:db8::"}
    assert network_of("::ffff:192.0.2.7") == network_of("192.0.2.7") == "192.0.2.7"
    assert site_of("2001:db8:1:2::1") == site_of("2001:db8:1:ffff::") == "2001:db8:1::"
    assert site_of("192.0.2.7") == site_of("192.0.2.200") == "192.0.2.0"
    assert network_of("") == network_of("unix:") == "0.0.0.0"


def test_counts_forget_the_least_recently_counted_key_and_stay_within_their_limits() -> None:
    counts = Counts(keys_max=3)
    for key in "abcad":
        counts.add(key, limit=2)
    waits = {key: counts.seconds_until_allowed(key, limit=1, seconds=60) for key in "abcd"}
    assert waits == {"a": 60, "b": None, "c": 60, "d": 60}
    for _ in range(100):
        counts.add("a", limit=2)
    assert len(counts._times["a",]) == 2


def test_filling_the_counts_of_one_purpose_does_not_empty_those_of_another() -> None:
    all_attempts = Attempts()
    all_attempts.add("password of", "alice", limit=1)
    for n in range(rate_limit.KEYS_MAX + 1):
        all_attempts.add("client", f"2001:db8:0:{n:x}::", limit=1)
    assert all_attempts.seconds_until_allowed("password of", "alice", limit=1, seconds=60) is not None
    assert all_attempts.seconds_until_allowed("client", "2001:db8:0:0::", limit=1, seconds=60) is None


def test_the_networks_of_one_site_share_a_limit() -> None:
    allowed = 2 * rate_limit.SITE_FACTOR
    waits = [count_attempt_from_address("x", f"2001:db8:1:{n:x}::1", limit=2) for n in range(allowed + 1)]
    assert waits[:-1] == [None] * allowed and waits[-1] is not None
    assert count_attempt_from_address("x", "2001:db8:2::1", limit=2) is None


def test_a_count_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, now = Counts(), time.monotonic()
    for _ in range(2):
        counts.add("a", limit=2)
    monkeypatch.setattr(time, "monotonic", lambda: now + 30)
    assert counts.seconds_until_allowed("a", limit=2, seconds=60) in (30, 31)
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert counts.seconds_until_allowed("a", limit=2, seconds=60) is None
