"""A real PgBouncer in transaction mode, in front of the PostgreSQL of a test."""

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests.support.processes import PATIENCE, eventually, free_port
from todo_mcp.postgres.embedded.account import account_for

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
needs_pgbouncer = pytest.mark.skipif(
    PROGRAM is None, reason="PgBouncer is not installed; on Debian: apt-get install pgbouncer."
)

# Debian's PgBouncer 1.18 cannot track prepared statements. Later versions do so unless this number is 0.
_CONF = """
[databases]
* = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
{untracked}
"""


class Pooler:
    """Lends ``sessions`` PostgreSQL sessions to its clients, each for one transaction.

    ``directory`` must be reachable for an unprivileged account: PgBouncer refuses to run as root.
    """

    def __init__(self, directory: Path, url: str, sessions: int = 4) -> None:
        assert PROGRAM is not None
        server = parse_qs(urlsplit(url).query)
        port = free_port()
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        untracked = "max_prepared_statements = 0" if tuple(map(int, version.split(".")[:2])) >= (1, 21) else ""
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(
            _CONF.format(
                host=server["host"][0],
                port=server["port"][0],
                listen_port=port,
                sessions=sessions,
                untracked=untracked,
            )
        )
        self.url = f"postgresql://postgres@127.0.0.1:{port}{urlsplit(url).path}"
        self._log = directory / "pgbouncer.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, str(configuration)],
                stdout=log,
                stderr=log,
                cwd="/",
                **account_for(directory / "none").process_options(),
            )
        eventually(self._answers, "PgBouncer to start")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        return psycopg.pq.PGconn.ping(self.url.encode()) == psycopg.pq.Ping.OK
