"""What every test of real processes needs: patience, a free port, and a directory to work in."""

import contextlib
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

PATIENCE = 60.0  # seconds; for a machine that has other things to do
T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str) -> T:
    """The first true value of ``look``, asked often and for a bounded time."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary directory, but not pytest's: those that root makes there are closed by every other run of pytest."""
    with tempfile.TemporaryDirectory(prefix="todo-mcp-test-") as directory:
        Path(directory).chmod(0o711)  # for the account that PostgreSQL has where root runs the tests
        yield Path(directory)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
