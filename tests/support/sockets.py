"""Raw connections to a real server on a real socket. Its application answers with the request that it got."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from todo_mcp.process import server
from todo_mcp.process.http_protocol import HttpProtocol

Connect = Callable[[], Awaitable["Connection"]]
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with the length of the body, after the number of seconds in the query.

    ``/unread`` reads no body. ``/large`` answers with 20 MB. Paths other than ``/`` answer with the whole request.
    """
    content, more = b"", scope["path"] != "/unread"
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
        if message["type"] == "http.disconnect":
            return
    await asyncio.sleep(float(scope["query_string"] or 0))
    body = b"%d\n" % len(content)
    if scope["path"] not in ("/", "/unread", "/large"):
        head = [scope["method"], scope["path"], *(f"{n.decode()}={v.decode('latin-1')}" for n, v in scope["headers"])]
        body = json.dumps([*head, content.decode("latin-1")]).encode()
    elif scope["path"] == "/large":
        body = bytes(20_000_000)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, str]:
        """The next answer: its status and body."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).lower()
        length = int(head.partition(b"content-length:")[2].split()[0])
        return int(head.split()[1]), (await self.reader.readexactly(length)).decode().strip()

    async def closed(self) -> bytes:
        """The bytes that came before the server closed the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), 10)
        except ConnectionResetError:
            return b""


@pytest.fixture
async def connect(anyio_backend: object) -> AsyncIterator[Connect]:
    sockets = server.bind("127.0.0.1", 0)
    config = uvicorn.Config(echo, http=HttpProtocol, ws="none", lifespan="off", log_config=None, server_header=False)
    http_server = server.Server(config)
    task = asyncio.create_task(http_server.serve(sockets))
    connections: list[Connection] = []

    async def open_one() -> Connection:
        connections.append(Connection(*await asyncio.open_connection(*sockets[0].getsockname())))
        return connections[-1]

    while not http_server.started:
        await asyncio.sleep(0.01)
    yield open_one
    for connection in connections:
        connection.writer.close()
    http_server.should_exit = True
    await task
