"""One embedded PostgreSQL for all processes that use a data directory: the first starts it, the last stops it.

Each process holds a shared lock on ``postgres.users``, which the kernel releases however the process ends. A process
that can lock the file exclusively is the last user. Starting and stopping require the lock ``postgres.lock``. The
processes of PostgreSQL itself hold a lock on ``postgres.alive``.
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

from todo_mcp.configuration.distribution import data_directory
from todo_mcp.postgres.embedded.cluster import START_SECONDS, Cluster
from todo_mcp.postgres.embedded.lock_file import Address


class EmbeddedServer:
    """The server of one data directory, as this process sees it."""

    def __init__(self, pgdata: Path) -> None:
        self._directory = pgdata.parent
        self._name = pgdata.name
        self._cluster = Cluster(pgdata)
        self._in_use: IO[str] | None = None  # open while this process uses the server
        self._address: Address | None = None

    def address(self) -> Address:
        """The address to connect to. The first call in this process starts the server if needed."""
        return self._address or self.ensure_running()

    def ensure_running(self) -> Address:
        """Start the server if it does not run, and wait until it accepts connections.

        Raises:
            ImproperlyConfigured: it cannot start; the message says why and what to do.
        """
        with self._readable_errors(), self._exclusively():
            if self._in_use is None:
                self._in_use = open(self._directory / f"{self._name}.users", "a")  # noqa: SIM115 (stays open until release)
                fcntl.flock(self._in_use, fcntl.LOCK_SH)
            if self._accepts_connections():
                self._address = self._cluster.address()
            else:
                self._address = self._cluster.start()
            assert self._address is not None
            return self._address

    def release(self) -> None:
        """End this process's use of the server. Stop the server if no other process uses it."""
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

    def is_only_user(self) -> bool:
        """Whether no other process uses the server at this moment. This process uses it."""
        assert self._in_use is not None
        with self._exclusively():
            try:
                fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                fcntl.flock(self._in_use, fcntl.LOCK_SH)  # the attempt has given this lock up
        return True

    @contextmanager
    def unused(self) -> Iterator[None]:
        """Keep every other process from using the server. No process may use it now.

        Raises:
            ImproperlyConfigured: one uses it.
        """
        with self._readable_errors(), self._exclusively():
            with open(self._directory / f"{self._name}.users", "a") as users:
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ImproperlyConfigured(
                        f"A server or another command uses {self._directory}. Stop it, then run this again."
                    ) from None
            yield

    def _accepts_connections(self) -> bool:
        """Whether the server accepts connections. Waits for a start, recovery or shutdown to finish first."""
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
        """Prevent every other thread and process from starting or stopping the server meanwhile."""
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
                f"TODO_DATA_DIR is {str(self._directory)!r}, which cannot be used ({error.strerror}: "
                f"{str(error.filename)!r}); set it to a directory that you may write to, like {data_directory()}."
            ) from error


_servers: dict[Path, EmbeddedServer] = {}


def embedded_server(pgdata: Path) -> EmbeddedServer:
    """The one ``EmbeddedServer`` of this process for a data directory."""
    return _servers.setdefault(pgdata, EmbeddedServer(pgdata))


@atexit.register
def release_all() -> None:
    """Release every embedded server. Callers of ``os._exit`` must call this themselves: it skips ``atexit``."""
    for server in _servers.values():
        server.release()
