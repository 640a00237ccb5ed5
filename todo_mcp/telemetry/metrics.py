"""The metrics at /metrics: counts and times, without users, texts or tokens. docs/monitoring.md explains each.

One worker keeps them in memory. Several workers write to a file each, and the worker that is asked adds them up. Each
number costs a call a fraction of a microsecond, so no number repeats what others imply.
"""

import os
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from todo_mcp.core.database_causes import DatabaseCause

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL = ["tool", "transport", "revision", "outcome"]

CALLS = Counter("todo_calls", "Tool calls by tool, transport, protocol revision and outcome.", _CALL, registry=None)
CALL_SECONDS = Histogram(
    "todo_call_seconds",
    "Seconds of a tool call from its place at the gate to its result: token, arguments, work.",
    _CALL,
    buckets=_SECONDS,
    registry=None,
)
DATABASE_SECONDS = Histogram(
    "todo_database_seconds",
    "Seconds in which a tool call waited for PostgreSQL.",
    ["tool"],
    buckets=(0.00025, 0.0005, *_SECONDS),
    registry=None,
)
PAGES = Histogram(
    "todo_page_seconds",
    "Seconds of other requests: rest (conversations), page (admin, sign-in, OAuth).",
    ["kind", "status"],
    buckets=(*_SECONDS[2:], 10, 30),
    registry=None,
)
GATE_WAITING = Gauge(
    "todo_gate_waiting", "Work that waits for a place at the database.", multiprocess_mode="livesum", registry=None
)
GATE_WAIT_SECONDS = Histogram(
    "todo_gate_wait_seconds",
    "Seconds that work waited for a place, whether or not it got one. Only work that had to wait.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
    registry=None,
)
GATE_REFUSED = Counter("todo_gate_refused", "Work answered busy because no place was free in time.", registry=None)
CONNECTIONS = Gauge(
    "todo_database_connections",
    "Connections to PostgreSQL by state: in_use or idle. Counted once a second.",
    ["state"],
    multiprocess_mode="livesum",
    registry=None,
)
CONNECTIONS_LIMIT = Gauge(
    "todo_database_connections_limit", "The largest number of connections.", multiprocess_mode="livesum", registry=None
)
DATABASE_FAULTS = Counter(
    "todo_database_faults",
    "Connections that could not be made and work that failed because of the database, by cause.",
    ["cause"],
    registry=None,
)
CLOCK_DIFFERENCE = Gauge(
    "todo_clock_difference_seconds",
    "Seconds between the clock of a worker and PostgreSQL's; of several workers, the largest.",
    multiprocess_mode="livemax",
    registry=None,
)
CLOCK_JUMPS = Counter("todo_clock_jumps", "Jumps of the clock backwards, by a second or more.", registry=None)
REFUSED = Counter(
    "todo_refused_requests", "Requests refused before any tool, by HTTP status.", ["status"], registry=None
)
UNAUTHENTICATED = Counter(
    "todo_unauthenticated_requests", "Requests answered 401, by the rule that refused them.", ["rule"], registry=None
)


class _WorkersDied(Collector):
    """Counted by the parent of several workers: one byte of a file for each. The directory is that of the workers."""

    def count_one(self) -> None:
        if file := self._file():
            with file.open("ab") as died:
                died.write(b".")

    def collect(self) -> Iterator[Metric]:
        file = self._file()
        count = file.stat().st_size if file and file.exists() else 0
        yield CounterMetricFamily("todo_workers_died", "Workers that died or hung, and were replaced.", value=count)

    def _file(self) -> Path | None:
        directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        return Path(directory, "workers_died") if directory else None


WORKERS_DIED = _WorkersDied()

METRICS: tuple[Collector, ...] = (
    CALLS,
    CALL_SECONDS,
    DATABASE_SECONDS,
    PAGES,
    GATE_WAITING,
    GATE_WAIT_SECONDS,
    GATE_REFUSED,
    CONNECTIONS,
    CONNECTIONS_LIMIT,
    DATABASE_FAULTS,
    CLOCK_DIFFERENCE,
    CLOCK_JUMPS,
    REFUSED,
    UNAUTHENTICATED,
    WORKERS_DIED,
)


@cache
def install() -> None:
    """Add these metrics to the own metrics of Prometheus' client, such as CPU and memory."""
    for metric in METRICS:
        REGISTRY.register(metric)
    for cause in DatabaseCause:
        DATABASE_FAULTS.labels(cause)  # 0 from the start, so that the first fault is an increase


def count_call(tool: str, transport: str, revision: str, outcome: str, seconds: float, database_seconds: float) -> None:
    """Count a tool call."""
    counter, call_seconds, waiting_seconds = _call_metrics(tool, transport, revision, outcome)
    counter.inc()
    call_seconds.observe(seconds)
    waiting_seconds.observe(database_seconds)


@cache
def _call_metrics(tool: str, transport: str, revision: str, outcome: str) -> tuple[Counter, Histogram, Histogram]:
    """Cached, because a lookup by labels costs more than an addition."""
    labels = (tool, transport, revision, outcome)
    return CALLS.labels(*labels), CALL_SECONDS.labels(*labels), DATABASE_SECONDS.labels(tool)


def exposition() -> bytes:
    """The metrics of all workers in Prometheus' text format."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if directory is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_Workers(Path(directory)))
    registry.register(WORKERS_DIED)
    return generate_latest(registry)


class _Workers(Collector):
    """The own metrics of Prometheus' client, such as CPU and memory, for each worker by ``pid``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        metrics: dict[str, Metric] = {}
        for file in self._directory.glob("gauge_livesum_*.db"):  # deleted when its worker has ended
            pid = file.stem.rpartition("_")[2]
            for one in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                metric = metrics.setdefault(one.name, Metric(one.name, one.documentation, one.type))
                metric.samples += [sample._replace(labels={"pid": pid}) for sample in one.samples]
        yield from metrics.values()
