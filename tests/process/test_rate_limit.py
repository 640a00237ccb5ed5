"""RATE_LIMIT with several worker processes: it is one limit, not one for each worker."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.process.conftest import Start
from tests.support.manage import Manage
from tests.support.processes import PATIENCE
from tests.support.statistics import another_session
from todo_mcp.auth.rate_limit import MINUTE
from todo_mcp.auth.tokens import issue_token
from todo_mcp.users.models import User

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


Connect = Callable[[str], Connection]


@pytest.fixture
def connect(start: Start, url: str, tmp_path: Path) -> Iterator[Connect]:
    """Open a connection to a server with several workers, for the bearer of a token. All are closed at the end."""
    settings = {"RATE_LIMIT": LIMIT, "DATABASE_CONNECTIONS": 4, "LOG_LEVEL": "INFO"}
    server = start("serve", "--workers", str(WORKERS), DATABASE_URL=url, TMPDIR=tmp_path, **settings).wait_ready()
    connections: list[Connection] = []

    def connect(token: str) -> Connection:
        connections.append(Connection(server, token))
        time.sleep(0.05)  # one worker would accept all connections that come at once
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


def test_one_connection_gets_the_whole_limit_and_then_no_other_worker_gives_more(
    connect: Connect, alices_token: str
) -> None:
    first = connect(alices_token)
    began = time.monotonic()
    answers = [first.call() for _ in range(LIMIT + 10)]
    assert Counter(status for status, _ in answers) == {200: LIMIT, 429: 10}
    time.sleep(2)
    for _ in range(CONNECTIONS):
        connect(alices_token).call()  # a worker that nobody has called hears of the others within a second
    time.sleep(2)
    others = [connect(alices_token).call() for _ in range(CONNECTIONS)]
    passed = time.monotonic() - began
    assert {status for status, _ in others} == {429}
    assert all(MINUTE - passed - 2 < wait <= MINUTE for _, wait in others), (passed, others)


def test_many_connections_get_the_limit_and_the_calls_of_one_second_together(
    connect: Connect, alices_token: str
) -> None:
    connections = [connect(alices_token) for _ in range(CONNECTIONS)]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        statuses = sum(threads.map(lambda connection: connection.call_for(8), connections), Counter[int]())
    assert LIMIT <= statuses[200] <= LIMIT + CONNECTIONS / PACE, statuses
    assert statuses[429] and set(statuses) == {200, 429}


def test_each_worker_counts_alone_if_the_counts_cannot_be_shared(
    connect: Connect, alices_token: str, bob: User
) -> None:
    bobs_token = issue_token(user_id="bob")
    with another_session("LOCK TABLE rate_counts"):
        connection = connect(alices_token)
        assert Counter(connection.call()[0] for _ in range(LIMIT + 10)) == {200: LIMIT, 429: 10}
        assert connect(bobs_token).call()[0] == 200
