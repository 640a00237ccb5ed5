"""A network between an adapter and the server: it refuses requests, and loses answers."""

import threading
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.processes import PATIENCE


class FaultyNetwork:
    """Forwards requests. ``faults`` holds what happens to the next ones, for requests of the method ``only``.

    429 and 503 are answers in place of the server's, with ``Retry-After: 1``. ``lost`` lets the server do its work and
    then cuts the connection. A function is called before the request goes on.
    """

    def __init__(self, target: str) -> None:
        self.faults: list[int | str | Callable[[], None]] = []
        self.only = ""
        self.keys: list[str | None] = []  # the Idempotency-Key of each POST
        self._target = urlsplit(target).netloc
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        network = self

        class Handler(BaseHTTPRequestHandler):
            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.command == "POST":
                    network.keys.append(self.headers["Idempotency-Key"])
                fault = network.faults.pop(0) if network.faults and network.only in ("", self.command) else ""
                if isinstance(fault, int):
                    return self.answer(fault, b"{}", {"Retry-After": "1"})
                if callable(fault):
                    fault()
                status, answer, headers = network.ask(self.command, self.path, body, dict(self.headers))
                if fault == "lost":
                    self.close_connection = True
                else:
                    self.answer(status, answer, headers)

            def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = forward

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """The server's answer."""
        connection = HTTPConnection(self._target, timeout=PATIENCE)
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, answer, {"Content-Type": response.headers.get("Content-Type", "")}
