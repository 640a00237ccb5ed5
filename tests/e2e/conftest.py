"""A real server for clients that we did not write, and the programs of those clients."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.programs import HERE, run
from tests.support.server_process import Database, ServerProcess


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
