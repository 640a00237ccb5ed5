"""Several workers: they share the metrics, and one that dies is replaced, logged and counted."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.process.conftest import Start
from tests.support.manage import Manage
from tests.support.processes import PATIENCE, eventually
from tests.support.server_process import workers_of

DIED, HUNG = "a worker died and was replaced", "a worker hung, was killed and replaced"


def test_a_worker_that_dies_is_replaced_and_none_outlives_the_parent(start: Start, url: str, tmp_path: Path) -> None:
    # TMPDIR is set because a killed parent cannot remove the directory of the metrics.
    server = start("serve", "--workers", "2", DATABASE_URL=url, TMPDIR=tmp_path).wait_ready()
    eventually(lambda: len(_workers(server)) == 2, "both workers")
    first = min(_workers(server))
    os.kill(first, signal.SIGKILL)
    eventually(lambda: len(_workers(server) - {first}) == 2, "a new worker")
    server.wait_ready()
    server.process.kill()
    server.process.wait()
    eventually(lambda: server.get("/healthz") is None, "the workers to end")


def test_every_worker_reports_the_metrics_of_all_workers_and_of_dead_ones(
    start: Start, url: str, alices_token: str, tmp_path: Path
) -> None:
    server = start("serve", "--workers", "2", DATABASE_URL=url, TMPDIR=tmp_path, DATABASE_CONNECTIONS=3).wait_ready()
    success = 'outcome="success",revision="",tool="list_tasks",transport="http"'

    def both_serve() -> bool:
        return _metrics(server).get("todo_database_connections_limit") == 6

    def all_report(name: str, value: float) -> None:
        metrics = [_metrics(server).get(name) for _ in range(8)]
        assert metrics == [value] * 8, name

    eventually(both_serve, "both workers")
    for _ in range(12):
        server.call("list_tasks", alices_token)
    all_report(f"todo_calls_total{{{success}}}", 12)
    all_report(f"todo_call_seconds_count{{{success}}}", 12)
    all_report('todo_database_seconds_count{tool="list_tasks"}', 12)
    assert _metrics(server)[f'todo_call_seconds_bucket{{le="+Inf",{success}}}'] == 12
    workers, metrics = _workers(server), _metrics(server)
    assert all(metrics[f'process_resident_memory_bytes{{pid="{pid}"}}'] > 1e7 for pid in workers)
    os.kill(min(workers), signal.SIGKILL)
    eventually(lambda: len(_workers(server) - {min(workers)}) == 2, "a new worker")
    eventually(both_serve, "both workers")
    all_report(f"todo_calls_total{{{success}}}", 12)
    assert f'process_cpu_seconds_total{{pid="{min(workers)}"}}' not in _metrics(server)


def _metrics(server: Manage) -> dict[str, float]:
    text = httpx2.get(f"http://localhost:{server.port}/metrics", timeout=PATIENCE).text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def _workers(server: Manage) -> set[int]:
    return workers_of(server.process.pid)


@pytest.mark.parametrize(
    ("sent", "message", "end"),
    [
        (signal.SIGKILL, DIED, {"signal": "SIGKILL"}),
        (signal.SIGSEGV, DIED, {"signal": "SIGSEGV"}),
        (signal.SIGTERM, DIED, {"exit_code": 0}),
        (signal.SIGSTOP, HUNG, {"signal": "SIGKILL"}),
    ],
)
def test_a_replaced_worker_is_an_error_in_the_log_and_counts(
    start: Start, url: str, tmp_path: Path, sent: signal.Signals, message: str, end: dict[str, Any]
) -> None:
    server = start("serve", "--workers", "2", DATABASE_URL=url, TMPDIR=tmp_path).wait_ready()
    eventually(lambda: len(_workers(server)) == 2, "both workers")
    assert _metrics(server)["todo_workers_died_total"] == 0
    worker = min(_workers(server))
    os.kill(worker, sent)
    eventually(lambda: len(_workers(server) - {worker}) == 2, "a new worker")
    server.wait_ready()
    (line,) = eventually(lambda: _errors(server), "the line in the log")
    assert [_metrics(server)["todo_workers_died_total"] for _ in range(6)] == [1] * 6
    assert {name: line[name] for name in ("message", "worker", *end)} == {"message": message, "worker": worker, **end}
    assert server.end() == 0
    assert len(_errors(server)) == 1  # the end of the others is none


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_ends_them_without_an_error(start: Start, url: str, number: signal.Signals) -> None:
    """Ctrl-C and systemd send it to the workers, too. None of them is replaced."""
    server = start("serve", "--workers", "2", DATABASE_URL=url).wait_ready()
    eventually(lambda: len(_workers(server)) == 2, "both workers")
    for pid in (server.process.pid, *_workers(server)):
        os.kill(pid, number)
    assert server.process.wait(PATIENCE) == 0
    assert not _errors(server)


def _errors(server: Manage) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]
    return [line for line in lines if line["level"] == "ERROR"]
