"""The primary dies and a standby takes over, under writers. The server has the addresses of both."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.faults.broken_database import PLACES
from tests.faults.ledger import writing
from tests.support.processes import eventually, scratch
from tests.support.server_process import Database, ServerProcess
from todo_mcp.postgres.embedded.account import account_for
from todo_mcp.postgres.embedded.cluster import Cluster
from todo_mcp.postgres.embedded.programs import find_programs

pytestmark = pytest.mark.anyio
SECONDS = 5.0
ALL = os.environ.get("TODO_TEST_FAULTS") == "all"


class Standby(Database):
    """A hot standby of another database. It has every change that a caller was told of."""

    def __init__(self, primary: Database, directory: Path) -> None:
        pgdata = directory / "standby"
        account = account_for(primary.directory)
        shutil.chown(directory, account.uid, account.gid)
        host = parse_qs(urlsplit(primary.url).query)["host"][0]
        command = [
            str(find_programs() / "pg_basebackup"),
            "-D",
            str(pgdata),
            "-h",
            host,
            "-U",
            "postgres",
            "-R",
            "-c",
            "fast",
        ]
        subprocess.run(command, check=True, cwd="/", **account.process_options())
        self._cluster = Cluster(pgdata)
        address = self._cluster.start()
        self.directory = pgdata
        self.url = f"postgresql://postgres@/todo_mcp?host={address.host}&port={address.port}"
        primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.query("SELECT pg_reload_conf()")
        synchronous = "SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"
        eventually(lambda: primary.query(synchronous), "the standby to be synchronous")


@pytest.fixture
def standby(database: Database) -> Iterator[Standby]:
    with scratch() as directory:
        standby = Standby(database, directory)
        try:
            yield standby
        finally:
            standby.stop()
            database.start()
            database.query("ALTER SYSTEM RESET synchronous_standby_names")
            database.query("SELECT pg_reload_conf()")


@pytest.mark.parametrize("attributes", ["any", "read-write", "primary"] if ALL else ["read-write"])
async def test_after_a_failover_nothing_is_lost_and_the_new_primary_is_found(
    database: Database, standby: Standby, tmp_path: Path, attributes: str
) -> None:
    user_id, token = database.new_user()
    hosts = ",".join(parse_qs(urlsplit(one.url).query)["host"][0] for one in (database, standby))
    url = f"postgresql://postgres@/todo_mcp?host={hosts}&port=5432&target_session_attrs={attributes}"
    settings = {"DATABASE_URL": url, "DATABASE_CONNECTIONS": PLACES, "LOG_LEVEL": "INFO"}
    server = ServerProcess(database, tmp_path / "server.log", **settings)
    try:
        async with server.client() as client, writing(client, token) as writers:
            await writers.progress()
            database.kill()
            await asyncio.to_thread(_becomes, server, 503)
            await writers.more_refusals()
            await writers.more_lists(20)
            standby.query("SELECT pg_promote()")
            await asyncio.to_thread(_becomes, server, 200)
            await writers.progress()
        assert writers.ledger.complaints(standby, user_id) == []
        assert "read_only" in {line.get("cause") for line in server.log_lines()}
        assert not [line for line in server.log_lines() if line["message"] == "defect"]
    finally:
        server.close()


def _becomes(server: ServerProcess, status: int) -> None:
    eventually(lambda: server.probe("/readyz") == status, f"/readyz to answer {status}", within=SECONDS)
