"""wrk, the load generator: what it sends is in load.lua."""

import json
import os
import subprocess
from typing import Any

from tests.benchmarks.servers import Target
from tests.support.server_process import ROOT

CONNECTIONS = 16
_COMMAND = ("wrk", "-t1", f"-c{CONNECTIONS}", "-s", str(ROOT / "tests/benchmarks/load.lua"))


def load(target: Target, *, era: str, tool: str, user: str, first_id: int, seconds: int) -> dict[str, Any]:
    """Call for so many seconds; how many ``requests`` in how many ``microseconds``, with ``p50`` and ``p99`` of those.

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
    said: dict[str, Any] = json.loads(printed.stdout.strip().splitlines()[-1])
    if said["failed"] or not said["requests"]:
        raise SystemExit(f"{target.name}, {tool}, {era}: {said['failed']} of {said['requests']} requests failed.")
    return said
