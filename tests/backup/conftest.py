"""Machines: one that is full, whose backup the tests restore, and fresh ones."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.backup.machine import Machine
from tests.support.processes import scratch

_numbers = itertools.count(1)


@pytest.fixture
def directory() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


@pytest.fixture(scope="session")
def create_database() -> Iterator[Callable[..., str]]:
    """Creates a database on the tests' PostgreSQL, empty or like another one. Returns its URL."""
    address = os.environ["DATABASE_URL"]
    names = []

    def create(like: str = "template1") -> str:
        names.append(f"backup_{os.getpid()}_{next(_numbers)}")
        with psycopg.connect(address, autocommit=True) as connection:
            ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
            connection.execute(ended, [like])  # the end of a process and of its session are not one moment
            both = map(sql.Identifier, (names[-1], like))
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*both))
        parts = conninfo_to_dict(address, dbname=names[-1])
        user = f"{parts.pop('user', 'postgres')}:{parts.pop('password', '')}"
        rest = "&".join(f"{name}={value}" for name, value in parts.items() if name != "dbname")
        return f"postgresql://{user}@/{names[-1]}?{rest}"

    yield create
    with psycopg.connect(address, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def fresh(directory: Path, create_database: Callable[..., str]) -> Machine:
    """A machine with an empty data directory and an empty database."""
    return Machine(directory / "fresh", create_database())


@pytest.fixture(scope="session")
def migrated_name(create_database: Callable[..., str]) -> str:
    """The name of a migrated database without rows."""
    with scratch() as directory:
        machine = Machine(directory / "migrated", create_database())
        machine.manage("migrate", "-v0")
        ((name,),) = machine.query("SELECT current_database()")
        return str(name)


@pytest.fixture
def migrated(directory: Path, create_database: Callable[..., str], migrated_name: str) -> Machine:
    """A machine with an empty data directory and a migrated database without rows."""
    return Machine(directory / "migrated", create_database(migrated_name))


@pytest.fixture
def embedded(directory: Path) -> Iterator[Machine]:
    """A machine with an empty data directory, for the embedded PostgreSQL."""
    machine = Machine(directory / "embedded")
    yield machine
    machine.clean_up()


@pytest.fixture(scope="session")
def filled() -> Iterator[Machine]:
    """A machine with a user, a token, a secret key, a conversation, and 20 tasks. Its PostgreSQL runs. Only read it."""
    with scratch() as directory:
        machine = Machine(directory / "filled")
        with machine.running():
            machine.fill()
            yield machine


@pytest.fixture(scope="session")
def backup_file(filled: Machine) -> Path:
    """A backup of the filled machine."""
    path = filled.directory / "backup.tar"
    filled.manage("backup", path)
    return path
