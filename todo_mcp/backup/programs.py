"""PostgreSQL's programs pg_dump and pg_restore: those of the wheel, in PATH, or where systems install them.

The newest one is used: it reads every older server and every older dump.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import IO, Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from todo_mcp.configuration.database_settings import LIBPQ_VARIABLES
from todo_mcp.postgres.embedded.programs import find_programs, major_of, of_systems
from todo_mcp.process.commands import escaped

CHUNK = 256 * 1024  # bytes
SERVICE = "todo-mcp"


def dump(connection: "psycopg.Connection[Any]", snapshot: str, schema: str, write: Callable[[bytes], object]) -> None:
    """Dump the schema of this connection's database, as the exported snapshot shows it, in pg_dump's custom format."""
    program = _newest("pg_dump", connection.info.server_version // 10000, "This server is")
    quoted = '"' + schema.replace('"', '""') + '"'
    arguments = [f"--snapshot={snapshot}", f"--schema={quoted}", "--no-unlogged-table-data"]
    with (
        _address(connection.info) as environment,
        _running(program, "--format=custom", "--no-password", *arguments, env=environment) as process,
    ):
        assert process.stdout
        while chunk := process.stdout.read(CHUNK):
            write(chunk)


def dump_version() -> int:
    """The major version of the pg_dump that ``dump`` uses."""
    return _newest("pg_dump", 0, "")[1]


@contextmanager
def section(name: str, dump_file: IO[bytes], made_by: int) -> Iterator[IO[bytes]]:
    """The SQL of a section (pre-data, data, post-data) of a dump, without owners and grants."""
    program = _newest("pg_restore", made_by, "The dump was made by")
    arguments = ["--file=-", f"--section={name}", "--no-owner", "--no-privileges"]
    with _running(program, *arguments, stdin=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        feeder = Thread(target=_feed, args=(dump_file, process.stdin), daemon=True)
        feeder.start()
        yield process.stdout
        feeder.join()


def _feed(source: IO[bytes], target: IO[bytes]) -> None:
    with suppress(BrokenPipeError), target:  # pg_restore ends early if it needs only the table of contents
        shutil.copyfileobj(source, target, CHUNK)


@contextmanager
def _running(program: tuple[Path, int], *arguments: str, **options: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """A process whose output is read within this context. It must succeed; otherwise its error is raised."""
    path, major = program
    with tempfile.TemporaryFile() as errors:
        command = [str(path), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, **options) as process:  # noqa: S603
            try:
                yield process
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines() or ["no message"]
            line = next((line for line in lines if "error:" in line), lines[-1])
            raise CommandError(f"{path.name} {major} ended with {process.returncode}: {escaped(line)}")


@contextmanager
def _address(info: psycopg.ConnectionInfo) -> Iterator[dict[str, str]]:
    """An environment that leads PostgreSQL's programs to the same server. The command line shows no part of it."""
    parameters = info.get_parameters() | {"host": info.host, "port": str(info.port)}
    for name in ("service", "servicefile", "client_encoding"):
        parameters.pop(name, None)
    environment = {name: value for name, value in os.environ.items() if name not in LIBPQ_VARIABLES}
    with tempfile.NamedTemporaryFile("w", prefix="todo-mcp-service-") as file:  # only its owner can read it
        file.write("\n".join([f"[{SERVICE}]", *(f"{name}={value}" for name, value in parameters.items())]) + "\n")
        file.flush()
        yield environment | {"PGSERVICEFILE": file.name, "PGSERVICE": SERVICE, "PGPASSWORD": info.password}


def _newest(name: str, needed: int, who: str) -> tuple[Path, int]:
    """The newest program of this name, and its major version.

    Raises:
        CommandError: none is new enough; the message says what to install.
    """
    found = max(((major, path) for path in _candidates(name) if (major := major_of(path))), default=None)
    if found is None:
        raise CommandError(
            f"No {name} was found. Install PostgreSQL's client programs (Debian: apt-get install postgresql-client)."
        )
    if found[0] < needed:
        raise CommandError(
            f"{who} PostgreSQL {needed}, and the newest {name} here is {found[0]}. Install the client programs of "
            f"PostgreSQL {needed} (Debian: apt-get install postgresql-client-{needed}), then run this again."
        )
    return found[1], found[0]


def _candidates(name: str) -> Iterator[Path]:
    with suppress(ImproperlyConfigured):
        yield find_programs() / name
    if at_hand := shutil.which(name):
        yield Path(at_hand)
    yield from (directory / name for directory in of_systems())
