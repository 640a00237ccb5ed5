"""What Prometheus sees at /metrics: counts and times, no user, no text, no token. docs/monitoring.md explains each.

A worker writes to memory, or where there are several, to a file of its own; whoever is asked adds them up. Each number
costs a call some of a microsecond, so what can be told from others is not kept.
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
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_CALL = ["tool", "transport", "revision", "outcome"]

CALLS = Counter("todo_calls", "Tool calls by tool, transport, protocol revision and outcome.", _CALL)
CALL_SECONDS = Histogram(
    "todo_call_seconds",
    "Seconds that a tool call took once it had a place: token, arguments, work.",
    _CALL,
    buckets=_SECONDS,
)
DATABASE_SECONDS = Histogram(
    "todo_database_seconds",
    "Seconds of a tool call in which it waited for PostgreSQL.",
    ["tool"],
    buckets=(0.00025, 0.0005, *_SECONDS),
)
PAGES = Histogram(
    "todo_page_seconds",
    "Seconds that a request took which is no tool call: rest (conversations), page (admin, sign-in, OAuth).",
    ["kind", "status"],
    buckets=(*_SECONDS[2:], 10, 30),
)
GATE_WAITING = Gauge("todo_gate_waiting", "Work that waits for a place at the database.", multiprocess_mode="livesum")
GATE_WAIT_SECONDS = Histogram(
    "todo_gate_wait_seconds",
    "Seconds until a place came free, or none did, of what had to wait for one.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)
GATE_REFUSED = Counter("todo_gate_refused", "Work answered busy because no place came free in time.")
CONNECTIONS = Gauge(
    "todo_database_connections",
    "Connections to PostgreSQL by state: in_use or idle. Looked at once a second.",
    ["state"],
    multiprocess_mode="livesum",
)
CONNECTIONS_LIMIT = Gauge(
    "todo_database_connections_limit", "How many connections there may be.", multiprocess_mode="livesum"
)
REFUSED = Counter("todo_refused_requests", "Requests refused before any tool, by HTTP status.", ["status"])


def count_call(tool: str, transport: str, revision: str, outcome: str, seconds: float, database_seconds: float) -> None:
    """Count a tool call."""
    calls, took, waited = _of_calls(tool, transport, revision, outcome)
    calls.inc()
    took.observe(seconds)
    waited.observe(database_seconds)


@cache
def _of_calls(tool: str, transport: str, revision: str, outcome: str) -> tuple[Counter, Histogram, Histogram]:
    """Finding these by their labels costs more than adding to them."""
    labels = (tool, transport, revision, outcome)
    return CALLS.labels(*labels), CALL_SECONDS.labels(*labels), DATABASE_SECONDS.labels(tool)


def exposition() -> bytes:
    """The metrics in Prometheus' text format; of all workers where there are several."""
    directory = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if directory is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(_Workers(Path(directory)))
    return generate_latest(registry)


class _Workers(Collector):
    """What the client tells of its own process, such as CPU and memory, of each worker by ``pid``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterator[Metric]:
        metrics: dict[str, Metric] = {}
        for file in self._directory.glob("gauge_livesum_*.db"):  # removed when a worker has died
            pid = file.stem.rpartition("_")[2]
            for found in ProcessCollector(pid=partial(str, pid), registry=None).collect():
                metric = metrics.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                metric.samples += [sample._replace(labels={"pid": pid}) for sample in found.samples]
        yield from metrics.values()
