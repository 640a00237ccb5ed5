"""RATE_LIMIT with several worker processes: it is one limit, not one for each worker."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.process.conftest import Start
from tests.support.manage import Manage
from tests.support.processes import PATIENCE, eventually
from tests.support.statistics import another_session
from todo_mcp.auth.rate_limit import MINUTE

LIMIT = 60
WORKERS = 4
CONNECTIONS = 16
PACE = 0.5  # seconds between two calls of a connection


class Connection:
    """One connection that stays open. So one worker answers all its calls."""

    def __init__(self, server: Manage, token: str) -> None:
        self._http = HTTPConnection("localhost", server.port, timeout=PATIENCE)
        self._http.connect()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def call(self) -> tuple[int, int]:
        """The status, and the seconds to wait."""
        self._http.request("POST", "/api/tools/list_tasks", "{}", self._headers)
        with closing(self._http.getresponse()) as answer:
            answer.read()
            return answer.status, int(answer.headers.get("retry-after", 0))

    def call_for(self, seconds: float) -> Counter[int]:
        """Call at a steady pace. Returns how often each status came."""
        end, statuses = time.monotonic() + seconds, Counter[int]()
        while time.monotonic() < end:
            statuses[self.call()[0]] += 1
            time.sleep(PACE)
        return statuses

    def close(self) -> None:
        self._http.close()

    @property
    def port(self) -> int:
        """The port of this end."""
        return int(self._http.sock.getsockname()[1])


class Workers:
    """The workers of a server, which share its port."""

    def __init__(self, server: Manage, token: str) -> None:
        self._server, self._token = server, token
        self._connections: list[Connection] = []
        children = psutil.Process(server.process.pid).children()
        self._processes = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        assert len(self._processes) == WORKERS

    def connect(self, each: int = 1) -> list[Connection]:
        """Open this many connections to each worker. Meanwhile the other workers are stopped, so it accepts them."""
        return [self._connect_to(worker) for worker in self._processes for _ in range(each)]

    def _connect_to(self, worker: psutil.Process) -> Connection:
        others = [process for process in self._processes if process != worker]
        for process in others:
            process.suspend()
        try:
            connection = Connection(self._server, self._token)
            self._connections.append(connection)
            eventually(lambda: connection.port in peers_of(worker), "a worker that accepts")
        finally:
            for process in others:
                process.resume()
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def peers_of(worker: psutil.Process) -> set[int]:
    """The ports of those that are connected to the worker."""
    return {connection.raddr.port for connection in worker.net_connections("tcp") if connection.raddr}


@pytest.fixture
def workers(start: Start, url: str, tmp_path: Path, alices_token: str) -> Iterator[Workers]:
    settings = {"RATE_LIMIT": LIMIT, "DATABASE_CONNECTIONS": 4, "LOG_LEVEL": "INFO"}
    server = start("serve", "--workers", str(WORKERS), DATABASE_URL=url, TMPDIR=tmp_path, **settings).wait_ready()
    workers = Workers(server, alices_token)
    yield workers
    workers.close()


def wait_of(connection: Connection) -> int:
    """The seconds to wait of a call over the limit. 0 if the call was allowed, and then a pause.

    The pause keeps the calls of the connection below LIMIT, so only the calls of others bring it over the limit.
    """
    status, seconds = connection.call()
    assert status in {200, 429}
    if status == 429:
        return seconds
    time.sleep(PACE)
    return 0


def test_one_connection_gets_the_whole_limit_and_then_no_other_worker_gives_more(workers: Workers) -> None:
    first, *others = workers.connect()
    began = time.monotonic()
    answers = [first.call() for _ in range(LIMIT + 10)]
    assert Counter(status for status, _ in answers) == {200: LIMIT, 429: 10}
    waits = [eventually(partial(wait_of, other), "a worker that heard of the others", within=20) for other in others]
    passed = time.monotonic() - began
    assert all(MINUTE - passed - 2 < wait <= MINUTE for wait in waits), (passed, waits)


def test_connections_to_all_workers_get_the_limit_and_the_calls_of_one_second_together(workers: Workers) -> None:
    connections = workers.connect(each=CONNECTIONS // WORKERS)
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        statuses = sum(threads.map(lambda connection: connection.call_for(8), connections), Counter[int]())
    assert LIMIT <= statuses[200] <= LIMIT + CONNECTIONS / PACE, statuses
    assert statuses[429] and set(statuses) == {200, 429}


def test_each_worker_counts_alone_if_the_counts_cannot_be_shared(workers: Workers) -> None:
    with another_session("LOCK TABLE rate_counts"):
        for connection in workers.connect():
            assert Counter(connection.call()[0] for _ in range(LIMIT + 10)) == {200: LIMIT, 429: 10}
