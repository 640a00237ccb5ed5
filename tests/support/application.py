"""The application and its ORM in the tests' own process, for asynchronous and for synchronous tests."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal
from django.db import connection
from starlette.types import Message

from todo_mcp import asgi

PATIENCE = 60.0  # seconds; longer than any limit of the server, so a request that takes this long hangs

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]


@dataclass
class Reply:
    """A response. It fails the test if it breaks the rules of ASGI."""

    status: int = 0
    headers: Headers = field(default_factory=list)
    body: bytes = b""
    complete: bool = False

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            assert not self.status, "a second response"
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            assert message["type"] == "http.response.body"
            assert self.status, "a body without a response"
            assert not self.complete, "a message after the end"
            self.body += message.get("body", b"")
            self.complete = not message.get("more_body", False)

    def header(self, name: bytes) -> bytes:
        (value,) = [value for key, value in self.headers if key == name]
        return value

    def json(self) -> Any:
        return json.loads(self.body)


class Application:
    """Sends raw ASGI requests to the application, whose event loop runs in another thread.

    It sends one request at a time, with a time limit.
    """

    def __init__(self, app: asgi.Lifespan, portal: BlockingPortal) -> None:
        self._app = app
        self._portal = portal

    def request(self, method: str, path: str, headers: Headers, *chunks: bytes, query: bytes = b"") -> Reply:
        reply: Reply = self._portal.call(self._request, _scope(method, path, headers, query), chunks)
        return reply

    async def _request(self, scope: dict[str, Any], chunks: tuple[bytes, ...]) -> Reply:
        reply = Reply()
        messages: Iterator[Message] = iter(
            [
                *({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks),
                {"type": "http.request", "body": b"", "more_body": False},
            ]
        )

        async def receive() -> Message:
            message = next(messages, None)
            if message is None:
                await anyio.sleep_forever()  # the client stays connected
            assert message is not None
            return message

        async def send(message: Message) -> None:
            reply.take(message)

        with anyio.fail_after(PATIENCE):
            await self._app(scope, receive, send)
        assert reply.complete
        return reply


def _scope(method: str, path: str, headers: Headers, query: bytes) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 40000),
        "server": ("localhost", 5000),
    }


@contextmanager
def running() -> Iterator[Application]:
    """The application, started. It is stopped at the end."""
    app = asgi.Lifespan()
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(app.running()):
        yield Application(app, portal)


@asynccontextmanager
async def application_client() -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the real ASGI application, without a network. The application's lifespan runs."""
    app = asgi.Lifespan()
    async with app.running():
        transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:5000") as client:
            yield client


class Orm:
    """Runs Django's synchronous code for an asynchronous test, in one thread with one connection."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    async def __call__(self, function: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(lambda: self._thread.submit(function).result())

    def close(self) -> None:
        self._thread.submit(lambda: connection.close()).result()  # the connection of that thread
        self._thread.shutdown()
