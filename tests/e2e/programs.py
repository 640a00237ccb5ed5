"""Runs the programs of third-party clients."""

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SECONDS = 120  # limit for each of these programs


def run(*command: str | Path, seconds: float = SECONDS, **options: Any) -> str:
    """Run a program, which must succeed. Returns its output."""
    result = attempt(*command, seconds=seconds, **options)
    assert result.returncode == 0, (
        f"{command[:2]} ended with {result.returncode}:\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
    )
    return result.stdout


def attempt(*command: str | Path, seconds: float = SECONDS, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=seconds, check=False, **options)


def last_json(output: str) -> Any:
    """The JSON document at the end of a program's output."""
    assert "{" in output, output
    return json.loads(output[output.index("{") :])
