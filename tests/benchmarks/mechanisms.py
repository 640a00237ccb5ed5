"""`make bench-mechanisms`: what each special mechanism of the server buys, in one run.

For each mechanism, one server runs without it (``tests.benchmarks.without``). The load comes in short rounds. Each
round stands between two rounds of the full server and is compared with the mean of the two. The medians of these ratios
become a table in Markdown. The row "nothing" has the full server on both sides, so it shows the noise. CPU has less
noise than calls per second, so the verdict depends on it.
"""

import argparse
import shutil
import statistics
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby

import psutil  # type: ignore[import-untyped]
import psycopg

from tests.benchmarks import servers
from tests.benchmarks.code_lines import count
from tests.benchmarks.run import ERAS, Figure, Ids, check, load
from tests.benchmarks.servers import Target
from tests.support.server_process import ROOT, serve_command

TOOLS = ("add_task", "list_tasks")
FULL, TRACED = "full", "traced"
FIRST_PORT = 5121
START_PORT = 5120
WORTH = 1.05  # CPU of a call without the mechanism: from here on its speed alone is a reason to keep it
_CONF = "max_connections = 500\n"  # each server keeps 16


@dataclass(frozen=True)
class Mechanism:
    """``variant`` is its name in ``tests.benchmarks.without``; ``code`` has places for ``code_lines.count``.

    ``lines`` are further lines, within functions that do other things too. ``keeps`` is a promise besides speed.
    """

    variant: str
    title: str
    code: tuple[str, ...] = ()
    lines: int = 0
    keeps: str = ""
    base: str = FULL

    def size(self) -> int:
        return self.lines + sum(count(ROOT / "todo_mcp", place) for place in self.code)


MECHANISMS = (
    Mechanism("nothing", "nothing changed: the noise"),
    Mechanism(
        "greenlets",
        "greenlets",
        (
            "postgres/greenlets.py:Work",
            "postgres/greenlets.py:current_work",
            "postgres/greenlets.py:without_blocking",
            "postgres/greenlets.py:sleep",
            "postgres/place.py:PlacedWork",
            "postgres/gate.py:DatabaseGate.on_loop",
            "postgres/connection.py:Connection.wait",
            "postgres/connection.py:Connection.unwatch",
            "postgres/connection.py:Connection._until",
            "postgres/connection.py:Connection._watch",
            "postgres/connection.py:Connection._unwatch",
            "postgres/connection.py:Connection._on_ready",
        ),
    ),
    Mechanism(
        "compiled_statements",
        "compiled statements",
        ("postgres/statements.py",),
        keeps="a write sets the author of its history itself",
    ),
    Mechanism(
        "token_condition",
        "token's condition",
        (
            "auth/token_condition.py",
            "auth/remembered_tokens.py",
            "auth/authentication.py:recall_principal",
            "auth/authentication.py:note_use",
            "postgres/operation_run.py",
            "calls/perform.py:_CallSteps.do_with_remembered_token",
        ),
        keeps="a revoked token is refused in the very statement that does the work",
    ),
    Mechanism(
        "call_shapes",
        "frames of call shapes",
        ("transports/mcp/call_shapes.py", "transports/mcp/endpoint.py:McpEndpoint._known_frame"),
    ),
    Mechanism(
        "log_formatter",
        "log formatter",
        (
            "telemetry/logs.py:install",
            "telemetry/logs.py:Formatter",
            "telemetry/logs.py:_to_ascii",
            "telemetry/logs.py:_type_name",
        ),
        keeps="a library's exception or object cannot log a user's text",
    ),
    Mechanism(
        "counts_by_row",
        "statistics in memory; without: a row for each call",
        ("statistics/recorder.py", "statistics/flushing.py"),
        keeps="bounded tables, whatever names callers choose",
    ),
    Mechanism("counts_by_update", "the same; without: an UPDATE for each call"),
    Mechanism(
        "frozen_heap",
        "frozen heap",
        lines=4,  # COLLECT_AFTER and three calls in Server.startup
        keeps="no call waits 0.1 s for a full collection",
    ),
    Mechanism(
        "http",
        "HTTP protocol",
        tuple(f"process/http_{name}.py" for name in ("protocol", "closing", "answers", "connections", "head")),
        keeps="strict framing; limits for slow, large and unread requests",
    ),
    Mechanism(
        "statement_spans",
        "cursors with spans, where traces are exported",
        ("postgres/traced.py", "telemetry/tracing.py:statement"),
        keeps="traces show each statement, without values",
        base=TRACED,
    ),
)
# SimpleAdminConfig in the settings, autodiscover in urls.py, and no system checks in `serve`.
LAZY_PAGES = Mechanism("lazy_pages", "pages loaded on first use", lines=3)


@dataclass(frozen=True)
class Ratio:
    """A server without a mechanism, as a share of the server with it."""

    per_second: float
    cpu: float


