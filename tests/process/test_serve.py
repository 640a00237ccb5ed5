"""`manage.py serve` as a process: how it starts, how it refuses to, and how it ends."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from tests.support.manage import Manage
from tests.support.processes import PATIENCE, eventually, free_port
from todo_mcp.auth.tokens import issue_token
from todo_mcp.process import startup
from todo_mcp.process.server import PortUnavailable, bind
from todo_mcp.users.models import User

Start = Callable[..., Manage]


@pytest.fixture
def url(committed: None) -> str:
    """The migrated test database."""
    return _url(connection.settings_dict["NAME"])


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `manage.py` with these arguments; what still runs at the end of the test is killed."""
    started: list[Manage] = []

    def start(*arguments: str, **environment: object) -> Manage:
        started.append(Manage(tmp_path, *arguments, **environment))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for process in started:
        process.clean_up()


@pytest.fixture
def alices_token(url: str, alice: User) -> str:
    return issue_token(user_id="alice")


def _url(name: str) -> str:
    connection.ensure_connection()
    info = connection.connection.info
    return f"postgresql://{info.user}@/{name}?host={info.host}&port={info.port}"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_fails_readiness_first_and_lets_the_call_at_work_finish(
    start: Start, url: str, alices_token: str, workers: str
) -> None:
    server = start("serve", "--workers", workers, DATABASE_URL=url, DRAIN_SECONDS=1).wait_ready()
    call = server.begin_call(alices_token)
    server.process.terminate()
    eventually(lambda: server.get("/readyz") == 503, "readiness to fail")
    assert server.get("/healthz") == 200
    eventually(lambda: server.get("/healthz") is None, "the port to close")
    answer = call.finish()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert b'"status":"success"' in answer
    assert server.process.wait(10) == 0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_second_ctrl_c_ends_it_at_once(start: Start, url: str, alices_token: str, workers: str) -> None:
    server = start("serve", "--workers", workers, DATABASE_URL=url, DRAIN_SECONDS=60).wait_ready()
    call = server.begin_call(alices_token)
    server.process.send_signal(signal.SIGINT)
    eventually(lambda: server.get("/readyz") == 503, "readiness to fail")
    begun = time.monotonic()
    server.end(signal.SIGINT)
    assert time.monotonic() - begun < 5  # neither 10 s for the call nor 60 s of draining
    assert call.finish() == b""


def test_a_worker_that_dies_is_replaced_and_none_outlives_the_parent(start: Start, url: str, tmp_path: Path) -> None:
    # TMPDIR: a parent that is killed cannot remove the directory of the metrics.
    server = start("serve", "--workers", "2", DATABASE_URL=url, TMPDIR=tmp_path).wait_ready()
    eventually(lambda: len(_workers(server)) == 2, "both workers")
    first = min(_workers(server))
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(_workers(server) - {first}) == 2, "a new worker")
    server.wait_ready()
    server.process.kill()
    server.process.wait()
    eventually(lambda: server.get("/healthz") is None, "the workers to end")


def test_metrics_are_of_all_workers_whichever_is_asked_and_of_those_that_died(
    start: Start, url: str, alices_token: str, tmp_path: Path
) -> None:
    server = start("serve", "--workers", "2", DATABASE_URL=url, TMPDIR=tmp_path, DATABASE_CONNECTIONS=3).wait_ready()
    success = 'outcome="success",revision="",tool="list_tasks",transport="http"'

    def both_serve() -> bool:
        return _metrics(server).get("todo_database_connections_limit") == 6

    def all_tell(name: str, value: float) -> None:
        told = [_metrics(server).get(name) for _ in range(8)]
        assert told == [value] * 8, name

    eventually(both_serve, "both workers")
    for _ in range(12):
        server.call("list_tasks", alices_token)
    all_tell(f"todo_calls_total{{{success}}}", 12)
    all_tell(f"todo_call_seconds_count{{{success}}}", 12)
    all_tell('todo_database_seconds_count{tool="list_tasks"}', 12)
    assert _metrics(server)[f'todo_call_seconds_bucket{{le="+Inf",{success}}}'] == 12
    workers, told = _workers(server), _metrics(server)
    assert all(told[f'process_resident_memory_bytes{{pid="{pid}"}}'] > 1e7 for pid in workers)
    os.kill(min(workers), signal.SIGKILL)
    eventually(lambda: len(_workers(server) - {min(workers)}) == 2, "a new worker")
    eventually(both_serve, "both workers")
    all_tell(f"todo_calls_total{{{success}}}", 12)
    assert f'process_cpu_seconds_total{{pid="{min(workers)}"}}' not in _metrics(server)


def _metrics(server: Manage) -> dict[str, float]:
    text = httpx2.get(f"http://localhost:{server.port}/metrics", timeout=PATIENCE).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def _workers(server: Manage) -> set[int]:
    """The pids of the workers that are alive; besides them there is multiprocessing's resource tracker."""
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()}


def test_another_port_is_in_the_address_that_it_tells(start: Start, url: str) -> None:
    port = free_port()
    server = start("serve", "--port", str(port), DATABASE_URL=url)
    server.port = port
    assert server.line("Serving ") == f"http://localhost:{port} on localhost port {port}. Ctrl-C stops it."
    server.wait_ready()
    assert server.end() == 0


def test_a_taken_port_is_told(start: Start, url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = start("serve", DATABASE_URL=url, MCP_SERVER_PORT=port).refusal()
    assert refused == (
        f"CommandError: Port {port} is taken by another program. Stop it, or set MCP_SERVER_PORT to a free port."
    )


def test_a_host_that_is_not_this_machine_is_told() -> None:
    with pytest.raises(PortUnavailable, match=r"Port 0 of 192\.0\.2\.1 cannot be listened on: Cannot assign"):
        bind("192.0.2.1", 0)


def test_migrations_that_are_not_applied_are_told(start: Start, url: str) -> None:
    refused = start("serve", DATABASE_URL=_url("postgres")).refusal()
    assert refused.startswith("CommandError: Unapplied migrations: ")
    assert refused.endswith(" more. Run `manage.py migrate`, then start again.")


def test_a_database_out_of_reach_is_told(start: Start) -> None:
    refused = start("serve", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none").refusal()
    assert refused.startswith("CommandError: The database cannot be used; check DATABASE_URL. It says: ")


@pytest.mark.django_db
@pytest.mark.parametrize(("workers", "share"), [(1, 92), (4, 23), (200, 1)])
def test_workers_share_the_connections_that_the_database_has(
    settings: Settings, caplog: pytest.LogCaptureFixture, workers: int, share: int
) -> None:
    settings.DATABASE_CONNECTIONS = 1000  # of PostgreSQL's 100, 3 are reserved and we spare 5
    startup.share_connections(workers)
    assert share == settings.DATABASE_CONNECTIONS
    assert f"from 1000 to {share} for each worker" in caplog.text


@pytest.mark.django_db
def test_what_the_database_has_enough_of_is_not_lowered(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    startup.share_connections(workers=2)
    assert settings.DATABASE_CONNECTIONS == 4  # as the tests set it
    assert not caplog.records
