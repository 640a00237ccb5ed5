"""One embedded PostgreSQL for every process that uses a data directory: the first starts it, the last stops it.

The kernel counts the users: each holds a shared lock on ``postgres.users`` for as long as it lives, however it dies,
and who gets that lock for himself is the last. Starting and stopping happen under the lock ``postgres.lock``. The
processes of PostgreSQL itself hold ``postgres.alive``.
"""

import atexit
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from django.core.exceptions import ImproperlyConfigured
from psycopg.pq import Ping

from todo_mcp.postgres.embedded.cluster import START_SECONDS, Cluster
from todo_mcp.postgres.embedded.lock_file import Address


class EmbeddedServer:
    """The server of one data directory, as this process sees it."""

    def __init__(self, pgdata: Path) -> None:
        self._directory = pgdata.parent
        self._name = pgdata.name
        self._cluster = Cluster(pgdata)
        self._in_use: IO[str] | None = None  # while open, the server is ours too
        self._address: Address | None = None

    def address(self) -> Address:
        """Where to connect; the first time in this process, after making sure that the server runs."""
        return self._address or self.ensure_running()

    def ensure_running(self) -> Address:
        """Start the server if it does not run, and wait until it takes connections.

        Raises:
            ImproperlyConfigured: it cannot be started; one sentence says why and what to do.
        """
        with self._readable_errors(), self._exclusively():
            if self._in_use is None:
                self._in_use = open(self._directory / f"{self._name}.users", "a")  # noqa: SIM115 (open until the end)
                fcntl.flock(self._in_use, fcntl.LOCK_SH)
            if self._answers():
                self._address = self._cluster.address()
            else:
                self._address = self._cluster.start()
            assert self._address is not None
            return self._address

    def release(self) -> None:
        """Use it no more; stop it if nobody else does."""
        if self._in_use is None or not self._directory.exists():
            return
        with self._exclusively():
            with self._in_use:
                try:
                    fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass
                else:
                    self._cluster.stop()
            self._in_use = self._address = None

    def _answers(self) -> bool:
        """Whether it takes connections, once it is done with what it may be at: start, recovery, shutdown."""
        deadline = time.monotonic() + START_SECONDS
        while self._cluster.ping() is not Ping.OK:
            if self._cluster.is_gone():
                return False
            if time.monotonic() > deadline:
                raise ImproperlyConfigured(
                    f"PostgreSQL is still recovering. Its log is {self._cluster.log}; start again later."
                )
            time.sleep(0.05)
        return True

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        """Nobody else, thread or process, starts or stops the server meanwhile."""
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)  # o+x: see Account.make_reachable
        with open(self._directory / f"{self._name}.lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ImproperlyConfigured(
                f"The data directory {self._directory} cannot be used ({error.strerror}: {error.filename}). "
                "Set TODO_DATA_DIR to a directory that you may write to."
            ) from error


_servers: dict[Path, EmbeddedServer] = {}


def embedded_server(pgdata: Path) -> EmbeddedServer:
    """This process's one handle on the server of a data directory."""
    return _servers.setdefault(pgdata, EmbeddedServer(pgdata))


@atexit.register
def release_all() -> None:
    """Use no embedded server any more; one that nobody else uses stops. For those who leave by ``os._exit``."""
    for server in _servers.values():
        server.release()
