"""``postmaster.pid``, the lock file of a PostgreSQL server.

Its lines are the pid, data directory, start time, port, socket directory, and more.
"""

import os
from pathlib import Path
from typing import NamedTuple


class Address(NamedTuple):
    host: str  # the socket's directory
    port: str


def read_address(pgdata: Path) -> Address | None:
    """The address in the lock file, which a killed server leaves behind. None if there is no usable lock file."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        is_ours = len(lines) > 4 and os.path.samefile(lines[1], pgdata)  # a copied directory names the original
    except FileNotFoundError:
        return None
    return Address(lines[4], lines[3]) if is_ours and lines[4] else None


def clear_stale_lock(pgdata: Path, socket_directory: Path) -> None:
    """Let PostgreSQL start although another process now has the pid of a killed server.

    PostgreSQL refuses to start while any process has the pid in the lock file. Replace it with our own pid: PostgreSQL
    knows that the process that starts it is not a server. Keep the other lines. PostgreSQL uses the shared memory id
    there to check that no process of the old server still runs.
    """
    path = pgdata / "postmaster.pid"
    for lock in socket_directory.glob(".s.PGSQL.*.lock"):  # the socket's own lock file, with the same pid
        lock.unlink()
    try:
        pid, _, rest = path.read_text().partition("\n")
    except FileNotFoundError:
        return
    if not pid.strip().isdigit():  # truncated by a crash of the machine, so its server is dead
        path.unlink()
    elif _exists(int(pid)):
        path.write_text(f"{os.getpid()}\n{rest}")


def _exists(pid: int) -> bool:
    """Whether a process (or a zombie) has this pid and PostgreSQL could mistake it for the old server."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
