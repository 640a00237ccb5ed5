"""A request costs little before its token is verified, whatever the request contains."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.types import Message, Scope

from tests.support.application import Orm
from tests.support.caller import Caller
from tests.support.mcp_messages import HANDSHAKE, tool_request
from todo_mcp import asgi
from todo_mcp.auth.tokens import issue_token
from todo_mcp.core.errors import Busy
from todo_mcp.core.strict_json import VALUES_MAX, BadJson, parse
from todo_mcp.transports.http import large_bodies
from todo_mcp.transports.http.large_bodies import SMALL_MAX, LargeBodies
from todo_mcp.users.models import User

pytestmark = pytest.mark.anyio
KIB, MIB = 1024, 1024 * 1024
PATHS = ("/mcp", "/api/tools/add_task", "/api/conversations", "/api/conversations/1/messages")


class Body:
    """A body that arrives in pieces of 1 KiB and records how much of it was read."""

    def __init__(self, size: int) -> None:
        self.left, self.read = size, 0

    async def receive(self) -> Message:
        if not self.left:
            await asyncio.sleep(60)
        piece = min(self.left, KIB)
        self.left, self.read = self.left - piece, self.read + piece
        return {"type": "http.request", "body": b"[" * piece, "more_body": self.left > 0}


@pytest.fixture
async def app(committed: None, anyio_backend: str) -> AsyncIterator[asgi.Lifespan]:
    app = asgi.Lifespan()
    async with app.running():
        yield app


async def post_body(app: asgi.Lifespan, path: str, body: Body, *headers: tuple[bytes, bytes]) -> int:
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), *headers],
    }
    statuses: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, body.receive, send)
    return statuses[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [b"", b"Bearer todo_wrong"], ids=["no token", "wrong token"])
@pytest.mark.parametrize("declared", [True, False])
async def test_no_more_than_16_kib_of_a_strangers_body_are_read(
    app: asgi.Lifespan, path: str, token: bytes, declared: bool
) -> None:
    body = Body(200 * KIB)
    headers = [(b"authorization", token)] if token else []
    if declared:
        headers.append((b"content-length", b"%d" % body.left))
    assert await post_body(app, path, body, *headers) == 401
    assert body.read <= (0 if declared else SMALL_MAX + KIB)


async def test_a_form_of_a_stranger_may_have_at_most_128_kib(app: asgi.Lifespan) -> None:
    for path in ("/oauth/token", "/oauth/register", "/oauth/sign-in", "/admin/login/", "/static/x", "/nothing"):
        body = Body(MIB)
        assert await post_body(app, path, body) == 413
        assert body.read <= 129 * KIB


@pytest.mark.parametrize("path", ["/mcp", "/api/tools/add_task"])
async def test_a_large_body_with_a_good_token_is_served(as_alice: Caller, path: str) -> None:
    arguments = {"title": "Buy milk", "description": " " * 1000}
    text = json.dumps(arguments) + " " * (100 * KIB)
    headers = as_alice.headers
    if path == "/mcp":
        text = json.dumps(tool_request(HANDSHAKE[-1], "add_task", arguments)) + " " * (100 * KIB)
        headers = as_alice.rpc_headers(HANDSHAKE[-1], "tools/call", "add_task")
    response = await as_alice.http.post(path, content=text, headers=headers)
    assert response.status_code == 200, response.text
    malformed = await as_alice.http.post(path, content=text + "}", headers=headers)
    assert malformed.status_code == 400


@pytest.mark.parametrize("size", [16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 17_000, 40_000, 200 * KIB, 256 * KIB])
@pytest.mark.parametrize("pieces", [1, 2, 50])
async def test_a_body_of_any_size_in_any_pieces_is_read(
    app: asgi.Lifespan, alice: User, orm: Orm, size: int, pieces: int
) -> None:
    token = await orm(lambda: issue_token(user_id="alice"))
    for headers in ([], [(b"content-length", b"%d" % size)]):
        body = Pieces(b'{"title": "x"}'.ljust(size), pieces)
        assert await post_body(app, PATHS[1], body, (b"authorization", f"Bearer {token}".encode()), *headers) == 200


class Pieces(Body):
    """A text that arrives in this number of pieces."""

    def __init__(self, text: bytes, pieces: int) -> None:
        step = -(-len(text) // pieces)
        self._pieces = [text[start : start + step] for start in range(0, len(text), step)]

    async def receive(self) -> Message:
        if not self._pieces:
            await asyncio.sleep(60)
        piece = self._pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}


async def test_a_large_body_is_parsed_outside_the_event_loop(as_alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(body: bytes) -> object:
        time.sleep(0.5)
        return parse(body)

    monkeypatch.setattr(large_bodies, "parse", slow)
    url = "/api/conversations"
    call = asyncio.create_task(as_alice.http.post(url, content=b" " * (20 * KIB) + b"{}", headers=as_alice.headers))
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert (await as_alice.http.get("/healthz")).status_code == 200
    assert time.monotonic() - began < 0.3
    assert (await call).status_code == 201


async def test_large_bodies_share_limited_room_and_no_caller_gets_more_than_half() -> None:
    bodies = LargeBodies(100, wait=0.05)
    async with bodies.room(40, "alice"), bodies.room(50, "bob"):
        for size, owner in ((11, "alice"), (1, "bob"), (11, "charlie")):
            with pytest.raises(Busy):
                async with bodies.room(size, owner):
                    pass
        async with bodies.room(10, "alice"):
            task = asyncio.create_task(_pass_through(bodies, 10))
            await asyncio.sleep(0)
        await task
    assert (bodies._free, bodies._held) == (100, {})
    bodies.close()


async def _pass_through(bodies: LargeBodies, size: int) -> None:
    async with bodies.room(size, "charlie"):
        pass


async def test_a_client_that_sends_slowly_does_not_block_other_clients(
    app: asgi.Lifespan, alice: User, bob: User, orm: Orm
) -> None:
    tokens = [await orm(lambda name=name: issue_token(user_id=name)) for name in ("alice", "bob")]  # type: ignore[misc]
    hanging = [
        asyncio.create_task(post_body(app, PATHS[2], Stalled(), (b"authorization", f"Bearer {tokens[0]}".encode())))
        for _ in range(3)
    ]
    await asyncio.sleep(0.3)
    good = Body(100 * KIB)
    assert await post_body(app, PATHS[2], good, (b"authorization", f"Bearer {tokens[1]}".encode())) == 400
    assert good.read == 100 * KIB
    for task in hanging:
        task.cancel()


class Stalled(Body):
    """A body that announces more than it sends."""

    def __init__(self) -> None:
        super().__init__(20 * KIB)

    async def receive(self) -> Message:
        message = await super().receive()
        return {**message, "more_body": True}


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * VALUES_MAX + b"1]",
        b"[" + b"{}," * VALUES_MAX + b"1]",
        b"[" + b"1," * VALUES_MAX + b"1]",
        b'{"a": "\\"' + b"x" * 1000 + b'", "b": [' + b"1," * VALUES_MAX + b"1]}",
    ],
    ids=["lists", "objects", "numbers", "after a string"],
)
def test_a_body_with_too_many_values_is_refused_before_it_is_parsed(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(BadJson, match="values"):
        parse(body)
    assert time.process_time() - began < 1


def test_punctuation_within_strings_does_not_count_as_values() -> None:
    for text in ("," * 2 * VALUES_MAX, '["' * VALUES_MAX, "{\\" * VALUES_MAX):
        assert parse(json.dumps({"content": text}).encode()) == {"content": text}


def test_counting_values_takes_no_longer_for_hostile_strings() -> None:
    plain, hostile = b'"' + b"," * 4 * MIB, b'"\\' + b'"\\,' * (4 * MIB // 3)
    seconds = []
    for body in (plain, hostile, b'"' * 4 * MIB + b"," * VALUES_MAX * 2):
        began = time.process_time()
        with pytest.raises(BadJson):
            parse(body)
        seconds.append(time.process_time() - began)
    assert max(seconds) < 3


async def test_large_bodies_of_strangers_cost_little_time(http: httpx2.AsyncClient) -> None:
    body = b"[" + b"[]," * (MIB // 3) + b"1]"
    began = time.process_time()
    answers = await asyncio.gather(
        *(http.post(path, content=body, headers={"Authorization": "Bearer todo_x"}) for path in PATHS[2:] * 4)
    )
    assert {answer.status_code for answer in answers} == {401}
    assert time.process_time() - began < 3
