"""``postmaster.pid``, the lock file of a PostgreSQL server: its pid, data directory, start, port, socket directory…"""

import os
from pathlib import Path
from typing import NamedTuple


class Address(NamedTuple):
    host: str  # the socket's directory
    port: str


def read_address(pgdata: Path) -> Address | None:
    """Where the server of this directory listens or, if it was killed, listened; None where there is no trace."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
        ours = len(lines) > 4 and os.path.samefile(lines[1], pgdata)  # in a copy of a live directory it is not
    except FileNotFoundError:
        return None
    return Address(lines[4], lines[3]) if ours and lines[4] else None


def forget_lost_server(pgdata: Path, socket_directory: Path) -> None:
    """Let PostgreSQL start where another process has been given the pid of a server that was killed.

    PostgreSQL does not start while any process has the pid in the lock file. Ours can stand there: it knows that the
    process which starts it is no server. The rest stays, so that it still checks, by the shared memory named there,
    that no process of the old server is at work.
    """
    path = pgdata / "postmaster.pid"
    for lock in socket_directory.glob(".s.PGSQL.*.lock"):  # says the same once more, of the socket
        lock.unlink()
    try:
        pid, _, rest = path.read_text().partition("\n")
    except FileNotFoundError:
        return
    if not pid.strip().isdigit():  # cut off by a crash of the machine: no server lives that wrote it
        path.unlink()
    elif _exists(int(pid)):
        path.write_text(f"{os.getpid()}\n{rest}")


def _exists(pid: int) -> bool:
    """Whether there is such a process, or what is left of it, that PostgreSQL could take for a server of ours."""
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
