"""A PostgreSQL that misbehaves on demand: a trigger acts by the first word of a task's title."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.mcp_messages import HANDSHAKE, MODERN
from tests.support.processes import eventually
from tests.support.server_process import Database

DOORS = ["http", HANDSHAKE[-1], MODERN]
METRICS_TOKEN = "only-prometheus-knows-this"
PLACES = 4  # of the gate, and so connections of the server

FAULTS = """
CREATE TABLE test_door (open boolean);
CREATE SEQUENCE test_attempts;
CREATE FUNCTION test_fault() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
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


@contextmanager
def closed_door(database: Database) -> Iterator[None]:
    """Inside the context, a call that adds "hold …" waits in the database. At the end all calls continue."""
    database.query("TRUNCATE test_door")
    try:
        yield
    finally:
        database.query("INSERT INTO test_door VALUES (true)")


@contextmanager
def freeze(database: Database) -> Iterator[None]:
    """Inside the context, PostgreSQL keeps its connections and does nothing."""
    processes = database.processes()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            os.kill(process, signal.SIGCONT)


async def until_at_work(database: Database, count: int, what: str = "Timeout") -> None:
    """Wait until ``count`` calls are in the database, where the trigger or a lock holds them."""
    await asyncio.to_thread(eventually, lambda: database.waiting(what) == count, f"{count} calls at work")
