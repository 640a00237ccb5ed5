"""How a body arrives: in pieces, too large, too slowly, or cut off. And how an internal error is reported."""

import json
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from django.db import connection
from starlette.types import Message, Receive, Scope, Send

from tests.support.application import Application, Orm
from tests.support.caller import DOORS, Caller
from tests.support.mcp_messages import REVISIONS, tool_call
from todo_mcp.auth.tokens import issue_token
from todo_mcp.postgres.gate import DatabaseGate
from todo_mcp.transports.http import request_body, request_checks
from todo_mcp.users.models import User

KIB = 1024


@pytest.fixture
def headers(application: Application, alice: User) -> list[tuple[bytes, bytes]]:
    token = issue_token(user_id="alice")
    return [(b"host", b"localhost"), (b"authorization", f"Bearer {token}".encode())]


def test_a_body_may_come_in_pieces(application: Application, headers: list[tuple[bytes, bytes]]) -> None:
    pieces = [bytes([byte]) for byte in b'{"title": "\xf0\x9f\xa5\x9b"}']
    reply = application.request("POST", "/api/tools/add_task", headers, *pieces)
    assert (reply.status, reply.json()["data"]["title"]) == (200, "\U0001f95b")


@pytest.mark.parametrize("path", ["/mcp", "/api/tools/add_task", "/admin/", "/healthz"])
def test_a_body_without_a_declared_length_is_refused_when_it_grows_too_large(
    application: Application, headers: list[tuple[bytes, bytes]], path: str
) -> None:
    reply = application.request("POST", path, headers, *[b" " * KIB] * 257)
    assert reply.status == 413


class FakeClient:
    """A client that sends a whole body, or sends only its first byte and then calls ``then``."""

    def __init__(self, then: Callable[[], Any] | None = None) -> None:
        self._then = then
        self._begun = False
        self.status = 0
        self.body = b""

    async def receive(self) -> Message:
        if self._begun and self._then:
            await self._then()
            return {"type": "http.disconnect"}
        self._begun = True
        return {"type": "http.request", "body": b"{", "more_body": self._then is not None}

    async def send(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")


def scope_of(path: str) -> Scope:
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer x")]
    return {"type": "http", "method": "POST", "path": path, "headers": headers}


@pytest.fixture
def gate() -> DatabaseGate:
    return DatabaseGate(1, 1)


async def unreachable_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("the application must not be reached")


@pytest.mark.anyio
@pytest.mark.parametrize(("then", "status"), [(anyio.lowlevel.checkpoint, 400), (anyio.sleep_forever, 408)])
async def test_an_incomplete_body_never_reaches_the_application(
    gate: DatabaseGate, monkeypatch: pytest.MonkeyPatch, then: Callable[[], Any], status: int
) -> None:
    monkeypatch.setattr(request_body, "BODY_SECONDS", 0.05)
    for path in ("/mcp", "/api/tools/add_task", "/admin/"):
        client = FakeClient(then)
        await request_checks.RequestChecks(unreachable_app, gate)(scope_of(path), client.receive, client.send)
        assert client.status == status


@pytest.mark.anyio
async def test_an_exception_after_the_answer_has_started_does_not_change_the_answer(gate: DatabaseGate) -> None:
    async def failing_app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("in the middle")

    client = FakeClient()
    await request_checks.RequestChecks(failing_app, gate)(scope_of("/admin/"), client.receive, client.send)
    assert (client.status, client.body) == (200, b"")


@pytest.mark.anyio
@pytest.mark.parametrize("door", DOORS)
async def test_an_exception_during_the_token_lookup_is_reported_as_an_internal_error(
    as_alice: Caller, orm: Orm, door: str
) -> None:
    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE oauth2_provider_accesstoken RENAME COLUMN {old} TO {new}")

    await orm(lambda: rename("scope", "renamed"))
    try:
        for body in ("{", "[]", tool_call(door, "nope", "{}") if door in REVISIONS else "{}"):
            if door == "http":
                url, headers = ("/api/tools/nope", as_alice.headers)
            else:
                url, headers = ("/mcp", as_alice.rpc_headers(door, "tools/call", "nope"))
            answer = await as_alice.http.post(url, content=body, headers=headers)
            assert answer.status_code == 500, body
            envelope = answer.json() if door == "http" else answer.json()["error"]["data"]
            assert envelope["data"]["error"] == "internal_error"
            assert envelope["data"]["request_id"] == answer.headers["x-request-id"]
            assert "scope" not in json.dumps(envelope)
    finally:
        await orm(lambda: rename("renamed", "scope"))
