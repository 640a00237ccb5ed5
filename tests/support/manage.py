"""Management commands as real processes, each with its own data directory and port."""

import contextlib
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes import PATIENCE, eventually, free_port
from tests.support.server_process import environment_with, manage_command, status_of, wait_until_ready
from todo_mcp.postgres.embedded.cluster import Cluster

# Settings that must not come from the tests' environment or from a .env in the checkout.
NEUTRAL = dict.fromkeys(("DATABASE_URL", "ALLOWED_HOSTS", "METRICS_TOKEN", "SECRET_KEY", "FORWARDED_ALLOW_IPS"), "")
UNSET = ("PUBLIC_URL", "ENVIRONMENT", "LOG_LEVEL", "DRAIN_SECONDS", "DATABASE_CONNECTIONS", "RATE_LIMIT")


class Manage:
    """A running ``manage.py``, or ``program``, with these arguments, started outside of the checkout."""

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        data_dir: Path | None = None,
        program: Path | None = None,
        **environment: object,
    ) -> None:
        self.port = free_port()
        self.data_dir = data_dir or directory / "data"
        self._output = directory / f"output-{self.port}"
        settings = NEUTRAL | {"MCP_SERVER_PORT": self.port, "TODO_DATA_DIR": self.data_dir} | environment
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [str(program), *arguments] if program else manage_command(*arguments),
                env=environment_with(settings, without=UNSET),
                cwd=directory,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        return self._output.read_text()

    def line(self, beginning: str) -> str:
        """Wait for a printed line with this beginning. Returns the rest of it."""

        def look() -> "re.Match[str] | None":
            match = re.search(f"^{re.escape(beginning)}(.*)\n", self.output(), re.MULTILINE)
            assert match or self.process.poll() is None, self.output()
            return match

        return eventually(look, beginning)[1]

    def get(self, path: str) -> int | None:
        """The status of a GET, or None if there is no answer."""
        return status_of(f"http://localhost:{self.port}{path}")

    def wait_ready(self) -> "Manage":
        wait_until_ready(self.process, f"http://localhost:{self.port}/readyz", self.output)
        return self

    def call(self, tool: str, token: str, **arguments: Any) -> dict[str, Any]:
        """The envelope of a tool call over HTTP."""
        url, headers = f"http://localhost:{self.port}/api/tools/{tool}", {"Authorization": f"Bearer {token}"}
        envelope: dict[str, Any] = httpx2.post(url, json=arguments, headers=headers, timeout=PATIENCE).json()
        return envelope

    def begin_call(self, token: str) -> "CallUnderWay":
        return CallUnderWay(self.port, token)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def refusal(self) -> str:
        """The output of a command that fails: one line, without a traceback."""
        assert self.process.wait(PATIENCE) == 1, self.output()
        (line,) = self.output().strip().splitlines()
        return line

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        if (self.data_dir / "postgres" / "postmaster.pid").exists():
            Cluster(self.data_dir / "postgres").stop()


class CallUnderWay:
    """A call of add_task whose body the server has begun to read. ``finish`` sends the rest."""

    BODY = b'{"title": "Slow"}'

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection(("localhost", port), PATIENCE)
        head = f"POST /api/tools/add_task HTTP/1.1\r\nHost: localhost:{port}\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Length: {len(self.BODY)}\r\nExpect: 100-continue\r\n\r\n"
        self._socket.sendall(head.encode())
        assert self._socket.recv(1000).startswith(b"HTTP/1.1 100 ")

    def finish(self) -> bytes:
        """Send the rest. Returns the answer, or nothing if the connection was cut."""
        answer = bytearray()
        with self._socket, contextlib.suppress(ConnectionError):
            self._socket.sendall(self.BODY)
            while piece := self._socket.recv(1000):
                answer += piece
        return bytes(answer)
