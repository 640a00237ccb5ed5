"""What Prometheus sees at /metrics. Counts and times only: no user, no text, no token."""

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

CALLS = Counter(
    "todo_calls",
    "Tool calls by tool, transport, protocol revision and outcome.",
    ["tool", "transport", "revision", "outcome"],
)
CALL_SECONDS = Histogram(
    "todo_call_seconds",
    "Seconds from the call's arrival to its answer.",
    ["tool", "transport"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
GATE_WAITING = Gauge(
    "todo_gate_waiting", "Calls that wait for a place in the database threads.", multiprocess_mode="livesum"
)
GATE_REFUSED = Counter("todo_gate_refused", "Calls answered busy because no place came free in time.")
REFUSED = Counter("todo_refused_requests", "Requests refused before any tool, by HTTP status.", ["status"])


def exposition() -> bytes:
    """The metrics in Prometheus' text format; of all workers where there are several."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
