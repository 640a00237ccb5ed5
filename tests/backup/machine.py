"""A machine: a data directory, with its own PostgreSQL or a database elsewhere, and commands that run on it."""

import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from tests.support.manage import NEUTRAL, UNSET
from tests.support.processes import PATIENCE, free_port
from tests.support.server_process import ROOT, environment_with, manage_command
from todo_mcp.postgres.embedded.cluster import Cluster
from todo_mcp.postgres.embedded.server import EmbeddedServer

FILL = """
from todo_mcp.process import make_run
make_run.reuse_secret_key()
make_run.migrate()
make_run.ensure_access()
from conversations.models import Conversation, Message
from tasks.services import add_task
from todo_mcp.idempotency.services import run_once
chat = Conversation.objects.create(user_id="alice", ref="c:1", title="Tïtle \t☃", metadata='{"a":"\\\\t\\\\u001f ☃"}')
Message.objects.create(conversation=chat, user_id="alice", role="user", content="☃", ref="m:1", item='{"a":1.50}')
for n in range(20):
    add_task(user_id="alice", title=f"Täsk {n}\\t\\\\N\\n\\\\.\\n☃", tags=["a", "b"], checklist=["x"])
run_once(user_id="alice", operation="add_task", key="bytes", arguments={}, work=dict)
"""
BOB = """
    INSERT INTO users (id, password, name, email, is_active, is_staff, is_superuser, created_at)
    VALUES ('bob', '', '', '', true, false, false, now())
"""
HEX = "-c bytea_output=hex"  # some databases of the tests have another default
STATE = """
from todo_mcp.auth.tokens import find_token
from todo_mcp.postgres import wall
print([wall.problem(), find_token(open("{token}").read().strip()).user_id])
"""


class Machine:
    """One data directory, with the embedded PostgreSQL unless a URL leads to another one."""

    def __init__(self, directory: Path, url: str = "", **settings: object) -> None:
        self.directory = directory
        self._url = url
        directory.mkdir(mode=0o711, exist_ok=True)
        self.data = directory / "data"
        self.pgdata = self.data / "postgres"
        names: dict[str, object] = {
            "USER": "alice",
            "LOGNAME": "alice",
            "TODO_DATA_DIR": self.data,
            "PYTHONWARNINGS": "ignore",
            "MCP_SERVER_PORT": free_port(),
        }
        names["DATABASE_URL"] = url
        self.environment = environment_with(NEUTRAL | names | settings, without=UNSET)

    def run(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            manage_command(*arguments),
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
        )

    def manage(self, *arguments: object) -> str:
        """Run a command, which must succeed. Returns its output."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def refusal(self, *arguments: object) -> str:
        """Run a command, which must fail with one line. Returns that line."""
        result = self.run(*arguments)
        assert result.returncode == 1, result.stdout
        assert "Traceback" not in result.stderr, result.stderr
        return result.stderr.strip().splitlines()[-1]

    def popen(self, *arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            manage_command(*arguments), cwd=ROOT, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def fill(self) -> None:
        self.manage("shell", "--no-imports", "-c", FILL)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a query. The server is started for it if it does not run."""
        with self.running() as url, psycopg.connect(url, autocommit=True, options=HEX) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def running(self) -> Iterator[str]:
        """The URL of the database. An embedded server runs within this context, and this process uses it."""
        if self._url:
            yield self._url
            return
        server = EmbeddedServer(self.pgdata)
        host, port = server.ensure_running()
        try:
            yield f"postgresql://postgres@/todo_mcp?host={host}&port={port}"
        finally:
            server.release()

    def is_empty(self) -> bool:
        return self.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]

    def checksums(self, tables: Iterable[str] = ()) -> dict[str, str]:
        """A checksum of all rows of each table that a crash keeps."""
        logged = (
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' "
            "AND relpersistence = 'p'"
        )
        names = tables or [name for (name,) in self.query(logged)]
        digests = "string_agg(md5(t::text), '' ORDER BY md5(t::text))"
        union = " UNION ALL ".join(f"SELECT '{name}', md5({digests}) FROM public.{name} t" for name in names)
        return dict(self.query(union))

    def secrets(self) -> dict[str, str]:
        return {name: (self.data / name).read_text() for name in ("secret_key", "token") if (self.data / name).exists()}

    def clean_up(self) -> None:
        if (self.pgdata / "postmaster.pid").exists():
            Cluster(self.pgdata).stop()


def state(machine: Machine) -> str:
    """What keeps users from being apart, and the user of the token."""
    return machine.manage("shell", "--no-imports", "-c", STATE.format(token=machine.data / "token")).strip()


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]


def rewritten(path: Path, target: Path, **manifest: object) -> Path:
    """A copy of a backup with another manifest, and with the right checksums."""
    content = members(path)
    content["manifest.json"] = json.dumps(json.loads(content["manifest.json"]) | manifest).encode()
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items() if name[0] != "S")
    content["SHA256SUMS"] = sums.encode()
    with tarfile.open(target, "w") as tar:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return target
