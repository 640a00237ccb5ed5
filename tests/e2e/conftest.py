"""A real server for clients that we did not write, and the programs of those clients."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.processes import scratch
from tests.server_process import Database, ServerProcess

HERE = Path(__file__).parent
SECONDS = 120  # that any of these programs may take


@pytest.fixture(scope="session")
def database() -> Iterator[Database]:
    with scratch() as directory:
        database = Database(directory / "postgres")
        yield database
        database.stop()


@pytest.fixture(scope="session")
def server(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    server = ServerProcess(database, tmp_path_factory.mktemp("log") / "server.log", LOG_LEVEL="INFO")
    yield server
    server.close()


@pytest.fixture
def url(server: ServerProcess) -> str:
    return f"{server.url}/mcp"


@pytest.fixture
def token(database: Database) -> str:
    """Of a user whom no other test knows."""
    return database.new_user()[1]


@pytest.fixture(scope="session")
def node() -> Path:
    """Node 22 and, beside it, the clients of package.json; installed where they are not yet."""
    modules = HERE / "node_modules"
    installed = modules / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        if shutil.which("npm") is None:
            pytest.fail("These tests need Node.js 20 or newer with npm; install it, then run them again.")
        run("npm", "ci", "--no-audit", "--no-fund", seconds=600)
    return modules / "node" / "bin" / "node"


def run(*command: str | Path, seconds: float = SECONDS, **options: Any) -> str:
    """What a program prints; it must succeed."""
    done = attempt(*command, seconds=seconds, **options)
    assert done.returncode == 0, (
        f"{command[:2]} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout


def attempt(*command: str | Path, seconds: float = SECONDS, **options: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=seconds, check=False, **options)


def last_json(printed: str) -> Any:
    """The JSON document at the end of what a program printed."""
    assert "{" in printed, printed
    return json.loads(printed[printed.index("{") :])


def check_walk(told: dict[str, Any], revisions: Sequence[str]) -> None:
    """Judge what a client saw on its way through all five tools, an error and a wrong token."""
    results = told["results"]
    for result in results.values():
        assert [json.loads(block["text"]) for block in result["content"]] == [result["structuredContent"]]
    envelopes = {step: result["structuredContent"] for step, result in results.items()}
    assert told["revision"] in revisions
    assert told["server"] in ("todo-mcp", None), "a client that is told the revision need not ask"
    assert told["tools"] == ["add_task", "list_tasks", "complete_task", "delete_task", "update_task"]
    assert [step for step, result in results.items() if result.get("isError")] == ["error"]
    (task,) = envelopes["list"]["data"]["tasks"]
    added = envelopes["add"]["data"]
    assert (task["task_id"], task["title"], task["completed"]) == (added["task_id"], "Buy milk", False)
    assert {envelope["data"].get("task_id", added["task_id"]) for envelope in envelopes.values()} == {added["task_id"]}
    assert envelopes["update"]["data"]["updated_fields"] == ["title"]
    assert envelopes["error"]["data"] == {"error_code": 404, "error": "task_not_found"}
    assert "list_tasks" in envelopes["error"]["message"]
    assert "401" in told["wrongToken"] or "nauthorized" in told["wrongToken"], told["wrongToken"]
