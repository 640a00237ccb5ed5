"""The name that a client gives in ``initialize`` reaches the log and the history of its later calls."""

import json
import logging
from typing import Any

import pytest
from mcp.client.session import DEFAULT_CLIENT_INFO

from tasks.models import TaskEvent
from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.mcp_messages import HANDSHAKE, MODERN, opening, request, tool_call
from tests.transports.mcp.test_client import connected
from todo_mcp.calls.call import CLIENT_MAX
from todo_mcp.transports.mcp.client_names import client_named_in

pytestmark = pytest.mark.anyio
each_handshake = pytest.mark.parametrize("revision", HANDSHAKE)
SESSION = "Mcp-Session-Id"


async def session_id(caller: Caller, revision: str, client: str) -> str:
    """The session id in the answer to ``initialize``."""
    answer = await caller.rpc("initialize", opening(revision, client), revision=revision)
    assert answer.status_code == 200
    return answer.headers[SESSION]


async def add(caller: Caller, revision: str, **headers: str) -> None:
    headers = {**caller.rpc_headers(revision, "tools/call", "add_task"), **headers}
    content = tool_call(revision, "add_task", '{"title": "Buy milk"}')
    assert (await caller.http.post("/mcp", content=content, headers=headers)).status_code == 200


def last_client() -> str:
    """The name of the client in the history of the last change."""
    context: dict[str, Any] = TaskEvent.objects.latest("pgh_id").pgh_context
    return str(context["client"])


@each_handshake
async def test_the_name_of_initialize_reaches_the_log_and_the_history_of_each_call(
    as_alice: Caller, orm: Orm, caplog: pytest.LogCaptureFixture, revision: str
) -> None:
    caplog.set_level(logging.INFO, "todo_mcp.calls.perform")
    for name in ("claude-ai (via mcp-remote 0.15.1)", "Ω クライアント", "a~b.c/%20"):
        session = await session_id(as_alice, revision, name)
        for _ in range(2):  # the first call asks the SDK
            await add(as_alice, revision, **{SESSION: session, "User-Agent": "node"})
            assert await orm(last_client) == f"{name} 1"
            assert vars(caplog.records[-1])["client"] == f"{name} 1"


@pytest.mark.parametrize("mode", ["legacy", MODERN])
async def test_the_sdks_client_names_itself_in_both_eras(as_alice: Caller, orm: Orm, mode: str) -> None:
    async with connected(as_alice, mode) as client:
        await client.call_tool("add_task", {"title": "Buy milk"})
        assert await orm(last_client) == f"{DEFAULT_CLIENT_INFO.name} {DEFAULT_CLIENT_INFO.version}"


@each_handshake
async def test_a_session_id_is_unique_short_and_printable_whatever_the_client_calls_itself(
    as_alice: Caller, orm: Orm, revision: str
) -> None:
    for name, shown in (
        ("x" * 5000, "x" * CLIENT_MAX),
        ("\U0001f95b" * 200, "\U0001f95b" * CLIENT_MAX),
        ("a\r\nb\0", "ab 1"),
    ):
        sessions = [await session_id(as_alice, revision, name) for _ in range(2)]
        assert len(set(sessions)) == 2
        for session in sessions:
            assert session.isascii() and session.isprintable() and " " not in session and len(session) < 1300
        await add(as_alice, revision, **{SESSION: sessions[0]})
        assert await orm(last_client) == shown


@each_handshake
@pytest.mark.parametrize("foreign", ["0123456789abcdef", "x~", "eyJhbGciOiJub25lIn0.e30.", "~%00%0a"])
async def test_a_foreign_session_id_is_served_and_the_name_is_that_of_the_header(
    as_alice: Caller, orm: Orm, revision: str, foreign: str
) -> None:
    await add(as_alice, revision, **{SESSION: foreign, "User-Agent": "curl/8.0"})
    assert await orm(last_client) == "curl/8.0"


async def test_a_name_in_a_session_id_is_bounded_and_printable() -> None:
    for name in (b"%ff%fe", b"\xff", b"%", b"%zz", b"%0d%0aforged", b"%e2%80%ae", b"x" * 16_000):
        shown = client_named_in([(b"mcp-session-id", b"r~" + name)])
        assert len(shown) <= CLIENT_MAX and shown.isprintable()


async def test_the_message_itself_wins_over_the_session_id(as_alice: Caller, orm: Orm) -> None:
    await add(as_alice, MODERN, **{SESSION: await session_id(as_alice, HANDSHAKE[-1], "older")})
    assert await orm(last_client) == "pytest 1"


@each_handshake
async def test_only_a_successful_initialize_opens_a_session(as_alice: Caller, revision: str) -> None:
    refused: tuple[dict[str, Any], ...] = ({}, {"clientInfo": 1}, {**opening(revision), "clientInfo": {"name": 1}})
    for params in refused:
        answer = await as_alice.rpc("initialize", params, revision=revision)
        assert "error" in answer.json() and SESSION not in answer.headers
    for method in ("ping", "tools/list"):
        assert SESSION not in (await as_alice.rpc(method, {}, revision=revision)).headers
    unknown = await as_alice.rpc("initialize", opening(MODERN), revision=MODERN)
    assert SESSION not in unknown.headers
    huge = json.dumps(request(revision, "initialize", opening(revision), id=10**400))
    headers = as_alice.rpc_headers(revision, "initialize")
    assert (await as_alice.http.post("/mcp", content=huge, headers=headers)).headers[SESSION]