def command(variant: str) -> list[str]:
    return [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.without", variant, "serve"]


def measure(targets: dict[str, Target], rounds: int, seconds: int) -> Iterator[tuple[str, str, Ratio]]:
    """Yields variant, tool and ratio, and prints each round of the full servers."""
    ids = Ids()
    for number in range(rounds):
        for tool in TOOLS:
            for name, group in groupby(MECHANISMS, lambda mechanism: mechanism.base):
                mechanisms = list(group)
                turn = number % len(mechanisms)
                figures = [load(targets[name], ERAS[0], tool, seconds, ids)]
                for mechanism in mechanisms[turn:] + mechanisms[:turn]:
                    without = load(targets[mechanism.variant], ERAS[0], tool, seconds, ids)
                    figures.append(load(targets[name], ERAS[0], tool, seconds, ids))
                    yield mechanism.variant, tool, _ratio(without, *figures[-2:])
                print(f"{number + 1:3}  {tool:10}  {name:6}  {_absolute(figures)}", file=sys.stderr, flush=True)


def _ratio(without: Figure, before: Figure, after: Figure) -> Ratio:
    return Ratio(
        2 * without.per_second / (before.per_second + after.per_second),
        2 * without.cpu / (before.cpu + after.cpu),
    )


def _absolute(figures: list[Figure]) -> str:
    per_second, cpu, p99 = (
        statistics.median(values)
        for values in zip(*((figure.per_second, figure.cpu, figure.p99) for figure in figures), strict=True)
    )
    return f"{per_second:6,.0f} calls/s, {cpu:4.0f} us of CPU, p99 {p99:5.1f} ms"


def table(found: dict[tuple[str, str], list[Ratio]]) -> Iterator[str]:
    ratios = "calls/s without it: add, list | CPU of a call without it: add, list"
    yield f"| mechanism | lines | {ratios} | what it keeps besides speed | verdict |"
    yield "|---|---|---|---|---|---|"
    for mechanism in MECHANISMS:
        add, listing = (_median(found[mechanism.variant, tool]) for tool in TOOLS)
        cells = (
            mechanism.title,
            str(mechanism.size() or ""),
            f"{add.per_second:.2f}, {listing.per_second:.2f}",
            f"{add.cpu:.2f}, {listing.cpu:.2f}",
            mechanism.keeps,
            _verdict(mechanism, max(add.cpu, listing.cpu)),
        )
        yield f"| {' | '.join(cells)} |"


def _median(ratios: list[Ratio]) -> Ratio:
    columns = zip(*((ratio.per_second, ratio.cpu) for ratio in ratios), strict=True)
    return Ratio(*(statistics.median(column) for column in columns))


def _verdict(mechanism: Mechanism, cpu: float) -> str:
    if not mechanism.size():
        return ""
    if cpu >= WORTH:
        return "keep: speed, promise" if mechanism.keeps else "keep: speed"
    return "keep: promise" if mechanism.keeps else "reconsider"


def starts(url: str, rounds: int) -> Iterator[str]:
    """Seconds from the command to the first answer of /readyz, and MiB then, with and without lazy pages."""
    found: dict[str, list[tuple[float, float]]] = {"nothing": [], LAZY_PAGES.variant: []}
    for _ in range(rounds):
        for variant, figures in found.items():
            figures.append(_start(url, variant))
    (seconds, memory), (seconds_without, memory_without) = (
        [statistics.median(column) for column in zip(*figures, strict=True)] for figures in found.values()
    )
    verdict = "keep" if seconds_without / seconds >= WORTH else "reconsider"
    yield "| mechanism | lines | ready after: with, without | memory then: with, without | verdict |"
    yield "|---|---|---|---|---|"
    yield (
        f"| {LAZY_PAGES.title} | {LAZY_PAGES.size()} | {seconds:.2f} s, {seconds_without:.2f} s"
        f" | {memory:.0f} MiB, {memory_without:.0f} MiB | {verdict} |"
    )


def _start(url: str, variant: str) -> tuple[float, float]:
    env, began = _env(url, START_PORT), time.monotonic()
    with servers.running(variant, START_PORT, command(variant), env, tokens={}, names_user=False) as target:
        # The port is open before the server is ready; a request that comes early waits.
        urllib.request.urlopen(f"http://localhost:{START_PORT}/readyz", timeout=60)
        return time.monotonic() - began, float(psutil.Process(target.process.pid).memory_info().rss) / 2**20


def _env(url: str, port: int) -> dict[str, str]:
    return {"DATABASE_URL": url, "SECRET_KEY": "b" * 60, "MCP_SERVER_PORT": str(port)}


@contextmanager
def targets_of(url: str, tokens: dict[str, str], collector: str) -> Iterator[dict[str, Target]]:
    """All servers, by name."""
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    with ExitStack() as stack:
        targets: dict[str, Target] = {}

        def start(name: str, arguments: list[str], more: dict[str, str]) -> None:
            port = FIRST_PORT + len(targets)
            env = {**_env(url, port), **more}
            running = servers.running(name, port, arguments, env, tokens=tokens, names_user=False)
            targets[name] = stack.enter_context(running)
            for tool in TOOLS:
                check(targets[name], tool)

        start(FULL, serve_command(), {})
        start(TRACED, serve_command(), otlp)
        for mechanism in MECHANISMS:
            start(mechanism.variant, command(mechanism.variant), otlp if mechanism.base == TRACED else {})
        yield targets


class _Sink(BaseHTTPRequestHandler):
    """Takes traces and drops them."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collector() -> Iterator[str]:
    """The address of a collector of traces."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Sink) as sink:
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{sink.server_port}"
        sink.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=1, help="of load in each round")
    parser.add_argument("--rounds", type=int, default=15, help="of which the medians are printed")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("The benchmark needs wrk: apt-get install wrk, or brew install wrk.")
    found: dict[tuple[str, str], list[Ratio]] = {
        (mechanism.variant, tool): [] for mechanism in MECHANISMS for tool in TOOLS
    }
    url = servers.create_database(servers.start_postgresql("mechanisms", _CONF), "ours")
    with collector() as address:
        tokens = servers.prepare_ours(url)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE call_rows (LIKE call_statistics INCLUDING IDENTITY)")
        for line in starts(url, options.rounds):
            print(line, flush=True)
        with targets_of(url, tokens, address) as targets:
            for variant, tool, ratio in measure(targets, options.rounds, options.seconds):
                found[variant, tool].append(ratio)
    for line in table(found):
        print(line)


if __name__ == "__main__":
    main()
