"""The embedded PostgreSQL: accidents of a data directory, and of the processes that use it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from psycopg.pq import Ping

from tests.support.processes import PATIENCE, eventually, scratch
from todo_mcp.postgres.embedded.cluster import Cluster
from todo_mcp.postgres.embedded.programs import find_programs
from todo_mcp.postgres.embedded.server import EmbeddedServer

USER_PROCESS = """
import sys
from pathlib import Path
from todo_mcp.postgres.embedded.server import embedded_server
embedded_server(Path(sys.argv[1])).ensure_running()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="session")
def template() -> Iterator[Path]:
    """A data directory to copy, with one row. Its server is stopped."""
    with scratch() as directory:
        server = EmbeddedServer(directory / "postgres")
        with connect(server) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server.release()
        yield directory / "postgres"


@pytest.fixture
def directory() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


@pytest.fixture
def pgdata(template: Path, directory: Path) -> Iterator[Path]:
    pgdata = directory / "postgres"
    shutil.copytree(template, pgdata, symlinks=True)
    yield pgdata
    if (pgdata / "postmaster.pid").exists():
        Cluster(pgdata).stop()


@pytest.fixture
def server(pgdata: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(pgdata)
    yield server
    server.release()


def connect(server: EmbeddedServer) -> "psycopg.Connection[Any]":
    host, port = server.ensure_running()
    return psycopg.connect(host=host, port=port, user="postgres", dbname="todo_mcp", autocommit=True)


def stored_number(server: EmbeddedServer) -> int:
    with connect(server) as connection:
        (number,) = connection.execute("SELECT number FROM kept").fetchall()[0]
    return int(number)


def postmaster(pgdata: Path) -> int:
    return int((pgdata / "postmaster.pid").read_text().split()[0])


def kill(pgdata: Path) -> int:
    """Kill the postmaster with ``kill -9``; the lock file stays. Returns the pid of the process."""
    pid = postmaster(pgdata)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: Cluster(pgdata).ping() is Ping.NO_RESPONSE, "the end of PostgreSQL")
    return pid


def test_a_killed_postgres_is_started_again_with_its_data(server: EmbeddedServer, pgdata: Path) -> None:
    server.ensure_running()
    old_pid = kill(pgdata)
    assert stored_number(server) == 7
    assert postmaster(pgdata) != old_pid


def test_postgres_starts_if_another_process_has_the_pid_of_the_killed_one(server: EmbeddedServer, pgdata: Path) -> None:
    server.ensure_running()
    kill(pgdata)
    with subprocess.Popen(["sleep", "60"], user=pgdata.stat().st_uid) as other:
        lock_file = pgdata / "postmaster.pid"
        lock_file.write_text(f"{other.pid}\n" + lock_file.read_text().partition("\n")[2])
        assert stored_number(server) == 7
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("text", ["", "\x00\x00\x00"], ids=["empty", "zeros"])
def test_postgres_starts_after_a_crash_that_truncated_the_lock_file(
    server: EmbeddedServer, pgdata: Path, text: str
) -> None:
    (pgdata / "postmaster.pid").write_text(text)
    assert stored_number(server) == 7


def test_a_copy_of_a_live_directory_gets_its_own_server(server: EmbeddedServer, pgdata: Path) -> None:
    with connect(server) as connection:
        shutil.copytree(pgdata, pgdata.with_name("copy"), ignore=shutil.ignore_patterns(".s.PGSQL*"))
        connection.execute("UPDATE kept SET number = 8")
    copy = EmbeddedServer(pgdata.with_name("copy"))
    assert stored_number(copy) == 7
    copy.release()
    assert stored_number(server) == 8


def test_a_path_too_long_for_a_socket_works(pgdata: Path) -> None:
    deep = pgdata.parent / ("deep " * 12) / ("deeper" * 12) / "postgres"
    deep.parent.mkdir(parents=True)
    pgdata.rename(deep)
    server = EmbeddedServer(deep)
    assert stored_number(server) == 7
    socket_directory = Path(server.address().host)
    assert socket_directory.stat().st_mode & 0o777 == 0o700
    server.release()
    assert not socket_directory.exists()


def test_the_remains_of_an_interrupted_initdb_are_removed(directory: Path) -> None:
    unfinished = directory / "postgres.new-1234"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    server = EmbeddedServer(directory / "postgres")
    server.ensure_running()
    server.release()
    assert not unfinished.exists()


def test_an_incomplete_directory_is_refused_and_left_unchanged(server: EmbeddedServer, pgdata: Path) -> None:
    (pgdata / "global" / "pg_control").unlink()
    with pytest.raises(ImproperlyConfigured, match=r"is not a complete PostgreSQL data directory\. Move it away"):
        server.ensure_running()
    assert (pgdata / "PG_VERSION").exists()


def test_data_of_another_major_version_are_refused(server: EmbeddedServer, pgdata: Path) -> None:
    (pgdata / "PG_VERSION").write_text("16\n")
    with pytest.raises(ImproperlyConfigured, match=r"holds data of PostgreSQL 16, which .* 18 cannot read\. Run"):
        server.ensure_running()


def test_the_error_of_a_server_that_cannot_start_quotes_its_log(server: EmbeddedServer, pgdata: Path) -> None:
    with (pgdata / "postgresql.conf").open("a") as conf:
        conf.write("nonsense = 1\n")
    with pytest.raises(ImproperlyConfigured, match=r"does not start: configuration file .* contains errors"):
        server.ensure_running()


def test_a_data_directory_that_cannot_be_created_is_reported(directory: Path) -> None:
    (directory / "file").touch()
    with pytest.raises(
        ImproperlyConfigured, match=r"^TODO_DATA_DIR is .*file', which cannot be used .*set it to a directory"
    ):
        EmbeddedServer(directory / "file" / "postgres").ensure_running()


def test_a_platform_without_programs_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("todo_mcp.postgres.embedded.programs.MAJOR", 99)
    with pytest.raises(ImproperlyConfigured, match="no embedded PostgreSQL for this platform"):
        find_programs()


def test_the_log_has_no_text_of_a_refused_statement(server: EmbeddedServer, pgdata: Path) -> None:
    with connect(server) as connection:
        connection.execute("CREATE TABLE once (word text UNIQUE); INSERT INTO once VALUES ('secret')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO once VALUES ('secret')")
    log = (pgdata / "server.log").read_text()
    assert "duplicate key" in log
    assert "secret" not in log


def test_the_last_process_stops_postgres_and_killed_processes_do_not_count(pgdata: Path) -> None:
    def user() -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        process = subprocess.Popen([sys.executable, "-c", USER_PROCESS, pgdata], stdin=pipe, stdout=pipe, text=True)
        assert process.stdout and process.stdout.readline() == "ready\n"
        return process

    def ping() -> Ping:
        return Cluster(pgdata).ping()

    with user() as first, user() as second:
        with user() as third:
            third.communicate(timeout=PATIENCE)  # ends normally
        assert ping() is Ping.OK
        first.kill()
        first.communicate(timeout=PATIENCE)
        assert ping() is Ping.OK
        second.communicate(timeout=PATIENCE)
        assert ping() is Ping.NO_RESPONSE
