"""What a connection may send, and how slowly, with a real server on a real socket."""

import asyncio
import json

import pytest

from tests.support.sockets import CHUNKED, GET, Connect
from tests.support.sockets import anyio_backend as anyio_backend
from tests.support.sockets import connect as connect
from todo_mcp.process import http_protocol

pytestmark = pytest.mark.anyio
MAX = 16 * 1024


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(http_protocol, "REQUEST_SECONDS", 0.4)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("data", [b"", b"\r\n", b"GET / HT", GET[:-2], CHUNKED, CHUNKED + b"2\r\nh"])
async def test_a_connection_with_an_incomplete_request_is_closed(connect: Connect, data: bytes) -> None:
    connection = await connect()
    await connection.send(data)
    assert await connection.closed() == b""


@pytest.mark.usefixtures("impatient")
async def test_no_half_open_connection_stays_open(connect: Connect) -> None:
    connections = [await connect() for _ in range(100)]
    for connection in connections:
        await connection.send(GET[:20])
    assert await asyncio.gather(*[connection.closed() for connection in connections]) == [b""] * 100


@pytest.mark.usefixtures("impatient")
async def test_sending_byte_by_byte_does_not_extend_the_time_limit(connect: Connect) -> None:
    connection = await connect()

    async def trickle() -> None:
        for byte in GET * 2:
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.02)

    trickling = asyncio.create_task(trickle())
    assert await connection.closed() == b""
    trickling.cancel()
    await asyncio.gather(trickling, return_exceptions=True)


@pytest.mark.usefixtures("impatient")
async def test_an_idle_connection_stays_open_and_the_next_request_gets_a_new_time_limit(connect: Connect) -> None:
    connection = await connect()
    for _ in range(2):
        await connection.send(GET)
        assert await connection.answer() == (200, "0")
        await asyncio.sleep(0.6)
    await connection.send(GET[:10])
    assert await connection.closed() == b""


@pytest.mark.usefixtures("impatient")
async def test_a_slow_answer_does_not_count_as_a_slow_request(connect: Connect) -> None:
    connection = await connect()
    await connection.send(GET.replace(b"/ ", b"/?0.8 "))
    assert await connection.answer() == (200, "0")


async def test_a_head_of_16_kib_is_served_and_one_byte_more_gets_431(connect: Connect) -> None:
    head = GET[:-2] + b"X: " + b"x" * (MAX - len(GET) - 5) + b"\r\n\r\n"
    assert len(head) == MAX
    connection = await connect()
    await connection.send(head)
    assert await connection.answer() == (200, "0")
    connection = await connect()
    await connection.send(head.replace(b"X: ", b"X: x"))
    status, text = await connection.answer()
    assert (status, await connection.closed()) == (431, b"")
    assert json.loads(text)["message"] == "The request's headers are too large; send no more than 16 KiB."


async def test_20_mb_of_headers_get_431_while_they_arrive(connect: Connect) -> None:
    connection = await connect()

    async def flood() -> None:
        await connection.send(GET[:-2] + b"X: ")
        for _ in range(200):
            await connection.send(b"x" * 100_000)

    flooding = asyncio.create_task(flood())
    assert (await connection.answer())[0] == 431
    await asyncio.gather(flooding, return_exceptions=True)


@pytest.mark.parametrize("flood", [b"0\r\nX: ", b"2;"], ids=["trailer", "chunk extension"])
async def test_trailers_and_chunk_extensions_are_limited_too(connect: Connect, flood: bytes) -> None:
    connection = await connect()
    await connection.send(CHUNKED + flood + b"x" * (2 * MAX))
    assert (await connection.answer())[0] == 431
    assert await connection.closed() == b""


async def test_large_bodies_and_pipelined_requests_are_served(connect: Connect) -> None:
    connection = await connect()
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (200_000, b"x" * 200_000)
    await connection.send((CHUNKED + body + GET) * 3)
    answers = [await connection.answer() for _ in range(6)]
    assert answers == [(200, "200000"), (200, "0")] * 3


async def test_an_unknown_upgrade_is_ignored_and_the_request_is_served(connect: Connect) -> None:
    connection = await connect()
    await connection.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert await connection.answer() == (200, "0")
