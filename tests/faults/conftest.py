"""A real server on a PostgreSQL that misbehaves on demand: a trigger acts by the first word of a task's title."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import HANDSHAKE, MODERN, Caller
from tests.processes import PATIENCE, eventually, scratch
from tests.server_process import Database, ServerProcess

DOORS = ["http", HANDSHAKE[-1], MODERN]
METRICS_TOKEN = "only-prometheus-knows-this"
PLACES = 4  # the gate's, and so the server's connections

_FAULTS = """
CREATE TABLE test_door (open boolean);
CREATE SEQUENCE test_attempts;
CREATE FUNCTION test_fault() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE word text := split_part(NEW.title, ' ', 1);
BEGIN
    IF word = 'hold' THEN  -- until a test opens the door
        WHILE NOT EXISTS (SELECT FROM test_door) LOOP PERFORM pg_sleep(0.01); END LOOP;
    ELSIF word = 'nap' THEN
        PERFORM pg_sleep(0.2);
    ELSIF word = 'sleep' THEN
        PERFORM pg_sleep(60);
    ELSIF word = 'lock' THEN  -- 1, then 2
        PERFORM pg_advisory_xact_lock(1);
        PERFORM pg_advisory_xact_lock(2);
    ELSIF word = 'conflict' AND nextval('test_attempts') <= split_part(NEW.title, ' ', 2)::int THEN
        RAISE EXCEPTION 'conflict over %', NEW.title USING ERRCODE = 'serialization_failure';
    ELSIF word = 'defect' THEN
        RAISE EXCEPTION 'cannot store %', NEW.title USING ERRCODE = 'data_corrupted';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER test_fault BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION test_fault();
"""


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    """A migrated PostgreSQL with the faults in it."""
    with scratch() as directory:
        database = Database(directory / "postgres")
        database.query(_FAULTS)
        yield database
        database.stop()


@pytest.fixture(scope="session")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server that most tests share; whoever breaks it mends it."""
    settings = {"DATABASE_CONNECTIONS": PLACES, "LOG_LEVEL": "INFO", "METRICS_TOKEN": METRICS_TOKEN}
    server = ServerProcess(database, _log(tmp_path_factory), **settings)
    yield server
    server.close()


@pytest.fixture
def own_server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for one test, which may end it."""
    server = ServerProcess(database, _log(tmp_path_factory), DATABASE_CONNECTIONS=PLACES, LOG_LEVEL="INFO")
    yield server
    server.close()


@pytest.fixture
async def http(server: ServerProcess, anyio_backend: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(server) as client:
        yield client


@pytest.fixture
def caller(http: httpx2.AsyncClient, database: Database) -> Caller:
    """A user whom no other test knows, at the shared server."""
    _, token = database.new_user()
    return Caller(http, token)


def client_of(server: ServerProcess) -> httpx2.AsyncClient:
    """As many connections as there are calls at once."""
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(base_url=server.url, timeout=PATIENCE, limits=limits)


@contextmanager
def closed_door(database: Database) -> Iterator[None]:
    """Inside, a call that adds "hold …" stays in the database; at the end all go on."""
    database.query("TRUNCATE test_door")
    try:
        yield
    finally:
        database.query("INSERT INTO test_door VALUES (true)")


@contextmanager
def freeze(database: Database) -> Iterator[None]:
    """Inside, PostgreSQL keeps its connections and does nothing."""
    frozen = database.processes()
    for process in frozen:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(frozen):
            os.kill(process, signal.SIGCONT)


async def until_at_work(database: Database, count: int) -> None:
    """Wait until so many calls are in the database, held there by the trigger."""
    await asyncio.to_thread(eventually, lambda: database.waiting("Timeout") == count, f"{count} calls at work")


def _log(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("log") / "server.log"
