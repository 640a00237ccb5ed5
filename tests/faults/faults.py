"""The faults: how each begins and ends."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.faults.broken_database import freeze
from tests.faults.proxy import Proxy
from tests.support.processes import eventually, scratch
from tests.support.server_process import Database, ServerProcess
from todo_mcp.postgres.embedded.account import account_for

_OF_SERVER = "FROM pg_stat_activity WHERE application_name = 'todo-mcp' AND pid <> pg_backend_pid()"


@dataclass
class World:
    database: Database
    proxy: Proxy
    server: ServerProcess

    def admin(self) -> "psycopg.Connection[Any]":
        """A connection that is in no fault: to another database, and allowed to write."""
        url = self.database.url.replace("/todo_mcp?", "/postgres?")
        return psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off")

    def run(self, *statements: str) -> None:
        with self.admin() as connection:
            for statement in statements:
                connection.execute(statement)

    def end_sessions(self) -> None:
        """End the sessions of the server."""
        self.run(f"SELECT pg_terminate_backend(pid) {_OF_SERVER}")


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        begin: a context; the fault lasts as long as it.
        causes: one of these is in the log meanwhile. Empty: none need be.
        unready: /readyz fails meanwhile.
        lists: lists go on meanwhile.
        doubts: whether a caller may be told that a change may have been done.
    """

    begin: Callable[[World], AbstractContextManager[None]]
    causes: str
    unready: bool = True
    lists: bool = False
    doubts: bool = True


@contextlib.contextmanager
def stopped(world: World) -> Iterator[None]:
    world.database.stop()
    try:
        yield
    finally:
        world.database.start()


@contextlib.contextmanager
def killed(world: World) -> Iterator[None]:
    world.database.kill()
    try:
        yield
    finally:
        world.database.start()


@contextlib.contextmanager
def sessions_end(world: World) -> Iterator[None]:
    """An operator ends sessions again and again, also in the middle of statements."""
    ending = threading.Event()

    def end() -> None:
        while not ending.wait(0.1):
            world.end_sessions()

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


@contextlib.contextmanager
def no_slots(world: World) -> Iterator[None]:
    """Others take every slot, also those of the server."""
    with world.admin() as first, ExitStack() as taken:
        for _ in range(20):
            with contextlib.suppress(psycopg.OperationalError):  # all are taken, by us and by the server
                while True:
                    other = taken.enter_context(contextlib.closing(psycopg.connect(world.database.url)))
                    assert other.autocommit is False
            first.execute(f"SELECT pg_terminate_backend(pid, 100) {_OF_SERVER}")
        yield


@contextlib.contextmanager
def disk_full(world: World) -> Iterator[None]:
    """The table of tasks is on a disk of 16 MB, which another program fills."""
    with scratch() as directory:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=777", "tmpfs", directory], check=True)
        try:
            space = directory / "space"
            space.mkdir(mode=0o700)
            account = account_for(directory)
            os.chown(space, account.uid, account.gid)
            world.database.query(f"CREATE TABLESPACE small LOCATION '{space}'")
            world.database.query("ALTER TABLE tasks SET TABLESPACE small")
            filler = directory / "filler"
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            yield
            filler.unlink()
        finally:
            world.database.query("ALTER TABLE tasks SET TABLESPACE pg_default")
            eventually(lambda: _drops(world, "DROP TABLESPACE small"), "the tablespace to be free")
            subprocess.run(["umount", "-l", directory], check=True)


def _drops(world: World, sql: str) -> bool:
    try:
        world.database.query(sql)
    except psycopg.Error:
        world.run("CHECKPOINT")
        return False
    return True


