"""Clients that do not read, and endless connections: each costs little, and only for a limited time."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator

import httpx2
import psutil  # type: ignore[import-untyped]
import pytest

from tests.support.server_process import Database, ServerProcess
from tests.support.sockets import CHUNKED, GET, Connect
from tests.support.sockets import anyio_backend as anyio_backend
from tests.support.sockets import connect as connect
from todo_mcp.process import http_closing, http_connections, http_protocol, server

pytestmark = pytest.mark.anyio
LARGE = GET.replace(b"/ ", b"/large ")
FEW = 256  # file descriptors


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_closing, "UNREAD_SECONDS", 0.5)
    monkeypatch.setattr(server, "LOOK_FOR_UNREAD", 1)


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_does_not_read_is_disconnected(connect: Connect) -> None:
    connections = [await connect() for _ in range(20)]
    for connection in connections:
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(LARGE)
    await asyncio.sleep(2.5)
    for connection in connections:
        connection.reader._transport.resume_reading()  # type: ignore[attr-defined]
    received = [len(await connection.closed()) for connection in connections]
    assert all(0 < length < 20_000_000 for length in received)


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_reads_slowly_gets_all_of_a_large_answer(connect: Connect) -> None:
    connection = await connect()
    connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    await connection.send(LARGE)
    received, began = 0, time.monotonic()
    while received < 20_000_000:
        piece = await connection.reader.read(400_000)
        assert piece, f"closed after {received} bytes"
        received += len(piece)
        await asyncio.sleep(0.01)
    assert time.monotonic() - began > http_closing.UNREAD_SECONDS


async def test_pipelined_requests_are_parsed_a_few_at_a_time_and_all_answered(connect: Connect) -> None:
    connection = await connect()
    first, count = GET.replace(b"/ ", b"/?0.3 "), 8000
    process = psutil.Process()
    await connection.send(first)
    before = process.memory_info().rss
    sending = asyncio.create_task(connection.send(GET * count))
    await asyncio.sleep(0.2)
    assert process.memory_info().rss - before < 6 * 2**20
    answers = [await connection.answer() for _ in range(count + 1)]
    await sending
    assert set(answers) == {(200, "0")}


async def test_a_request_that_is_cut_off_behind_pipelined_requests_can_be_completed(connect: Connect) -> None:
    for count in (1, http_protocol.PIPELINED_MAX, 200):
        connection = await connect()
        await connection.send(GET.replace(b"/ ", b"/?0.1 ") + GET * count + GET[:10])
        assert [await connection.answer() for _ in range(count + 1)] == [(200, "0")] * (count + 1)
        await connection.send(GET[10:])
        assert await connection.answer() == (200, "0")


async def test_at_the_limit_the_longest_idle_connection_makes_room_or_the_new_one_gets_503(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, second = await connect(), await connect()
    for connection in (oldest, second):
        await connection.send(GET)
        assert await connection.answer() == (200, "0")
    monkeypatch.setattr(http_connections.connections, "limit", 2)
    third = await connect()
    await third.send(GET.replace(b"/ ", b"/?1 "))
    assert await oldest.closed() == b""
    await second.send(GET.replace(b"/ ", b"/?1 "))
    await asyncio.sleep(0.1)
    fourth = await connect()  # the server is busy with both other connections now
    status, text = await fourth.answer()
    assert (status, json.loads(text)["data"]["error"]) == (503, "busy")
    assert await fourth.closed() == b""
    assert await third.answer() == await second.answer() == (200, "0")


@pytest.fixture(scope="module")
def few_descriptors(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that may have only FEW files and sockets open."""
    log = tmp_path_factory.mktemp("few") / "log"
    server = ServerProcess(database, log, FEW, DATABASE_CONNECTIONS=4)
    yield server
    server.close()


async def call_twenty_times(server: ServerProcess, database: Database, **headers: str) -> None:
    """Check that 20 calls of a user succeed."""
    _, token = database.new_user()
    async with httpx2.AsyncClient(base_url=server.url) as http:
        for _ in range(20):
            all_headers = {"Authorization": f"Bearer {token}", **headers}
            answer = await http.post("/api/tools/add_task", json={"title": "x"}, headers=all_headers)
            assert answer.status_code == 200, answer.text


async def test_calls_succeed_while_strangers_occupy_every_connection(
    few_descriptors: ServerProcess, database: Database
) -> None:
    port = int(few_descriptors.url.rpartition(":")[2])
    half = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    connections = []
    for n in range(3 * FEW):  # in turn: idle after an answer, a half head, nothing at all
        connection = await asyncio.open_connection("127.0.0.1", port)
        connections.append(connection)
        connection[1].write((half + b"\r\n", half, b"")[n % 3])
    await call_twenty_times(few_descriptors, database)
    for _, writer in connections:
        writer.close()
    assert not [line for line in few_descriptors.log_lines() if line["level"] == "ERROR"]


async def test_a_connection_with_a_half_sent_request_behind_a_whole_one_is_closed_too(
    few_descriptors: ServerProcess, database: Database
) -> None:
    port = int(few_descriptors.url.rpartition(":")[2])
    half = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /oauth/token HTTP/1.1\r\nHost: localhost\r\n"
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2 * FEW)]
    for _, writer in connections:
        writer.write(half + b"Content-Length: 10\r\n\r\nabc")
    await asyncio.sleep(0.5)
    await call_twenty_times(few_descriptors, database, Connection="close")
    for _, writer in connections:
        writer.close()


@pytest.mark.parametrize("end", ["abort", "close"])
async def test_a_client_that_disconnects_after_pipelined_requests_causes_no_error(
    connect: Connect, caplog: pytest.LogCaptureFixture, end: str
) -> None:
    for _ in range(10):
        connection = await connect()
        connection.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await connection.send(LARGE * 10)
        await asyncio.sleep(0.05)
        getattr(connection.writer.transport, end)()
    await asyncio.sleep(0.5)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_has_finished_sending_still_gets_its_answers(connect: Connect) -> None:
    connection = await connect()
    await connection.send(GET.replace(b"/ ", b"/?0.2 ") * 2)
    connection.writer.write_eof()
    assert [await connection.answer() for _ in range(2)] == [(200, "0")] * 2
    assert await connection.closed() == b""
    connection = await connect()
    await connection.send(GET.replace(b"/ ", b"/?0.2 ") + CHUNKED + b"5\r\nhe")
    connection.writer.write_eof()
    assert await connection.answer() == (200, "0")
    assert await connection.closed() == b""


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1;" + b"x" * 1000 + b"\r\na\r\n"], ids=["tiny", "with extensions"])
async def test_chunks_with_more_framing_than_body_are_refused(connect: Connect, chunk: bytes) -> None:
    connection = await connect()
    began = time.process_time()
    sending = asyncio.create_task(connection.send(CHUNKED + chunk * 130_000))
    assert (await connection.answer())[0] == 431
    sending.cancel()
    assert time.process_time() - began < 2


async def test_chunks_of_a_few_bytes_are_accepted(connect: Connect) -> None:
    connection = await connect()
    await connection.send(CHUNKED + b"8\r\nabcdefgh\r\n" * 20_000 + b"0\r\n\r\n")
    assert await connection.answer() == (200, "160000")


async def test_a_body_behind_more_pipelined_requests_than_are_parsed_at_once_is_read(connect: Connect) -> None:
    connection = await connect()
    post = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6000\r\n\r\n" + b"x" * 6000
    for count in (7, 8, 9, 30):
        await connection.send(GET * count + post)
        answers = [await connection.answer() for _ in range(count + 1)]
        assert answers == [(200, "0")] * count + [(200, "6000")]
