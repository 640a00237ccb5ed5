"""A real server on a PostgreSQL that misbehaves on demand."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.faults.broken_database import FAULTS, METRICS_TOKEN, PLACES
from tests.support.caller import Caller
from tests.support.server_process import Database, ServerProcess


@pytest.fixture(scope="session")
def database(database: Database) -> Database:
    """A migrated PostgreSQL with the trigger that causes faults."""
    database.query(FAULTS)
    return database


@pytest.fixture(scope="session")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that most tests share. A test that breaks it must repair it."""
    settings = {"DATABASE_CONNECTIONS": PLACES, "LOG_LEVEL": "INFO", "METRICS_TOKEN": METRICS_TOKEN}
    server = ServerProcess(database, _log(tmp_path_factory), **settings)
    yield server
    server.close()


@pytest.fixture
def own_server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for one test, which may stop it."""
    server = ServerProcess(database, _log(tmp_path_factory), DATABASE_CONNECTIONS=PLACES, LOG_LEVEL="INFO")
    yield server
    server.close()


@pytest.fixture
async def http(server: ServerProcess, anyio_backend: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with server.client() as client:
        yield client


@pytest.fixture
def caller(http: httpx2.AsyncClient, database: Database) -> Caller:
    """A user of the shared server that no other test uses."""
    _, token = database.new_user()
    return Caller(http, token)


@pytest.fixture
def other(http: httpx2.AsyncClient, database: Database) -> Caller:
    """A second user: one user alone gets only half of the places."""
    _, token = database.new_user()
    return Caller(http, token)


def _log(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("log") / "server.log"
