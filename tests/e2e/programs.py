"""The programs of clients that we did not write."""

import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SECONDS = 120  # that any of these programs may take


def run(*command: str | Path, seconds: float = SECONDS, **options: Any) -> str:
    """What a program prints; it must succeed."""
    done = attempt(*command, seconds=seconds, **options)
    assert done.returncode == 0, (
        f"{command[:2]} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def attempt(*command: str | Path, seconds: float = SECONDS, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=seconds, check=False, **options)


def last_json(printed: str) -> Any:
    """The JSON document at the end of what a program printed."""
    assert "{" in printed, printed
    return json.loads(printed[printed.index("{") :])
