"""Runs wrk, the load generator. load.lua makes its requests."""

import json
import os
import subprocess
from typing import Any

from tests.benchmarks.servers import Target
from tests.support.server_process import ROOT

CONNECTIONS = 16
_COMMAND = ("wrk", "-t1", f"-c{CONNECTIONS}", "-s", str(ROOT / "tests/benchmarks/load.lua"))


def load(target: Target, *, era: str, tool: str, user: str, first_id: int, seconds: int) -> dict[str, Any]:
    """Load the server for ``seconds``. Returns ``requests``, ``microseconds``, and the latencies ``p50`` and ``p99``.

    Raises:
        SystemExit: a request failed, so the figure would mean nothing.
    """
    env = {
        "ERA": era,
        "TOOL": tool,
        "TOKEN": target.tokens[user],
        "USER_ID": user,
        "NAME_USER": str(int(target.names_user)),
        "FIRST_ID": str(first_id),
        "MCP_PATH": target.mcp_path,
    }
    command = [*_COMMAND, f"-d{seconds}s", f"http://localhost:{target.port}"]
    printed = subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(printed.stdout.strip().splitlines()[-1])
    if result["failed"] or not result["requests"]:
        raise SystemExit(f"{target.name}, {tool}, {era}: {result['failed']} of {result['requests']} requests failed.")
    return result
