"""The facts about calls and refusals that are counted, and those that are not."""

import json

import httpx2
import pytest

from tests.support.application import Orm
from tests.support.caller import DOORS, Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN, tool_call, tool_request
from tests.support.statistics import count, rows
from tests.support.tool_calls import send
from todo_mcp.auth.tokens import issue_token
from todo_mcp.statistics.flushing import flush
from todo_mcp.statistics.recorder import CLIENTS_MAX, KEYS_MAX, OTHER, Recorder
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_is_counted_with_its_tool_outcome_client_revision_and_transport(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    await as_alice.call(door, "add_task", title="Buy milk")
    await as_alice.call(door, "complete_task", task_id=999)
    await orm(flush)
    stored = await orm(rows)
    assert [(row["tool"], row["outcome"]) for row in stored] == [
        ("add_task", "success"),
        ("complete_task", "task_not_found"),
    ]
    for row in stored:
        assert row["calls"] == 1
        assert row["transport"] == ("http" if door == "http" else "mcp")
        assert row["revision"] == ("" if door == "http" else door)
        assert row["client"].startswith("python-httpx2" if door in ("http", *HANDSHAKE) else "pytest 1")
        assert 0 < row["milliseconds_max"] == row["milliseconds_total"] < 10_000
        assert len(row["slowest_request_id"]) == 32


@pytest.mark.parametrize("door", DOORS)
async def test_a_call_that_its_tool_refuses_is_counted_once(
    http: httpx2.AsyncClient, alice: User, orm: Orm, door: str
) -> None:
    reader = Caller(http, await orm(lambda: issue_token(user_id="alice", scopes=["tasks:read"])))
    await send(reader, door, "add_task", {"title": "Buy milk"})
    await send(reader, door, "list_tasks", {"limit": 0})
    await orm(flush)
    stored = [(row["tool"], row["outcome"], row["calls"]) for row in await orm(rows)]
    assert stored == [("add_task", "forbidden", 1), ("list_tasks", "invalid_arguments", 1)]


async def test_a_refused_request_is_counted_by_its_status_without_its_sender(
    http: httpx2.AsyncClient, as_alice: Caller, orm: Orm
) -> None:
    agent = {"User-Agent": "stranger"}
    await http.post("/api/tools/list_tasks", json={}, headers=agent)
    await http.post("/mcp", json={}, headers={**agent, "Authorization": "Bearer wrong"})
    await http.post("/api/tools/nothing", json={}, headers={**as_alice.headers, **agent})
    await orm(flush)
    stored = [(row["tool"], row["outcome"], row["transport"], row["client"], row["calls"]) for row in await orm(rows)]
    assert stored == [("", "401", "http", "", 1), ("", "401", "mcp", "", 1), ("", "404", "http", "", 1)]


def test_names_that_callers_choose_cannot_fill_memory_or_table() -> None:
    calls = Recorder()
    for n in range(CLIENTS_MAX + 500):
        count(calls, client=f"client {n}")
    counts = calls.take()
    assert len(counts) == CLIENTS_MAX + 1
    assert [value.calls for key, value in counts.items() if key.client == OTHER] == [500]
    for n in range(500):  # in the same hour a flush does not make room for more
        count(calls, client=f"another {n}")
    assert {key.client for key in calls.take()} == {OTHER}


def test_there_are_at_most_a_thousand_keys_between_flushes() -> None:
    calls = Recorder()
    for n in range(3 * KEYS_MAX):
        count(calls, client=f"client {n % 100}", outcome=f"outcome {n // 100}")
    counts = calls.take()
    assert len(counts) <= KEYS_MAX + 20  # and one for the other clients of each later outcome
    assert sum(value.calls for value in counts.values()) == 3 * KEYS_MAX


async def test_a_hostile_clients_name_is_stored_printable_and_short(as_alice: Caller, orm: Orm) -> None:
    name = "\x00evil\u202e\ud800\r\n\x1b[31m<script>" + "x" * 1000
    message = tool_request(MODERN, "list_tasks", {}, client=name)
    headers = as_alice.rpc_headers(MODERN, "tools/call", "list_tasks")
    response = await as_alice.http.post("/mcp", content=json.dumps(message), headers=headers)
    assert response.status_code == 200, response.text
    await orm(flush)
    (row,) = await orm(rows)
    assert row["client"].startswith("evil")
    assert row["client"].isprintable()
    assert len(row["client"]) == 100


async def test_an_unknown_revision_is_not_stored(as_alice: Caller, orm: Orm) -> None:
    for revision in ("2031-01-01", "x" * 500, "' OR 1=1"):
        headers = as_alice.rpc_headers(revision, "tools/call")
        await as_alice.http.post("/mcp", content=tool_call(HANDSHAKE[-1], "list_tasks", "{}"), headers=headers)
    await orm(flush)
    assert {row["revision"] for row in await orm(rows)} <= {""}


async def test_statistics_hold_no_text_and_no_token(as_alice: Caller, orm: Orm) -> None:
    secret = "Meet the informant"
    for door in DOORS:
        await send(as_alice, door, "add_task", {"title": secret, "idempotency_key": "secret-key-1"})
        await send(as_alice, door, "add_task", {"title": "", secret: secret})
        await send(as_alice, door, "add_task", {"user_id": secret, "title": secret})
        await as_alice.http.post("/mcp", content="{", headers=as_alice.rpc_headers(door, secret))
        await as_alice.http.get(f"/api/tools/{secret}?token={as_alice.token}", headers=as_alice.headers)
    await orm(flush)
    stored = str(await orm(rows))
    for hidden in ("informant", "secret", as_alice.token, "alice"):
        assert hidden not in stored
