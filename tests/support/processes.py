"""Helpers for tests of real processes: a bounded wait, a free port, and a temporary directory."""

import contextlib
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

PATIENCE = 60.0  # seconds; enough for a loaded machine
T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, *, within: float = PATIENCE) -> T:
    """Call ``look`` until it returns a true value, for this many seconds at most. Returns that value."""
    deadline = time.monotonic() + within
    while not (value := look()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return value


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory outside of pytest's own, which other runs of pytest by root close to other accounts."""
    with tempfile.TemporaryDirectory(prefix="todo-mcp-test-") as directory:
        Path(directory).chmod(0o711)  # if root runs the tests, PostgreSQL has another account
        yield Path(directory)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
