"""Starts real server processes: the command, the environment, and the wait until the server is ready.

`ServerProcess` is a server on a separate PostgreSQL, for tests that stop, kill and block either of them.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import psycopg

from tests.support.processes import PATIENCE, eventually, free_port
from todo_mcp.postgres.embedded.cluster import Cluster

ROOT = Path(__file__).parents[2]

# A killed process loses nothing that the kernel has, so fsync may be off. It loses asynchronous commits.
_CONF = "\nfsync = off\nfull_page_writes = off\nsynchronous_commit = on\nmax_connections = 60\n"
# For `manage.py shell`: migrate, create ``count`` users with a token each, and print them.
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


def manage_command(*arguments: object, root: Path = ROOT) -> list[str]:
    """`manage.py` of a checkout with these arguments."""
    return [sys.executable, str(root / "manage.py"), *map(str, arguments)]


def serve_command(*, host: str = "", workers: int = 0, root: Path = ROOT) -> list[str]:
    """`manage.py serve`. An option that is left out has its default."""
    options = ["--host", host] if host else []
    return manage_command("serve", *options, *(["--workers", workers] if workers else []), root=root)


def environment_with(settings: Mapping[str, object], without: Collection[str] = ()) -> dict[str, str]:
    """The tests' environment, without some of its variables and with these settings."""
    inherited = {name: value for name, value in os.environ.items() if name not in without}
    return inherited | {name: str(value) for name, value in settings.items()}


def run_manage(
    *arguments: str,
    environment: Mapping[str, str],
    within: Callable[[list[str]], list[str]] = list,
    seconds: float | None = PATIENCE,
) -> str:
    """Run a management command, which must succeed. Returns its output. ``within`` may wrap the command."""
    result = subprocess.run(
        within(manage_command(*arguments)),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def status_of(url: str, headers: Mapping[str, str] | None = None, seconds: float = PATIENCE) -> int | None:
    """The status of a GET, or None if there is no answer."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    with closing(connection), suppress(OSError, HTTPException):
        connection.request("GET", parts.path, headers=headers or {})
        return connection.getresponse().status
    return None


def wait_until_ready(
    process: "subprocess.Popen[bytes]",
    url: str,
    log: Callable[[], str],
    *,
    headers: Mapping[str, str] | None = None,
    ready: Callable[[int], bool] = lambda status: status == 200,
) -> None:
    """Wait until ``ready`` accepts the status of the address. The process must not end before."""

    def look() -> bool:
        code = process.poll()
        assert code is None, f"the server ended with {code}: {log()[-2000:]}"
        status = status_of(url, headers)
        return status is not None and ready(status)

    eventually(look, f"{url} to be ready")


class Database:
    """A migrated PostgreSQL that can be stopped, killed and started again, always at the same address."""

    def __init__(self, directory: Path) -> None:
        self._cluster = Cluster(directory)
        self.directory = directory
        self._users: Iterator[tuple[str, str]] = iter(())
        self._user_count = 0
        self.service_token = ""
        host, port = self._cluster.start()
        self.url = f"postgresql://postgres@/todo_mcp?host={host}&port={port}"
        self._cluster.stop()
        with (directory / "postgresql.conf").open("a") as conf:
            conf.write(_CONF)
        self._cluster.start()
        self._make_users()  # the first users; this process also migrates

    def new_user(self) -> tuple[str, str]:
        """The id and the token of a user that no other test uses. Users are created in batches."""
        while (user := next(self._users, None)) is None:
            self._make_users()
        return user

    def _make_users(self, count: int = 60) -> None:
        cast = json.loads(self.manage("shell", "--no-imports", "-c", CAST.format(first=self._user_count, count=count)))
        self._user_count += count
        self._users, self.service_token = iter(cast["users"].items()), cast["service"]

    def manage(self, *arguments: str) -> str:
        """Run a management command. Returns its output."""
        return run_manage(*arguments, environment=self.environment())

    def environment(self, **settings: object) -> dict[str, str]:
        return environment_with({"DATABASE_URL": self.url} | settings)

    def connect(self) -> "psycopg.Connection[Any]":
        """A separate connection for the test, outside of every limit of the server."""
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
        """Kill the postmaster with ``kill -9``. Its children notice and end by themselves."""
        os.kill(self.processes()[0], signal.SIGKILL)


def workers_of(pid: int) -> set[int]:
    """The pids of the living workers of a server, without the resource tracker of multiprocessing."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


class ServerProcess:
    """``manage.py serve`` on a free port of this machine."""

    number_of_workers = 0  # the default

    def __init__(self, database: Database, log: Path, descriptors: int = 0, /, **settings: object) -> None:
        self._port = free_port()
        # A shell limits the files and sockets of the server; 0 means the limit of the tests.
        self._shell = ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"] if descriptors else []
        self._log = log
        self._environment = database.environment(MCP_SERVER_PORT=self._port, **settings)
        self.url = f"http://127.0.0.1:{self._port}"
        self._process = self._launch()

    def _launch(self) -> "subprocess.Popen[bytes]":
        command = [*self._shell, *serve_command(host="127.0.0.1", workers=self.number_of_workers)]
        with self._log.open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL, stderr=log)
        self._process = process
        wait_until_ready(process, f"{self.url}/readyz", self.log)
        return process

    def client(self) -> httpx2.AsyncClient:
        """A client with as many connections as concurrent calls."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx2.AsyncClient(base_url=self.url, timeout=PATIENCE, limits=limits)

    def probe(self, path: str) -> int | None:
        """The status of a GET, or None if there is no answer."""
        return status_of(f"{self.url}{path}")

    def workers(self) -> set[int]:
        return workers_of(self._process.pid)

    def restart(self) -> None:
        """Start the server again after it ended, with the same port and log."""
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
        """The parsed lines of the log, or only those of one request."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.log().splitlines()]
        return [line for line in lines if request_id is None or line["request_id"] == request_id]
