"""A real server process on a PostgreSQL of its own, for tests that stop, kill, block and break them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psycopg

from tests.processes import PATIENCE, eventually, free_port
from todo_mcp.postgres.embedded.cluster import Cluster

ROOT = Path(__file__).parent.parent

# A killed process loses nothing that the kernel has, so fsync may be off; asynchronous commit may not stay on.
_CONF = "\nfsync = off\nfull_page_writes = off\nsynchronous_commit = on\nmax_connections = 60\n"
# For `manage.py shell`: migrates, makes so many users with a token each, and prints these.
CAST = """
import json
from django.core.management import call_command
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.services import create_user
call_command("migrate", verbosity=0)
first, count = {first}, {count}
names = [f"user-{{n}}" for n in range(first, first + count)]
users = {{create_user(user_id=name).pk: issue_token(user_id=name) for name in names}}
print(json.dumps({{"users": users, "service": issue_token(service=f"chat-{{first}}")}}))
"""


class Database:
    """A migrated PostgreSQL that can be stopped, killed and started again, always at the same address."""

    def __init__(self, directory: Path) -> None:
        self._cluster = Cluster(directory)
        self._cast: Iterator[tuple[str, str]] = iter(())
        self._made = 0
        self.service_token = ""
        host, port = self._cluster.start()
        self.url = f"postgresql://postgres@/todo_mcp?host={host}&port={port}"
        self._cluster.stop()
        with (directory / "postgresql.conf").open("a") as conf:
            conf.write(_CONF)
        self._cluster.start()
        self._make_users()  # the first of them, in the process that also migrates

    def new_user(self) -> tuple[str, str]:
        """The id and the token of a user whom no other test uses. They are made a batch at a time."""
        while (user := next(self._cast, None)) is None:
            self._make_users()
        return user

    def _make_users(self, count: int = 60) -> None:
        made = json.loads(self.manage("shell", "--no-imports", "-c", CAST.format(first=self._made, count=count)))
        self._made += count
        self._cast, self.service_token = iter(made["users"].items()), made["service"]

    def manage(self, *arguments: str) -> str:
        """What a management command prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment(), capture_output=True, text=True, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self, **settings: object) -> dict[str, str]:
        return os.environ | {"DATABASE_URL": self.url} | {name: str(value) for name, value in settings.items()}

    def connect(self) -> "psycopg.Connection[Any]":
        """A connection of the test's own, outside every limit of the server."""
        return psycopg.connect(self.url, autocommit=True)

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self.connect() as connection:
            cursor = connection.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else []

    def waiting(self, what: str = "Lock") -> int:
        """How many of the server's connections wait for a lock ("Lock") or sleep in a trigger ("Timeout")."""
        ((count,),) = self.query(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'todo-mcp' AND wait_event_type = %s", what
        )
        return int(count)

    def stop(self) -> None:
        self._cluster.stop()

    def start(self) -> None:
        self._cluster.start()

    def processes(self) -> list[int]:
        """The postmaster and its children."""
        postmaster = int((self._cluster.pgdata / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        return [postmaster, *map(int, children)]

    def kill(self) -> None:
        """``kill -9`` of the postmaster; its children notice and end by themselves."""
        os.kill(self.processes()[0], signal.SIGKILL)


class ServerProcess:
    """``manage.py serve`` on a free port of this machine."""

    def __init__(self, database: Database, log: Path, descriptors: int = 0, /, **settings: object) -> None:
        self._port = free_port()
        # In a shell that allows it so many files and sockets, or as many as we have.
        self._limited = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"] if descriptors else []
        self._log = log
        self._environment = database.environment(MCP_SERVER_PORT=self._port, **settings)
        self.url = f"http://127.0.0.1:{self._port}"
        self._process = self._launch()

    def _launch(self) -> "subprocess.Popen[bytes]":
        command = [*self._limited, sys.executable, "manage.py", "serve", "--host", "127.0.0.1"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL, stderr=log)
        self._process = process
        eventually(self.is_ready, "the server to be ready")
        return process

    def is_ready(self) -> bool:
        code = self._process.poll()
        assert code is None, f"the server ended with {code}: {self.log()[-2000:]}"
        return self.probe("/readyz") == 200

    def probe(self, path: str) -> int | None:
        """The status of a GET, or None where nobody listens."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        with closing(connection), suppress(OSError, HTTPException):
            connection.request("GET", path)
            return connection.getresponse().status
        return None

    def restart(self) -> None:
        """Start it again, on the same port and log, after it ended."""
        self._launch()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)

    def terminate(self) -> None:
        """Send SIGTERM; ``exit_code`` waits for the end."""
        self._process.terminate()

    def exit_code(self) -> int:
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        if self._process.poll() is None:
            self.terminate()
            self.exit_code()

    def log(self) -> str:
        return self._log.read_text()

    def log_lines(self, request_id: str | None = None) -> list[dict[str, Any]]:
        """The log, each line parsed; of one request where that is named."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.log().splitlines()]
        return [line for line in lines if request_id is None or line["request_id"] == request_id]