@contextlib.contextmanager
def read_only(world: World) -> Iterator[None]:
    world.run("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        yield
    finally:
        world.run("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


@contextlib.contextmanager
def read_only_database(world: World) -> Iterator[None]:
    """Sessions keep the setting with which they began, so only new ones recover."""
    world.run("ALTER DATABASE todo_mcp SET default_transaction_read_only = on")
    world.end_sessions()
    try:
        yield
    finally:
        world.run("ALTER DATABASE todo_mcp RESET default_transaction_read_only")


@contextlib.contextmanager
def no_table(world: World) -> Iterator[None]:
    world.database.query("ALTER TABLE tasks RENAME TO tasks_away")
    try:
        yield
    finally:
        world.database.query("ALTER TABLE tasks_away RENAME TO tasks")


@contextlib.contextmanager
def no_token_table(world: World) -> Iterator[None]:
    """Callers cannot even be identified."""
    world.database.query("ALTER TABLE oauth2_provider_accesstoken RENAME TO tokens_away")
    try:
        yield
    finally:
        world.database.query("ALTER TABLE tokens_away RENAME TO oauth2_provider_accesstoken")


def _rename(world: World, old: str, new: str) -> None:
    world.run(f"ALTER DATABASE {old} ALLOW_CONNECTIONS false")
    ended = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{old}'"
    world.run(ended, f"ALTER DATABASE {old} RENAME TO {new}", f"ALTER DATABASE {new} ALLOW_CONNECTIONS true")


@contextlib.contextmanager
def another_database(world: World) -> Iterator[None]:
    """The address leads to an empty database."""
    _rename(world, "todo_mcp", "todo_mcp_away")
    world.run("CREATE DATABASE todo_mcp")
    try:
        yield
    finally:
        world.run("DROP DATABASE todo_mcp WITH (FORCE)")
        _rename(world, "todo_mcp_away", "todo_mcp")


@contextlib.contextmanager
def no_database(world: World) -> Iterator[None]:
    _rename(world, "todo_mcp", "todo_mcp_away")
    try:
        yield
    finally:
        _rename(world, "todo_mcp_away", "todo_mcp")


@contextlib.contextmanager
def locked(world: World) -> Iterator[None]:
    with world.database.connect() as connection, connection.transaction():
        connection.execute("LOCK tasks IN EXCLUSIVE MODE")
        yield


def trigger(work: str) -> Callable[[World], AbstractContextManager[None]]:
    """Each statement that adds a task does this work of PL/pgSQL first."""

    @contextlib.contextmanager
    def begin(world: World) -> Iterator[None]:
        world.database.query(
            f"""
            CREATE FUNCTION test_work() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {work}; RETURN NEW; END $$;
            CREATE TRIGGER test_work BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION test_work();
            """
        )
        try:
            yield
        finally:
            world.database.query("DROP FUNCTION test_work CASCADE")

    return begin


TOO_LONG = "PERFORM pg_sleep(60)"
CONFLICT = """
    IF random() < 0.5 THEN RAISE USING ERRCODE = 'serialization_failure';
    ELSE RAISE USING ERRCODE = 'deadlock_detected'; END IF
"""


def network(mode: str) -> Callable[[World], AbstractContextManager[None]]:
    return lambda world: world.proxy.failing(mode)


FAULTS = {
    "postgresql stops": Fault(stopped, "unreachable lost stopped"),
    "postgresql is killed": Fault(killed, "unreachable lost stopped"),
    "postgresql hangs": Fault(lambda world: freeze(world.database), "unreachable"),
    "sessions are ended": Fault(sessions_end, "stopped", unready=False),
    "the network drops connections": Fault(network("drop"), "lost"),
    "the network hangs": Fault(network("stall"), "unreachable"),
    "answers of postgresql are lost": Fault(network("answers_lost"), "lost"),
    "tls is refused": Fault(network("no_tls"), "tls"),
    "all connection slots are taken": Fault(no_slots, "no_slot"),
    "the disk is full": Fault(disk_full, "disk_full", lists=True, doubts=False),
    "postgresql is read-only": Fault(read_only, "read_only", lists=True, doubts=False),
    "the database is read-only": Fault(read_only_database, "read_only", lists=True),
    "the table of tasks is gone": Fault(no_table, "wrong_tables", doubts=False),
    "the table of tokens is gone": Fault(no_token_table, "wrong_tables", doubts=False),
    "the address leads to another database": Fault(another_database, "wrong_tables"),
    "the database is gone": Fault(no_database, "no_database"),
    "another session locks the table": Fault(locked, "", unready=False, lists=True, doubts=False),
    "statements take too long": Fault(trigger(TOO_LONG), "", unready=False, lists=True, doubts=False),
    "transactions conflict": Fault(trigger(CONFLICT), "", unready=False, lists=True, doubts=False),
}
NEEDS_ROOT = {"the disk is full"} if os.geteuid() or not shutil.which("mount") else set[str]()
